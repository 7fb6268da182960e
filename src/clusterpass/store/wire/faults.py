"""What the failure of a connection means, whoever opened it. Imports no client of Redis."""

import ssl

from clusterpass.model.errors import StoreDenied
from clusterpass.store.outcomes import Fault


def fault_of_connection(error: BaseException, *, reused: bool) -> Fault:
    """The fault that ``error``, raised by a socket or by TLS, means.

    ``reused``: the connection had worked before, so that a lost one may have been closed while
    idle. Raises StoreDenied when the client refuses the server's certificate.
    """
    if _is_about_certificate(error):
        raise StoreDenied(
            "The session store's TLS certificate is not accepted; check ca_file and the host name",
            reason="certificate",
        ) from None
    if isinstance(error, TimeoutError):
        return Fault("timeout")
    return Fault("connection", stale=reused)


def _is_about_certificate(error: BaseException) -> bool:
    # Clients wrap the errors of the TLS layer.
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, ssl.SSLCertVerificationError):
        seen = seen.__cause__ or seen.__context__
    return seen is not None
