"""One log line per request.

- Headers, bodies, query strings and messages of unexpected exceptions are never logged: any of them
  may contain a token or a password. Of an exception, the type and the stack frames are logged.
- Long path segments are cut: no route has one, so it may be a misplaced token.
- The logger is passed in; there is no global logging configuration.
"""

import itertools
import os
import re
import secrets
import sys
import time
import traceback
from typing import Any, Final, Literal, TextIO
from urllib.parse import quote

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clusterpass.service.bodies.problem_responses import problem_response
from clusterpass.web.problems import of_status

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


def make_logger(log_format: Literal["json", "console"], stream: TextIO | None = None) -> Any:
    """Return a logger that writes to ``stream``, by default standard output."""
    stream = stream or sys.stdout
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    return structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
    )


class RequestLog:
    """ASGI middleware that adds request ids, logs requests, and turns exceptions into a 500."""

    def __init__(self, app: ASGIApp, *, logger: Any) -> None:
        """``logger``: a structlog logger, as from :func:`make_logger`."""
        self._app = app
        self._logger = logger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and log the outcome."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = (value for name, value in scope["headers"] if name == REQUEST_ID)
        this_id = request_id(next(given, None)).decode()
        fields: dict[str, Any] = {}
        scope = {**scope, LOG_FIELDS: fields}
        status = 0
        started = time.perf_counter()

        async def with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = this_id
            await send(message)

        try:
            await self._app(scope, receive, with_id)
        except Exception as error:  # noqa: BLE001 (the last resort)
            fields.update(describe_exception(error))
            if not status:
                problem = of_status(500, "The request could not be processed.")
                await problem_response(problem)(scope, receive, with_id)
        finally:
            log = self._logger.error if "fault" in fields else self._logger.info
            log(
                "request",
                method=scope["method"],
                path=_loggable_path(scope["path"]),
                status=status,
                milliseconds=round((time.perf_counter() - started) * 1000, 2),
                request_id=this_id,
                **fields,
            )


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
    return b"%s%08x%012x" % (_START_ID, os.getpid(), next(_numbers))


def _loggable_path(path: str) -> str:
    cut = _LONG_SEGMENT.sub("[cut]", path)[:_LONGEST_PATH]
    return quote(cut, safe="/[]:@-._~!$&'()*+,;=", errors="replace")
