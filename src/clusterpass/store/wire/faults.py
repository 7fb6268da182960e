"""Turns exceptions of sockets and TLS into faults with a cause. Imports no Redis client."""

import errno
import socket
import ssl
from typing import Final

from clusterpass.model.errors import StoreDenied
from clusterpass.model.store_causes import StoreCause
from clusterpass.store.outcomes import Fault

_UNREACHABLE: Final = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL})


class HandshakeTimeoutError(TimeoutError):
    """A server was reached that did not agree on TLS in time."""


def fault_of_connection(error: BaseException, *, reused: bool) -> Fault:
    """The fault that ``error``, raised by a socket or by TLS, means.

    ``reused``: the connection had worked before, so that a lost one may have been closed while
    idle. Raises StoreDenied when the client refuses the server's certificate.
    """
    told = said_by_the_system(error)
    if isinstance(told, ssl.SSLCertVerificationError):
        raise StoreDenied(
            "The session store's TLS certificate is not accepted; check ca_file and the host name"
            " (server_name and verify_by tell of another name)",
            reason="certificate",
            cause="tls",
        ) from told
    cause = None if told is None else cause_of(told)
    if isinstance(error, TimeoutError):
        return Fault("timeout", cause=cause, error=told)
    return Fault("connection", stale=reused, cause=cause, error=told)


def said_by_the_system(error: BaseException) -> OSError | None:
    """The error of the operating system or of TLS that is behind ``error``, alone; None: none is.

    Clients wrap such errors: the certificate that is not accepted is the one that matters.
    """
    seen: BaseException | None = error
    found: OSError | None = None
    while seen is not None:
        if isinstance(seen, OSError) and (found is None or isinstance(seen, ssl.SSLError)):
            found = seen
        seen = seen.__cause__ or seen.__context__
    if found is not None:  # it may be kept for long, and frames hold connections
        found.__traceback__ = found.__cause__ = found.__context__ = None
    return found


def cause_of(error: OSError) -> StoreCause:
    """The cause of ``error`` for operators."""
    match error:
        case ssl.SSLError() | HandshakeTimeoutError():
            return "tls"
        case socket.gaierror():
            return "name_unknown"
        case ConnectionRefusedError() | FileNotFoundError():  # that of a Unix socket
            return "refused"
        case PermissionError():
            return "rights"
        case TimeoutError():
            return "timed_out"
    return "unreachable" if error.errno in _UNREACHABLE else "lost"
