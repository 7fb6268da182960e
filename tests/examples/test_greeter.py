"""The greeter as its readers run it: a server, a client that follows it, one that logs out."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from clusterpass import Config, KeyRing, SessionManager, UserDirectory
from clusterpass.cli.local_setup import write_keys
from tests.ports import free_port

PROGRAMS = Path(__file__).parents[2] / "examples" / "grpc_greeter"
PASSWORD = "correct horse battery"
HANGING = 60.0
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(cluster_url: str, tmp_path: Path, subject: str) -> Iterator[Start]:
    """Starts the client as ``subject``; the server runs."""
    keys_file, address = tmp_path / "keys.json", f"127.0.0.1:{free_port()}"
    write_keys(keys_file)
    config = Config(issuer="https://hello.example", keys=KeyRing.load(keys_file))
    with SessionManager.from_url(cluster_url, config) as sessions:
        UserDirectory(sessions).add(subject, PASSWORD)
    environment = {
        **os.environ,
        "STORE_URL": cluster_url,
        "KEYS_FILE": str(keys_file),
        "GREETER": address,
        "PYTHONPATH": ":".join(sys.path),
    }
    started = []

    def run(program: str, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, str(PROGRAMS / program), *arguments]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    run("server.py")
    with grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(HANGING)
    yield lambda wish, password=PASSWORD: run("client.py", subject, password, wish)
    for process in started:
        process.kill()
        process.communicate()


def test_a_client_follows_until_its_user_logs_out_elsewhere(start: Start, subject: str) -> None:
    follower = start("follow")
    assert follower.stdout is not None
    assert [next(follower.stdout), next(follower.stdout)] == [f"Hello, {subject}!\n", "0\n"]
    printed, _ = start("logout").communicate(timeout=HANGING)
    assert printed == f"Hello, {subject}!\n2 sessions have ended\n"
    *_, last = follower.communicate(timeout=HANGING)[0].splitlines()
    assert last.startswith("UNAUTHENTICATED: ")
    assert "logged out elsewhere" in last


def test_a_wrong_password_is_refused(start: Start) -> None:
    printed, _ = start("follow", "wrong wrong").communicate(timeout=HANGING)
    assert printed.startswith("UNAUTHENTICATED: ")
