"""One log line for each request, and what it may hold.

- Never a header, a body, a query string, nor the message of an unexpected exception: any of them
  may hold a token or a password. Of an exception its type and its frames are kept.
- A long segment of a path is cut: no path of ours has one, and it may be a token gone astray.
- The logger is passed on; there is no global configuration.
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

from clusterpass.service.bodies.problems import of_status

FACTS: Final = "clusterpass.facts"
"""The key in an ASGI scope of a dict: what a route adds to the line of its request."""
REQUEST_ID: Final = b"x-request-id"
"""The name of the header, as ASGI has it."""
_SAFE_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_START_ID: Final = secrets.token_hex(6).encode()
_numbers: Final = itertools.count()
_LONG_SEGMENT: Final = re.compile(r"[^/]{41,}")
_LONGEST_PATH: Final = 200
_MOST_FRAMES: Final = 12


def make_logger(log_format: Literal["json", "console"], stream: TextIO | None = None) -> Any:
    """A logger that writes to ``stream``, by default to the standard output."""
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
    """ASGI middleware, outside of the rest: names and logs requests, answers unforeseen errors."""

    def __init__(self, app: ASGIApp, *, logger: Any) -> None:
        """``logger``: as made by :func:`make_logger`."""
        self._app = app
        self._logger = logger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on and log the outcome."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        named = (value for name, value in scope["headers"] if name == REQUEST_ID)
        id_of_this = request_id(next(named, None)).decode()
        facts: dict[str, Any] = {}
        scope = {**scope, FACTS: facts}
        status = 0
        started = time.perf_counter()

        async def with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = id_of_this
            await send(message)

        try:
            await self._app(scope, receive, with_id)
        except Exception as error:  # noqa: BLE001 (the last line of defence)
            facts.update(describe_fault(error))
            if not status:
                problem = of_status(500, "The request could not be served.")
                await problem.response()(scope, receive, with_id)
        finally:
            log = self._logger.error if "fault" in facts else self._logger.info
            log(
                "request",
                method=scope["method"],
                path=_loggable_path(scope["path"]),
                status=status,
                milliseconds=round((time.perf_counter() - started) * 1000, 2),
                request_id=id_of_this,
                **facts,
            )


def describe_fault(error: BaseException) -> dict[str, Any]:
    """The type of an exception and where it was raised; not its message."""
    frames = traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
    return {
        "fault": f"{type(error).__module__}.{type(error).__qualname__}",
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }


def request_id(given: bytes | None) -> bytes:
    """The id that the request came with, if it is one; otherwise a new one, which is no secret."""
    if given is not None and _SAFE_REQUEST_ID.fullmatch(given):
        return given
    return b"%s%08x%012x" % (_START_ID, os.getpid(), next(_numbers))


def _loggable_path(path: str) -> str:
    cut = _LONG_SEGMENT.sub("[cut]", path)[:_LONGEST_PATH]
    return quote(cut, safe="/[]:@-._~!$&'()*+,;=", errors="replace")
