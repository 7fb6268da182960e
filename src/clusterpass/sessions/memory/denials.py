"""What this process has seen to be over, and keeps over whatever the store says later. Pure.

A store can lose its latest writes: a replica that had not received them is promoted. Then it shows
sessions alive that had ended. What has ended once, for a process, stays so:

- A session id is never given twice, so what is known of one never becomes wrong. The oldest leave
  when room is needed.
- A *sweep* says that all sessions of a subject that were opened up to a time are over, but for one
  or for those of another kind of device. While the store has not said when it carried it out, that
  time is when it was asked for: who logs in later is not refused for it. A ban is about everybody.
- Each ``revoke_all``, and each ban from everything, raises the subject's generation. A store that
  tells a lower one than it told before has lost it: sessions that were opened before that
  generation, and that nobody here saw alive under it, are over.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from clusterpass.model.authentication_errors import InvalidToken, SessionExpired, SessionRevoked
from clusterpass.model.forks import renew_in_child
from clusterpass.model.reasons import RevocationReason
from clusterpass.protocol.records import LiveRecord
from clusterpass.protocol.replies import Stored, StoredBan

MOST_SESSIONS: Final = 50_000
MOST_SUBJECTS: Final = 10_000
_MOST_SWEEPS: Final = 16
_MOST_SEEN: Final = 64
_GENERATION_MILLISECONDS: Final = 3_600_000
"""How long a store keeps a generation at least; a lower one after that means nothing."""


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a session is over."""

    reason: RevocationReason
    ended_at: int
    """Seconds since the epoch."""
    note: str = ""
    is_pending: bool = False
    """Whether the store may not know of it yet: then it is no wonder that it says otherwise."""
    known_at: float = -math.inf
    """Since when this process knows, in seconds of the steady clock."""

    def error(self) -> InvalidToken:
        """What a verify raises."""
        if self.reason in {"expired", "idle"}:
            return SessionExpired(is_idle=self.reason == "idle", ended_at=self.ended_at)
        return SessionRevoked(reason=self.reason, ended_at=self.ended_at, note=self.note)


@dataclass(frozen=True, slots=True)
class Moment:
    """The store's time, ``milliseconds`` since the epoch, no earlier than ``steady`` here."""

    milliseconds: float
    steady: float
    """Seconds of the steady clock."""

    def milliseconds_at(self, steady: float) -> float:
        """The latest that the store's time can have been then."""
        return self.milliseconds + (steady - self.steady) * 1000


@dataclass(frozen=True, slots=True)
class Sweep:
    """Which sessions of a subject are over."""

    denial: Denial
    until: float = math.inf
    """Milliseconds since the epoch, on the store's clock: those opened up to then."""
    since: float = math.inf
    """When it was asked for, in seconds of the steady clock: without ``until`` it is about what had
    been opened by then; infinite: about every session."""
    keep: bytes | None = None
    device_type: str | None = None
    bans: tuple[StoredBan, ...] = ()
    """Bans that are in force here although the store may not know them."""

    def covers(self, session_id: bytes, record: LiveRecord, moment: Moment) -> bool:
        """Whether that session is over."""
        until = self.until if self.until < math.inf else moment.milliseconds_at(self.since)
        return (
            record.created_milliseconds <= until
            and session_id != self.keep
            and self.device_type in {None, record.device_type}
        )


@dataclass(slots=True)
class _Generation:
    """The highest one of a subject, and who was seen alive under it."""

    value: int
    known_at: float
    alive: set[bytes] = field(default_factory=set)


