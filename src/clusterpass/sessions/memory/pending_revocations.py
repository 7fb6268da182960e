"""The queue of pending revocations: when each is retried, and which are retried one by one.

- A revocation (also a logout or a ban) is *pending* until it is as durable as configured. Its
  caller was told so, this process already enforces it, and it is retried until it is confirmed.
- Each revocation carries an operation id, so the store recognises a retry.
- There is one lane for each primary. Revocations of one lane are retried one by one, and lanes
  independently of each other: the fault of a shard delays the revocations of that shard only. A
  lane for each slot would not do: 10,000 stuck revocations would need 10,000 lanes, and a bound on
  the retries under way would let a stuck shard use up all of them.
- A lane whose shard does not confirm makes one attempt, then backs off exponentially, from 0.1 to 5
  seconds, with jitter. So a process asks a stuck shard equally seldom for one revocation and for
  thousands. After the first success, the lane retries the others at once.
- Revocations that fail by an unexpected error have a lane of their own beside that of their shard,
  and hold up no others. A revocation that concerns several shards (the cutoff) is in the lane of no
  shard.
- Those that journals hold have a bound of their own, and leave room for those that only this
  process knows. Beyond the bound they are not queued: whoever reads the journals queues them later.
- The owner of a slot is asked for anew with each attempt. No I/O happens here.
"""

from collections.abc import Callable, Collection, Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from clusterpass.model.forks import renew_in_child
from clusterpass.model.statistics import PendingStats
from clusterpass.protocol.script import Flow

