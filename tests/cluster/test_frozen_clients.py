"""A process that is stopped and does not read its pushes cannot fill the memory of a server.

Who listens to all changes has the node push them all. Who only reads is pushed at most one change
of each key that it has read.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clusterpass import Config, EmbeddedCluster, SessionManager
from clusterpass.protocol.keyspace import Keyspace
from tests.cluster.conftest import REDIS_SERVER
from tests.cluster.stored import eventually

MEGABYTE = 1024 * 1024
LIMIT = 2 * MEGABYTE
PUSHED = 60 * MEGABYTE
NAME_BYTES = 8192
READER = """
import sys, time
from clusterpass import Config, KeyRing, SessionManager
config = Config(issuer="https://auth.example", audience="api", keys=KeyRing.generate())
manager = SessionManager.from_url(sys.argv[1], config)
if sys.argv[2] == "all":
    manager.on("banned", scope="cluster")(print)
pair = manager.login("reader")
while manager.verify(pair.access_token) and manager.recall(pair.access_token) is None:
    time.sleep(0.01)
print("served from memory", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module", params=[None, REDIS_SERVER], ids=["valkey", "redis"])
def small(request: pytest.FixtureRequest) -> Iterator[EmbeddedCluster]:
    settings = {"client-output-buffer-limit": f"pubsub {LIMIT} 0 0"}
    with EmbeddedCluster(nodes=1, server=request.param, settings=settings) as running:
        yield running


@pytest.fixture(params=["all"])
def frozen(
    small: EmbeddedCluster, request: pytest.FixtureRequest
) -> Iterator[subprocess.Popen[str]]:
    """A process that served a session from memory, and was stopped then."""
    command = [sys.executable, "-c", READER, small.url, request.param]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "served from memory\n"
            os.kill(process.pid, signal.SIGSTOP)
            yield process
        finally:
            process.kill()


def trackers(client: Any) -> list[dict[str, str]]:
    return [each for each in client.client_list() if "B" in each["flags"]]


@pytest.mark.sampled(1)
def test_a_stopped_process_is_cut_off(
    small: EmbeddedCluster, frozen: subprocess.Popen[str], config: Config, subject: str
) -> None:
    prefix = Keyspace().sessions_prefix()
    with small.client(small.nodes[0]) as client:
        (tracking,) = trackers(client)
        before, most = client.info("memory")["used_memory"], 0
        for number in range(PUSHED // NAME_BYTES):
            name = prefix + (b"%d" % number).ljust(NAME_BYTES, b"x") + b"}"
            client.delete(client.set(name, b"", px=1) and name)
            most = max(most, *(int(each["omem"]) for each in trackers(client)), 0)
        assert eventually(lambda: not trackers(client)), "the server ends the connection"
        assert tracking["id"] not in {each["id"] for each in client.client_list()}
        assert most < LIMIT + MEGABYTE
        assert client.info("memory")["used_memory"] < before + LIMIT + 4 * MEGABYTE
    with SessionManager.from_url(small.url, config) as manager:
        assert manager.verify(manager.login(subject).access_token)
    assert frozen.poll() is None


@pytest.mark.sampled(1)
@pytest.mark.parametrize("frozen", ["read"], indirect=True)
def test_a_stopped_process_that_only_reads_is_pushed_next_to_nothing(
    small: EmbeddedCluster, frozen: subprocess.Popen[str]
) -> None:
    prefix = Keyspace().sessions_prefix()
    with small.client(small.nodes[0]) as client:
        before = client.info("memory")["used_memory"]
        for number in range(PUSHED // NAME_BYTES):
            name = prefix + (b"%d" % number).ljust(NAME_BYTES, b"x") + b"}"
            client.delete(client.set(name, b"", px=1) and name)
        assert client.info("memory")["used_memory"] < before + MEGABYTE
        assert not trackers(client)
    assert frozen.poll() is None


def test_who_was_cut_off_goes_on(
    small: EmbeddedCluster, frozen: subprocess.Popen[str], new_subject: Callable[[], str]
) -> None:
    with small.client(small.nodes[0]) as client:
        (tracking,) = trackers(client)
        client.client_kill_filter(_id=tracking["id"])
        os.kill(frozen.pid, signal.SIGCONT)
        assert eventually(lambda: trackers(client)), "the process connects again"
        deadline = time.monotonic() + 10
        while int(trackers(client)[0]["sub"]) != 1:
            assert time.monotonic() < deadline


def test_a_user_without_the_right_to_subscribe_is_served_from_memory_all_the_same(
    small: EmbeddedCluster, config: Config, subject: str
) -> None:
    with small.client(small.nodes[0]) as client:
        client.execute_command(
            *("ACL", "SETUSER", "mute", "on", ">secret", "~*", "resetchannels", "+@all")
        )
        url = small.url.replace("://", "://mute:secret@")
        with SessionManager.from_url(url, config) as manager:
            pair = manager.login(subject)
            assert eventually(
                lambda: manager.verify(pair.access_token) and manager.recall(pair.access_token)
            )
            assert manager.stats().refusal == ""
            manager.on("banned", scope="cluster")(print)
            (tracking,) = eventually(lambda: trackers(client))
            assert tracking["sub"] == "0"
            other = pair
            for _ in range(20):  # replies still belong to their requests
                other = manager.refresh(other.refresh_token)
                session = manager.verify(other.access_token, verification="strict")
                assert session.subject == subject
