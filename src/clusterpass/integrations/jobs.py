"""Shared code of the integrations with job queues: the session of a job, and its admission.

A job carries the subject and the id of a session, never a token: a broker keeps what it is given,
and an access token would expire before the job runs. When the job begins, its worker reads the
session from the store.
"""

import contextlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final, Protocol

from clusterpass.integrations.settings import set_up
from clusterpass.managers.sync.manager import SessionManager
from clusterpass.model.authentication_errors import InvalidRefreshToken, TokenMissing
from clusterpass.model.clock import clock_in_use
from clusterpass.model.errors import ConfigurationError, InvalidInput
from clusterpass.model.forks import renew_in_child
from clusterpass.model.values import Session, TokenPair
from clusterpass.sessions.authentication import claimed_authentication, require_authentication
from clusterpass.sessions.check_arguments import check_level
from clusterpass.store.drivers.watch_thread import has_green_threads
from clusterpass.tokens.encoding import decode_base64url, decode_json_object
from clusterpass.tokens.identifiers import check_subject, is_session_id
from clusterpass.tokens.refresh import parse_refresh_token
from clusterpass.web.gate import Needs
from clusterpass.web.needs import scope_names

SUBJECT: Final = "clusterpass-subject"
"""The name under which a job carries the subject of its session."""
SESSION: Final = "clusterpass-session"
"""The name under which a job carries the id of its session."""
_MOST_VALUES: Final = 1000
_ACCESS_TOKEN_TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})
_current: Final[ContextVar[Session | None]] = ContextVar("clusterpass_session_of_job", default=None)
_running: Final[ContextVar[str | None]] = ContextVar("clusterpass_running_job", default=None)


class OfSession(Protocol):
    """A value that names a session: a Session, a TokenPair, or the AccessClaims of a token."""

    @property
    def subject(self) -> str:
        """The user whose session it is."""

    @property
    def session_id(self) -> str:
        """The id of the session."""


