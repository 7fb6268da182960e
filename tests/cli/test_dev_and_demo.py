"""``clusterpass dev`` and ``clusterpass demo``, as a newcomer runs them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusterpass.cli.service_child import ask, await_condition
from tests.ports import free_port

COMMAND = [sys.executable, "-m", "clusterpass"]
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("CLUSTERPASS_")},
    "PYTHONPATH": ":".join(path for path in sys.path if path),
    "PYTHONUNBUFFERED": "1",
}


def processes_below(folder: Path) -> list[str]:
    """Every process that works in ``folder`` or names it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                command = words.decode(errors="replace")  # others may have any bytes there
                works_there = Path(os.readlink(entry / "cwd")).is_relative_to(folder)
            except OSError:
                continue  # it has just ended, or is none of ours
            if works_there or str(folder) in command:
                found.append(command)
    return found


class Dev:
    """A running ``clusterpass dev`` in a process group of its own, as a shell starts it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.output = folder.parent / "output.txt"
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                [*COMMAND, "dev", "--port", str(self.port)],
                cwd=folder,
                env=ENVIRONMENT,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def text(self) -> str:
        return self.output.read_text()

    def await_ready(self) -> None:
        await_condition(
            lambda: "Press Ctrl-C to stop" in self.text() or self.process.poll() is not None,
            seconds=60,
            failure=self.text(),
        )
        assert self.process.poll() is None, self.text()

    def await_nothing_left(self) -> None:
        await_condition(
            lambda: not processes_below(self.folder),
            seconds=30,
            failure=f"still running: {processes_below(self.folder)}",
        )


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    folder = tmp_path / "work"
    folder.mkdir()
    running = Dev(folder)
    try:
        running.await_ready()
        yield running
    finally:
        if running.process.poll() is None:
            os.killpg(running.process.pid, signal.SIGINT)
            running.process.wait(30)


@pytest.mark.alternating
def test_the_printed_lines_work_and_ctrl_c_leaves_nothing(dev: Dev):
    text = dev.text()
    assert text.startswith("Starting a Valkey cluster of 6 nodes ...\n")
    lines = re.findall(r"^    ((?:ANSWER|TOKEN|curl).*)$", text, re.MULTILINE)
    assert len(lines) == 8
    shell = subprocess.run(
        ["bash", "-c", "\n".join(lines)], capture_output=True, text=True, timeout=30, check=True
    )
    hello, verified, listed, history, logged_out, refused = shell.stdout.split("\n")[:6]
    assert hello == "Hello, demo!"
    assert json.loads(verified)["device"] == "terminal"
    assert len(json.loads(listed)["sessions"]) == 1
    assert [entry["kind"] for entry in json.loads(history)["entries"]] == ["login"]
    assert logged_out == ""
    assert json.loads(refused)["reason"] == "logged_out"
    passwords = re.findall(r"password +(\S+)", text)
    assert len(set(passwords)) == 2
    assert all(len(password) >= 16 for password in passwords)
    login = {"username": "admin", "password": passwords[1]}
    token = ask(dev.port, "POST", "/login", body=login).body["access_token"]
    assert ask(dev.port, "GET", "/admin/online/count", token=token).body["subjects"] == 1
    assert ask(dev.port, "GET", "/readyz").status == 200

    os.killpg(dev.process.pid, signal.SIGINT)  # what Ctrl-C does
    assert dev.process.wait(30) == 0
    dev.await_nothing_left()
    assert {entry.name for entry in dev.folder.iterdir()} == {".clusterpass"}
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", dev.port)) != 0


def test_sigkill_leaves_nothing_running(dev: Dev):
    dev.process.kill()
    dev.process.wait()
    dev.await_nothing_left()


@pytest.mark.alternating
def test_it_can_be_started_again_after_a_sigkill(dev: Dev):
    dev.process.kill()
    dev.process.wait()
    dev.await_nothing_left()
    again = Dev(dev.folder)
    again.await_ready()
    os.killpg(again.process.pid, signal.SIGTERM)
    again.process.wait(30)
    again.await_nothing_left()


def test_a_taken_port_is_told_in_one_sentence(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        outcome = subprocess.run(
            [*COMMAND, "dev", "--port", str(port)],
            cwd=tmp_path,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert outcome.returncode == 1
    assert outcome.stderr.count("\n") == 1
    assert f"{port}" in outcome.stderr
    assert "taken" in outcome.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.alternating
def test_the_demo_holds_and_leaves_nothing(tmp_path: Path):
    folder = tmp_path / "tmp"
    folder.mkdir()
    began = time.monotonic()
    outcome = subprocess.run(
        [*COMMAND, "demo", "--json"],
        cwd=tmp_path,
        env={**ENVIRONMENT, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    told = json.loads(outcome.stdout)
    assert told["held"] is True
    titles = [step["title"] for step in told["steps"]]
    assert len(titles) == 16
    gap = next(
        step for step in told["steps"] if step["title"].startswith("The session is accepted again")
    )
    assert 0 < gap["seconds"] < 20
    assert all(step["held"] for step in told["steps"])
    assert time.monotonic() - began < 60, "the story is told in under a minute"
    await_condition(
        lambda: not processes_below(folder), seconds=20, failure=str(processes_below(folder))
    )
    assert list(folder.iterdir()) == []
