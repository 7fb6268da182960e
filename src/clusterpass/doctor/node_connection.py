"""A connection to one node on which everything may be asked, one thing after the other.

It speaks what the event loops' transport speaks (RESP3, one stream for replies and pushes), so what
works here works there. Every wait is bounded by the store URL's ``timeout``.
"""

import socket
import ssl
from types import TracebackType
from typing import Any, Final, Self

from clusterpass.model.errors import StoreDenied, StoreFailed, StoreUnavailable
from clusterpass.store.location import Address, StoreLocation
from clusterpass.store.outcomes import ServerError
from clusterpass.store.wire.handshake import greeting, judge_greeting
from clusterpass.store.wire.resp import NOTHING, Decoder, ProtocolError, Push, pack

_CHUNK: Final = 65_536
REFUSALS: Final = (OSError, ProtocolError, StoreDenied, StoreFailed, StoreUnavailable)
"""What a node that cannot be asked raises."""


class Line:
    """Opened by ``with``; raises one of REFUSALS when the node does not let us in."""

    def __init__(
        self,
        location: StoreLocation,
        address: Address,
        context: ssl.SSLContext | None,
        more_time: float = 0.0,
    ) -> None:
        """``context``: for TLS; ``more_time``: seconds that an answer may take beyond timeout."""
        self._timeout = location.patience.timeout + more_time
        self._location = location
        self._address = address
        self._context = context
        self._decoder = Decoder()
        self._socket: socket.socket | None = None
        self.pushes: Final[list[Any]] = []
        """What the node pushed between the replies."""

    def __enter__(self) -> Self:
        """Connect and greet."""
        target = self._location.reached_at.get(self._address, self._address)
        connection = socket.create_connection((target.host, target.port), self._timeout)
        self._socket = connection
        try:
            if self._context is not None:
                self._socket = self._context.wrap_socket(
                    connection, server_hostname=self._address.host
                )
            self._greet()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect."""
        self.close()

    def _greet(self) -> None:
        fault = judge_greeting(self.ask(*greeting(self._location)))
        if fault is not None:
            raise StoreUnavailable(reason=fault.kind)

    def close(self) -> None:
        """Disconnect."""
        if self._socket is not None:
            self._socket.close()

    @property
    def tls(self) -> ssl.SSLSocket | None:
        """The connection, if it is one over TLS."""
        return self._socket if isinstance(self._socket, ssl.SSLSocket) else None

    def ask(self, *command: Any) -> Any:
        """The reply, or the :class:`ServerError` that the node answered."""
        return self.ask_together(command)[0]

    def ask_together(self, *commands: Any) -> list[Any]:
        """The replies to several commands in one packet."""
        assert self._socket is not None
        self._socket.sendall(pack(commands))
        return [self._read() for _ in commands]

    def text(self, *command: Any) -> str | None:
        """The reply as text; None where the node refuses to tell."""
        reply = self.ask(*command)
        if isinstance(reply, ServerError):
            return None
        return reply.decode(errors="replace") if isinstance(reply, bytes) else str(reply)

    def wait_for_push(self) -> bool:
        """Whether the node pushes something, or has, before the timeout."""
        while not self.pushes:
            try:
                self._take(self._receive())
            except TimeoutError:
                return False
        return True

    def _read(self) -> Any:
        while True:
            value = self._decoder.next()
            if value is NOTHING:
                self._decoder.feed(self._receive())
            elif isinstance(value, Push):
                self.pushes.append(value)
            else:
                return value

    def _take(self, data: bytes) -> None:
        self._decoder.feed(data)
        while (value := self._decoder.next()) is not NOTHING:
            self.pushes.append(value)

    def _receive(self) -> bytes:
        assert self._socket is not None
        data = self._socket.recv(_CHUNK)
        if not data:
            raise ConnectionResetError("the node closed the connection")
        return data


def why(error: BaseException) -> str:
    """Why a node could not be asked, for people."""
    match error:
        case StoreUnavailable(reason="loading"):
            told = "it is loading its data"
        case StoreUnavailable(reason="busy"):
            told = "it has no room for another connection (maxclients)"
        case StoreDenied() | StoreFailed() | StoreUnavailable():
            told = error.message
        case ssl.SSLCertVerificationError():
            told = f"its certificate is not accepted: {error.verify_message}"
        case ssl.SSLError():
            told = f"no TLS: {error.reason or 'the handshake failed'}"
        case TimeoutError():
            told = "it does not answer in time"
        case ProtocolError():
            told = "what listens there does not speak the protocol"
        case OSError():
            told = error.strerror or str(error) or type(error).__name__
        case _:
            told = type(error).__name__
    return told
