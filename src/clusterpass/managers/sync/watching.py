# Generated from managers/aio/watching.py by scripts/generate_sync.py; do not edit.
"""Follows sessions for callers that watch them, at no cost to the servers while nothing changes.

The nodes push the names of changed keys once for the whole process. A few times a second, one
worker looks after the sessions that have had no news for a while.
"""

from typing import Final

from clusterpass.managers.sync.running import Running
from clusterpass.managers.sync.session_watch import SessionWatch
from clusterpass.managers.workers.sync import Worker
from clusterpass.model.errors import InvalidInput
from clusterpass.model.values import Session
from clusterpass.sessions.flows import Flows
from clusterpass.sessions.memory.followed_sessions import LOOK_SECONDS

_CLOSING_SECONDS: Final = 1.0


class Watching:
    """The sessions that callers of one manager watch."""

    def __init__(self, running: Running, flows: Flows) -> None:
        self._running: Final = running
        self._flows: Final = flows
        self._near: Final = flows.memory.near
        self._worker: Final = Worker(self._work, name="clusterpass-watching")

    def resume(self) -> None:
        """Look after the watches in this event loop, if that of the worker has ended."""
        if self._near.followers:
            self._worker.resume()

    def close(self) -> None:
        """End all watches: their iterations end without another change."""
        self._worker.stop(_CLOSING_SECONDS)
        self._near.wake_followers()

    def watch(self, session: Session) -> SessionWatch:
        """Return the reports about ``session``, which is followed from the first one on.

        Raises InvalidInput and SessionUnknown for what is no session.
        """
        if not isinstance(session, Session):
            raise InvalidInput("session must be a Session, as verify or get returns it")
        return SessionWatch(self._running, self._flows, self._worker, session)

    def _work(self) -> None:
        while self._near.look_after_followers() and not self._worker.is_stopping:
            self._worker.wait(LOOK_SECONDS)
