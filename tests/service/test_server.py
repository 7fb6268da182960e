"""The service as processes: workers, signals, a port that is taken."""

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.ports import free_port

from .conftest import COMMAND, PASSWORD, bearer, command_environment


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def test_a_session_is_known_on_another_server_and_dead_there_at_once(serve, alice):
    first, second = serve(), serve()
    login = httpx.post(
        f"{first.url}/login", json={"username": alice, "password": PASSWORD, "device": "d"}
    )
    tokens = login.json()
    assert httpx.get(f"{second.url}/verify", headers=bearer(tokens)).json()["subject"] == alice
    new = httpx.post(f"{second.url}/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert new.status_code == 200
    assert httpx.post(f"{second.url}/logout", headers=bearer(tokens)).status_code == 204
    dead = httpx.get(f"{first.url}/verify", headers=bearer(new.json()))
    assert (dead.status_code, dead.json()["reason"]) == (401, "logged_out")


def test_no_body_follows_head_and_no_software_is_named(serve):
    server = serve()
    port = int(server.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(10)
        connection.sendall(b"HEAD /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = b""
        while piece := connection.recv(4096):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200") and body == b""
    assert head.lower().count(b"\r\nserver:") == 1 and b"granian" not in head.lower()


@pytest.mark.sampled(1)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server_and_all_its_workers(serve, number):
    server = serve("--workers", "2")
    workers = server.children()
    assert len(workers) >= 2
    assert server.stop(number) == 0
    assert all(is_gone(pid) for pid in workers)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/healthz")


@pytest.mark.alternating
def test_a_killed_worker_is_replaced(serve):
    server = serve("--workers", "1")
    (worker,) = server.children()
    os.kill(worker, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while True:
        try:
            if httpx.get(f"{server.url}/healthz").status_code == 200:
                break
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert server.children() != [worker]


def await_that(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def answers(server):
    try:
        return httpx.get(f"{server.url}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_the_parent_of_the_workers_keeps_nothing_of_the_service_in_memory(serve):
    server = serve("--workers", "2")
    await_that(lambda: b"supervisor.py" in command_line(server.process.pid))
    mapped = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "_granian" not in mapped and "libssl" not in mapped
    assert len(server.children()) == 2


def command_line(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.alternating
def test_one_killed_worker_of_two_is_replaced_and_the_other_stays(serve):
    server = serve("--workers", "2")
    killed, other = server.children()
    os.kill(killed, signal.SIGKILL)
    await_that(lambda: len(set(server.children()) - {killed}) == 2)
    assert other in server.children()
    assert "Unexpected exit from worker-1" in server.log_file.read_text()
    await_that(lambda: b"supervisor.py" in command_line(server.process.pid))
    assert answers(server)
    assert server.stop() == 0


@pytest.mark.alternating
def test_a_worker_is_replaced_with_the_settings_that_the_service_began_with(serve, tmp_path):
    file = tmp_path / "service.toml"
    file.write_text('issuer = "https://first.example"\n')
    server = serve(CLUSTERPASS_CONFIG=str(file))
    file.write_text("nonsense =")
    (worker,) = server.children()
    os.kill(worker, signal.SIGKILL)
    await_that(lambda: set(server.children()) - {worker} and answers(server))


@pytest.mark.alternating
def test_a_worker_that_dies_again_at_once_ends_the_service(serve):
    server = serve("--workers", "2")
    killed, other = server.children()
    os.kill(killed, signal.SIGKILL)
    await_that(lambda: len(set(server.children()) - {killed}) == 2)
    (new,) = set(server.children()) - {killed, other}
    os.kill(new, signal.SIGKILL)
    assert server.process.wait(30) == 1
    assert is_gone(other)
    assert "crash loop" in server.log_file.read_text()


@pytest.mark.alternating
def test_a_hangup_replaces_every_worker_while_the_service_answers(serve):
    server = serve("--workers", "2")
    before = set(server.children())
    server.process.send_signal(signal.SIGHUP)
    await_that(lambda: len(set(server.children()) - before) == 2)
    assert answers(server)
    await_that(lambda: not set(server.children()) & before)
    assert answers(server)
    assert server.stop() == 0


@pytest.mark.alternating
def test_requests_in_flight_and_odd_bytes_do_not_harm(serve):
    server = serve()
    port = int(server.url.rsplit(":", 1)[1])
    for data in (
        b"GET /verify HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nAuthorization: b\r\n\r\n",
        b"GET /%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{",
        b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n{",
        b"\x00\xff\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.settimeout(0.5)
            connection.sendall(data)
            try:
                assert b" 500 " not in connection.recv(4096).split(b"\r\n")[0]
            except TimeoutError:
                continue
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    assert '"status":500' not in server.log_file.read_text()


def run(cluster_url, keys_file, *arguments, **environment):
    return subprocess.run(
        [*COMMAND, *arguments],
        env=command_environment(cluster_url, keys_file, **environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_port_that_is_taken_is_one_sentence(cluster_url, keys_file):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        outcome = run(cluster_url, keys_file, "serve", "--port", str(port))
    assert outcome.returncode == 1
    assert outcome.stderr == (
        f"clusterpass: port {port} on 127.0.0.1 is in use by another process;"
        " choose another with --port\n"
    )


@pytest.mark.alternating
def test_missing_weak_and_public_keys_are_refused(cluster_url, keys_file, tmp_path):
    from clusterpass import KeyRing

    public = tmp_path / "public.json"
    public.write_text(json.dumps(KeyRing.load(keys_file).public_jwks()))
    weak = tmp_path / "weak.json"
    weak.write_text('{"keys": [{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}]}')
    for path, word in ((tmp_path / "no.json", "generate"), (public, "private"), (weak, "bytes")):
        outcome = run(cluster_url, path, "serve", "--port", str(free_port()))
        assert outcome.returncode == 1
        assert outcome.stderr.count("\n") == 1
        assert word in outcome.stderr
        assert "Traceback" not in outcome.stderr
