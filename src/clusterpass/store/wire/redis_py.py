"""redis-py's connections: their options, and what their errors mean to a store."""

import asyncio
import builtins
import socket
from typing import Any, Final

from redis.backoff import NoBackoff
from redis.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,  # noqa: A004 (redis-py's own name)
    InvalidResponse,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,  # noqa: A004 (redis-py's own name)
    TryAgainError,
)
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from clusterpass.model.errors import StoreDenied
from clusterpass.store.location import Address, StoreLocation
from clusterpass.store.outcomes import Fault, ServerError
from clusterpass.store.wire.dial import dial
from clusterpass.store.wire.faults import (
    HandshakeTimeoutError,
    cause_of,
    fault_of_connection,
    said_by_the_system,
)

CONNECTION_ERRORS: Final = (
    ConnectionError,
    TimeoutError,
    InvalidResponse,  # the peer does not speak RESP
    OSError,
    asyncio.TimeoutError,
)
"""What redis-py raises when a connection fails or its peer sends no valid reply."""
# redis-py cuts off the code of an error that has a class of its own.
_CODES: Final[tuple[tuple[type[ResponseError], str], ...]] = (
    (MovedError, "MOVED"),
    (AskError, "ASK"),
    (TryAgainError, "TRYAGAIN"),
    (MasterDownError, "MASTERDOWN"),  # a subclass of the next one
    (ClusterDownError, "CLUSTERDOWN"),
    (NoScriptError, "NOSCRIPT"),
    (ReadOnlyError, "READONLY"),
    (OutOfMemoryError, "OOM"),
    (NoPermissionError, "NOPERM"),
)


class _Connection(Connection):
    """A connection that tries all addresses of its host, rather than the first one alone."""

    def _connect(self) -> socket.socket:
        assert self.socket_connect_timeout is not None
        connected = dial(self.host, self.port, self.socket_connect_timeout)
        connected.settimeout(self.socket_timeout)
        return connected


class _SecureConnection(SSLConnection, _Connection):
    """Such a connection over TLS."""

    def _wrap_socket_with_ssl(self, sock: socket.socket) -> Any:
        try:
            return super()._wrap_socket_with_ssl(sock)  # type: ignore[no-untyped-call]
        except builtins.TimeoutError:
            raise HandshakeTimeoutError("no answer to the TLS handshake") from None


def make_connection(location: StoreLocation, address: Address) -> AbstractConnection:
    """A connection to the node at ``address``, which is not open yet."""
    kind = _Connection if location.tls_files is None else _SecureConnection
    target = location.reached_at.get(address, address)
    if target.is_socket:
        options = connection_options(location, target, Retry)
        del options["host"], options["port"]
        return UnixDomainSocketConnection(path=target.host, **options)  # type: ignore[abstract]
    return kind(**connection_options(location, target, Retry))


def server_error(error: ResponseError) -> ServerError:
    """``error``, an error reply that redis-py has raised, as a code and a message."""
    text = str(error)
    for kind, code in _CODES:
        if isinstance(error, kind):
            return ServerError(code, text.removeprefix(f"{code} "))
    code, _, message = text.partition(" ")
    # ERR is cut off as well: what is left begins with a code only if it has another one.
    return ServerError(code, message) if code.isupper() else ServerError("ERR", text)


def connection_options(location: StoreLocation, address: Address, retry: Any) -> dict[str, Any]:
    """The options of a redis-py connection to ``address``: short timeouts and no retries.

    Retries are the work of an exchange, which knows when to look up the slots again. ``retry``:
    redis-py's class ``Retry``.
    """
    options: dict[str, Any] = {
        "host": address.host,
        "port": address.port,
        "username": location.username,
        "password": location.password,
        "socket_timeout": location.patience.timeout,
        "socket_connect_timeout": location.patience.timeout,
        "protocol": 2,
        "retry": retry(NoBackoff(), 0),
        "driver_info": None,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    if location.tls_files is not None:
        files = location.tls_files
        options |= {
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": True,
            "ssl_ca_certs": files.get("ca_file"),
            "ssl_certfile": files.get("cert_file"),
            "ssl_keyfile": files.get("key_file"),
        }
    return options


def fault_of(error: BaseException, *, reused: bool) -> Fault:
    """The fault that ``error``, a failure of a connection, means.

    ``reused``: the connection had worked before, so that a lost one may have been closed while
    idle. Raises StoreDenied when the server refuses the user or the password, and when the client
    refuses the server's certificate.
    """
    if isinstance(error, AuthenticationError) or (
        isinstance(error, ResponseError)
        and str(error).startswith(("NOAUTH", "WRONGPASS", "NOPERM"))
    ):
        raise StoreDenied(reason="authentication", cause="authentication") from None
    if isinstance(error, BusyLoadingError):
        return Fault("loading")
    if isinstance(error, TimeoutError):
        told = said_by_the_system(error)
        return Fault("timeout", cause="timed_out" if told is None else cause_of(told), error=told)
    return fault_of_connection(error, reused=reused)
