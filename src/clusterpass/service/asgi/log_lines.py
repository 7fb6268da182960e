"""Loggers that write one line for each event: for programs, as JSON, or for reading.

There is no global logging configuration. The lines of one turn of the event loop are written in one
go: a system call for each line would cost more than the line.
"""

import asyncio
import json
import sys
import time
from typing import Any, Final, Literal, Protocol, TextIO

from pydantic_core import PydanticSerializationError, to_json

_in_ascii: Final = json.JSONEncoder(default=repr, separators=(",", ":")).encode


class Stream(Protocol):
    """A stream to which log lines are written."""

    def write(self, text: str, /) -> object:
        """Write ``text``."""

    def flush(self) -> object:
        """Pass on what was written."""


def make_logger(log_format: Literal["json", "console"], stream: TextIO | None = None) -> Any:
    """Return a logger that writes to ``stream``, by default standard output.

    To a ``stream`` that is given each line is written at once.
    """
    target: Stream = GatheredLines(sys.stdout) if stream is None else stream
    if log_format == "json":
        return JsonLines(target)
    return _console_logger(target, colors=(stream or sys.stdout).isatty())


class JsonLines:
    """Writes events as JSON objects, in ASCII."""

    def __init__(self, stream: Stream) -> None:
        self._stream: Final = stream
        self._second = -1
        self._date = ""
        """The current second, as it is written."""

    def info(self, event: str, **fields: Any) -> None:
        """Write the line of an ordinary event."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Write the line of an event that somebody should look at."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Write the line of an error."""
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        fields["event"], fields["level"] = event, level
        fields["timestamp"] = self._now()
        self._stream.write(f"{_as_json(fields)}\n")
        self._stream.flush()

    def _now(self) -> str:
        second, fraction = divmod(time.time_ns() // 1000, 1_000_000)
        if second != self._second:
            self._second = second
            self._date = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._date}.{fraction:06d}Z"


def _as_json(fields: dict[str, Any]) -> str:
    try:
        encoded = to_json(fields, fallback=repr)
    except PydanticSerializationError:  # a lone surrogate
        return _in_ascii(fields)
    return encoded.decode("ascii") if encoded.isascii() else _in_ascii(fields)


class GatheredLines:
    """A stream that keeps what is written until the event loop has done what is due."""

    def __init__(self, stream: TextIO) -> None:
        self._stream: Final = stream
        self._texts: list[str] = []

    def write(self, text: str, /) -> None:
        """Write ``text`` soon; at once where no event loop runs."""
        self._texts.append(text)
        if len(self._texts) == 1:
            try:
                asyncio.get_running_loop().call_soon(self._write_all)
            except RuntimeError:
                self._write_all()

    def flush(self) -> None:
        """Do nothing: what was written is passed on soon."""

    def _write_all(self) -> None:
        text = "".join(self._texts)
        self._texts.clear()
        self._stream.write(text)
        self._stream.flush()


def _console_logger(stream: Stream, *, colors: bool) -> Any:
    import structlog  # noqa: PLC0415 (the other format does without)

    return structlog.wrap_logger(
        structlog.WriteLogger(stream),  # type: ignore[arg-type]
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=colors),
        ],
    )
