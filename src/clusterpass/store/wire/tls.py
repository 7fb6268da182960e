"""The TLS context of the connections to a store, renewed when its files on disk change.

The files are checked whenever a connection is opened. While they are unusable, for example because
they are being written, the previous context stays in use.
"""

import logging
import ssl
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

from clusterpass.model.errors import StoreDenied
from clusterpass.store.location import StoreLocation
from clusterpass.store.tls_options import TlsOptions, load_key

logger: Final = logging.getLogger("clusterpass.store")
_Stamp = tuple[tuple[int, int, int, int] | None, ...]
"""What tells whether files have changed; None for a file that is not there."""


class TlsContexts:
    """The present context for some files. Any thread may ask for it."""

    def __init__(self, files: Mapping[str, str], options: TlsOptions) -> None:
        """Load nothing yet."""
        self._files = files
        self._options = options
        self._context: ssl.SSLContext | None = None
        self._tried: _Stamp | None = None
        """The state of the files for which a context was made, or could not be."""

    def current(self) -> ssl.SSLContext:
        """A context that checks the server's certificate and name, from what the files hold now.

        Raises StoreDenied where they have held no usable certificate or key at any time.
        """
        stamp = self._stamp()  # before the files are read: what changes meanwhile is read again
        known = self._context
        if known is not None and stamp == self._tried:
            return known
        self._tried = stamp  # at once, so that other threads neither load nor log the same
        try:
            self._context = self._load()
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            if known is None:
                raise StoreDenied(
                    "The TLS files of the store URL hold no certificate or key",
                    reason="certificate",
                    cause="tls",
                ) from (error if isinstance(error, OSError) else None)
            logger.warning(
                "the TLS files of the store have changed and cannot be used (%s): connections"
                " go on using what they held before",
                getattr(error, "reason", None) or type(error).__name__,
            )
            return known
        if known is not None:
            logger.info("the TLS files of the store have changed: new connections use them")
        return self._context

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._files.get("ca_file"))
        if "cert_file" in self._files:
            passphrase = self._options.passphrase(self._files)
            load_key(context, self._files, lambda: passphrase)
        return context

    def _stamp(self) -> _Stamp:
        return tuple(_stamp_of(path) for path in self._files.values())


def _stamp_of(path: str) -> tuple[int, int, int, int] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def tls_context(location: StoreLocation) -> ssl.SSLContext | None:
    """A TLS context that checks the server's certificate and host name; None for no TLS.

    The context holds what the files hold now, and is made anew only when they have changed. Raises
    StoreDenied when a file of the store URL holds no usable certificate or key.
    """
    files = location.tls_files
    if files is None:
        return None
    return _contexts(tuple(sorted(files.items())), location.tls_options).current()


@lru_cache(maxsize=256)
def _contexts(files: tuple[tuple[str, str], ...], options: TlsOptions) -> TlsContexts:
    """One object for all connections of this process that use the same files."""
    return TlsContexts(dict(files), options)
