"""Records the uses of sessions that were served from memory, in the background.

Nothing runs while no use is waiting. If there are many, recording them is spread over up to three
quarters of a minute. While a primary does not answer, the uses of its sessions are tried at most
twice a second, and dropped after a minute; those of other sessions are recorded in between.
Closing a manager first records the waiting uses, for at most a second; the log
``clusterpass.uses`` says how many were left.
"""

import logging
import math
import time
from functools import partial
from typing import Final

from clusterpass.managers.workers.aio import AsyncJobs, AsyncWorker
from clusterpass.model.authentication_errors import InvalidToken
from clusterpass.model.errors import ClusterPassError, StoreUnavailable
from clusterpass.sessions.flows import Flows
from clusterpass.store.protocol import AwaitableStore

_NAME: Final = "clusterpass-recording"
_LINGERING_SECONDS: Final = 1.0
_TURN_SECONDS: Final = 0.02
_SECONDS_BETWEEN_TRIES: Final = 0.5
_QUIET_SECONDS: Final = 15.0
"""So long nothing may have failed, where always some wait, until recording counts as well again."""
_CLOSING_SECONDS: Final = 1.0
logger: Final = logging.getLogger("clusterpass.uses")


class AsyncRecording:
    """The worker that records the uses of one manager."""

    def __init__(self, store: AwaitableStore, flows: Flows) -> None:
        self._store: Final = store
        self._record: Final = flows.verify.uses.record_late
        self._uses: Final = flows.memory.near.uses_to_record
        self._worker: Final = AsyncWorker(self._work, name=_NAME)
        self._jobs: Final = AsyncJobs(name=_NAME, on_end=self._worker.wake)
        self._at_once: Final = self._jobs.most // 8
        """So many are recorded at once: what an event loop sends together costs half of that."""
        self._failed_by = ""
        """The code of the latest failure that :meth:`_tell_failure` has not seen; empty: none."""
        self._failed_at = -math.inf
        self._has_recorded = False
        """Whether one was recorded since the latest failure."""
        self._is_failing = False
        self._is_closing = False
        self._uses.wake = self._worker.wake_soon

    def resume(self) -> None:
        """Record what waits in this event loop, if that of the worker has ended."""
        if self._uses:
            self._worker.resume()

    async def close(self) -> None:
        """Record what waits, for at most a second; what is left then is dropped."""
        self._uses.close()
        self._is_closing = True
        self.resume()
        until = time.monotonic() + _CLOSING_SECONDS
        # Who stops a worker of another event loop cannot wait for it.
        while self._uses and self._worker.may_vanish and time.monotonic() < until:
            await self._jobs.pause(_TURN_SECONDS)
        await self._worker.stop(_CLOSING_SECONDS)
        if self._uses:
            logger.warning("uses of %d sessions were not recorded", len(self._uses))
            self._uses.clear()
        await self._jobs.leave_other_loops(_CLOSING_SECONDS / 2)
        await self._jobs.stop(_CLOSING_SECONDS)

    async def _work(self) -> None:
        while self._uses or (self._is_failing and self._jobs.running()):
            turn = _SECONDS_BETWEEN_TRIES if self._is_failing else _TURN_SECONDS
            due = len(self._uses) if self._is_closing else self._uses.due_within(turn)
            each = max(1, -(-due // self._at_once))  # a job may have taken the last one meanwhile
            for number in range(-(-due // each) - 1):
                if number not in self._jobs.running():
                    self._jobs.start(number, partial(self._try_each, each))
            await self._try_each(each)
            self._tell_failure()
            if self._uses:
                is_even = not self._is_failing
                await self._jobs.pause(_TURN_SECONDS if is_even else _SECONDS_BETWEEN_TRIES)
            elif not self._worker.is_stopping:
                await self._worker.wait(_LINGERING_SECONDS)
                self._tell_failure()

    async def _try_each(self, most: int) -> None:
        """Try to record what waits, at most ``most`` uses."""
        for _ in range(most):
            use = self._uses.take()
            if use is None:
                return
            try:
                await self._store.run(self._record(use))
                self._has_recorded = True
            except InvalidToken:
                continue  # the session has ended meanwhile, so it is not in use
            except StoreUnavailable as error:
                self._uses.put_back(use)
                self._failed_by = error.code
            except Exception as error:  # noqa: BLE001 (only one use was not recorded)
                code = error.code if isinstance(error, ClusterPassError) else type(error).__name__
                self._failed_by = code
            except BaseException:  # the event loop is about to end
                self._uses.put_back(use)
                raise

    def _tell_failure(self) -> None:
        failed_by, self._failed_by = self._failed_by, ""
        now = time.monotonic()
        if failed_by:
            self._failed_at, self._has_recorded = now, False
            if not self._is_failing:
                logger.warning("uses of sessions cannot be recorded: %s", failed_by)
            self._is_failing = True
        elif self._is_failing and self._has_recorded:
            is_over = not (self._uses or self._jobs.running())
            if is_over or now - self._failed_at >= _QUIET_SECONDS:
                logger.warning("uses of sessions are recorded again")
                self._is_failing = False
