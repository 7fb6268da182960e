"""Requests to a service on this machine, and when that counts as healthy."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from clusterpass.cli.local_service import ask, await_condition, is_healthy
from clusterpass.model.errors import LocalServerFailed
from tests.ports import free_port


class Answering(BaseHTTPRequestHandler):
    """Answers with the status of its server, and tells back what it was sent."""

    server: Any

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(
            (
                self.command,
                self.path,
                self.headers["Authorization"],
                self.headers["Content-Type"],
                body,
            )
        )
        self.send_response(self.server.status)
        self.send_header("Content-Type", self.server.kind)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def server() -> Iterator[Any]:
    running: Any = HTTPServer(("127.0.0.1", free_port()), Answering)
    running.status, running.kind, running.body, running.asked = 200, "application/json", b"{}", []
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.mark.parametrize(
    ("status", "healthy"), [(200, True), (204, False), (401, False), (500, False), (503, False)]
)
def test_only_200_is_healthy(server: Any, status: int, healthy: bool) -> None:
    server.status = status
    assert is_healthy(server.server_port) is healthy
    assert server.asked[0][:2] == ("GET", "/healthz")


def test_nobody_is_not_healthy() -> None:
    assert not is_healthy(free_port())


def test_what_is_sent_and_what_is_read(server: Any) -> None:
    server.body = b'{"a": 1}'
    answer = ask(server.server_port, "POST", "/x", token="t", body={"b": 2})
    assert server.asked == [("POST", "/x", "Bearer t", "application/json", b'{"b": 2}')]
    assert (answer.status, answer.body) == (200, {"a": 1})
    assert answer.headers["Content-Length"] == "8"
    ask(server.server_port, "GET", "/y")
    assert server.asked[1] == ("GET", "/y", None, None, b"")


@pytest.mark.parametrize(
    ("kind", "body"),
    [("text/html", b'{"a": 1}'), ("application/json", b"[1]"), ("application/json", b"")],
)
def test_what_is_no_object_is_left_out(server: Any, kind: str, body: bytes) -> None:
    server.kind, server.body = kind, body
    assert ask(server.server_port, "GET", "/").body == {}


def test_a_condition_is_awaited_until_it_holds() -> None:
    answers = iter([False, False, True])
    await_condition(lambda: next(answers), seconds=60, failure="never", pause=0)
    with pytest.raises(LocalServerFailed, match="never"):
        await_condition(lambda: False, seconds=0, failure="never", pause=0)
