"""The sessions that this process has seen end, and denies whatever the store reports later.

A store can lose its latest writes when a replica that has not received them is promoted. It then
reports sessions as live that have ended. For this process they stay ended. No I/O happens here.

- A *denial* says that one session has ended. Session ids are never reused, so a denial never
  becomes wrong. The oldest denials are dropped when there are too many, except *pending* ones,
  which only this process knows. Their number is bounded by the queue of pending revocations.
- A *sweep* says that all sessions of a subject that were opened up to a time have ended, except
  one, or those on other device types. Until the store reports when it revoked them, that time is
  the time of the request, so later logins are not denied. A ban from everything denies every
  session.
- Each ``revoke_all``, and each ban from everything, raises the subject's *generation*. A store that
  reports a lower generation than before has lost writes: the sessions that were opened before the
  highest generation, and were not seen live under it, have ended. An answer to a request that was
  sent before the highest generation became known is no such report.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from clusterpass.model.forks import renew_in_child
from clusterpass.protocol.records import LiveRecord
from clusterpass.protocol.replies import Stored, StoredBan
from clusterpass.sessions.memory.clocks import bounds_of_clock
from clusterpass.sessions.memory.denial import Denial, Sweep

MOST_SESSIONS: Final = 50_000
"""The most denials of single sessions that are kept, apart from pending ones."""
MOST_SUBJECTS: Final = 10_000
"""The most subjects whose sweeps, or whose generations, are kept, apart from pending sweeps."""
_MOST_SWEEPS: Final = 16
_MOST_SEEN: Final = 64
_GENERATION_MILLISECONDS: Final = 3_600_000
"""The shortest time that a store keeps a generation; a lower one later proves nothing."""


@dataclass(slots=True)
class _Generation:
    """The highest generation of a subject, and the sessions that were seen live under it."""

    value: int
    known_at: float
    alive: set[bytes] = field(default_factory=set)


class Denials:
    """The denials, sweeps and generations of one manager."""

    def __init__(
        self, lock: Callable[[], AbstractContextManager[Any]], steady: Callable[[], float]
    ) -> None:
        """``lock``: creates a reentrant lock; ``steady``: returns seconds of the steady clock."""
        self._new_lock = lock
        self._lock = lock()
        self._steady = steady
        renew_in_child(self)
        self._pending: dict[bytes, Denial] = {}
        self._sessions: OrderedDict[bytes, Denial] = OrderedDict()
        self._sweeps: dict[bytes, dict[bytes, Sweep]] = {}
        self._settled: OrderedDict[bytes, None] = OrderedDict()
        """The subjects none of whose sweeps is pending, the one that changed last behind."""
        self._generations: OrderedDict[bytes, _Generation] = OrderedDict()
        self.rollbacks = 0
        """How many times the store reported a session as live that had durably ended."""
        self.most_ahead: Callable[[float, float], float] = _most
        """What :meth:`~clusterpass.sessions.memory.clocks.Clocks.most_ahead` returns."""
        self.on_generation: Callable[[bytes], None] = _nothing
        """Called with the key of a subject whose generation was found to have risen."""
        self.on_overtaken: Callable[[bytes], None] = _nothing
        """Called with the key of a subject of whom an answer is used that may be older than that,
        and must not be remembered."""

    def add(self, session_id: bytes, denial: Denial) -> None:
        """Deny a session. A pending denial never replaces a certain one."""
        with self._lock:
            if session_id in self._sessions:
                return
            known = self._pending.get(session_id)
            requests = denial.requests | (known.requests if known else frozenset())
            denial = replace(denial, known_at=self._steady(), requests=requests)
            if denial.is_pending:
                self._pending[session_id] = denial
                return
            self._sessions[session_id] = denial
            self._pending.pop(session_id, None)
            if len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)

    def lift(self, session_id: bytes, request: bytes) -> None:
        """Drop the pending denial of a session, unless a request other than this one needs it."""
        with self._lock:
            known = self._pending.get(session_id)
            if known is None:
                return
            if others := known.requests - {request}:
                self._pending[session_id] = replace(known, requests=others)
            else:
                del self._pending[session_id]

    def sweep(self, key: bytes, request: bytes, sweep: Sweep) -> None:
        """Deny sessions of the subject of ``key``, instead of an earlier sweep of ``request``."""
        with self._lock:
            sweeps = self._sweeps.setdefault(key, {})
            sweeps.pop(request, None)
            denial = replace(sweep.denial, known_at=self._steady())
            sweeps[request] = replace(sweep, denial=denial)
            settled = [each for each, one in sweeps.items() if not one.is_pending]
            for each in settled[: max(0, len(settled) - _MOST_SWEEPS)]:
                del sweeps[each]
            self._settle(key, sweeps)

    def forget_sweep(self, key: bytes, request: bytes) -> None:
        """Drop the sweep of ``request`` over the subject of ``key``."""
        with self._lock:
            sweeps = self._sweeps.get(key)
            if sweeps is not None and sweeps.pop(request, None) is not None:
                self._settle(key, sweeps)

    def settle_ban(self, key: bytes, request: bytes) -> None:
        """Leave the pending ban of ``request`` from a scope to the store.

        It still concerns what the store was asked before: that may be answered without it.
        """
        with self._lock:
            sweeps = self._sweeps.get(key, {})
            sweep = sweeps.pop(request, None)
            if sweep is None:
                return
            denial = replace(sweep.denial, is_pending=False, known_at=self._steady())
            sweeps[request] = replace(sweep, denial=denial, until=0)
            self._settle(key, sweeps)

    def of_session(self, session_id: bytes) -> Denial | None:
        """Return the denial of the session itself; sweeps and generations are not considered."""
        # In this order: a denial that is settled meanwhile is then found in either place.
        return self._pending.get(session_id) or self._sessions.get(session_id)

    def concerns(self, key: bytes, session_id: bytes) -> bool:
        """Return whether anything is known that could deny the session or concerns its subject."""
        is_denied = session_id in self._pending or session_id in self._sessions
        return is_denied or key in self._sweeps or key in self._generations

    def pending_bans(self, key: bytes, asked_at: float = math.inf) -> tuple[StoredBan, ...]:
        """Return the bans of the subject of ``key`` that the store may not know.

        ``asked_at``: when the store was asked, whose answer they are for, in seconds of the steady
        clock; infinite: it will be asked. A ban from everything that the store has carried out is
        left to it, as somebody may have lifted it since; one from a scope that it had not when it
        was asked is not.
        """
        if key not in self._sweeps:
            return ()
        with self._lock:
            sweeps = tuple(self._sweeps.get(key, {}).values())
        return tuple(
            ban
            for sweep in sweeps
            for ban in sweep.bans
            if sweep.until == math.inf or (ban.scope and asked_at <= sweep.denial.known_at)
        )

    def judge(
        self, key: bytes, session_id: bytes, stored: Stored, asked_at: float
    ) -> Denial | None:
        """Return why a session that the store reports as live has ended; None: accept it.

        An accepted session is recorded as live under the generation in ``stored``. A denial that
        became known after the store was asked, at ``asked_at``, is returned as pending.
        """
        record = stored.record
        assert isinstance(record, LiveRecord)
        with self._lock:
            denial = self.of_session(session_id)
            if denial is None:
                bounds = bounds_of_clock(stored.now_milliseconds, asked_at, self._steady())
                ahead = self.most_ahead(*bounds)
                denial = self._swept(key, session_id, record, ahead)
            if denial is None:
                denial = self._by_generation(key, session_id, record, stored, asked_at)
            if denial is not None and denial.known_at >= asked_at:
                return replace(denial, is_pending=True)
            return denial

    def without_store(
        self, key: bytes, session_id: bytes, record: LiveRecord, ahead: float
    ) -> Denial | None:
        """Return why a session has ended, as far as is known without asking the store.

        ``record``: the record that the store returned last; ``ahead``: by how many seconds the
        store's clock was ahead of the steady clock, at most.
        """
        ahead = self.most_ahead(-math.inf, ahead)
        with self._lock:
            return self.of_session(session_id) or self._swept(key, session_id, record, ahead)

    def learn_generation(self, key: bytes, generation: int) -> None:
        """Take note of a generation that the store reported for the subject of ``key``.

        :meth:`judge` takes note of the generation by itself.
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
        """Drop what is pending, which the parent process handles; called in a forked child."""
        self._lock = self._new_lock()
        with self._lock:
            self._pending.clear()
            self._sweeps.clear()
            self._settled.clear()

    def _settle(self, key: bytes, sweeps: dict[bytes, Sweep]) -> None:
        self._settled.pop(key, None)
        if not sweeps:
            del self._sweeps[key]
        elif not any(each.is_pending for each in sweeps.values()):
            self._settled[key] = None
            if len(self._settled) > MOST_SUBJECTS:
                del self._sweeps[self._settled.popitem(last=False)[0]]

    def _swept(
        self, key: bytes, session_id: bytes, record: LiveRecord, ahead: float
    ) -> Denial | None:
        for sweep in self._sweeps.get(key, {}).values():
            if sweep.ends_sessions and sweep.covers(session_id, record, ahead):
                return sweep.denial
        return None

    def _by_generation(
        self,
        key: bytes,
        session_id: bytes,
        record: LiveRecord,
        stored: Stored,
        asked_at: float,
    ) -> Denial | None:
        self.learn_generation(key, stored.generation)
        known = self._generations.get(key)
        if known is None:
            return None
        if stored.now_milliseconds - known.value > _GENERATION_MILLISECONDS:
            del self._generations[key]
            return None
        if stored.generation < known.value and known.known_at >= asked_at:
            # The store may have answered before the generation rose: that proves no lost writes,
            # and the session may be the one that is kept.
            self.on_overtaken(key)
            return None
        if stored.generation < known.value:
            if session_id in known.alive or record.created_milliseconds > known.value:
                return None
            return Denial("revoked", known.value // 1000, known_at=known.known_at)
        if len(known.alive) < _MOST_SEEN:
            known.alive.add(session_id)
        return None


def _most(_: float, most: float) -> float:
    """Return the bound that a reply shows: no clock is known."""
    return most


def _nothing(_: bytes) -> None:
    """Ignore a higher generation."""
