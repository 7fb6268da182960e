"""The entries of the near cache: a token, and the session it belongs to."""

from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

from clusterpass.model.values import Session
from clusterpass.protocol.keyspace import SubjectKeys
from clusterpass.protocol.script import ScriptCall
from clusterpass.sessions.memory.node_state import NEVER, Lease


@dataclass(frozen=True, slots=True)
class CachedSession:
    """A session in the cache, with the store's answer that it was made from."""

    session: Session
    """The session as callers see it."""
    raw: list[Any] = field(repr=False)  # holds the refresh digest
    """The answer without its time. An equal answer describes the same session."""
    ahead: float
    """Seconds by which the store's clock (since the epoch) is ahead of the steady clock."""
    created_milliseconds: int
    """When the session was opened, in milliseconds since the epoch."""
    fresh_until: int
    """The store time, in seconds since the epoch, until which ``raw`` describes ``session``."""
    note_at: float
    """The store time, in seconds since the epoch, from which a use has to be recorded."""


class CachedToken:
    """An access token whose signature was verified, and the session it belongs to if known."""

    __slots__ = (
        "asked_at",
        "call",
        "deadline",
        "era",
        "expires_at",
        "is_doubtful",
        "key",
        "keys",
        "lease",
        "loaded",
        "looked_at",
        "place",
        "response",
        "rotation",
        "session",
        "session_id",
        "session_text",
        "size",
        "step_up",
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
        step_up: str | None = None,
        era: int = 0,
    ) -> None:
        self.token: Final = token
        self.era = era
        """How often keys had been removed when the signature was verified."""
        self.subject: Final = subject
        self.keys: Final = keys
        """The keys of the subject."""
        self.key: Final = keys.sessions
        """The key of the subject's sessions, which invalidations name."""
        self.session_id: Final = session_id
        self.session_text: Final = session_text
        """The session id as tokens carry it."""
        self.step_up: Final = step_up
        """The step-up that the token was issued after; None: there was none."""
        self.expires_at: Final = expires_at
        """``exp`` plus its leeway, in seconds since the epoch."""
        self.rotation = 0
        """How many exchanges came before the token; 0: none, or the token does not tell."""
        self.call: ScriptCall[list[Any]] | None = None
        """The call that reads the session, kept in ``strict`` mode; None: not built yet."""
        self.lease: Lease = NEVER
        """The lease while which the session may be served from memory."""
        self.deadline = -inf
        """When the store has to be asked even under a lease, in seconds of the steady clock."""
        self.session: Session | None = None
        """The session that may be served; None before the first load."""
        self.response: bytes | None = None
        """What a service answers with about ``session``; None: nothing is kept."""
        self.loaded: CachedSession | None = None
        """The latest answer of the store; None before the first load and in ``stateless`` mode."""
        self.asked_at = -inf
        """When the store was asked for the session, in seconds of the steady clock."""
        self.is_doubtful = False
        """Whether the session may have changed since it was loaded."""
        self.used_at = -inf
        """When the session was last known to be live, if it is not doubtful."""
        self.looked_at = -inf
        """When eviction last passed over the entry, in seconds of the steady clock."""
        self.place = 0
        """The place of the entry on the ring that eviction goes round."""
        self.size = 0
        """The estimated memory of the entry, in bytes."""

    def __repr__(self) -> str:
        return "<CachedToken>"  # never the token itself
