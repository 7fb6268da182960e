"""Requests of one load: the same method and path, each with its own header, body or refresh token.

The headers, bodies and tokens take turns.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Mode = Literal["header", "body", "rotate"]


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests to one path that differ in one line each."""

    mode: Mode
    """What a line is: a header, a body, or a refresh token, whose successor takes its place."""
    method: str
    path: str
    lines: Callable[[], Sequence[str]]
    """Called for each load, since refresh tokens are used up."""
    host: str = ""
    """The Host header; empty: the address and the port."""

    def as_bytes(self, line: str, port: int) -> bytes:
        """The request of ``line`` over HTTP/1.1."""
        host = self.host or f"127.0.0.1:{port}"
        head = f"{self.method} {self.path} HTTP/1.1\r\nHost: {host}\r\n"
        if self.mode == "header":
            return f"{head}{line}\r\n\r\n".encode()
        body = line if self.mode == "body" else f'{{"refresh_token":"{line}"}}'
        length = len(body.encode())
        return (
            f"{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ).encode()


def verifies(lines: Sequence[str]) -> Requests:
    """``GET /verify`` with each of the headers in turn."""
    return Requests("header", "GET", "/verify", lambda: lines)
