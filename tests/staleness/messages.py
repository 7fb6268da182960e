"""Messages between the processes of the campaign, as plain data.

All times are seconds of ``time.monotonic()``, which on Linux is one clock for all processes.
"""

from dataclasses import dataclass
from typing import Literal

RevocationKind = Literal["revoke", "revoke_all", "ban", "logout"]
REVOCATION_KINDS: tuple[RevocationKind, ...] = ("revoke", "revoke_all", "ban", "logout")


@dataclass(frozen=True)
class Token:
    """An access token that was handed out."""

    name: str
    """The name of its subject; each subject has one token."""
    access_token: str
    session_id: str
    group: int
    """Tokens of a group are verified by the same threads: those of one node, so that a node that
    does not answer keeps no thread from the tokens of the others."""


@dataclass(frozen=True)
class Planned:
    """A revocation that is to be."""

    token: Token
    kind: RevocationKind
    at: float


@dataclass(frozen=True)
class Outcome:
    """The outcome of a revocation."""

    name: str
    kind: str
    begun: float
    """Before the first attempt was sent."""
    acknowledged: float | None
    """When the verb had returned; None when it never did."""
    acknowledged_attempt_begun: float
    """Before the attempt that was acknowledged was sent."""
    is_durable: bool
    unknown_attempts: int
    """Attempts that raised StoreUnavailable before the one that was acknowledged."""


@dataclass(frozen=True)
class Sighting:
    """Observations of one token by one verifier."""

    name: str
    verifies: int
    from_memory: int
    """Accepted verifies right before which the session was in memory."""
    memory_before_revocation: int
    """As ``from_memory``, of verifies that began before the revocation did."""
    latest_accepted: float | None
    """The start of the verify that was accepted last, of all by their start."""
    accepted_after: int
    """Accepted verifies that began after the acknowledgement."""
    accepted_beyond: int
    """Accepted verifies that began later than the bound after the acknowledgement."""
    memory_beyond: int
    """Those of them right before which the session was in memory."""
    first_refused: float | None
    """When the first refusal was returned."""
    refusals: tuple[str, ...]
    """Codes of the errors that refused it."""
    accepted_after_refusal: float | None
    """How much later than the end of the first refusal the last accepted verify began."""
    unavailable: int
    longest_unavailable: float
    """Seconds from the start of the first 503 to the end of the last one in a row."""
    failures: tuple[str, ...]
    """Errors that are neither a refusal nor a 503."""