class Denials:
    """What is over, for one manager."""

    def __init__(
        self, lock: Callable[[], AbstractContextManager[Any]], steady: Callable[[], float]
    ) -> None:
        """``lock``: makes a lock that one thread can hold several times; ``steady``: seconds."""
        self._new_lock = lock
        self._lock = lock()
        self._steady = steady
        renew_in_child(self)
        self._sessions: OrderedDict[bytes, Denial] = OrderedDict()
        self._sweeps: OrderedDict[bytes, dict[bytes, Sweep]] = OrderedDict()
        self._generations: OrderedDict[bytes, _Generation] = OrderedDict()
        self.rollbacks = 0
        """How many times the store showed a session alive that was over for good."""
        self.on_generation: Callable[[bytes], None] = _nothing
        """Called with the key of a subject of which a higher generation became known."""

    def add(self, session_id: bytes, denial: Denial) -> None:
        """The session is over. What was known for certain is not replaced by what is pending."""
        with self._lock:
            known = self._sessions.get(session_id)
            if known is None or known.is_pending:
                self._sessions[session_id] = replace(denial, known_at=self._steady())
                if len(self._sessions) > MOST_SESSIONS:
                    self._sessions.popitem(last=False)

    def lift(self, session_id: bytes) -> None:
        """A pending denial has come to nothing: there was no such session of that subject."""
        with self._lock:
            known = self._sessions.get(session_id)
            if known is not None and known.is_pending:
                del self._sessions[session_id]

    def sweep(self, key: bytes, operation: bytes, sweep: Sweep) -> None:
        """Sessions of the subject of ``key`` are over; it replaces the operation's sweep before."""
        with self._lock:
            sweeps = self._sweeps.setdefault(key, {})
            sweeps.pop(operation, None)
            denial = replace(sweep.denial, known_at=self._steady())
            sweeps[operation] = replace(sweep, denial=denial)
            if len(sweeps) > _MOST_SWEEPS:
                # What is pending is not known elsewhere, so the rest makes room for it.
                settled = [each for each, one in sweeps.items() if one.until < math.inf]
                del sweeps[(settled or list(sweeps))[0]]
            self._sweeps.move_to_end(key)
            if len(self._sweeps) > MOST_SUBJECTS:
                self._make_room()

    def forget_sweep(self, key: bytes, operation: bytes) -> None:
        """The operation has come to nothing."""
        with self._lock:
            sweeps = self._sweeps.get(key)
            if sweeps is not None and operation in sweeps:
                del sweeps[operation]
                if not sweeps:
                    del self._sweeps[key]

    def of_session(self, session_id: bytes) -> Denial | None:
        """What is known of the session itself."""
        return self._sessions.get(session_id)

    def concerns(self, key: bytes, session_id: bytes) -> bool:
        """Whether anything is known that speaks against a session or its subject."""
        return session_id in self._sessions or key in self._sweeps or key in self._generations

    def pending_bans(self, key: bytes) -> tuple[StoredBan, ...]:
        """Bans of the subject that the store may not know."""
        if key not in self._sweeps:
            return ()
        with self._lock:
            found = [ban for sweep in self._sweeps.get(key, {}).values() for ban in sweep.bans]
        return tuple(found)

    def judge(
        self, key: bytes, session_id: bytes, stored: Stored, asked_at: float
    ) -> Denial | None:
        """Why a session is over that the store shows alive; None when it may be accepted.

        A session that may be is noted as alive under the generation that came with it. What became
        known only after the store was asked, at ``asked_at``, is as good as pending.
        """
        record = stored.record
        assert isinstance(record, LiveRecord)
        with self._lock:
            denial = self._sessions.get(session_id)
            if denial is None:
                moment = Moment(stored.now_milliseconds, asked_at)
                denial = self._swept(key, session_id, record, moment)
            if denial is None:
                denial = self._by_generation(key, session_id, record, stored)
            if denial is not None and denial.known_at >= asked_at:
                return replace(denial, is_pending=True)
            return denial

    def without_store(
        self, key: bytes, session_id: bytes, record: LiveRecord, moment: Moment
    ) -> Denial | None:
        """Why a session is over, as far as is known without the store. ``record``: how it was."""
        with self._lock:
            denial = self._sessions.get(session_id)
            return denial or self._swept(key, session_id, record, moment)

    def learn_generation(self, key: bytes, generation: int) -> None:
        """The store has told a generation of the subject of ``key``, with whatever answer.

        :meth:`judge` learns it by itself.
        """
        with self._lock:
            known = self._generations.get(key)
            if generation <= (known.value if known else 0):
                return
            self._generations[key] = _Generation(generation, self._steady())
            if len(self._generations) > MOST_SUBJECTS:
                self._generations.popitem(last=False)
            self.on_generation(key)

    def begin_anew(self) -> None:
        """What is pending is the parent's business; for the child of a fork."""
        self._lock = self._new_lock()
        with self._lock:
            for session_id in [each for each, one in self._sessions.items() if one.is_pending]:
                del self._sessions[session_id]
            self._sweeps.clear()

    def _make_room(self) -> None:
        for key, sweeps in self._sweeps.items():
            if all(each.until < math.inf for each in sweeps.values()):
                del self._sweeps[key]
                return

    def _swept(
        self, key: bytes, session_id: bytes, record: LiveRecord, moment: Moment
    ) -> Denial | None:
        for sweep in self._sweeps.get(key, {}).values():
            if not sweep.bans and sweep.covers(session_id, record, moment):
                return sweep.denial
        return None

    def _by_generation(
        self, key: bytes, session_id: bytes, record: LiveRecord, stored: Stored
    ) -> Denial | None:
        self.learn_generation(key, stored.generation)
        known = self._generations.get(key)
        if known is None:
            return None
        if stored.now_milliseconds - known.value > _GENERATION_MILLISECONDS:
            del self._generations[key]
            return None
        if stored.generation < known.value:
            if session_id in known.alive or record.created_milliseconds > known.value:
                return None
            return Denial("revoked", known.value // 1000, known_at=known.known_at)
        if len(known.alive) < _MOST_SEEN:
            known.alive.add(session_id)
        return None


def denial_of(end: SessionExpired | SessionRevoked) -> Denial:
    """What is to be remembered of an end that the store told."""
    if isinstance(end, SessionExpired):
        return Denial("idle" if end.reason == "session_idle" else "expired", end.ended_at)
    return Denial(cast("RevocationReason", end.reason), end.ended_at, end.note)


def _nothing(_: bytes) -> None:
    """Nobody wants to know."""
