"""Tokens of another issuer, accepted while its users migrate."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from clusterpass.model.errors import InvalidInput
from clusterpass.model.frozen import frozen

OldTokenKind = Literal["access", "refresh"]
"""What a token of another issuer is for."""
_KINDS: Final = frozenset(get_args(OldTokenKind))
_LATEST: Final = 2**32 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OldToken:
    """A token that another issuer has issued and signed, or keeps, and that was valid when read.

    Raises InvalidInput when a member is not what it has to be, for those who make one themselves.
    """

    text: str = field(repr=False)
    """The token itself."""
    subject: str
    """The user, as the other issuer names them."""
    kind: OldTokenKind
    """What the token is for."""
    issued_at: int
    """When the token was issued, in seconds since the epoch."""
    expires_at: int
    """When the token expires, in seconds since the epoch."""
    claims: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """The application's own claims in the token."""
    is_exchangeable: bool = False
    """Whether the token may be exchanged for a session."""
    issuer: str = ""
    """The name of the other issuer, for reports."""

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not isinstance(self.subject, str):
            raise InvalidInput("text and subject of an old token must be strings")
        if self.kind not in _KINDS:
            raise InvalidInput("kind of an old token must be 'access' or 'refresh'")
        for name in ("issued_at", "expires_at"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LATEST:
                raise InvalidInput(f"{name} of an old token must be whole seconds since the epoch")
        if not isinstance(self.claims, Mapping):
            raise InvalidInput("claims of an old token must be a mapping")
        object.__setattr__(self, "claims", frozen(self.claims))

    def digest(self) -> bytes:
        """Return the SHA-256 of what makes the token the one that it is.

        The signature of a JWT is left out: a valid ECDSA signature can be turned into another one.
        """
        signed, _, signature = self.text.rpartition(".")
        is_jwt = bool(signature) and signed.count(".") == 1
        return hashlib.sha256((signed if is_jwt else self.text).encode()).digest()
