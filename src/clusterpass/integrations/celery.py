"""ClusterPass in Celery: tasks that run for a session, if it is still live when they begin.

cp = ClusterPass(app)  # CLUSTERPASS_STORE_URL, ...

@app.task(base=session_required(scope="reports:write"))
def build_report(month):
    return f"{month} for {current_session().subject}"

build_report.apply_async(("May",), headers=for_session(session))
"""

import random
import weakref
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from celery import Celery, Task, signals

from clusterpass.integrations.jobs import (
    SESSION,
    SUBJECT,
    JobSessions,
    acting_for,
    admit,
    current_session,
    for_session,
    found_session,
    is_within,
    needs_of,
    refuse_tokens,
    running,
)
from clusterpass.managers.sync.manager import SessionManager
from clusterpass.model.authentication_errors import AuthenticationError
from clusterpass.model.errors import (
    ConfigurationError,
    ScopeMissing,
    StoreUnavailable,
    SubjectBanned,
)
from clusterpass.web.gate import NO_NEEDS, Needs

if TYPE_CHECKING:
    _Task = Task[Any, Any]
else:
    _Task = Task  # no release before 5.7 can be subscripted

_LONGEST_PAUSE: Final = 600


class ClusterPass:
    """Sessions in the workers of one Celery application.

    Each process of a worker has a manager of its own: it is opened when the process starts, or at
    the first task that needs it, and closed when the process or the worker stops.
    """

    def __init__(
        self, app: Celery, sessions: SessionManager | None = None, **settings: Any
    ) -> None:
        """``app``: the application, whose tasks may then use :func:`session_required`.

        ``sessions``: a manager of your own, which you also close. ``settings``: ``store_url`` and
        the settings of ``Config``; what is not given is read from ``CLUSTERPASS_*`` variables.
        Raises ConfigurationError for an unsafe setting.
        """
        self._jobs: Final = JobSessions(sessions, settings)
        _owners[app] = self
        signals.worker_process_init.connect(self._open)
        signals.worker_process_shutdown.connect(self._close)
        signals.worker_shutdown.connect(self._close)

    @property
    def sessions(self) -> SessionManager:
        """The session manager of this process."""
        return self._jobs.open()

    def close(self) -> None:
        """Close the manager of this process, unless it is your own one."""
        self._jobs.close()

    def _open(self, **_: Any) -> None:
        self._jobs.open()

    def _close(self, **_: Any) -> None:
        self._jobs.close()


_owners: Final[weakref.WeakKeyDictionary[Celery, ClusterPass]] = weakref.WeakKeyDictionary()


class SessionTask(_Task):
    """A task that needs a live session; :func:`session_required` makes its classes."""

    abstract = True
    session_needs: Needs = NO_NEEDS
    throws = (AuthenticationError, ScopeMissing, SubjectBanned)
    """What a worker reports without a traceback."""

    def apply_async(
        self,
        args: Any = None,
        kwargs: Any = None,
        *rest: Any,
        headers: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Send the task with the session in ``headers``, else with the current one.

        Takes what Celery's ``apply_async`` does. Raises InvalidInput when an argument holds a
        token.
        """
        sent = dict(headers or {})
        refuse_tokens(args or (), {**(kwargs or {}), **sent})
        session = found_session()
        if session is not None and SUBJECT not in sent and SESSION not in sent:
            sent |= for_session(session)
        return super().apply_async(args, kwargs, *rest, headers=sent, **options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task if the session that it carries is live and as needed.

        Celery retries the task while the store cannot be reached, up to ``max_retries``. Any other
        refusal is raised, and no ``autoretry_for`` of the task applies to it.
        """
        try:
            session = admit(_owner_of(self.app).sessions, self._carried(), self.session_needs)
        except StoreUnavailable as error:
            raise self.retry(exc=error, countdown=_pause(self.request.retries)) from error
        with running(session, self.request.id):
            inner: Any = super().__call__
            if self.request.called_directly or inner.__func__ is not Task.__call__:
                return inner(*args, **kwargs)
            # Celery's own would replace the request of the message.
            return self.run(*args, **kwargs)

    def _carried(self) -> Mapping[str, Any]:
        request = self.request
        headers = request.headers or {}
        session = found_session()
        is_local = request.called_directly or request.is_eager
        is_named = SUBJECT in headers or SESSION in headers
        if session is not None and ((is_local and not is_named) or is_within(request.id)):
            return for_session(session)
        return headers


def session_required(
    *,
    scope: str | Iterable[str] = (),
    level: str | None = None,
    max_auth_age: int | None = None,
    not_banned: str | None = None,
    base: type[_Task] = Task,
) -> type[_Task]:
    """Return the base class of a task that needs a live session: ``@app.task(base=...)``.

    ``scope``: one scope or several, which the session must all have when the task begins;
    wildcards count. ``level``: the lowest sufficient level of the login. ``max_auth_age``: the
    oldest login allowed, in seconds. ``not_banned``: a scope from which the subject must not be
    banned. ``base``: a class of your own. A task that is refused fails with the error that says
    why, and is not retried; :func:`current_session` returns the session.
    """
    needs = needs_of(scope, level, max_auth_age, not_banned)
    members = {"abstract": True, "session_needs": needs, "__module__": __name__}
    return type("SessionTask", (SessionTask, base), members)


def _owner_of(app: Celery) -> ClusterPass:
    owner = _owners.get(app)
    if owner is None:
        raise ConfigurationError("call ClusterPass(app) where the Celery application is made")
    return owner


def _pause(retries: int) -> float:
    """Return seconds until the next try: doubled each time, and different for each task."""
    longest = min(_LONGEST_PAUSE, 2.0 ** min(retries, 10))
    return random.uniform(longest / 2, longest)  # noqa: S311 - no secret


__all__ = [
    "ClusterPass",
    "SessionTask",
    "acting_for",
    "current_session",
    "for_session",
    "session_required",
]
