"""The topologies that ClusterPass runs on, each of which can lose its primary.

Behind Sentinel the library is told a name, which somebody else keeps leading to the primary: here
that is a thread that asks a real Sentinel. Or it is told the address of the Sentinel.
"""

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import redis

from clusterpass import EmbeddedCluster, StoreUnavailable
from clusterpass.embedded import Node
from clusterpass.embedded.binary import find_server
from clusterpass.embedded.conf import free_ports
from clusterpass.store.address import Address
from tests.campaign.clusters import cluster_of
from tests.cluster.moving_address import MovingName, moving_name

HANGING: Final = 60.0
"""Seconds that nothing here comes near to unless it hangs."""
NODE_TIMEOUT: Final = 1.0
_GROUP: Final = "shop"
Result = TypeVar("Result")


class Shape(Protocol):
    """A store in one of the shapes."""

    url: str

    def kill(self, key: bytes) -> None:
        """Kill the primary that holds ``key``."""

    def hand_over(self, key: bytes) -> None:
        """Let a replica take over from the primary that holds ``key``, which stays alive."""

    def await_successor(self, key: bytes) -> None:
        """Wait until ``key`` is served again: by another node, or by the server that came back."""

    def client(self, key: bytes) -> redis.Redis:
        """A client of the primary that holds ``key``."""


def await_that(is_so: Callable[[], Any], what: str) -> None:
    """Wait until ``is_so`` returns something true."""
    until = time.monotonic() + HANGING
    while not is_so():
        assert time.monotonic() < until, f"not in time: {what}"
        time.sleep(0.02)


def at_last(call: Callable[[], Result]) -> Result:
    """Return the result of ``call``, which is repeated while the store is unavailable."""
    found: list[Result] = []

    def answered() -> bool:
        with contextlib.suppress(StoreUnavailable):
            found.append(call())
        return bool(found)

    await_that(answered, "an answer")
    return found[0]


class _Cluster:
    """A cluster, in which a replica takes over; one server, which comes back with its data."""

    def __init__(self, cluster: EmbeddedCluster) -> None:
        self.cluster = cluster
        self.url = cluster.url
        self._old: Node | None = None

    def kill(self, key: bytes) -> None:
        self._old = self.cluster.primary_of(key)
        self.cluster.kill(self._old)

    def hand_over(self, key: bytes) -> None:
        self._old = self.cluster.primary_of(key)
        with self.cluster.client(self.cluster.replicas_of(key)[0]) as client:
            client.execute_command("CLUSTER", "FAILOVER")

    def await_successor(self, key: bytes) -> None:
        assert self._old is not None
        if len(self.cluster.nodes) == 1:
            self.cluster.restart(self._old)
        else:
            self.cluster.wait_until_primary_changes(key, self._old, HANGING)

    def client(self, key: bytes) -> redis.Redis:
        return self.cluster.client(self.cluster.primary_of(key))


