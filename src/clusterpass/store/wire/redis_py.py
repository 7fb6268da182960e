"""redis-py's connections: their options, and what their errors mean to a store."""

import asyncio
import builtins
import logging
import math
import socket
import ssl
import time
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

from clusterpass.model.errors import StoreDenied, StoreUnavailable
from clusterpass.store.address import Address
from clusterpass.store.credentials import (
    Credentials,
    CredentialSource,
    ask,
    pause_after_failure,
)
from clusterpass.store.location import StoreLocation
from clusterpass.store.outcomes import Fault, ServerError
from clusterpass.store.wire.faults import (
    HandshakeTimeoutError,
    cause_of,
    fault_of_connection,
    said_by_the_system,
)
from clusterpass.store.wire.tcp_dial import dial
from clusterpass.store.wire.tls import tls_context

logger: Final = logging.getLogger("clusterpass.store")
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


class _Login:
    """The login of a connection: when to log in again, and when the login expires."""

    source: CredentialSource | None = None
    renewal: float = math.inf
    """When to authenticate again, in seconds of the monotonic clock."""
    end: float = math.inf
    has_failed: bool = False
    """Whether that was tried in vain, and logged."""

    def note(self, source: CredentialSource, used: Credentials) -> None:
        """Note that ``used``, what ``source`` has returned just now, was or will be sent."""
        now = time.monotonic()
        self.source, self.renewal, self.end = source, used.renewal(now), used.end(now)
        self.has_failed = False


class _SocketConnection(_Login, UnixDomainSocketConnection):
    """A connection through a Unix socket."""


class _Connection(_Login, Connection):
    """A connection that tries all addresses of its host, rather than the first one alone."""

    def _connect(self) -> socket.socket:
        assert self.socket_connect_timeout is not None
        connected = dial(self.host, self.port, self.socket_connect_timeout)
        connected.settimeout(self.socket_timeout)
        return connected


class _SecureConnection(SSLConnection, _Connection):
    """A connection of the same kind over TLS, with the context of the store."""

    def __init__(self, context: ssl.SSLContext, name: str, **options: Any) -> None:
        """``name``: what the certificate has to bear."""
        super().__init__(**options)
        self._context = context
        self._name = name

    def _wrap_socket_with_ssl(self, sock: socket.socket) -> Any:
        try:
            return self._context.wrap_socket(sock, server_hostname=self._name)
        except builtins.TimeoutError:
            raise HandshakeTimeoutError("no answer to the TLS handshake") from None


def make_connection(location: StoreLocation, address: Address) -> AbstractConnection:
    """A connection to the node at ``address``, which is not open yet.

    Raises StoreUnavailable where the source of the credentials fails, StoreFailed where the remap
    of addresses does, and StoreDenied for unusable TLS files.
    """
    source, target = location.credential_source, location.reach(address)
    used = location.fixed_credentials if source is None else ask(source)
    options = connection_options(location, target, Retry, used)
    made: _SocketConnection | _Connection
    if target.is_socket:
        del options["host"], options["port"]
        made = _SocketConnection(path=target.host, **options)  # type: ignore[abstract, no-untyped-call]
    elif (context := tls_context(location)) is not None:
        name = location.certificate_name(address)
        made = _SecureConnection(context, name, **options)
    else:
        made = _Connection(**options)  # type: ignore[no-untyped-call]
    if source is not None and used is not None:
        made.note(source, used)
    return made


def renew_login(connection: AbstractConnection) -> None:
    """Authenticate again over an open ``connection``, where its credentials expire soon.

    While those of before are good, a failure is logged, and passes. Raises StoreUnavailable, and
    what redis-py raises.
    """
    now = time.monotonic()
    if not isinstance(connection, _Login) or now < connection.renewal:
        return
    assert connection.source is not None
    try:
        used = ask(connection.source)
        # redis-py is typed in parts only.
        connection.send_command("AUTH", *used.pair(), check_health=False)  # type: ignore[no-untyped-call]
        connection.read_response()
    except (StoreUnavailable, ResponseError, AuthenticationError) as error:
        if now >= connection.end:
            raise
        failure = error.message if isinstance(error, StoreUnavailable) else "AUTH is refused"
        if not connection.has_failed:
            logger.warning("a connection to the store keeps its old login: %s", failure)
        connection.has_failed = True
        connection.renewal = now + pause_after_failure(now, connection.end)
    else:
        connection.note(connection.source, used)


def server_error(error: ResponseError) -> ServerError:
    """``error``, an error reply that redis-py has raised, as a code and a message."""
    text = str(error)
    for kind, code in _CODES:
        if isinstance(error, kind):
            return ServerError(code, text.removeprefix(f"{code} "))
    code, _, message = text.partition(" ")
    # ERR is cut off as well: what is left begins with a code only if it has another one.
    return ServerError(code, message) if code.isupper() else ServerError("ERR", text)


def connection_options(
    location: StoreLocation, address: Address, retry: Any, used: Credentials | None
) -> dict[str, Any]:
    """The options of a redis-py connection to ``address``: short timeouts and no retries.

    Retries are the work of an exchange, which knows when to look up the slots again. ``retry``:
    redis-py's class ``Retry``. ``used``: what the connection logs in with.
    """
    return {
        "host": address.host,
        "port": address.port,
        "username": None if used is None else used.username,
        "password": None if used is None else used.password,
        "socket_timeout": location.patience.timeout,
        "socket_connect_timeout": location.patience.timeout,
        "protocol": 2,
        "retry": retry(NoBackoff(), 0),
        "driver_info": None,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }


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
