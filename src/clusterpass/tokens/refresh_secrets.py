"""The secrets that authenticate refresh tokens and derive their successors.

They are independent of the keys that sign access tokens, so a signing key can be dropped at any
time without logging anybody out. The first secret makes tokens, and all of them are accepted: a new
secret is put before the others, and the last one is removed when no token made with it is left.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from clusterpass.model.errors import ConfigurationError
from clusterpass.tokens.secret_texts import SecretKind, value_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hmac import HMAC

ID_BYTES: Final = 4
STORE: Final = "store"
"""Stands before the secrets of a configuration for those of the store: these make tokens, and those
of the configuration are only accepted so far."""


@dataclass(frozen=True, slots=True, eq=False)
class RefreshSecret:
    """One secret, with the keys that are derived from it by HKDF-SHA256 (RFC 5869)."""

    id: bytes
    """4 bytes that tokens carry; they tell nothing of the secret."""
    value: bytes = field(repr=False)
    """The 32 bytes of the secret."""
    tag: "HMAC" = field(repr=False)
    """Authenticates tokens. Copied for each message, as the other two."""
    chain: "HMAC" = field(repr=False)
    """Derives the secret of a successor."""
    exchange: "HMAC" = field(repr=False)
    """Derives the first secret of a session that another issuer opened."""


def refresh_secret(value: bytes) -> RefreshSecret:
    """Return the secret of 32 random bytes."""

    def keyed(purpose: str) -> "HMAC":
        return keyed_hmac(derive_from(value, purpose))

    name = hashlib.sha256(derive_from(value, "id")).digest()[:ID_BYTES]
    return RefreshSecret(name, value, keyed("tag"), keyed("successor"), keyed("exchanged token"))


def keyed_hmac(key: bytes) -> "HMAC":
    """Return an HMAC-SHA256 (RFC 2104) without a message, of which each message takes a copy.

    A copy takes half the time of one of the standard library, and a refresh makes six.
    """
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 (as below)
    from cryptography.hazmat.primitives.hmac import HMAC  # noqa: PLC0415

    return HMAC(key, hashes.SHA256())


def hmac_of(keyed: "HMAC", message: bytes) -> bytes:
    """Return the 32 bytes of the HMAC of ``message``."""
    code = keyed.copy()
    code.update(message)
    return code.finalize()


def derive_from(value: bytes, purpose: str) -> bytes:
    """Return 32 bytes for ``purpose``, derived from a secret by HKDF-SHA256 (RFC 5869)."""
    # With the first secret, not with this module: it takes long to load.
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    info = b"clusterpass refresh secret " + purpose.encode()
    return HKDF(hashes.SHA256(), 32, None, info).derive(value)


_KIND: Final = SecretKind("cps_", "refresh_secrets", "secret", "clusterpass keys refresh-secret")


def new_refresh_secret() -> str:
    """Return a new secret, as ``Config.refresh_secrets`` takes it."""
    return _KIND.new()


def parse_refresh_secrets(texts: object) -> tuple[str, ...]:
    """Return ``texts`` as a tuple of secrets, which ``store`` may precede.

    Takes what ``SecretKind.parse`` does, and raises ConfigurationError as that does, and where
    ``store`` is elsewhere or alone.
    """
    if isinstance(texts, str):
        texts = [each for each in re.split(r"[\s,]+", texts) if each]
    if not isinstance(texts, Iterable):
        return _KIND.parse(texts)
    found = tuple(texts)
    if STORE not in found:
        return _KIND.parse(found)
    first, *others = found
    if first != STORE or STORE in others or not others:
        raise ConfigurationError(
            "refresh_secrets: 'store' stands once, before the secrets that are to follow those of"
            " the store; where the secrets of the configuration make tokens, leave it out"
        )
    return (STORE, *_KIND.parse(others))


def are_first(texts: tuple[str, ...]) -> bool:
    """Return whether the secrets of a configuration make tokens, and not those of the store.

    ``texts``: what :func:`parse_refresh_secrets` has returned.
    """
    return texts[:1] not in {(), (STORE,)}


def read_refresh_secrets(texts: Iterable[str]) -> tuple[RefreshSecret, ...]:
    """Return the secrets of texts that :func:`parse_refresh_secrets` has accepted."""
    return tuple(refresh_secret(value_of(each)) for each in texts if each != STORE)
