"""Clusters whose nodes announce addresses that cannot be reached, as behind NAT or in Docker."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clusterpass import EmbeddedCluster, StoreFailed, StoreUnavailable, parse_store_url
from clusterpass.doctor import examine
from clusterpass.store.address import Address
from tests.cluster.conftest import REDIS_SERVER
from tests.cluster.stored import eventually
from tests.ports import free_port

from .conftest import Opener

pytestmark = [pytest.mark.timeout(240), pytest.mark.sampled(2)]
_HOST = "node-{}.invalid"


class Hidden:
    """A cluster of three whose nodes announce names that nobody can look up."""

    def __init__(self, cluster: EmbeddedCluster) -> None:
        self.cluster = cluster
        self.reached: dict[Address, Address] = {}
        for number, node in enumerate(cluster.nodes):
            self.reached[Address(_HOST.format(number), node.port)] = Address(node.host, node.port)
            with cluster.client(node) as client:
                client.config_set(
                    *("cluster-announce-hostname", _HOST.format(number)),
                    *("cluster-preferred-endpoint-type", "hostname"),
                )
        eventually(self._is_known)
        self.url = f"redis+cluster://{next(iter(self.reached.values()))}"
        self.text = ",".join(f"{name}={at}" for name, at in self.reached.items())

    def _is_known(self) -> bool:
        """Whether every node announces the names of all."""
        for node in self.cluster.nodes:
            with self.cluster.client(node) as client:
                told = str(client.execute_command("CLUSTER", "SLOTS"))
            if not all(f"'{name.host}'" in told for name in self.reached):
                return False
        return True


@pytest.fixture(scope="module")
def hidden() -> Iterator[Hidden]:
    with EmbeddedCluster(nodes=3, server=REDIS_SERVER) as cluster:
        yield Hidden(cluster)


def is_used(manager: Any, new_subject: Callable[[], str]) -> bool:
    for _ in range(12):  # on all shards
        token = manager.login(new_subject()).access_token
        manager.verify(token, verification="strict")
        eventually(lambda token=token: manager.verify(token))
    eventually(lambda: all(node.is_connected for node in manager.stats().nodes))
    return len(manager.stats().nodes) == 3


def test_without_a_remap_the_error_names_what_is_announced(hidden: Hidden, opened: Opener):
    with pytest.raises(StoreUnavailable) as failure:
        opened(hidden.url).login("anybody")
    assert failure.value.cause == "name_unknown"
    assert str(failure.value.node).partition(":")[0] in {name.host for name in hidden.reached}


def test_a_remap_in_the_url(hidden: Hidden, opened: Opener, new_subject: Callable[[], str]):
    manager = opened(f"{hidden.url}?address_remap={hidden.text}")
    assert is_used(manager, new_subject)
    assert {node.address for node in manager.stats().nodes} == set(map(str, hidden.reached))


def test_a_remap_by_a_function(hidden: Hidden, opened: Opener, new_subject: Callable[[], str]):
    asked: set[tuple[str, int]] = set()

    def remap(address: tuple[str, int]) -> tuple[str, int]:
        asked.add(address)
        return ("127.0.0.1" if address[0].endswith(".invalid") else address[0]), address[1]

    assert is_used(opened(hidden.url, address_remap=remap), new_subject)
    assert asked >= {tuple(name) for name in hidden.reached}


def test_errors_name_both_addresses(hidden: Hidden, opened: Opener):
    nowhere = free_port()

    def remap(at: tuple[str, int]) -> tuple[str, int]:
        return ("127.0.0.1", nowhere) if at[0].endswith(".invalid") else at

    manager = opened(hidden.url, address_remap=remap)
    with pytest.raises(StoreUnavailable) as failure:
        manager.login("anybody")
    error = failure.value
    assert (error.cause, error.address) == ("refused", f"127.0.0.1:{nowhere}")
    assert str(error.node).startswith("node-")
    assert error.describe() == (
        f"{error.node} (reached at 127.0.0.1:{nowhere}): the connection was refused"
    )


def broken(_: tuple[str, int]) -> Any:
    raise ValueError("not-for-the-log")


@pytest.mark.parametrize("remap", [broken, lambda _: None, lambda _: ("h", 0), lambda _: 7])
def test_a_function_that_fails_is_named(hidden: Hidden, opened: Opener, remap: Any):
    with pytest.raises(StoreFailed, match=r"address_remap for 127\.0\.0\.1") as failure:
        opened(hidden.url, address_remap=remap).login("anybody")
    assert "not-for-the-log" not in f"{failure.value!r} {failure.value.__context__!r}"


@pytest.mark.parametrize("host", ["a..b", "a" * 64, "a\0b", "[::1]", "no such host"])
def test_a_name_that_no_host_can_have_is_a_connection_that_fails(
    hidden: Hidden, opened: Opener, host: str
):
    manager = opened(hidden.url, address_remap=lambda at: (host, at[1]))
    with pytest.raises(StoreUnavailable) as failure:
        manager.login("anybody")
    error = failure.value
    assert error.reason == "connection"
    assert error.tried
    assert all("the name of the host is unknown" in each for each in error.tried)


def test_the_doctor_finds_the_nodes(hidden: Hidden):
    seen = examine(f"{hidden.url}?address_remap={hidden.text}").seen
    assert sum(node.answered for node in seen.nodes) == 3
    assert parse_store_url(hidden.url).reach(Address("h", 1)) == Address("h", 1)