class _Sentinel:
    """Three servers under one name; a Sentinel makes a replica the primary when that fails."""

    def __init__(
        self,
        servers: tuple[EmbeddedCluster, ...],
        name: MovingName,
        port: int,
        *,
        is_asked: bool = False,
    ) -> None:
        """``is_asked``: whether the library asks the Sentinel, rather than to go by the name."""
        self.url = f"redis+sentinel://127.0.0.1:{port}/{_GROUP}" if is_asked else name.url
        self._servers = {address_of(server): server for server in servers}
        self._name = name
        self._sentinel = redis.Redis(port=port, protocol=2, decode_responses=True, socket_timeout=5)
        self._led_to = next(iter(self._servers))
        self._old: Address | None = None
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._lead)

    def __enter__(self) -> "_Sentinel":
        await_that(self._knows_the_replicas, "Sentinel knows the replicas")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_ending.set()
        self._thread.join(HANGING)
        self._sentinel.close()

    def _knows_the_replicas(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            found = self._ask("REPLICAS")
            links = [dict(zip(each[::2], each[1::2], strict=True)) for each in found]
            ready = sum(each.get("master-link-status") == "ok" for each in links)
            return ready == len(self._servers) - 1
        return False

    def _ask(self, question: str, *more: str) -> Any:
        return self._sentinel.execute_command("SENTINEL", question, _GROUP, *more)

    def _lead(self) -> None:
        """Keep the name leading to the primary, as HAProxy or a script of Sentinel does."""
        while not self._is_ending.wait(0.05):
            with contextlib.suppress(redis.RedisError):
                host, port = self._ask("GET-MASTER-ADDR-BY-NAME")
                self._led_to = Address(host, int(port))
                self._name.move(self._led_to)

    def kill(self, key: bytes) -> None:
        self._old = self._led_to
        (node,) = self._servers[self._old].nodes
        self._servers[self._old].kill(node)

    def hand_over(self, key: bytes) -> None:
        self._old = self._led_to
        self._ask("FAILOVER", "COORDINATED")  # without a write that the old primary alone has

    def await_successor(self, key: bytes) -> None:
        await_that(lambda: self._led_to != self._old, "another primary")

    def client(self, key: bytes) -> redis.Redis:
        server = self._servers[self._led_to]
        return server.client(server.nodes[0])


def address_of(server: EmbeddedCluster) -> Address:
    """The address of a single server."""
    (node,) = server.nodes
    return Address(node.host, node.port)


def is_in_sync(server: EmbeddedCluster) -> bool:
    """Whether a single server is a replica that has all data of its primary."""
    with server.client(server.nodes[0]) as client, contextlib.suppress(redis.RedisError):
        found: Any = client.info("replication")
        return bool(found["role"] == "slave" and found["master_link_status"] == "up")
    return False


@contextlib.contextmanager
def _behind_sentinel(folder: Path, *, is_asked: bool = False) -> Iterator[Shape]:
    with contextlib.ExitStack() as opened:
        # A primary that was replaced takes no writes, as nobody follows it any more.
        settings = {"min-replicas-to-write": "1"}
        first, *others = [
            opened.enter_context(EmbeddedCluster(nodes=1, settings=settings)) for _ in range(3)
        ]
        name = opened.enter_context(moving_name(address_of(first)))
        for server in others:
            with server.client(server.nodes[0]) as client:
                client.replicaof(*address_of(first))
        for server in others:
            await_that(lambda server=server: is_in_sync(server), "the replica has the data")
        port = opened.enter_context(_sentinel_of(address_of(first), folder))
        servers = (first, *others)
        yield opened.enter_context(_Sentinel(servers, name, port, is_asked=is_asked))


def _asking_sentinel(folder: Path) -> AbstractContextManager[Shape]:
    return _behind_sentinel(folder, is_asked=True)


@contextlib.contextmanager
def _sentinel_of(primary: Address, folder: Path) -> Iterator[int]:
    """A Sentinel that looks after ``primary``; its port."""
    (port,) = free_ports(1)
    settings = folder / "sentinel.conf"
    settings.write_text(
        f"port {port}\nbind {primary.host}\ndir {folder}\nlogfile {folder}/sentinel.log\n"
        f"sentinel monitor {_GROUP} {primary.host} {primary.port} 1\n"
        f"sentinel down-after-milliseconds {_GROUP} {round(1000 * NODE_TIMEOUT)}\n"
        f"sentinel failover-timeout {_GROUP} 6000\n"
    )
    process = subprocess.Popen([str(find_server()), str(settings), "--sentinel"])
    try:
        yield port
    finally:
        process.terminate()
        process.wait(HANGING)


@contextlib.contextmanager
def _one_server(folder: Path) -> Iterator[Shape]:
    always = {"appendfsync": "always"}
    with EmbeddedCluster(nodes=1, data_folder=folder, persistent=True, settings=always) as server:
        yield _Cluster(server)


def _three_with(replicas: int) -> Callable[[Path], AbstractContextManager[Shape]]:
    @contextlib.contextmanager
    def make(folder: Path) -> Iterator[Shape]:
        program = str(find_server())  # whose clocks nobody sets
        with cluster_of(replicas, folder, program, node_timeout=NODE_TIMEOUT) as cluster:
            yield _Cluster(cluster)

    return make


SHAPES: Final[dict[str, Callable[[Path], AbstractContextManager[Shape]]]] = {
    "one server": _one_server,
    "Sentinel": _behind_sentinel,
    "redis+sentinel": _asking_sentinel,
    "3+0": _three_with(0),
    "3+3": _three_with(1),
    "3+6": _three_with(2),
}
"""Each is made with an empty folder."""
SURVIVING: Final = [name for name in SHAPES if name != "3+0"]
"""The shapes in which the data outlives its primary: on a replica, or on the disk."""
