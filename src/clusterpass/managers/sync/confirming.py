# Generated from managers/aio/confirming.py by scripts/generate_sync.py; do not edit.
"""Retries pending revocations in the background until they are confirmed.

- Nothing runs while nothing is pending.
- The queue has a lane for each primary. Lanes are retried at the same time; the revocations of a
  lane one by one, until one is not confirmed. So a stuck shard delays no other, and gets only one
  retry at a time. If more lanes are due than may be retried at the same time, those of healthy
  shards come first.
- An error other than an outage of the store ends one retry, not the worker. The error is logged by
  its type, and the revocation is retried.
- Closing a manager retries each revocation once more, at once and for three seconds in total, and
  logs what is not confirmed by then. No revocation is ever dropped silently.
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable
from functools import partial
from typing import Final, Literal

from clusterpass.managers.closing import Closing
from clusterpass.managers.workers.sync import Jobs, Worker
from clusterpass.model.errors import ClusterPassError, StoreUnavailable
from clusterpass.protocol.script import Flow
from clusterpass.sessions.memory.pending_revocations import (
    Lane,
    PendingRevocation,
    PendingRevocations,
)

_CLOSING_SECONDS: Final = 3.0
_MOST_IDS: Final = 100
_NAME: Final = "clusterpass-pending"
_UNREACHABLE_SECONDS: Final = 0.1
_Outcome = Literal["settled", "unconfirmed", "unreachable", "failed"]
logger: Final = logging.getLogger("clusterpass.pending")


class Confirming:
    """The worker that retries the pending revocations of one manager."""

    def __init__(
        self,
        queue: PendingRevocations,
        run: Callable[[Flow[bool]], bool],
        owner_of: Callable[[int], Hashable],
    ) -> None:
        """``queue``: the pending revocations; ``run``: runs a flow against the store; ``owner_of``:
        returns the primary that owns a slot, None while it is not known."""
        self._queue = queue
        self._run = run
        self._worker = Worker(self._work, name=_NAME)
        self._jobs = Jobs(name=_NAME, on_end=self._wake)
        self._trying: dict[Hashable, PendingRevocation] = {}
        self._until = 0.0
        self._closing = Closing(self._close)
        queue.owner_of = owner_of
        queue.wake = self._wake

    def close(self) -> None:
        """Retry each pending revocation once more, for three seconds in total, then stop.

        Revocations that are not confirmed then are given up, and logged with their operation ids;
        those in journals are left to other processes. No revocation is queued any more. Closing
        again does nothing.
        """
        self._closing.run()

    def resume(self) -> None:
        """Retry what is pending in this event loop, if that of the worker has ended."""
        if self._queue:
            self._worker.resume()

    def _close(self) -> None:
        self._queue.refuse()
        until = self._until = time.monotonic() + _CLOSING_SECONDS
        try:
            self._worker.stop(_CLOSING_SECONDS)
            self._jobs.leave_other_loops(_CLOSING_SECONDS / 2)
            for job in self._last_retries(until):
                self._jobs.start(object(), job)
            self._jobs.stop(max(0.0, until - time.monotonic()))
        finally:  # also where the event loop ends meanwhile
            self._log_left()

    def _log_left(self) -> None:
        left = self._queue.all()
        _log_given_up([pending for pending in left if not pending.is_journaled])
        if journaled := sum(pending.is_journaled for pending in left):
            logger.info("closed; %d journaled endings are left to other processes", journaled)

    def _is_closing(self) -> bool:
        return self._worker.is_stopping

    def _wake(self) -> None:
        self._worker.wake()

    def _work(self) -> None:
        while self._queue and not self._worker.is_stopping:
            busy, free = self._jobs.running(), self._jobs.free()
            for lane, revocations in self._queue.due(busy, free):
                self._jobs.start(lane, partial(self._retry, lane, revocations))
            busy, free = self._jobs.running(), self._jobs.free()
            self._worker.wait(self._queue.seconds_until_due(busy) if free else None)

    def _retry(self, lane: Lane, revocations: list[PendingRevocation]) -> None:
        """Retry ``revocations`` one by one, until the shard of their lane does not confirm one."""
        for pending in revocations:
            if self._is_closing():
                return
            self._trying[lane] = pending
            try:
                outcome = self._try(pending)
                if self._is_closing() and outcome != "settled":
                    # This retry began before closing: the last one is still to come.
                    self._retry_last(deque((pending,)), self._until)
            finally:
                # A job of an event loop that was closed may end late, beside one that replaces it.
                if self._trying.get(lane) is pending:
                    del self._trying[lane]
            if outcome in {"unconfirmed", "unreachable"}:
                return
            if outcome == "failed" and lane == pending.lane:
                return  # the lane is that of unexpected errors, which backs off as well

    def _last_retries(self, until: float) -> list[Callable[[], None]]:
        """The jobs that retry each revocation once more, with an equal share for each lane.

        A revocation whose retry is under way is left to the job of its lane. The first job of each
        lane comes first.
        """
        running = self._jobs.running()
        trying = {pending for lane, pending in list(self._trying.items()) if lane in running}
        lanes: dict[Lane, deque[PendingRevocation]] = {}
        for pending in self._queue.all():
            if pending not in trying and not pending.is_journaled:
                lanes.setdefault(pending.lane, deque()).append(pending)
        share = max(1, self._jobs.most // max(1, len(lanes)))
        return [
            partial(self._retry_last, left, until)
            for number in range(share)
            for left in lanes.values()
            if number < len(left)
        ]

    def _retry_last(self, left: deque[PendingRevocation], until: float) -> None:
        """Retry the revocations that are ``left``, of which other jobs take some, in turn.

        Those whose shard could not be reached wait for their turn again: the shard may be back, and
        its circuit breaker still open.
        """
        while time.monotonic() < until:
            try:
                pending = left.popleft()
            except IndexError:
                return
            if self._try(pending) == "unreachable":
                left.append(pending)
                self._jobs.pause(_UNREACHABLE_SECONDS)

    def _try(self, pending: PendingRevocation) -> _Outcome:
        """Retry ``pending`` and schedule its next retry, unless it is settled."""
        outcome: _Outcome = "unconfirmed"
        try:
            if self._run(pending.attempt()):
                self._queue.settle(pending)
                return "settled"
        except StoreUnavailable:
            outcome = "unreachable"
        except Exception as error:  # noqa: BLE001 (only one retry failed)
            name = error.code if isinstance(error, ClusterPassError) else type(error).__name__
            logger.error("a pending %s failed: %s; it stays pending", pending.kind, name)  # noqa: TRY400
            outcome = "failed"
        self._queue.put_off(pending, has_failed=outcome == "failed")
        return outcome


def _log_given_up(left: list[PendingRevocation]) -> None:
    """Log the revocations that nobody retries any more, with at most 100 ids in each line."""
    for first in range(0, len(left), _MOST_IDS):
        some = left[first : first + _MOST_IDS]
        kinds = Counter(pending.kind for pending in some)
        ids = [pending.operation.hex() for pending in some if pending.operation]
        logger.warning(
            "closed while %d revocations were pending, which nobody retries any more: %s;"
            " repeat them with their operation ids: %s",
            len(some),
            ", ".join(f"{count} x {kind}" for kind, count in sorted(kinds.items())),
            ", ".join(ids) or "none",
        )