class JobSessions:
    """The session manager of the jobs of one process, which is opened at first use.

    Thread-safe. A forked child has connections of its own.
    """

    def __init__(self, sessions: SessionManager | None, settings: Mapping[str, Any]) -> None:
        """``sessions``: a manager of the application's own, which it also closes; None: one is
        opened with ``settings``, where what is not given is read from ``CLUSTERPASS_*`` variables.

        Raises ConfigurationError for an unsafe setting, and when both are given.
        """
        if sessions is not None and settings:
            raise ConfigurationError("give either a session manager or settings")
        self._own: Final = sessions
        self._setup: Final = set_up(settings) if sessions is None else None
        self._opened: SessionManager | None = None
        self._lock = threading.Lock()
        renew_in_child(self)

    def begin_anew(self) -> None:
        """Replace the lock, which the parent may hold; the manager renews itself."""
        self._lock = threading.Lock()

    def open(self) -> SessionManager:
        """Open the manager, unless it is open, and return it."""
        if self._own is not None:
            return self._own
        assert self._setup is not None
        with self._lock:
            if self._opened is None:
                config = self._setup.config
                if has_green_threads() and "verification" not in self._setup.chosen:
                    config = replace(config, verification="strict")
                self._opened = SessionManager.from_url(self._setup.store_url, config)
            return self._opened

    def close(self) -> None:
        """Close the manager, unless it is the application's own one. It may be opened again."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()


def needs_of(
    scope: str | Iterable[str],
    level: str | None,
    max_auth_age: int | None,
    not_banned: str | None,
) -> Needs:
    """Return what a job requires of its session; the arguments are those of session_required."""
    scopes = scope_names(scope)
    return Needs(scopes=scopes, level=level, max_auth_age=max_auth_age, not_banned=not_banned)


def for_session(session: OfSession) -> dict[str, str]:
    """Return what a job carries of ``session``: the subject and the session id, and no token.

    ``session``: a Session, a TokenPair or the AccessClaims of a token. The values are the headers
    of a Celery task, and a part of the ``meta`` of an RQ job. Raises InvalidInput when ``session``
    names no session.
    """
    if not is_session_id(session.session_id):
        raise InvalidInput("session_id is not the id of a session")
    return {SUBJECT: check_subject(session.subject), SESSION: session.session_id}


@contextlib.contextmanager
def acting_for(session: Session) -> Iterator[None]:
    """Return a context in which ``session`` is the current one."""
    mark = _current.set(session)
    try:
        yield
    finally:
        _current.reset(mark)


@contextlib.contextmanager
def running(session: Session, job: str | None) -> Iterator[None]:
    """Return a context in which ``session`` is the current one, in the job with that id."""
    mark = _running.set(job)
    try:
        with acting_for(session):
            yield
    finally:
        _running.reset(mark)


def is_within(job: str | None) -> bool:
    """Return whether the code that runs now was called by that job, which was admitted."""
    return job is not None and _running.get() == job


def found_session() -> Session | None:
    """Return the session of the running job, or of ``acting_for``; None: there is none."""
    return _current.get()


def current_session() -> Session:
    """Return the session of the running job, as it was in the store when the job began.

    Raises TokenMissing outside of jobs that need a session.
    """
    session = _current.get()
    if session is None:
        raise TokenMissing("No job that needs a session is running.")
    return session


def admit(sessions: SessionManager, carried: Mapping[str, Any], needs: Needs) -> Session:
    """Return the live session that a job carries, if it is as the job ``needs``. One round trip.

    ``carried``: the headers or the ``meta`` of the job. Raises TokenMissing when they name no
    session; SessionRevoked, SessionExpired or SessionUnknown when it is not live; ScopeMissing,
    SubjectBanned or StepUpRequired when it is not as needed; InvalidInput for an unknown level; and
    StoreUnavailable.
    """
    subject, session_id = carried.get(SUBJECT), carried.get(SESSION)
    if subject is None or session_id is None:
        raise TokenMissing("The job carries no session; enqueue it with one.")
    config = sessions.config
    if needs.level is not None:
        check_level(config.levels, needs.level)
    session = sessions.get(subject, session_id)
    needs.check(session)
    known = (claimed_authentication(config, session),)
    now = clock_in_use(for_tests=sessions.store.keyspace.is_for_tests).wall()
    require_authentication(config, known, now, needs.level, needs.max_auth_age)
    return session


def refuse_tokens(args: Iterable[Any], kwargs: Mapping[str, Any]) -> None:
    """Return if no argument of a job is or holds one of our tokens.

    Looks into lists, tuples, sets and dictionaries, at up to 1,000 values of each argument. Raises
    InvalidInput, which names the argument and not its value.
    """
    named = [(f"number {place}", value) for place, value in enumerate(args, 1)]
    for name, value in [*named, *((str(name), value) for name, value in kwargs.items())]:
        if _holds_token(value):
            raise InvalidInput(
                f"argument {name} of the job holds a token; a job carries the session instead"
            )


def _holds_token(value: Any) -> bool:
    waiting, seen = [value], 0
    while waiting and seen < _MOST_VALUES:
        each = waiting.pop()
        seen += 1
        if isinstance(each, TokenPair):
            return True
        if isinstance(each, str | bytes):
            if _is_token(each.decode("ascii", "replace") if isinstance(each, bytes) else each):
                return True
        elif isinstance(each, Mapping):
            waiting.extend(each.values())
        elif isinstance(each, Sequence | set | frozenset):
            waiting.extend(each)
    return False


def _is_token(text: str) -> bool:
    """Return whether ``text`` has the form of a token, with or without the word Bearer."""
    stripped = text.strip()
    if stripped[:7].lower() == "bearer ":
        stripped = stripped[7:].lstrip()
    try:
        parse_refresh_token(stripped)
    except InvalidRefreshToken:
        pass
    else:
        return True
    if not stripped.startswith("eyJ") or stripped.count(".") != 2:
        return False
    try:
        header = decode_json_object(decode_base64url(stripped.partition(".")[0]))
    except ValueError:
        return False
    kind = header.get("typ")
    return isinstance(kind, str) and kind.lower() in _ACCESS_TOKEN_TYPES
