"""The examples as their readers run them: two processes over one cluster."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusterpass import Config, KeyRing, SessionManager, UserDirectory
from clusterpass.cli.local_setup import write_keys
from clusterpass.cli.service_child import ask, await_condition
from tests.ports import free_port

EXAMPLES = Path(__file__).parents[2] / "examples"
PASSWORD = "correct horse battery"


def _answers(port: int) -> bool:
    try:
        return ask(port, "GET", "/hello", timeout=1).status in {401, 403}
    except OSError:
        return False


@pytest.fixture(params=["flask_hello", "fastapi_hello"])
def servers(request, cluster_url, tmp_path) -> Iterator[list[int]]:
    keys_file = tmp_path / "keys.json"
    write_keys(keys_file)
    name = f"user of {request.param}"
    config = Config(issuer="https://hello.example", keys=KeyRing.load(keys_file))
    with SessionManager.from_url(cluster_url, config) as sessions:
        UserDirectory(sessions).add(name, PASSWORD)
    ports = [free_port(), free_port()]
    folder = EXAMPLES / request.param
    processes = []
    for port in ports:
        command = (
            [sys.executable, "-m", "flask", "--app", str(folder / "app.py"), "run"]
            if request.param == "flask_hello"
            else [sys.executable, "-m", "uvicorn", "--app-dir", str(folder), "app:app"]
        )
        processes.append(
            subprocess.Popen(
                [*command, "--port", str(port)],
                env={
                    "STORE_URL": cluster_url,
                    "KEYS_FILE": str(keys_file),
                    "PATH": "/usr/bin:/bin",
                    "PYTHONPATH": ":".join(sys.path),
                },
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
    try:
        for port in ports:
            await_condition(lambda p=port: _answers(p), seconds=30, failure=f"port {port}")
        yield ports, name
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.sampled(1)
def test_a_login_on_one_is_known_on_the_other(servers):
    (first, second), name = servers
    wrong = ask(first, "POST", "/login", body={"username": name, "password": "wrong wrong"})
    assert (wrong.status, wrong.body["error"]) == (401, "invalid_credentials")
    answer = ask(first, "POST", "/login", body={"username": name, "password": PASSWORD})
    assert answer.status == 200
    token = answer.body["access_token"]
    for port in (first, second):
        assert ask(port, "GET", "/hello", token=token).status == 200
    assert ask(second, "POST", "/logout", token=token).status == 200
    # The other process may serve its memory until it has heard, for the staleness bound at most.
    await_condition(
        lambda: ask(first, "GET", "/hello", token=token).status == 401,
        seconds=5,
        failure="still accepted elsewhere",
    )
    for port in (first, second):
        refused = ask(port, "GET", "/hello", token=token)
        assert refused.status == 401
        assert refused.body["reason"] == "logged_out"


def test_the_flask_program_is_short():
    lines = (EXAMPLES / "flask_hello" / "app.py").read_text().splitlines()
    assert len(lines) < 40
