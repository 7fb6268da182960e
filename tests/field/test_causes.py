"""An error of an unavailable store says which node was asked and what has happened there."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from clusterpass import EmbeddedCluster
from clusterpass.model.errors import StoreDenied, StoreUnavailable
from clusterpass.store.store_url import parse_store_url
from tests.ports import free_port

from .conftest import Opener
from .servers import Servers

pytestmark = [pytest.mark.timeout(120), pytest.mark.sampled(2)]
_SECRET = "not-for-the-log"


def failure(manager: Any) -> StoreUnavailable:
    with pytest.raises(StoreUnavailable) as caught:
        manager.login("anybody")
    error = caught.value
    for text in (str(error), error.describe(), repr(error.__cause__), repr(error.args)):
        assert _SECRET not in text
    assert error.status == 503
    return error


def test_a_refused_connection(opened: Opener):
    node = f"127.0.0.1:{free_port()}"
    error = failure(opened(f"redis://:{_SECRET}@{node}"))
    assert (error.cause, error.reason, error.node) == ("refused", "connection", node)
    assert isinstance(error.__cause__, ConnectionRefusedError)
    assert error.address == node
    assert error.describe() == f"{node}: the connection was refused"


def test_who_is_refused_at_once_later_is_told_the_cause(opened: Opener):
    manager = opened(f"redis://127.0.0.1:{free_port()}?deadline=0.5")
    failure(manager)
    error = failure(manager)
    assert (error.cause, error.reason) == ("refused", "circuit_open")
    assert isinstance(error.__cause__, ConnectionRefusedError)


def test_an_unknown_name(opened: Opener):
    error = failure(opened(f"redis://user:{_SECRET}@no-such-host.invalid?timeout=5&deadline=6"))
    assert (error.cause, error.node) == ("name_unknown", "no-such-host.invalid:6379")
    assert isinstance(error.__cause__, socket.gaierror)


@pytest.mark.parametrize(
    ("seeds", "cause", "node"),
    [
        ("127.0.0.1:1", "refused", "127.0.0.1:1"),
        ("127.0.0.1:1,127.0.0.2:1", "refused", None),
        ("no-such-host.invalid:7000", "name_unknown", "no-such-host.invalid:7000"),
        ("no-such-host.invalid:1,127.0.0.2:1,127.0.0.1:1", "refused", None),
    ],
)
def test_a_cluster_of_which_no_seed_answers(
    opened: Opener, seeds: str, cause: str, node: str | None
):
    error = failure(opened(f"redis+cluster://{seeds}?timeout=1&deadline=1.5"))
    assert (error.reason, error.cause, error.node) == ("connection", cause, node)
    assert error.address == error.node
    assert len(error.tried) == len(seeds.split(","))
    assert isinstance(error.__cause__, OSError)


@pytest.fixture
def silent_port() -> Iterator[int]:
    with contextlib.ExitStack() as stack:
        hole = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(hole.getsockname())
        yield hole.getsockname()[1]


def test_silence(opened: Opener, silent_port: int):
    error = failure(opened(f"redis://127.0.0.1:{silent_port}"))
    assert (error.cause, error.reason) == ("timed_out", "timeout")
    assert isinstance(error.__cause__, TimeoutError)


def test_tls_that_the_server_does_not_speak(opened: Opener, server: EmbeddedCluster):
    error = failure(opened(f"rediss://{parse_store_url(server.url).seeds[0]}?timeout=2&deadline=3"))
    assert error.cause in {"tls", "lost"}  # Valkey closes the connection, others answer in clear


def test_a_wrong_password(opened: Opener, started: Servers):
    port = started.start("--requirepass", "right")
    error = failure(opened(f"redis://:{_SECRET}@127.0.0.1:{port}"))
    assert isinstance(error, StoreDenied)
    assert (error.cause, error.node) == ("authentication", f"127.0.0.1:{port}")
    assert (error.code, error.reason) == ("store_denied", "authentication")


def test_a_missing_password(opened: Opener, started: Servers):
    error = failure(opened(f"redis://127.0.0.1:{started.start('--requirepass', 'right')}"))
    assert (error.code, error.cause) == ("store_denied", "authentication")


def test_a_missing_right(opened: Opener, started: Servers):
    port = started.start(
        *("--user", "app", "on", f">{_SECRET}", "~*", "&*", "+@all", "-eval", "-evalsha")
    )
    error = failure(opened(f"redis://app:{_SECRET}@127.0.0.1:{port}"))
    assert (error.code, error.cause) == ("store_denied", "rights")
    assert error.node == f"127.0.0.1:{port}"


def test_a_replica(opened: Opener, started: Servers):
    primary, replica = started.start(), started.start()
    started.ask(replica, "REPLICAOF", "127.0.0.1", str(primary))
    error = failure(opened(f"redis://127.0.0.1:{replica}"))
    assert (error.cause, error.reason) == ("read_only", "doubted")


def test_a_cluster_without_a_quorum(opened: Opener, started: Servers):
    port = started.start("--cluster-enabled", "yes")
    started.ask(port, "CLUSTER", "ADDSLOTSRANGE", "0", "16000")  # not all: the cluster is down
    error = failure(opened(f"redis+cluster://127.0.0.1:{port}"))
    assert (error.cause, error.reason) == ("no_quorum", "cluster_down")


def test_a_closed_manager_says_that_it_is_closed(opened: Opener, server: EmbeddedCluster):
    manager = opened(server.url)
    store = manager.store
    manager.close() if not hasattr(manager, "loop") else manager._run(manager.manager.close())
    error = failure(manager)
    assert (error.reason, error.cause) == ("closed", "closed")
    assert error.message == "The session manager was closed; use another."
    assert store is manager.store
