# Generated from managers/aio/session_watch.py by scripts/generate_sync.py; do not edit.
"""The iterator that ``watch`` of a manager returns."""

import weakref
from collections.abc import Iterator
from typing import Final

from clusterpass.managers.sync.running import Running
from clusterpass.managers.workers.sync import Alarm, Worker
from clusterpass.model.authentication_errors import AuthenticationError
from clusterpass.model.errors import StoreUnavailable
from clusterpass.model.values import Session, SessionChange
from clusterpass.sessions.flows import Flows
from clusterpass.sessions.memory.followed_sessions import LOOK_SECONDS
from clusterpass.sessions.watching import Watched


class SessionWatch(Iterator[SessionChange]):
    """An iterator over the changes of one session, for one reader.

    The iteration ends after a change of the kind ``ended``, when the watch or the manager is
    closed, and after an error or a cancellation.
    """

    def __init__(self, running: Running, flows: Flows, worker: Worker, session: Session) -> None:
        """Called by the manager. ``worker``: looks after the sessions that are followed."""
        self._running: Final = running
        self._flows: Final = flows
        self._worker: Final = worker
        self._alarm: Final = Alarm()
        self._watched: Final = Watched(session)
        self._followed: Final = flows.get.followed(
            session.subject, session.session_id, self._alarm.set
        )
        self._is_begun = False
        # A collector may run in the middle of anything, so it takes no lock.
        weakref.finalize(self, self._followed.leave).atexit = False

    def __next__(self) -> SessionChange:
        """Wait for the next change, and return it."""
        try:
            change = self._next()
        except BaseException:
            self._end()
            raise
        if change is None:
            self._end()
            raise StopIteration
        if change.kind == "ended":
            self._end()
        return change

    def close(self) -> None:
        """End the watch at once: an iteration that waits ends without another change.

        Of a SessionManager, ``close()``, which any thread may call; of an AsyncSessionManager,
        ``await aclose()``, which any task may. Both return at once, and may be called again. If the
        session is being read just then, the iteration ends when that is done.
        """
        self._end()

    def _end(self) -> None:
        self._alarm.end()
        self._flows.memory.near.end_following(self._followed)

    @property
    def _is_over(self) -> bool:
        return self._worker.is_stopping or self._alarm.is_over

    def _next(self) -> SessionChange | None:
        """Return the next change; None: there will be none."""
        if not self._is_begun:
            self._begin()
        while not self._is_over:
            if not self._followed.is_due or self._watched.seconds_to_wait() is not None:
                self._alarm.wait(self._seconds_to_wait())
            change = self._read() if self._followed.is_due and not self._is_over else None
            if change is not None and not self._is_over:
                return change
        return None

    def _seconds_to_wait(self) -> float | None:
        """How long to wait at most; who looks after the session may end with its event loop."""
        self._worker.resume()
        seconds = self._watched.seconds_to_wait()
        if seconds is None and self._worker.may_vanish:
            return LOOK_SECONDS
        return seconds

    def _begin(self) -> None:
        self._is_begun = True
        self._alarm.begin()
        if not self._is_over:
            self._flows.memory.near.begin_following(self._followed)
            self._worker.wake()

    def _read(self) -> SessionChange | None:
        """Read the session, and return what is new; None: nothing is."""
        try:
            session = self._running.run(self._flows.get.read(self._followed))
        except StoreUnavailable as error:
            self._followed.is_due = True
            return self._watched.unavailable(error)
        except AuthenticationError as error:
            return self._watched.ended(error)
        return self._watched.read(session)
