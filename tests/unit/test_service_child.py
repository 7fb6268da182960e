"""Requests to a service on this machine, and when that counts as healthy."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import IO, Any

import pytest

from clusterpass.cli import service_child
from clusterpass.cli.service_child import ServerProcess, ask, await_condition, is_healthy
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


def test_a_server_that_does_not_speak_http_is_left_at_once() -> None:
    left = []

    def answer(listener: socket.socket) -> None:
        with listener.accept()[0] as client:
            client.settimeout(5)
            client.recv(65_536)
            client.sendall(b"nonsense\r\n")
            left.append(client.recv(1))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        with pytest.raises(OSError, match=r"no HTTP answer \(BadStatusLine\)"):
            ask(listener.getsockname()[1], "GET", "/", timeout=5)
        thread.join()
    assert left == [b""]


def test_a_condition_is_awaited_until_it_holds() -> None:
    answers = iter([False, False, True])
    await_condition(lambda: next(answers), seconds=60, failure="never", pause=0)
    with pytest.raises(LocalServerFailed, match="never"):
        await_condition(lambda: False, seconds=0, failure="never", pause=0)


class Script(ServerProcess):
    """A server that is a script of the shell."""

    script = "exec sleep 60"

    def _spawn(self, output: IO[bytes]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            ["/bin/sh", "-c", f"echo started; {self.script}"],
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def running(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """A started one, which counts as healthy once its script says that it has begun."""
    log = folder / "server.log"
    monkeypatch.setattr(service_child, "is_healthy", lambda _: "started" in log.read_text())
    made = Script("A", 1, {}, log)
    made.script = script
    made.start()
    return made


def test_a_server_runs_until_it_is_killed_or_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = running("exec sleep 60", tmp_path, monkeypatch)
    assert server.running
    server.kill()
    assert not server.running
    server.kill()
    server.stop()
    again = running("exec sleep 60", tmp_path, monkeypatch)
    again.stop()
    assert not again.running
    assert not Script("B", 1, {}, tmp_path / "none.log").running


def test_a_server_that_does_not_stop_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_child, "_STOP_SECONDS", 0.2)
    server = running("trap '' TERM; sleep 60 & wait; sleep 60", tmp_path, monkeypatch)
    server.stop()
    assert not server.running
    killed = running("trap '' TERM; while :; do sleep 0.05; done", tmp_path, monkeypatch)
    killed.kill()
    assert not killed.running


def test_a_server_that_ends_at_once_says_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_child, "is_healthy", lambda _: False)
    server = Script("A", 1, {}, tmp_path / "server.log")
    server.script = "echo why; echo; exit 1"
    with pytest.raises(LocalServerFailed, match="server A did not start: why"):
        server.start()
    odd = Script("C", 1, {}, tmp_path / "odd.log")
    odd.script = "printf '\\377 why\\n'; exit 1"
    with pytest.raises(LocalServerFailed, match="server C did not start: \ufffd why"):
        odd.start()
    silent = Script("B", 1, {}, tmp_path / "silent.log")
    monkeypatch.setattr(Script, "_spawn", lambda *_: subprocess.Popen(["/bin/true"]))
    with pytest.raises(LocalServerFailed, match="server B did not start: no output"):
        silent.start()


def test_how_a_server_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def spawn(command: list[str], **options: Any) -> Any:
        asked.update(options, command=command)
        return None

    monkeypatch.setenv("CLUSTERPASS_PORT", "1")
    monkeypatch.setenv("KEPT", "yes")
    monkeypatch.setattr(service_child.subprocess, "Popen", spawn)
    settings = {"CLUSTERPASS_ISSUER": "https://i"}
    server = ServerProcess("A", 8001, settings, tmp_path / "server.log")
    with (tmp_path / "server.log").open("wb") as output:
        server._spawn(output)
    assert asked["command"] == [
        *(sys.executable, "-m", "clusterpass", "serve"),
        *("--host", "127.0.0.1", "--port", "8001"),
    ]
    environment = asked["env"]
    assert environment["KEPT"] == "yes"
    assert [name for name in environment if name.startswith("CLUSTERPASS_")] == list(settings)
    assert asked["start_new_session"] is True
    assert asked["stdout"] is asked["stderr"] is output
    assert asked["stdin"] == subprocess.DEVNULL