MOST_PENDING: Final = 10_000
"""The most revocations that can be pending at a time, and the most of those that journals hold."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_MOST_AT_A_TIME: Final = 100

Lane = tuple[Hashable, bool]
"""The primary, None while it is not known; and whether the lane is that for unexpected errors."""


@dataclass(slots=True, eq=False)
class PendingRevocation:
    """A revocation that is not confirmed yet."""

    kind: str
    """The kind of the revocation, for the log."""
    attempt: Callable[[], Flow[bool]]
    """Returns the flow of one more attempt, whose result is whether the revocation is settled."""
    since: float
    """When the revocation was queued, in seconds of the steady clock."""
    slot: int | None = None
    """The slot of the keys; None when the revocation concerns several shards."""
    operation: bytes = b""
    """The operation id; empty for a revocation without one."""
    once_for: bytes | None = None
    """What only one queued revocation may be for; None: no such limit."""
    is_journaled: bool = False
    """Whether journals hold the revocation, so that it does not depend on this process."""
    has_failed: bool = False
    """Whether the latest retry failed by an unexpected error."""
    lane: Lane = (None, False)

    @property
    def is_shared(self) -> bool:
        """Whether any process would carry the revocation out; a journaled cutoff has copies, too,
        which only this process raises."""
        return self.is_journaled and self.slot is not None


@dataclass(slots=True)
class _Waiting:
    """The revocations of one lane. Times are seconds of the steady clock."""

    next_at: float
    """The earliest time of the next retry."""
    pause: float = _FIRST_PAUSE
    """Seconds between the next failed retry and the one after it."""
    is_stuck: bool = False
    """Whether the latest retry failed."""
    revocations: dict[PendingRevocation, None] = field(default_factory=dict)
    """The revocations, the one whose latest retry is longest ago first."""


class PendingRevocations:
    """The queue of one manager's pending revocations. Times are seconds of the steady clock."""

    def __init__(
        self,
        steady: Callable[[], float],
        lock: Callable[[], AbstractContextManager[Any]],
        jitter: Callable[[], float],
    ) -> None:
        """``steady``: returns seconds; ``lock``: creates a reentrant lock; ``jitter``: returns a
        random number from 0 to 1, so that servers do not all retry at once."""
        self._steady = steady
        self._new_lock = lock
        self._jitter = jitter
        self._confirmed = 0
        self._refused = 0
        self.rejected = 0
        """Bans that their shard refused when it was asked again."""
        self.wake: Callable[[], None] = _nobody
        """Called when a revocation is queued; set by the worker that retries them."""
        self.owner_of: Callable[[int], Hashable] = _unknown
        """Returns the primary that owns a slot, None while it is not known; set by the worker."""
        self.begin_anew()
        renew_in_child(self)

    def __len__(self) -> int:
        return len(self._waiting)

    def add(
        self,
        kind: str,
        attempt: Callable[[], Flow[bool]],
        *,
        slot: int | None = None,
        operation: bytes = b"",
        once_for: bytes | None = None,
        is_journaled: bool = False,
    ) -> bool:
        """Queue a revocation; return False when too many of its sort are pending, or after
        :meth:`refuse`.

        ``attempt``: returns the flow of one attempt, whose result is whether the revocation is
        settled. ``slot``: the slot of its keys; None: several. ``operation``: its operation id.
        ``once_for``: do nothing if a revocation with an equal value is queued. ``is_journaled``:
        whether journals hold it, so that it does not depend on this process.
        """
        with self._lock:
            if once_for is not None and once_for in self._once:
                return True
            now = self._steady()
            pending = PendingRevocation(kind, attempt, now, slot, operation, once_for, is_journaled)
            if pending.is_shared and self.shared >= MOST_PENDING:
                return False
            if self._is_refusing or (
                not pending.is_shared and len(self._waiting) - self.shared >= MOST_PENDING
            ):
                self._refused += 1
                return False
            if once_for is not None:
                self._once.add(once_for)
            self._waiting[pending] = None
            self.shared += pending.is_shared
            self._by_operation.setdefault(operation, {})[pending] = None
            self._enter_lane(pending)
        self.wake()
        return True

    def refuse(self) -> None:
        """Queue nothing more, as the manager is being closed."""
        with self._lock:
            self._is_refusing = True

    def due(
        self, busy: Collection[Hashable] = (), most: int = 1
    ) -> list[tuple[Lane, list[PendingRevocation]]]:
        """Return the lanes to retry now, each with revocations to retry one by one.

        ``busy``: the lanes with a retry under way, which are left out; ``most``: the most lanes
        to return. Lanes whose latest retry failed come last, as they are likely to fail again.
        """
        now = self._steady()
        with self._lock:
            ready = [
                lane
                for lane, waiting in self._lanes.items()
                if lane not in busy and waiting.next_at <= now
            ]
            for lane in ready:
                for pending in list(self._lanes[lane].revocations):
                    if self._lane_of(pending) != lane:  # the slot has another owner now
                        self._leave_lane(pending)
                        self._enter_lane(pending)
            due = sorted(
                ((lane, self._lanes[lane]) for lane in ready if lane in self._lanes),
                key=_is_stuck,
            )
            return [
                (lane, list(islice(waiting.revocations, _MOST_AT_A_TIME)))
                for lane, waiting in due[:most]
            ]

    def all(self) -> list[PendingRevocation]:
        """Return all pending revocations, the oldest first."""
        with self._lock:
            return list(self._waiting)

    def seconds_until_due(self, busy: Collection[Hashable] = ()) -> float | None:
        """Return the seconds until the next retry; None when nothing is pending.

        ``busy``: the lanes with a retry under way, which do not count.
        """
        with self._lock:
            times = [each.next_at for lane, each in self._lanes.items() if lane not in busy]
        return max(0.0, min(times) - self._steady()) if times else None

    def note_journaled(self, operation: bytes) -> bool:
        """Take note that journals hold the revocations with this operation id.

        Returns False when so many are queued that journals hold that these need not be.
        """
        with self._lock:
            for pending in self._by_operation.get(operation, ()):
                self.shared -= pending.is_shared
                pending.is_journaled = True
                self.shared += pending.is_shared
            return self.shared <= MOST_PENDING

    def settle(self, pending: PendingRevocation) -> None:
        """Remove a revocation that is confirmed, or that the store refused.

        The others of its lane are due at once, as their shard confirms again.
        """
        with self._lock:
            if pending not in self._waiting:
                return
            del self._waiting[pending]
            self.shared -= pending.is_shared
            alike = self._by_operation[pending.operation]
            del alike[pending]
            if not alike:
                del self._by_operation[pending.operation]
            self._once.discard(pending.once_for)
            self._confirmed += 1
            lane = self._lanes[pending.lane]
            lane.next_at, lane.pause, lane.is_stuck = self._steady(), _FIRST_PAUSE, False
            self._leave_lane(pending)

    def put_off(self, pending: PendingRevocation, *, has_failed: bool = False) -> None:
        """Schedule the next retry of a revocation and of its lane, after twice the latest pause.

        ``has_failed``: whether the retry failed by an unexpected error rather than because the
        shard is unavailable. The revocation then leaves the lane of its shard, which goes on.
        """
        with self._lock:
            if pending not in self._waiting:
                return
            lane = self._lanes[pending.lane]
            if has_failed == pending.has_failed:
                lane.next_at = self._steady() + self._spread(lane.pause)
                lane.pause = min(lane.pause * 2, _LONGEST_PAUSE)
                lane.is_stuck = True
            pending.has_failed = has_failed
            if self._lane_of(pending) == pending.lane:  # the others of the lane come first now
                del lane.revocations[pending]
                lane.revocations[pending] = None
            else:
                self._leave_lane(pending)
                self._enter_lane(pending)

    def stats(self) -> PendingStats:
        """Return the counters of the queue."""
        with self._lock:
            journaled = sum(each.is_journaled for each in self._waiting)
            oldest = next((each for each in self._waiting if not each.is_journaled), None)
            return PendingStats(
                waiting=len(self._waiting) - journaled,
                journaled=journaled,
                oldest_seconds=0.0 if oldest is None else self._steady() - oldest.since,
                confirmed=self._confirmed,
                refused=self._refused,
                rejected=self.rejected,
            )

    def begin_anew(self) -> None:
        """Empty the queue, which the parent process retries; called in a forked child."""
        self._lock = self._new_lock()
        self._is_refusing = False
        self._waiting: dict[PendingRevocation, None] = {}
        self._lanes: dict[Lane, _Waiting] = {}
        self._once: set[bytes | None] = set()
        self._by_operation: dict[bytes, dict[PendingRevocation, None]] = {}
        self.shared = 0
        """How many of those waiting any process would carry out."""

    def _lane_of(self, pending: PendingRevocation) -> Lane:
        owner = None if pending.slot is None else self.owner_of(pending.slot)
        return owner, pending.has_failed

    def _enter_lane(self, pending: PendingRevocation) -> None:
        pending.lane = self._lane_of(pending)
        lane = self._lanes.get(pending.lane)
        if lane is None:
            next_at = self._steady() + self._spread(_FIRST_PAUSE)
            lane = self._lanes[pending.lane] = _Waiting(next_at)
        lane.revocations[pending] = None

    def _leave_lane(self, pending: PendingRevocation) -> None:
        lane = self._lanes[pending.lane]
        del lane.revocations[pending]
        if not lane.revocations:
            del self._lanes[pending.lane]

    def _spread(self, pause: float) -> float:
        return pause * (0.5 + self._jitter() / 2)


def _is_stuck(lane: tuple[Lane, _Waiting]) -> bool:
    return lane[1].is_stuck


def _nobody() -> None:
    """Ignore a queued revocation, as no worker is attached."""


def _unknown(_slot: int) -> None:
    """Return None: without a worker, no owner of a slot is known."""
