"""The stored form of a refresh secret: a name, and JSON that each copy holds.

"r:" + id    {"secret": 32 bytes in base64url, "created": milliseconds}
             {"wrapped": as key_encryption.py says, "created": milliseconds}
             {"retired": milliseconds}
"""

import json
from typing import Any, Final

from clusterpass.model.errors import ConfigurationError, StoreFailed
from clusterpass.tokens.encoding import decode_base64url, encode_base64url
from clusterpass.tokens.key_encryption import KeyEncryptionKeys
from clusterpass.tokens.refresh_secrets import RefreshSecret, refresh_secret

KIND: Final = "r:"
_CLOCKS_ARE_SET: Final = 1_767_225_600.0
"""The first second of 2026: no process of this release has run before."""


class StoredForm:
    """Reads and writes the secrets of one namespace."""

    def __init__(self, wrapping: KeyEncryptionKeys, wrapped_for: bytes) -> None:
        """``wrapping``: the keys from outside; ``wrapped_for``: what :func:`purpose` returns."""
        self._wrapping: Final = wrapping
        self._purpose: Final = wrapped_for

    @property
    def wraps(self) -> bool:
        """Whether there are keys from outside, so that secrets are wrapped."""
        return bool(self._wrapping)

    def write(self, secret: bytes, created: int) -> bytes:
        """Return the value for a secret; ``created``: milliseconds since the epoch."""
        if self._wrapping:
            members: dict[str, Any] = {"wrapped": self._wrapping.wrap(secret, self._purpose)}
        else:
            members = {"secret": encode_base64url(secret)}
        return json.dumps({**members, "created": created}).encode()

    def read(self, name: str, value: bytes) -> tuple[int, RefreshSecret] | None:
        """Return when the secret of a value was created, and the secret; None: it was retired.

        Raises ConfigurationError when a key wraps it that is not configured, and StoreFailed when
        it cannot be read.
        """
        try:
            entry = json.loads(value)
            if "retired" in entry:
                return None
            created = int(entry["created"])
            if "wrapped" in entry:
                secret = self._wrapping.unwrap(entry["wrapped"], self._purpose)
            else:
                secret = decode_base64url(entry["secret"])
            return created, refresh_secret(secret)
        except ConfigurationError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError):
            raise StoreFailed(f"the refresh secret {name!r} in the store cannot be read") from None

    def is_wrapped(self, value: bytes) -> bool:
        """Return whether the first key from outside wraps the secret, or it was given up."""
        try:
            entry = json.loads(value)
            by = entry.get("wrapped", "").partition(".")[0]
        except (ValueError, AttributeError):
            return True  # of a later release, which is left alone
        return "retired" in entry or by == self._wrapping.first


def purpose(namespace: str) -> bytes:
    """Return what a secret of a namespace is wrapped for."""
    return f"clusterpass refresh secret {namespace}".encode()


def name_of(secret_id: bytes) -> str:
    """Return the name of the secret with an id."""
    return KIND + encode_base64url(secret_id)


def retirement(now: int) -> bytes:
    """Return the value in place of a secret that is retired; ``now``: milliseconds since the
    epoch."""
    return json.dumps({"retired": now}).encode()


def given_up_at(value: bytes) -> float | None:
    """Return when a secret was retired, in seconds since the epoch; None: it was not, as far as
    this release can tell, or by a process whose clock was not set."""
    try:
        at = float(json.loads(value)["retired"]) / 1000
    except (ValueError, TypeError, KeyError):
        return None
    return at if at > _CLOCKS_ARE_SET else None


def is_retired(value: bytes) -> bool:
    """Return whether a value in the store stands for a secret that was retired."""
    return b'"retired"' in value
