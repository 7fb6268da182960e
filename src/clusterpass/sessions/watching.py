"""The changes that are reported to the watcher of a session: differences between two readings."""

from dataclasses import replace
from typing import Final

from clusterpass.model.authentication_errors import AuthenticationError
from clusterpass.model.errors import StoreUnavailable
from clusterpass.model.values import Session, SessionChange

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0


class Watched:
    """The state of a session as its watcher was last told. Nothing here sends anything."""

    def __init__(self, session: Session) -> None:
        """``session``: the session as the watcher knows it."""
        self._session = session
        self._is_available = True
        self._pause = _FIRST_PAUSE

    def read(self, session: Session) -> SessionChange | None:
        """Return what to report after ``session`` was read; None: nothing."""
        before, self._session = self._session, session
        was_available, self._is_available = self._is_available, True
        self._pause = _FIRST_PAUSE
        if _essence(session) != _essence(before):
            return SessionChange("changed", session)
        return None if was_available else SessionChange("available", session)

    def ended(self, error: AuthenticationError) -> SessionChange:
        """Return what to report after the session was found to be over."""
        return SessionChange("ended", self._session, error)

    def unavailable(self, error: StoreUnavailable) -> SessionChange | None:
        """Return what to report after the store did not answer; None: it was reported before."""
        if not self._is_available:
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            return None
        self._is_available = False
        return SessionChange("unavailable", self._session, error)

    def seconds_to_wait(self) -> float | None:
        """Return for how long to wait before the session is read again; None: until it changes."""
        return None if self._is_available else self._pause


def _essence(session: Session) -> Session:
    """Return ``session`` without what use, refreshes and step-ups change.

    A step-up applies to tokens, and a session that is watched was read without one.
    """
    return replace(
        session,
        active_at=0,
        refreshed_at=0,
        expires_at=0,
        auth_time=0,
        acr="",
        amr=(),
        in_grace=False,
        is_stateless=False,
    )
