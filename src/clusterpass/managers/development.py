"""The development defaults of ``embedded://``: an issuer, signing keys, and warnings.

- If the cluster has a data folder, its keys are in ``keys.json`` there, so that all processes that
  share the cluster, and the next run, use the same keys. Otherwise the keys live as long as the
  manager.
- Each warning is given once in each process.
"""

import fcntl
import hashlib
import os
import sys
import warnings
from pathlib import Path
from typing import Final

from clusterpass.config import Config
from clusterpass.model.errors import ConfigurationError
from clusterpass.store.store_url import parse_store_url
from clusterpass.tokens.keyring import KeyRing

_ISSUER: Final = "http://localhost"
_KEYS: Final = "keys.json"
_given: Final[set[str]] = set()
"""The warnings that were given."""


def development_config(url: str) -> Config:
    """Return the configuration of a manager on the embedded cluster at ``url``.

    Raises ConfigurationError for another URL: nobody would know the keys after a restart.
    """
    location = parse_store_url(url)
    if not location.is_embedded:
        raise ConfigurationError(
            "a manager needs a Config, except with embedded://; Config.from_env() reads one from"
            " the environment"
        )
    folder = location.embedded_options.get("data")
    keys = KeyRing.generate() if not folder else _keys_in(Path(folder).expanduser().absolute())
    warn_once(
        f"No Config was given: the issuer is {_ISSUER}, and the signing keys were generated. This"
        " is for development; pass a Config, for example Config.from_env(), in production."
    )
    return Config(issuer=_ISSUER, keys=keys)


def warn_once(text: str) -> None:
    """Warn the developer, unless this process has done so."""
    if text not in _given:
        _given.add(text)
        warnings.warn(text, stacklevel=4)


def claim_throwaway() -> int | None:
    """Warn if another process of this program has a throwaway cluster; None: tests are running.

    Returns the descriptor of a lock, to be closed together with the cluster.
    """
    if "pytest" in sys.modules:
        return None  # whose workers are meant to have a cluster each
    import tempfile  # noqa: PLC0415 - it loads shutil and three compressors

    # The workers of a web server have one parent, folder and command line.
    program = "\0".join((str(os.getuid()), str(os.getppid()), str(Path.cwd()), *sys.argv))
    name = hashlib.sha256(program.encode(errors="surrogateescape")).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"clusterpass-{os.getuid()}-{name}.lock"
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        warn_once(
            "Another process of this program has a throwaway cluster of its own: a user who is"
            " logged in there is unknown here. Give both the same folder, which they share:"
            " embedded://?data=FOLDER"
        )
    return lock


def _keys_in(folder: Path) -> KeyRing:
    """Return the key ring in ``folder``; the first process makes it."""
    path = folder / _KEYS
    if not path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            KeyRing.generate().save(path)  # complete at once, never over that of another process
        except ConfigurationError:
            if not path.exists():
                raise
    return KeyRing.load(path)
