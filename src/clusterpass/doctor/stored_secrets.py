"""Tries to open the keys and secrets in the store with the configured ``key_encryption_keys``.

An opened secret is forgotten at once. A snapshot holds only whether it could be opened, and if
not, why not.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from clusterpass.config import Config
from clusterpass.model.errors import ConfigurationError, StoreFailed
from clusterpass.sessions.memory import known_keys, stored_secret
from clusterpass.tokens.key_encryption import KeyEncryptionKeys
from clusterpass.tokens.managed_keys import StoredKey
from clusterpass.tokens.refresh_secrets import are_first

_UNREADABLE: Final = "it cannot be read; a later release may have written it"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSettings:
    """The configuration of the keys and secrets in the store."""

    key_encryption_keys: tuple[str, ...] = field(default=(), repr=False)
    is_managed: bool = False
    """Whether the signing keys are in the store."""
    has_refresh_secrets: bool = False
    """Whether the secrets of the configuration make refresh tokens."""
    token_seconds: int = 0
    """For how many seconds an access token is accepted."""
    is_of_service: bool = True
    """Whether these are the settings of what uses the store, and not only of who looks at it."""

    @classmethod
    def of(cls, config: Config, *, is_of_service: bool = True) -> "SecretSettings":
        """The settings in ``config``."""
        return cls(
            key_encryption_keys=config.key_encryption_keys,
            is_managed=config.keys.managed is not None,
            has_refresh_secrets=are_first(config.refresh_secrets),
            token_seconds=config.access_lifetime + config.expiry_leeway,
            is_of_service=is_of_service,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSecret:
    """A description of a key or a secret in the store, without its secret part."""

    name: str
    """The id of the key or secret, which tells nothing of it."""
    is_key: bool
    """Whether it is a signing key, and not a secret of refresh tokens."""
    is_given_up: bool = False
    """Whether the key was revoked, or the secret retired."""
    why_closed: str = ""
    """Why it does not open; empty: it does, or need not."""
    key: StoredKey | None = None
    """The signing key, without its private half; None where it is none, or cannot be read."""


def describe_secrets(
    values: Mapping[str, bytes], namespace: str, settings: SecretSettings
) -> tuple[StoredSecret, ...]:
    """Return what a copy holds, as far as this release knows it."""
    wrapping = KeyEncryptionKeys(settings.key_encryption_keys)
    found = []
    for name, value in values.items():
        kind, identifier = name[:2], name[2:]
        if kind == known_keys.KIND:
            found.append(_describe_key(identifier, value, namespace, wrapping))
        elif kind == stored_secret.KIND:
            is_retired = stored_secret.is_retired(value)
            purpose = stored_secret.purpose(namespace)
            why = "" if is_retired else _why_closed(value, purpose, wrapping)
            found.append(
                StoredSecret(name=identifier, is_key=False, is_given_up=is_retired, why_closed=why)
            )
    return tuple(found)


def _describe_key(
    kid: str, value: bytes, namespace: str, wrapping: KeyEncryptionKeys
) -> StoredSecret:
    try:
        key = StoredKey.decode(kid, value)
    except StoreFailed:
        return StoredSecret(name=kid, is_key=True, why_closed=_UNREADABLE)
    why = ""
    if not key.revoked:
        try:
            wrapping.unwrap(key.wrapped, known_keys.purpose(namespace) + kid.encode())
        except ConfigurationError as error:
            why = error.message
    return StoredSecret(
        name=kid,
        is_key=True,
        is_given_up=bool(key.revoked),
        why_closed=why,
        key=replace(key, wrapped=""),
    )


def _why_closed(value: bytes, purpose: bytes, wrapping: KeyEncryptionKeys) -> str:
    try:
        entry = json.loads(value)
        if "wrapped" in entry:
            wrapping.unwrap(entry["wrapped"], purpose)
        elif "secret" not in entry:
            return _UNREADABLE
    except ConfigurationError as error:
        return error.message
    except (ValueError, TypeError, AttributeError):
        return _UNREADABLE
    return ""
