"""Responses of the hot paths: errors, headers of every response, the request id, the log line."""

import time
from collections.abc import Awaitable
from typing import Any, Final, NamedTuple, TypeVar

from clusterpass import (
    ClusterPassError,
    acting,
)
from clusterpass.service.asgi.messages import Headers, Scope, Send, first_header
from clusterpass.service.asgi.problems import problem_headers
from clusterpass.service.asgi.request_counts import RequestCounts
from clusterpass.service.asgi.request_log import (
    REQUEST_ID,
    Line,
    describe_exception,
    log_request,
    note_error,
    request_id,
    unexpected,
)
from clusterpass.service.asgi.security_headers import DEFAULTS
from clusterpass.web.problems import Problem


class Answer(NamedTuple):
    """A response, without the headers that every response has."""

    status: int
    headers: Headers
    body: bytes = b""
    is_logged: bool = True


Maybe = TypeVar("Maybe", Answer, Answer | None)


async def settled(answering: Awaitable[Maybe], fields: dict[str, Any]) -> Maybe | Answer:
    """Return the answer, or the one that reports the error which ``answering`` raises.

    ``answering``: returns None when the client has left. ``fields``: of the log line; an error adds
    what it is.
    """
    try:
        return await answering
    except Exception as error:  # noqa: BLE001 (the last resort)
        return _answer_error(error, fields)


def _answer_error(error: Exception, fields: dict[str, Any]) -> Answer:
    if isinstance(error, ClusterPassError):
        return answer_problem(note_error(fields, error))
    fields.update(describe_exception(error))
    return answer_problem(unexpected())


def answer_problem(problem: Problem) -> Answer:
    """Return the answer that reports ``problem``."""
    body = problem.body()
    return Answer(problem.status, problem_headers(problem, body), body)


class Responder:
    """Responds to the requests of the hot paths of one application."""

    def __init__(self, logger: Any, requests: RequestCounts) -> None:
        """As for :class:`clusterpass.service.asgi.request_log.RequestLog`."""
        self._logger: Final = logger
        self._requests: Final = requests

    async def respond(
        self,
        scope: Scope,
        send: Send,
        answering: Awaitable[Answer | None],
        fields: dict[str, Any],
        started: float | None = None,
        *,
        path: str | None = None,
        route: tuple[str, str] | None = None,
    ) -> None:
        """Send the answer, or the error that ``answering`` raises, and log the request.

        ``answering``: returns None when the client has left. ``fields``: what it adds to the log
        line. ``started``: when the request arrived; None: now. ``path``: what the log says of the
        path, where that is no constant. ``route``: what counts as route and method; None: those of
        the request, whose path is a constant.
        """
        this_id = request_id(first_header(scope, REQUEST_ID))
        started = time.perf_counter() if started is None else started
        status, is_logged = 0, True
        try:
            if scope["method"] == "POST":  # what may be in the audit trail
                with acting(via="http", request_id=this_id.decode()):
                    answer = await settled(answering, fields)
            else:
                try:  # as in `settled`, without a coroutine more
                    answer = await answering
                except Exception as error:  # noqa: BLE001 (the last resort)
                    answer = _answer_error(error, fields)
            if answer is not None:
                status, is_logged = answer.status, answer.is_logged
                headers = [*answer.headers, *DEFAULTS, (REQUEST_ID, this_id)]
                await send({"type": "http.response.start", "status": status, "headers": headers})
                body = b"" if scope["method"] == "HEAD" else answer.body
                await send({"type": "http.response.body", "body": body})
        except Exception as error:  # noqa: BLE001 (the connection is of no use any more)
            fields.update(describe_exception(error))
        finally:
            counted, method = route or (scope["path"], scope["method"])
            self._requests.note(counted, method, status, started)
            if is_logged:
                # The paths are constants, so nothing in them has to be cut.
                line = Line(path or scope["path"], status, started, this_id)
                log_request(self._logger, scope["method"], line, fields)
