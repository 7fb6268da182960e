"""The keys that were last in force, for workers that start while the key file is broken.

They are in an anonymous file in memory, which only the processes of the service hold. A worker that
reads new keys puts them there; otherwise a worker that replaces it would go back to the keys with
which the service was started.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

from clusterpass import (
    KeyRejected,
    KeyRing,
)

_LENGTH_BYTES: Final = 8
_DIGEST_BYTES: Final = 32
_HEAD_BYTES: Final = _LENGTH_BYTES + _DIGEST_BYTES


class LastKeys:
    """The keys that were in force last."""

    def __init__(self, file: int) -> None:
        """``file``: the descriptor of the file in memory."""
        self.file: Final = file

    @classmethod
    def begin(cls) -> Self:
        """Return an empty one. On Linux only."""
        return cls(os.memfd_create("clusterpass-keys"))

    def keep(self, keys: KeyRing) -> None:
        """Put ``keys`` in place of those before."""
        text = keys.private_jwks_text().encode()
        head = len(text).to_bytes(_LENGTH_BYTES, "big") + hashlib.sha256(text).digest()
        with self._locked(fcntl.LOCK_EX):
            os.pwrite(self.file, head + text, 0)

    def read(self, *, known: KeyRing | None = None) -> KeyRing | None:
        """Return the keys; None where none were put there, or those ``known`` already."""
        with self._locked(fcntl.LOCK_SH):
            data = os.pread(self.file, os.fstat(self.file).st_size, 0)
        length = int.from_bytes(data[:_LENGTH_BYTES], "big")
        text = data[_HEAD_BYTES : _HEAD_BYTES + length]
        if hashlib.sha256(text).digest() != data[_LENGTH_BYTES:_HEAD_BYTES]:
            return None  # empty, or who wrote it was killed meanwhile
        if known is not None and text == known.private_jwks_text().encode():
            return None  # to check an RSA key takes some hundred milliseconds
        try:
            return KeyRing.from_jwks(text)
        except KeyRejected:
            return None

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        # Of this process, unlike a lock of the descriptor, which the workers share.
        fcntl.lockf(self.file, how)
        try:
            yield
        finally:
            fcntl.lockf(self.file, fcntl.LOCK_UN)
