"""Tokens of another issuer, which are accepted while its users move over."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from clusterpass.model.frozen import frozen

OldTokenKind = Literal["access", "refresh"]
"""What a token of another issuer is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OldToken:
    """A token that another issuer has issued and signed, or keeps, and that was valid when read."""

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
    """A name of the other issuer, for reports."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "claims", frozen(self.claims))

    def digest(self) -> bytes:
        """Return the SHA-256 of the token."""
        return hashlib.sha256(self.text.encode()).digest()
