"""Files with keys: who may read them, what is in them, and whether they have changed.

The rules are those of PostgreSQL for the key of its server. A file with private keys belongs either
to the user that runs the program, and nobody else may access it, or to root, and a group may read
it. The latter is how Kubernetes mounts a Secret with ``defaultMode: 0440`` and an ``fsGroup``.
"""

import hashlib
import logging
import os
import shlex
import stat
from pathlib import Path
from typing import Final, Literal, get_args

from clusterpass.model.errors import ConfigurationError, KeyRejected
from clusterpass.tokens.keyring import KeyRing

logger: Final = logging.getLogger("clusterpass.keys")

KeyFileAccess = Literal["private", "any"]
"""Who may read a file with private keys: its owner, or anybody."""
_LARGEST_FILE: Final = 1024 * 1024
_OF_OWNER: Final = 0o600
_OF_ROOT: Final = 0o640
_WAY_OUT: Final = (
    "where the mode cannot be changed, set keys_file_access (--access of clusterpass keys) to any"
)


class KeyFile:
    """A file with keys that is read again when it has changed."""

    def __init__(
        self,
        path: str | Path,
        *,
        access: KeyFileAccess = "private",
        passphrase: str | None = None,
        passphrase_file: str | Path | None = None,
    ) -> None:
        """``path``: a JWK Set, or PEM. Nothing is read yet.

        ``access``: ``private`` refuses a file with private keys that others can read, ``any`` does
        not look. ``passphrase``: of encrypted PEM keys; or ``passphrase_file``, where it is. Raises
        ConfigurationError.
        """
        if access not in get_args(KeyFileAccess):
            raise ConfigurationError("keys_file_access must be 'private' or 'any'")
        if passphrase is not None and passphrase_file is not None:
            raise ConfigurationError("set keys_passphrase or keys_passphrase_file, not both")
        self.path: Final = Path(path)
        self._access: Final = access
        self._passphrase: Final = passphrase
        self._passphrase_file: Final = None if passphrase_file is None else Path(passphrase_file)
        self._seen: bytes | None = None

    def __repr__(self) -> str:
        return f"KeyFile({str(self.path)!r})"

    def load(self) -> KeyRing:
        """Return the ring in the file; raise KeyRejected, which says what is wrong with it."""
        data, facts, passphrase = self._look()
        self._seen = _digest(data, facts, passphrase)
        return self._ring_of(data, facts, passphrase)

    def load_if_changed(self) -> KeyRing | None:
        """Return the ring if the file has changed since the last time, else None.

        Raises KeyRejected for a file that cannot be used; once for each change. A file that others
        can suddenly read, or that is gone, has changed.
        """
        try:
            data, facts, passphrase = self._look(waits=False)
        except KeyRejected as error:
            seen = error.message.encode()
            if seen == self._seen:
                return None
            self._seen = seen
            raise
        seen = _digest(data, facts, passphrase)
        if seen == self._seen:
            return None
        self._seen = seen
        return self._ring_of(data, facts, passphrase)

    def _look(self, *, waits: bool = True) -> tuple[bytes, os.stat_result, bytes | None]:
        data, facts = _read(self.path, "the key file", waits=waits)
        passphrase = None if self._passphrase is None else self._passphrase.encode()
        if passphrase is None and self._passphrase_file is not None:
            what = "the file with the passphrase"
            text, of_text = _read(self._passphrase_file, what, waits=waits)
            if self._access == "private":
                _require_private(self._passphrase_file, of_text, "the file with the passphrase")
            passphrase = text.rstrip(b"\r\n")
        return data, facts, passphrase

    def _ring_of(self, data: bytes, facts: os.stat_result, passphrase: bytes | None) -> KeyRing:
        text = _decoded(data, self.path)
        # Loaded late: what does the cryptography takes long.
        from clusterpass.tokens.pem import is_pem, keys_of_pem  # noqa: PLC0415

        in_pem = is_pem(text)
        ring = KeyRing(keys_of_pem(text, passphrase)) if in_pem else KeyRing.from_jwks(text)
        if self._access == "private" and ring.can_sign:
            _require_private(self.path, facts, "the key file")
        elif self._access == "private" and facts.st_mode & stat.S_IWOTH and os.name == "posix":
            raise KeyRejected(
                f"the key file {self.path} can be written by anybody, who could then forge tokens;"
                f" run: chmod o-w {shlex.quote(str(self.path))}"
            )
        for why in ring.ignored:
            logger.warning("ignored in %s: %s", self.path, why)
        return ring


def _read(path: Path, what: str, *, waits: bool) -> tuple[bytes, os.stat_result]:
    """Return the content of a file, and facts about it.

    ``waits``: for whoever writes into a pipe, as at the start; later nobody may.
    """
    flags = 0 if waits else getattr(os, "O_NONBLOCK", 0)
    try:
        with open(path, "rb", opener=lambda name, mode: os.open(name, mode | flags)) as file:
            # Of the file that was opened, whatever has this name in a moment.
            facts = os.fstat(file.fileno())
            data = file.read(_LARGEST_FILE + 1) or b""
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no such name"
        raise KeyRejected(
            f"{what} {path} cannot be read ({why})"
            + ("; make one with: clusterpass keys generate" if what == "the key file" else "")
        ) from None
    if len(data) > _LARGEST_FILE:
        raise KeyRejected(f"{what} {path} is larger than {_LARGEST_FILE} bytes")
    return data, facts


def _decoded(data: bytes, path: Path) -> bytes:
    """Return the text in UTF-8, without a byte order mark, as editors on Windows write it."""
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return data.decode("utf-16").encode()
    except UnicodeDecodeError:
        raise KeyRejected(f"the key file {path} is not a text") from None
    if data.startswith(b"\x30") and not data.isascii():
        raise KeyRejected(
            f"the key file {path} is binary (DER or PKCS#12); convert it to PEM with openssl pkey"
            " -inform DER, or openssl pkcs12"
        )
    return data.removeprefix(b"\xef\xbb\xbf")


def _digest(data: bytes, facts: os.stat_result, passphrase: bytes | None) -> bytes:
    who = f"{facts.st_uid} {facts.st_mode:o} {len(data)} ".encode()
    return hashlib.sha256(who + data + (passphrase or b"")).digest()


def _require_private(path: Path, facts: os.stat_result, what: str) -> None:
    """Return if nobody else can read or write the file; raise KeyRejected with what mends it."""
    if os.name != "posix" or not stat.S_ISREG(facts.st_mode):
        return  # such as a pipe, which only this process reads
    name, mode = shlex.quote(str(path)), stat.S_IMODE(facts.st_mode)
    me = os.geteuid()
    if facts.st_uid not in (me, 0):
        raise KeyRejected(
            f"{what} {path} belongs to the user {facts.st_uid}, who can read and replace the keys;"
            f" run: chown {me} {name} && chmod 600 {name}; {_WAY_OUT}"
        )
    allowed = _OF_OWNER if facts.st_uid else _OF_ROOT
    if mode & 0o077 & ~allowed:
        mended = _OF_OWNER if facts.st_uid == me else _OF_ROOT
        raise KeyRejected(
            f"{what} {path} is open to other users of this machine (mode {mode:04o}); run: chmod"
            f" {mended:o} {name} (in a Kubernetes Secret: defaultMode: 0440 and an fsGroup);"
            f" {_WAY_OUT}"
        )
