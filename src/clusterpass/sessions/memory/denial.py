"""The reason why a session is denied: its own end, or an end of several sessions together."""

import math
from dataclasses import dataclass
from typing import cast

from clusterpass.model.authentication_errors import InvalidToken, SessionExpired, SessionRevoked
from clusterpass.model.reasons import RevocationReason
from clusterpass.protocol.records import LiveRecord
from clusterpass.protocol.replies import StoredBan


@dataclass(frozen=True, slots=True)
class Denial:
    """The reason and time of a session's end."""

    reason: RevocationReason
    """Why the session ended."""
    ended_at: int
    """When the session ended, in seconds since the epoch."""
    note: str = ""
    """The reason that was given for the revocation, or the device that replaced the session."""
    is_pending: bool = False
    """Whether the store may not know of the end yet: a contradiction then proves no lost writes."""
    known_at: float = -math.inf
    """When this process learnt of the end, in seconds of the steady clock."""
    requests: frozenset[bytes] = frozenset()
    """The requests, each an operation id and a fingerprint, that wait for a pending denial."""

    def error(self) -> InvalidToken:
        """Return the error that a verify raises."""
        if self.reason in {"expired", "idle"}:
            return SessionExpired(is_idle=self.reason == "idle", ended_at=self.ended_at)
        return SessionRevoked(reason=self.reason, ended_at=self.ended_at, note=self.note)


@dataclass(frozen=True, slots=True)
class Sweep:
    """The sessions of a subject that have ended together."""

    denial: Denial
    """Why and when the sessions ended."""
    until: float = math.inf
    """The sweep covers sessions opened up to this store time, in milliseconds since the epoch."""
    since: float = math.inf
    """When the revocation was requested, in seconds of the steady clock. Without ``until`` the
    sweep covers sessions opened by then; infinite: every session."""
    keep: bytes | None = None
    """The id of the session that is spared; None: none."""
    device_type: str | None = None
    """The device type whose sessions ended; None: all."""
    bans: tuple[StoredBan, ...] = ()
    """Bans that are enforced here although the store may not know them."""

    @property
    def is_pending(self) -> bool:
        """Whether the store may not know of the revocation yet."""
        return self.denial.is_pending or self.until == math.inf

    @property
    def ends_sessions(self) -> bool:
        """Whether sessions have ended, and not only lost a scope."""
        return not any(ban.scope for ban in self.bans)

    def covers(self, session_id: bytes, record: LiveRecord, ahead: float) -> bool:
        """Return whether the sweep covers the session with the given id and record.

        ``ahead``: by how many seconds the store's clock is ahead of the steady clock, at most.
        """
        until = self.until if self.until < math.inf else (self.since + ahead) * 1000
        return (
            record.created_milliseconds <= until
            and session_id != self.keep
            and self.device_type in {None, record.device_type}
        )


def denial_of(end: SessionExpired | SessionRevoked) -> Denial:
    """Return the denial for an ended session that the store reported."""
    if isinstance(end, SessionExpired):
        return Denial("idle" if end.reason == "session_idle" else "expired", end.ended_at)
    return Denial(cast("RevocationReason", end.reason), end.ended_at, end.note)
