"""A blocking connection to one node, for the queries of the doctor.

The connection speaks the protocol of the asyncio transport (RESP3, with replies and push messages
in one stream; RESP2 where a node refuses RESP3), so whatever works here works there. The
``timeout`` of the store URL bounds every wait.
"""

import socket
import ssl
from types import TracebackType
from typing import Any, Final, Self

from clusterpass.model.errors import StoreDenied, StoreFailed, StoreUnavailable
from clusterpass.store.address import Address
from clusterpass.store.credentials import ask
from clusterpass.store.location import StoreLocation
from clusterpass.store.outcomes import ServerError
from clusterpass.store.wire.handshake import (
    greeting,
    judge_greeting,
    judge_plain_greeting,
    plain_greeting,
    tracking,
)
from clusterpass.store.wire.resp import NOTHING, Decoder, ProtocolError, Push, pack

_CHUNK: Final = 65_536
CONNECTION_FAILURES: Final = (OSError, ProtocolError, StoreDenied, StoreFailed, StoreUnavailable)
"""The exceptions that a node raises which cannot be queried."""


class NodeConnection:
    """A connection to one node, open inside a ``with`` block.

    Entering the block raises one of :data:`CONNECTION_FAILURES` if the node cannot be reached or
    refuses the user.
    """

    def __init__(
        self,
        location: StoreLocation,
        address: Address,
        context: ssl.SSLContext | None,
        more_time: float = 0.0,
    ) -> None:
        """``context``: for TLS, or None. ``more_time``: seconds added to the timeout of replies."""
        self._timeout = location.patience.timeout + more_time
        self._location = location
        self._address = address
        self._context = context
        self._decoder = Decoder()
        self._socket: socket.socket | None = None
        self._refusal: ServerError | None = None
        """Why the node refuses RESP3; None if it speaks RESP3."""
        self.pushes: Final[list[Any]] = []
        """The push messages that arrived so far."""

    def __enter__(self) -> Self:
        """Connect and authenticate."""
        try:
            self._connect()
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

    def _connect(self) -> None:
        target = self._location.reach(self._address)
        if target.is_socket:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(self._timeout)
            self._socket.connect(target.host)
            return
        self._socket = socket.create_connection((target.host, target.port), self._timeout)
        if self._context is not None:
            self._socket = self._context.wrap_socket(
                self._socket, server_hostname=self._location.certificate_name(self._address)
            )

    def _greet(self) -> None:
        source = self._location.credential_source
        login = self._location.fixed_credentials if source is None else ask(source)
        answer = judge_greeting(self.ask(*greeting(login)))
        if isinstance(answer, ServerError):
            self._refusal = answer
            answer = judge_plain_greeting(self.ask_together(*plain_greeting(login)))
        if answer is not None:
            raise StoreUnavailable(reason=answer.kind)

    def track(self, *prefixes: bytes) -> ServerError | None:
        """Ask for invalidation messages about keys with ``prefixes``; the error if refused.

        A node accepts CLIENT TRACKING over RESP2 too, and then sends nothing.
        """
        if self._refusal is not None:
            return self._refusal
        reply = self.ask(*tracking("all", prefixes))
        return reply if isinstance(reply, ServerError) else None

    def close(self) -> None:
        """Disconnect."""
        if self._socket is not None:
            self._socket.close()

    @property
    def tls(self) -> ssl.SSLSocket | None:
        """The TLS socket; None without TLS."""
        return self._socket if isinstance(self._socket, ssl.SSLSocket) else None

    def ask(self, *command: Any) -> Any:
        """Send one command; the reply, which may be a :class:`ServerError`."""
        return self.ask_together(command)[0]

    def ask_together(self, *commands: Any) -> list[Any]:
        """Send several commands in one packet; their replies in order."""
        assert self._socket is not None
        self._socket.sendall(pack(commands))
        return [self._read() for _ in commands]

    def text(self, *command: Any) -> str | None:
        """Send one command; the reply as text, or None if the node answers with an error."""
        reply = self.ask(*command)
        if isinstance(reply, ServerError):
            return None
        return reply.decode(errors="replace") if isinstance(reply, bytes) else str(reply)

    def wait_for_push(self) -> bool:
        """Wait for a push message; False if none has arrived before the timeout."""
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


def describe_failure(error: BaseException) -> str:
    """Explain why a node could not be queried, as the end of a sentence for people."""
    match error:
        case StoreUnavailable(reason="loading"):
            reason = "the node is loading its data"
        case StoreUnavailable(reason="busy"):
            reason = "the node accepts no more connections (maxclients)"
        case StoreDenied() | StoreFailed() | StoreUnavailable():
            reason = error.message
        case ssl.SSLCertVerificationError():
            reason = f"the certificate is not accepted: {error.verify_message}"
        case ssl.SSLError():
            reason = f"TLS handshake failed: {error.reason or 'no reason given'}"
        case TimeoutError():
            reason = "no answer within the timeout"
        case ProtocolError():
            reason = "whatever listens there does not speak the Redis protocol"
        case OSError():
            reason = error.strerror or str(error) or type(error).__name__
        case _:
            reason = type(error).__name__
    return reason
