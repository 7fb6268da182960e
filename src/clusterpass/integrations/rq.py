"""ClusterPass in RQ: jobs that run for a session, if it is still live when they begin.

cp = ClusterPass()  # CLUSTERPASS_STORE_URL, ...

@cp.session_required(scope="reports:write")
def build_report(month):
    return f"{month} for {current_session().subject}"

enqueue(queue, build_report, "May", session=session)
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final, TypeVar, cast

from rq import Queue, get_current_job
from rq.job import Job

from clusterpass.integrations.jobs import (
    SESSION,
    SUBJECT,
    JobSessions,
    OfSession,
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
from clusterpass.model.errors import ClusterPassError, StoreUnavailable
from clusterpass.model.values import Session
from clusterpass.web.gate import Needs

Function = TypeVar("Function", bound=Callable[..., Any])


class ClusterPass:
    """Sessions in the functions that RQ runs.

    The process that runs a job opens a manager at the first one that needs it. RQ's ``Worker``
    forks a process for each job, and each has connections of its own.
    """

    def __init__(self, sessions: SessionManager | None = None, **settings: Any) -> None:
        """``sessions``: a manager of your own, which you also close.

        ``settings``: ``store_url`` and the settings of ``Config``; what is not given is read from
        ``CLUSTERPASS_*`` variables. Raises ConfigurationError for an unsafe setting.
        """
        self._jobs: Final = JobSessions(sessions, settings)

    @property
    def sessions(self) -> SessionManager:
        """The session manager of this process."""
        return self._jobs.open()

    def close(self) -> None:
        """Close the manager of this process, unless it is your own one."""
        self._jobs.close()

    def session_required(
        self,
        *,
        scope: str | Iterable[str] = (),
        level: str | None = None,
        max_auth_age: int | None = None,
        not_banned: str | None = None,
    ) -> Callable[[Function], Function]:
        """Return a decorator for functions, also asynchronous ones, that need a live session.

        ``scope``: one scope or several, which the session must all have when the job begins;
        wildcards count. ``level``: the lowest sufficient level of the login. ``max_auth_age``: the
        oldest login allowed, in seconds. ``not_banned``: a scope from which the subject must not be
        banned. A job that is refused fails with the error that says why, and RQ does not retry it.
        StoreUnavailable is raised in an outage: then the job's own ``Retry`` applies.
        """
        needs = needs_of(scope, level, max_auth_age, not_banned)

        def decorate(function: Function) -> Function:
            if inspect.iscoroutinefunction(function):

                @functools.wraps(function)
                async def awaited(*args: Any, **kwargs: Any) -> Any:
                    with self._admitted(needs):
                        return await function(*args, **kwargs)

                return cast("Function", awaited)

            @functools.wraps(function)
            def wrapped(*args: Any, **kwargs: Any) -> Any:
                with self._admitted(needs):
                    return function(*args, **kwargs)

            return cast("Function", wrapped)

        return decorate

    def _admitted(self, needs: Needs) -> AbstractContextManager[None]:
        job, session = get_current_job(), found_session()
        carried: Mapping[str, Any] = {} if job is None else job.meta
        is_within_job = job is not None and is_within(job.id)
        is_named = SUBJECT in carried or SESSION in carried
        if session is not None and (is_within_job or not is_named):
            carried = for_session(session)  # of the caller
        try:
            found = admit(self.sessions, carried, needs)
        except StoreUnavailable:
            raise
        except ClusterPassError:
            if job is not None and not is_within_job:
                job.retries_left = 0
            raise
        return running(found, None if job is None else job.id)


def acting_for(session: Session) -> AbstractContextManager[None]:
    """Return a context in which ``session`` is the current one, whatever the job carries."""
    job = get_current_job()
    return running(session, None if job is None else job.id)


def enqueue(
    queue: Queue,
    function: Callable[..., Any] | str,
    /,
    *args: Any,
    session: OfSession,
    **options: Any,
) -> Job:
    """Enqueue ``function`` for ``session``, and return the job.

    ``function``: the function, or its dotted path. ``session``: a Session, a TokenPair or the
    AccessClaims of a token; the job's ``meta`` carries its subject and its id. ``options``: the
    arguments of the function by name, and the options of ``Queue.enqueue``. Raises InvalidInput
    when an argument holds a token, and when ``session`` names no session.
    """
    refuse_tokens(args, options)
    meta = {**(options.pop("meta", None) or {}), **for_session(session)}
    return queue.enqueue(cast("Any", function), *args, meta=meta, **options)


__all__ = ["ClusterPass", "acting_for", "current_session", "enqueue", "for_session"]
