# Generated from managers/aio/watching.py by scripts/generate_sync.py; do not edit.
"""Follows sessions for callers that watch them, at no cost to the servers while nothing changes.

The nodes push the names of changed keys once for the whole process. One worker looks, a few times a
second, after sessions of which nothing was heard lately.
"""

from collections.abc import Generator
from typing import Final

from clusterpass.managers.workers.sync import Alarm, Worker
from clusterpass.model.authentication_errors import AuthenticationError
from clusterpass.model.errors import InvalidInput, StoreUnavailable
from clusterpass.model.values import Session, SessionChange
from clusterpass.sessions.flows import Flows
from clusterpass.sessions.memory.followers import LOOK_SECONDS
from clusterpass.sessions.watching import Watched
from clusterpass.store.protocol import Store

_CLOSING_SECONDS: Final = 1.0


class Watching:
    """The sessions that callers of one manager watch."""

    def __init__(self, store: Store, flows: Flows) -> None:
        self._store: Final = store
        self._flows: Final = flows
        self._near: Final = flows.memory.near
        self._worker: Final = Worker(self._work, name="clusterpass-watching")

    def close(self) -> None:
        """End all watches: their iterations end without another change."""
        self._worker.stop(_CLOSING_SECONDS)
        self._near.wake_followers()

    def watch(self, session: Session, alarm: Alarm | None = None) -> Generator[SessionChange]:
        """Return the reports about ``session``; who passes an ``alarm`` ends them by it.

        Raises InvalidInput and SessionUnknown for what is no session.
        """
        if not isinstance(session, Session):
            raise InvalidInput("session must be a Session, as verify or get returns it")
        self._flows.get.check(session.subject, session.session_id)
        return self._watch(session, alarm)

    def _watch(self, session: Session, alarm: Alarm | None) -> Generator[SessionChange]:
        """Report what becomes of ``session``; the iteration ends after ``ended``, or on closing."""
        alarm = alarm or Alarm()
        followed = self._flows.get.followed(session.subject, session.session_id, alarm.set)
        watched = Watched(session)
        self._near.begin_following(followed)
        try:
            self._worker.wake()
            while not (self._worker.is_stopping or alarm.is_over):
                change: SessionChange | None = None
                try:
                    if followed.is_due:
                        change = watched.read(self._store.run(self._flows.get.read(followed)))
                except StoreUnavailable as error:
                    followed.is_due = True
                    change = watched.unavailable(error)
                except AuthenticationError as error:
                    change = watched.ended(error)
                if change is not None:
                    yield change
                    if change.kind == "ended":
                        return
                if not followed.is_due or watched.seconds_to_wait() is not None:
                    alarm.wait(watched.seconds_to_wait())
        finally:
            self._near.end_following(followed)

    def _work(self) -> None:
        while self._near.look_after_followers() and not self._worker.is_stopping:
            self._worker.wait(LOOK_SECONDS)
