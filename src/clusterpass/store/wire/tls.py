"""The TLS context of the multiplexed connections."""

import ssl

from clusterpass.model.errors import StoreDenied
from clusterpass.store.location import StoreLocation


def tls_context(location: StoreLocation) -> ssl.SSLContext | None:
    """A TLS context that checks the server's certificate and host name; None for no TLS.

    Raises StoreDenied when a file of the store URL holds no usable certificate or key.
    """
    files = location.tls_files
    if files is None:
        return None
    try:
        context = ssl.create_default_context(cafile=files.get("ca_file"))
        if "cert_file" in files:
            context.load_cert_chain(files["cert_file"], files["key_file"])
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise StoreDenied(
            "The TLS files of the store URL hold no certificate or key",
            reason="certificate",
            cause="tls",
        ) from (error if isinstance(error, OSError) else None)
    return context
