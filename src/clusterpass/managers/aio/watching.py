"""Follows sessions for callers that watch them, at no cost to the servers while nothing changes.

The nodes push the names of changed keys once for the whole process. A few times a second, one
worker looks after the sessions that have had no news for a while.
"""

from typing import Final

from clusterpass.managers.aio.running import AsyncRunning
from clusterpass.managers.aio.session_watch import AsyncSessionWatch
from clusterpass.managers.workers.aio import AsyncWorker
from clusterpass.model.errors import InvalidInput
from clusterpass.model.values import Session
from clusterpass.sessions.flows import Flows
from clusterpass.sessions.memory.followed_sessions import LOOK_SECONDS

_CLOSING_SECONDS: Final = 1.0


class AsyncWatching:
    """The sessions that callers of one manager watch."""

    def __init__(self, running: AsyncRunning, flows: Flows) -> None:
        self._running: Final = running
        self._flows: Final = flows
        self._near: Final = flows.memory.near
        self._worker: Final = AsyncWorker(self._work, name="clusterpass-watching")

    def resume(self) -> None:
        """Look after the watches in this event loop, if that of the worker has ended."""
        if self._near.followers:
            self._worker.resume()

    async def close(self) -> None:
        """End all watches: their iterations end without another change."""
        await self._worker.stop(_CLOSING_SECONDS)
        self._near.wake_followers()

    def watch(self, session: Session) -> AsyncSessionWatch:
        """Return the reports about ``session``, which is followed from the first one on.

        Raises InvalidInput and SessionUnknown for what is no session.
        """
        if not isinstance(session, Session):
            raise InvalidInput("session must be a Session, as verify or get returns it")
        return AsyncSessionWatch(self._running, self._flows, self._worker, session)

    async def _work(self) -> None:
        while self._near.look_after_followers() and not self._worker.is_stopping:
            await self._worker.wait(LOOK_SECONDS)
