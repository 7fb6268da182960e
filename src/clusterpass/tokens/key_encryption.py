"""Keys from outside, under which the store keeps secrets: AES-256-GCM (NIST SP 800-38D).

The first key wraps, all unwrap. A wrapped text names its key by an id that tells nothing of it.
"""

import hashlib
import re
import secrets as system
from collections.abc import Iterable
from typing import Final

from clusterpass.model.errors import ConfigurationError
from clusterpass.tokens.encoding import decode_base64url, encode_base64url

KEY_PREFIX: Final = "cpk_"
MOST_KEYS: Final = 16
_BYTES, _NONCE_BYTES, _ID_BYTES = 32, 12, 6
_TEXT: Final = re.compile(r"cpk_[A-Za-z0-9_-]{43}")
_FEWEST_DIFFERENT: Final = 12
_HOW: Final = "clusterpass keys encryption-key"


class KeyEncryptionKeys:
    """Wraps secrets for the store, and unwraps them."""

    def __init__(self, texts: Iterable[str]) -> None:
        """``texts``: keys that :func:`parse_encryption_keys` has accepted; none: nothing is
        wrapped.
        """
        keys = [decode_base64url(each.removeprefix(KEY_PREFIX)) for each in texts]
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


def new_encryption_key() -> str:
    """Return a new key, as ``Config.key_encryption_keys`` takes it."""
    return KEY_PREFIX + encode_base64url(system.token_bytes(_BYTES))


def parse_encryption_keys(texts: object) -> tuple[str, ...]:
    """Return ``texts`` as a tuple, if each is a key and none is there twice.

    ``texts``: an iterable of texts, or one text in which blanks or commas separate them. Raises
    ConfigurationError, which never shows a key.
    """
    if isinstance(texts, str):
        texts = [each for each in re.split(r"[\s,]+", texts) if each]
    if not isinstance(texts, Iterable):
        raise ConfigurationError("key_encryption_keys must be texts; make one with: " + _HOW)
    found = tuple(texts)
    for number, text in enumerate(found, 1):
        if not isinstance(text, str) or not _TEXT.fullmatch(text) or not _is_random(text):
            raise ConfigurationError(
                f"number {number} of key_encryption_keys is none: a key is cpk_ and 43 random"
                f" characters; make one with: {_HOW}"
            )
    if len(set(found)) < len(found):
        raise ConfigurationError("key_encryption_keys has the same key twice")
    if len(found) > MOST_KEYS:
        raise ConfigurationError(f"key_encryption_keys must hold at most {MOST_KEYS} keys")
    return found


def _is_random(text: str) -> bool:
    try:
        value = decode_base64url(text.removeprefix(KEY_PREFIX))
    except ValueError:
        return False
    return len(value) == _BYTES and len(set(value)) >= _FEWEST_DIFFERENT


def _id_of(key: bytes) -> str:
    return encode_base64url(hashlib.sha256(b"clusterpass key encryption key" + key).digest())[
        :_ID_BYTES
    ]
