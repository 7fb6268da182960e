"""Retries pending revocations in the background until they are confirmed.

- Nothing runs while nothing is pending.
- An error other than an outage of the store is logged by its type, and the revocation is retried.
  No revocation is ever dropped silently.
- Closing a manager retries each revocation once, for three seconds in total.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from clusterpass.managers.workers import AsyncWorker
from clusterpass.model.errors import ClusterPassError, StoreUnavailable
from clusterpass.protocol.script import Flow
from clusterpass.sessions.memory.pending import PendingRevocation, PendingRevocations

_CLOSING_SECONDS: Final = 3.0
logger: Final = logging.getLogger("clusterpass.pending")


class AsyncConfirming:
    """The worker that retries the pending revocations of one manager."""

    def __init__(
        self, queue: PendingRevocations, run: Callable[[Flow[bool]], Awaitable[bool]]
    ) -> None:
        """``queue``: the pending revocations; ``run``: runs a flow against the store."""
        self._queue = queue
        self._run = run
        self._worker = AsyncWorker(self._work, name="clusterpass-pending")
        queue.wake = self._wake

    async def close(self) -> None:
        """Stop the worker, then retry each pending revocation once, for three seconds in total."""
        until = time.monotonic() + _CLOSING_SECONDS
        await self._worker.stop(_CLOSING_SECONDS)
        for pending in self._queue.all():
            if time.monotonic() < until:
                await self._try(pending)

    def _wake(self) -> None:
        self._worker.wake()

    async def _work(self) -> None:
        while self._queue and not self._worker.is_stopping:
            if (pending := self._queue.due()) is not None:
                await self._try(pending)
            else:
                await self._worker.wait(self._queue.seconds_until_due())

    async def _try(self, pending: PendingRevocation) -> None:
        is_settled = False
        try:
            is_settled = await self._run(pending.attempt())
        except StoreUnavailable:
            is_settled = False
        except ClusterPassError as error:
            logger.error("a pending %s failed: %s; it will be retried", pending.kind, error.code)  # noqa: TRY400
        except Exception as error:  # noqa: BLE001 (only one attempt failed)
            name = type(error).__name__
            logger.error("a pending %s failed: %s; it will be retried", pending.kind, name)  # noqa: TRY400
        if is_settled:
            self._queue.settle(pending)
        else:
            self._queue.put_off(pending)
