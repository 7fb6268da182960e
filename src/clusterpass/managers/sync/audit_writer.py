# Generated from managers/aio/audit_writer.py by scripts/generate_sync.py; do not edit.
"""Writes the entries of the audit trail that no verb has waited for, in the background.

Nothing runs while nothing waits. While the store takes no entry it is asked once a second. What is
left when the manager is closed, or when the process ends without that, goes to the log of
``clusterpass.audit``, so no entry is lost but those of a process that is killed.
"""

import logging
import os
import time
import weakref
from typing import Final

from clusterpass.managers.workers.sync import Worker
from clusterpass.model.errors import ClusterPassError
from clusterpass.model.forks import renew_in_child
from clusterpass.sessions.audit_recorder import WRITER_BYTES, AuditTrail
from clusterpass.store.protocol import Store

_CLOSING_SECONDS: Final = 3.0
_GATHERING_SECONDS: Final = 0.02
_SECONDS_BETWEEN_TRIES: Final = 1.0
logger: Final = logging.getLogger("clusterpass.audit")


class Auditing:
    """The worker that writes the audit trail of one manager."""

    def __init__(self, store: Store, trail: AuditTrail) -> None:
        self._store: Final = store
        self._trail: Final = trail
        self._queue: Final = trail.queue
        self._worker: Final = Worker(self._work, name="clusterpass-audit")
        self._is_failing = False
        self._queue.wake_by(self._worker)
        # Also at the end of a process that has not closed its manager.
        weakref.finalize(self, self._queue.close)
        renew_in_child(self)

    def begin_anew(self) -> None:
        """Leave what waits to the parent process; called in a forked child."""
        self._trail.begin_anew(os.urandom(WRITER_BYTES))

    def resume(self) -> None:
        """Write what waits in this event loop, if that of the worker has ended."""
        if self._queue.is_busy:
            self._worker.resume()

    def flush(self) -> None:
        """Write all that waits now; raise StoreUnavailable or StoreFailed where that fails."""
        self._store.run(self._queue.flush())

    def close(self) -> None:
        """Write what waits, for at most three seconds; what is left goes to the log."""
        until = time.monotonic() + _CLOSING_SECONDS
        self._worker.stop(_CLOSING_SECONDS)
        while self._queue and time.monotonic() < until:
            if not self._write():
                break
        self._queue.close()

    def _work(self) -> None:
        # The event loop of an earlier worker may have ended in the middle of a write.
        self._queue.take_back()
        while not self._worker.is_stopping:
            if not self._queue:
                self._worker.wait()
                continue
            self._worker.wait(_GATHERING_SECONDS)
            if not self._write():
                self._worker.wait(_SECONDS_BETWEEN_TRIES)

    def _write(self) -> bool:
        """Write some of what waits; return whether the store took it."""
        try:
            self._store.run(self._queue.write(as_worker=True))
        except Exception as error:  # noqa: BLE001 (only this try failed, whatever was raised)
            if not self._is_failing:
                why = error.code if isinstance(error, ClusterPassError) else type(error).__name__
                logger.warning("the audit trail cannot be written: %s", why)
            self._is_failing = True
            return False
        if self._is_failing:
            logger.warning("the audit trail is written again")
        self._is_failing = False
        return True
