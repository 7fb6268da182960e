"""What is kept in memory of one access token, and of the load that brings it."""

from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

from clusterpass.model.values import Session
from clusterpass.protocol.keyspace import SubjectKeys
from clusterpass.protocol.script import ScriptCall
from clusterpass.sessions.memory.leases import NEVER, Lease


@dataclass(frozen=True, slots=True)
class CachedSession:
    """What the store answered about a session, and what was made of it."""

    session: Session
    raw: list[Any] = field(repr=False)  # holds the refresh digest
    """The answer without its time; an equal answer is the same session."""
    ahead: float
    """By how much the store's clock (seconds since the epoch) is ahead of the steady clock."""
    created_milliseconds: int
    fresh_until: int
    """Seconds since the epoch, on the store's clock, until which ``raw`` means ``session``."""
    note_at: float
    """Seconds since the epoch, on the store's clock, from which a use is to be noted."""


class CachedToken:
    """One access token."""

    __slots__ = (
        "call",
        "deadline",
        "expires_at",
        "is_doubtful",
        "key",
        "keys",
        "lease",
        "loaded",
        "looked_at",
        "session",
        "session_id",
        "session_text",
        "size",
        "subject",
        "token",
        "used_at",
    )

    def __init__(
        self,
        token: str,
        subject: str,
        keys: SubjectKeys,
        session_id: bytes,
        expires_at: int,
        *,
        session_text: str = "",
    ) -> None:
        self.token: Final = token
        self.subject: Final = subject
        self.keys: Final = keys
        """Those of the subject."""
        self.key: Final = keys.sessions
        """The key of the subject's sessions, by which changes are pushed."""
        self.session_id: Final = session_id
        self.session_text: Final = session_text
        """The session id as tokens carry it."""
        self.expires_at: Final = expires_at
        """``exp``, with its leeway, in seconds since the epoch."""
        self.call: ScriptCall[list[Any]] | None = None
        """What asks the store, where it is asked each time."""
        self.lease: Lease = NEVER
        self.deadline = -inf
        """When the store has to be asked again in any case."""
        self.session: Session | None = None
        self.loaded: CachedSession | None = None
        self.is_doubtful = False
        """Whether the session may have changed since it was seen."""
        self.used_at = -inf
        """When the session was known to live, while it is not doubtful."""
        self.looked_at = -inf
        self.size = 0

    def __repr__(self) -> str:
        return "<CachedToken>"  # never the token


class PendingLoad:
    """A load that is under way."""

    __slots__ = ("began", "is_good", "key")

    def __init__(self, key: bytes, began: int) -> None:
        self.key: Final = key
        self.began: Final = began
        self.is_good = True
