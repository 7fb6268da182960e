"""Middleware that gives each request an id and a log line, and answers unexpected exceptions.

- Headers, bodies, query strings and messages of unexpected exceptions are never logged: any of them
  may contain a token or a password. Of an exception, the type and the stack frames are logged.
- Long path segments are cut: no route has one, so it may be a misplaced token.
"""

import itertools
import os
import re
import secrets
import time
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from clusterpass import (
    ClusterPassError,
    acting,
)
from clusterpass.service.asgi.messages import App, Message, Receive, Scope, Send, first_header
from clusterpass.service.asgi.problems import send_problem
from clusterpass.service.asgi.request_counts import RequestCounts
from clusterpass.service.asgi.trace_context import TRACE_IDS
from clusterpass.web.problems import Problem, of_error, of_status

LOG_FIELDS: Final = "clusterpass.facts"
"""The key in an ASGI scope of a dict: the fields that a route adds to its log line."""
REQUEST_ID: Final = b"x-request-id"
"""The name of the header, as ASGI passes it."""
_SAFE_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_START_ID: Final = secrets.token_hex(6).encode()
_numbers: Final = itertools.count()
_LONG_SEGMENT: Final = re.compile(r"[^/]{41,}")
_LONGEST_PATH: Final = 200
_MOST_FRAMES: Final = 12
_NOTEWORTHY: Final = frozenset({429, 502, 503, 504})
"""Statuses by which a request was turned away although there was nothing wrong with it."""


class _Prefix:
    """What the ids begin with that one process makes: another one than in its parent."""

    of_process = b""

    @classmethod
    def renew(cls) -> None:
        cls.of_process = b"%s%08x" % (_START_ID, os.getpid())


_Prefix.renew()
os.register_at_fork(after_in_child=_Prefix.renew)


class RequestLog:
    """ASGI middleware that adds request ids, logs requests, and turns exceptions into a 500."""

    def __init__(
        self,
        app: App,
        *,
        logger: Any,
        requests: RequestCounts | None = None,
        route_of: Callable[[str], str] = str,
    ) -> None:
        """``logger``: as from :func:`clusterpass.service.asgi.log_lines.make_logger`.

        ``requests``: counts the requests; None: nobody does. ``route_of``: returns the route of a
        path, for that.
        """
        self._app = app
        self._logger = logger
        self._requests = requests
        self._route_of = route_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and log the outcome."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        this_id = request_id(first_header(scope, REQUEST_ID))
        fields: dict[str, Any] = {}
        scope = {**scope, LOG_FIELDS: fields}
        status = 0
        started = time.perf_counter()

        async def with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                others = (each for each in message["headers"] if each[0].lower() != REQUEST_ID)
                message = {**message, "headers": [*others, (REQUEST_ID, this_id)]}
            await send(message)

        try:
            with acting(via="http", request_id=this_id.decode()):
                await self._app(scope, receive, with_id)
        except Exception as error:  # noqa: BLE001 (the last resort)
            fields.update(describe_exception(error))
            if not status:
                await send_problem(unexpected(), with_id)
        finally:
            path = _loggable_path(scope["path"])
            method, line = scope["method"], Line(path, status, started, this_id)
            if self._requests is not None:
                self._requests.note(self._route_of(scope["path"]), method, status, started)
            log_request(self._logger, method, line, fields)


class Line(NamedTuple):
    """The fields that every line of the log has."""

    path: str
    """Without what may be secret."""
    status: int
    """Of the response; 0: there was none."""
    started: float
    """When the request arrived, in seconds of ``time.perf_counter``."""
    this_id: bytes
    """The id of the request."""


def log_request(logger: Any, method: str, line: Line, fields: Mapping[str, Any]) -> None:
    """Write the line of a request. ``fields``: what a route has added."""
    log = logger.info
    if "fault" in fields or line.status == 500:
        log = logger.error
    elif line.status in _NOTEWORTHY:
        log = logger.warning
    log(
        "request",
        method=method,
        path=line.path,
        status=line.status,
        milliseconds=int((time.perf_counter() - line.started) * 100_000) / 100,
        request_id=line.this_id.decode(),
        **TRACE_IDS.get(),
        **fields,
    )


def unexpected() -> Problem:
    """Return the problem that stands for an exception that nothing has expected."""
    return of_status(500, "The request could not be processed.")


def note_error(fields: MutableMapping[str, Any], error: ClusterPassError) -> Problem:
    """Add ``error`` to the fields of a log line; return the problem that the client is told."""
    fields["error"] = error.code
    if error.reason is not None:
        fields["reason"] = error.reason
    problem = of_error(error)
    if problem.status == 500:
        fields.update(describe_exception(error))
    return problem


def describe_exception(error: BaseException) -> dict[str, Any]:
    """Return the log fields for an exception: its type and stack frames, never its message."""
    frames = traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
    return {
        "fault": f"{type(error).__module__}.{type(error).__qualname__}",
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }


def request_id(given: bytes | None) -> bytes:
    """Return the id that the client sent, if it is well-formed; otherwise a new one."""
    if given is not None and _SAFE_REQUEST_ID.fullmatch(given):
        return given
    return b"%s%012x" % (_Prefix.of_process, next(_numbers))


def _loggable_path(path: str) -> str:
    cut = _LONG_SEGMENT.sub("[cut]", path)[:_LONGEST_PATH]
    return quote(cut, safe="/[]:@-._~!$&'()*+,;=", errors="replace")
