# Generated from managers/aio/confirming.py by scripts/generate_sync.py; do not edit.
"""Carries out pending revocations, in the background, until they are confirmed.

- Nothing runs while nothing is pending.
- A failure that is no outage of the store is logged, by its type, and the revocation is tried
  again: none is ever given up silently.
- A manager that is closed tries each once more, for a few seconds in all.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

from clusterpass.managers.workers import Worker
from clusterpass.model.errors import ClusterPassError, StoreUnavailable
from clusterpass.protocol.script import Flow
from clusterpass.sessions.memory.pending import PendingRevocation, PendingRevocations

_CLOSING_SECONDS: Final = 3.0
logger: Final = logging.getLogger("clusterpass.pending")


class Confirming:
    """The pending revocations of one manager, and what carries them out."""

    def __init__(self, queue: PendingRevocations, run: Callable[[Flow[bool]], bool]) -> None:
        """``run``: carries out a flow."""
        self._queue = queue
        self._run = run
        self._worker = Worker(self._work, name="clusterpass-pending")
        queue.wake = self._wake

    def close(self) -> None:
        """Try each pending revocation once more, for three seconds in all."""
        until = time.monotonic() + _CLOSING_SECONDS
        self._worker.stop(_CLOSING_SECONDS)
        for pending in self._queue.all():
            if time.monotonic() < until:
                self._try(pending)

    def _wake(self) -> None:
        self._worker.wake()

    def _work(self) -> None:
        while self._queue and not self._worker.is_stopping:
            if (pending := self._queue.due()) is not None:
                self._try(pending)
            else:
                self._worker.wait(self._queue.seconds_until_due())

    def _try(self, pending: PendingRevocation) -> None:
        is_settled = False
        try:
            is_settled = self._run(pending.attempt())
        except StoreUnavailable:
            is_settled = False
        except ClusterPassError as error:
            logger.error("a pending %s failed: %s; it is tried again", pending.kind, error.code)  # noqa: TRY400
        except Exception as error:  # noqa: BLE001 (one attempt has failed; the work goes on)
            name = type(error).__name__
            logger.error("a pending %s failed: %s; it is tried again", pending.kind, name)  # noqa: TRY400
        if is_settled:
            self._queue.settle(pending)
        else:
            self._queue.put_off(pending)
