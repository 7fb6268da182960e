"""The secrets that authenticate refresh tokens and derive their successors.

They are independent of the keys that sign access tokens, so a signing key can be dropped at any
time without logging anybody out. The first secret makes tokens, all of them are accepted: a new one
is put before the others, and the last one goes when no token of it is left.
"""

import hashlib
import hmac
import re
import secrets as system
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from clusterpass.model.errors import ConfigurationError
from clusterpass.tokens.encoding import decode_base64url, encode_base64url

SECRET_PREFIX: Final = "cps_"  # noqa: S105 (what each secret begins with)
ID_BYTES: Final = 4
_BYTES: Final = 32
_TEXT: Final = re.compile(r"cps_[A-Za-z0-9_-]{43}")
_FEWEST_DIFFERENT: Final = 12


@dataclass(frozen=True, slots=True, eq=False)
class RefreshSecret:
    """One secret, with the keys that are derived from it by HKDF-SHA256 (RFC 5869)."""

    id: bytes
    """4 bytes that tokens carry; they tell nothing of the secret."""
    value: bytes = field(repr=False)
    """The 32 bytes of the secret."""
    tag: hmac.HMAC = field(repr=False)
    """Authenticates tokens. Copied for each message, as the other two."""
    chain: hmac.HMAC = field(repr=False)
    """Derives the secret of a successor."""
    exchange: hmac.HMAC = field(repr=False)
    """Derives the first secret of a session that another issuer opened."""

    @property
    def text(self) -> str:
        """The secret as settings hold it."""
        return SECRET_PREFIX + encode_base64url(self.value)


def refresh_secret(value: bytes) -> RefreshSecret:
    """Return the secret of 32 random bytes."""

    def keyed(purpose: str) -> hmac.HMAC:
        return hmac.new(derive_from(value, purpose), digestmod="sha256")

    name = hashlib.sha256(derive_from(value, "id")).digest()[:ID_BYTES]
    return RefreshSecret(name, value, keyed("tag"), keyed("successor"), keyed("exchanged token"))


def derive_from(value: bytes, purpose: str) -> bytes:
    """Return 32 bytes for ``purpose``, derived from a secret by HKDF-SHA256 (RFC 5869)."""
    # With the first secret, not with this module: it takes long to load.
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    info = b"clusterpass refresh secret " + purpose.encode()
    return HKDF(hashes.SHA256(), 32, None, info).derive(value)


def new_refresh_secret() -> str:
    """Return a new secret, as ``Config.refresh_secrets`` takes it."""
    return SECRET_PREFIX + encode_base64url(system.token_bytes(_BYTES))


def parse_refresh_secrets(texts: object) -> tuple[str, ...]:
    """Return ``texts`` as a tuple, if each is a secret and none is there twice.

    ``texts``: an iterable of texts, or one text in which blanks or commas separate them. Raises
    ConfigurationError, which never shows a secret.
    """
    if isinstance(texts, str):
        texts = [each for each in re.split(r"[\s,]+", texts) if each]
    if not isinstance(texts, Iterable):
        raise ConfigurationError("refresh_secrets must be texts; make one with: " + _HOW)
    found = tuple(texts)
    for number, text in enumerate(found, 1):
        if not isinstance(text, str) or not _TEXT.fullmatch(text) or not _is_random(text):
            raise ConfigurationError(
                f"number {number} of refresh_secrets is none: a secret is cps_ and 43 random"
                f" characters; make one with: {_HOW}"
            )
    if len(set(found)) < len(found):
        raise ConfigurationError("refresh_secrets has the same secret twice")
    if len(found) > MOST_SECRETS:
        raise ConfigurationError(f"refresh_secrets must hold at most {MOST_SECRETS} secrets")
    return found


def read_refresh_secrets(texts: Iterable[str]) -> tuple[RefreshSecret, ...]:
    """Return the secrets of texts that :func:`parse_refresh_secrets` has accepted."""
    return tuple(refresh_secret(value_of(each)) for each in texts)


def value_of(text: str) -> bytes:
    """Return the 32 bytes of a secret, or of a key encryption key, that was accepted before."""
    return decode_base64url(text[len(SECRET_PREFIX) :])


MOST_SECRETS: Final = 16
_HOW: Final = "clusterpass keys refresh-secret"


def _is_random(text: str) -> bool:
    try:
        value = decode_base64url(text.removeprefix(SECRET_PREFIX))
    except ValueError:
        return False
    return len(value) == _BYTES and len(set(value)) >= _FEWEST_DIFFERENT
