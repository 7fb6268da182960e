"""Key-encryption keys of the operator, which wrap the secrets in the store.

The cipher is AES-256-GCM (NIST SP 800-38D). The first key wraps; all of them unwrap. A wrapped text
names its key by an id that reveals nothing about the key.
"""

import hashlib
import secrets as system
from collections.abc import Iterable
from typing import Final

from clusterpass.model.errors import ConfigurationError
from clusterpass.tokens.encoding import decode_base64url, encode_base64url
from clusterpass.tokens.secret_texts import SecretKind, value_of

_NONCE_BYTES, _ID_BYTES = 12, 6


class KeyEncryptionKeys:
    """Wraps secrets for the store, and unwraps them."""

    def __init__(self, texts: Iterable[str]) -> None:
        """``texts``: keys that :func:`parse_encryption_keys` has accepted; none: nothing is
        wrapped.
        """
        keys = [value_of(each) for each in texts]
        self._keys: Final = {_id_of(each): each for each in keys}

    def __bool__(self) -> bool:
        return bool(self._keys)

    def __repr__(self) -> str:
        return f"KeyEncryptionKeys({list(self._keys)})"

    @property
    def first(self) -> str:
        """The id of the key that wraps; raises StopIteration when there is none."""
        return next(iter(self._keys))

    def wrap(self, secret: bytes, purpose: bytes) -> str:
        """Return ``secret`` wrapped by the first key; only the same ``purpose`` unwraps it."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        nonce = system.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(self._keys[self.first]).encrypt(nonce, secret, purpose)
        return f"{self.first}.{encode_base64url(nonce + sealed)}"

    def unwrap(self, text: str, purpose: bytes) -> bytes:
        """Return the secret in ``text``.

        Raises ConfigurationError when its key is not among these, or it was not wrapped for
        ``purpose`` or has been changed.
        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        name, _, sealed = text.partition(".")
        key = self._keys.get(name)
        if key is None:
            raise ConfigurationError(
                f"the store holds a secret that the key encryption key {name!r} wrapped, which is"
                " not among the key_encryption_keys; keep a key until nothing is wrapped by it"
            )
        try:
            data = decode_base64url(sealed)
            return AESGCM(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], purpose)
        except (InvalidTag, ValueError):
            raise ConfigurationError(
                f"a secret in the store does not open with the key encryption key {name!r}: it was"
                " changed, or put in another place"
            ) from None


_KIND: Final = SecretKind("cpk_", "key_encryption_keys", "key", "clusterpass keys encryption-key")


def new_encryption_key() -> str:
    """Return a new key, as ``Config.key_encryption_keys`` takes it."""
    return _KIND.new()


def parse_encryption_keys(texts: object) -> tuple[str, ...]:
    """Return ``texts`` as a tuple of keys; takes and raises what ``SecretKind.parse`` does."""
    return _KIND.parse(texts)


def _id_of(key: bytes) -> str:
    return encode_base64url(hashlib.sha256(b"clusterpass key encryption key" + key).digest())[
        :_ID_BYTES
    ]
