"""A queue of subjects whose histories are due to be read.

A subject is queued only once, however often it changes. One that changes during the read is read
again. If its node does not answer, the read is retried a few times, and then dropped until the next
change.
"""

import logging
import threading
from collections.abc import Callable, Collection, Hashable
from typing import Final

from clusterpass.model.forks import renew_in_child

MOST_WAITING: Final = 10_000
_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each further attempt."""
logger: Final = logging.getLogger("clusterpass.listeners")


class ChangedSubjects:
    """The queue of one manager; any thread may call it."""

    def __init__(self, steady: Callable[[], float]) -> None:
        """``steady``: returns seconds of the steady clock."""
        self._steady = steady
        self.dropped = 0
        """Changes that nobody reads the history for."""
        self.begin_anew()
        renew_in_child(self)

    def begin_anew(self) -> None:
        """Empty the queue, which the parent process works off; called in a forked child."""
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Forget all subjects. Reads that are under way end as usual."""
        with self._lock:
            self._due: dict[str, None] = {}
            self._reading: dict[str, bool] = {}
            self._failures: dict[str, int] = {}
            self._later: dict[str, float] = {}

    def add(self, subject: str) -> None:
        """Have the history of ``subject`` read, or drop that if too many are waiting."""
        with self._lock:
            if subject in self._reading:
                self._reading[subject] = True
            elif subject in self._due or subject in self._later:
                return
            elif len(self._due) + len(self._later) >= MOST_WAITING:
                self._drop("too many are waiting")
            else:
                self._due[subject] = None

    def take(self) -> str | None:
        """Return a subject to read now, which ends by :meth:`done`, or the others; None: none."""
        with self._lock:
            now = self._steady()
            for subject in [each for each, at in self._later.items() if at <= now]:
                del self._later[subject]
                self._due[subject] = None
            if not self._due:
                return None
            subject = next(iter(self._due))
            del self._due[subject]
            self._reading[subject] = False
            return subject

    def take_over(self, reading: Collection[Hashable]) -> None:
        """Have the histories read again whose reads were left, as their event loops have ended.

        ``reading``: the subjects whose histories are being read.
        """
        with self._lock:
            for subject in [each for each in self._reading if each not in reading]:
                del self._reading[subject]
                self._due[subject] = None

    def done(self, subject: str) -> None:
        """Note that the history was read."""
        with self._lock:
            self._failures.pop(subject, None)
            if self._reading.pop(subject, False):
                self._due[subject] = None

    def put_off(self, subject: str) -> None:
        """Have the history read later, as the store did not answer; give up after the last try."""
        with self._lock:
            if self._reading.pop(subject, None) is None:
                return
            failures = self._failures.pop(subject, 0)
            if failures == len(_PAUSES):
                self._drop("the store does not answer")
                return
            self._failures[subject] = failures + 1
            self._later[subject] = self._steady() + _PAUSES[failures]

    def fail(self, subject: str, why: str) -> None:
        """Note that the history cannot be read."""
        with self._lock:
            self._reading.pop(subject, None)
            self._failures.pop(subject, None)
            self._drop(why)

    def seconds_until_due(self) -> float | None:
        """Return when there is a subject to take, if none is added before; None: never."""
        with self._lock:
            if self._due:
                return 0.0
            return max(0.0, min(self._later.values()) - self._steady()) if self._later else None

    def _drop(self, why: str) -> None:
        self.dropped += 1
        if self.dropped == 1 or self.dropped % 1000 == 0:
            logger.warning("listeners hear late of %d changes: %s", self.dropped, why)
