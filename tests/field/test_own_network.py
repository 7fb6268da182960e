"""Stores at addresses of IPv6, names of which one family is silent, and addresses that change."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.stored import eventually

from .frozen_client import FACES, FrozenClient
from .moving_cluster import MovingCluster, moving_cluster
from .own_network import SILENT, add_address, own_network, remove_address, why_not

_WHY_NOT = why_not()
pytestmark = [
    pytest.mark.skipif(_WHY_NOT is not None, reason=str(_WHY_NOT)),
    pytest.mark.timeout(240),
    pytest.mark.sampled(1),
    pytest.mark.parametrize("face", FACES),
]
NAME = "store.example"
Form = Callable[..., MovingCluster]


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    with own_network():
        yield


@pytest.fixture
def names(tmp_path: Path) -> Path:
    """The file that says where names lead."""
    path = tmp_path / "names"
    path.write_text("")
    return path


@pytest.fixture
def client(network: None, names: Path) -> Iterator[Callable[[str, str], FrozenClient]]:
    opened: list[FrozenClient] = []

    def open_one(face: str, url: str) -> FrozenClient:
        opened.append(FrozenClient(face, url, names))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


@pytest.fixture
def form(network: None, server_program: str, tmp_path: Path) -> Iterator[Form]:
    """Forms a cluster whose nodes stand at addresses, which they announce."""
    folder = tmp_path / "nodes"
    folder.mkdir()
    contexts = []

    def formed(place: Callable[[int], str]) -> MovingCluster:
        context = moving_cluster(server_program, folder, place=place)
        contexts.append(context)
        return context.__enter__()

    yield formed
    for each in contexts:
        each.__exit__(None, None, None)


def is_served(client: FrozenClient, cluster: MovingCluster) -> None:
    """A session begins, lives, is served from memory by the watch, and ends."""
    assert client.ask("login") == "in"
    assert client.ask("verify") == "alice"
    eventually(lambda: len(client.ask("leases")) == len(cluster.primaries))
    assert client.ask("logout") == 1
    assert client.ask("verify")["code"] == "session_revoked"


def at_own_address(number: int) -> str:
    address = f"fd00::{number}"
    add_address(address)
    return address


@pytest.mark.parametrize("place", [lambda _: "::1", at_own_address], ids=["loopback", "own"])
def test_a_cluster_of_ipv6_is_like_any_other(form: Form, client, face, place):
    cluster = form(place)
    is_served(client(face, cluster.url(cluster.nodes[0])), cluster)


@pytest.mark.alternating
@pytest.mark.parametrize("alive", ["127.0.0.1", "::1"])
def test_a_family_that_is_silent_is_no_obstacle(
    form: Form, client, names: Path, face: str, alive: str
):
    cluster = form(lambda _: alive)
    silent = next(each for each in SILENT if (":" in each) != (":" in alive))
    names.write_text(f"{NAME} {silent} {alive}\n")
    url = f"redis+cluster://{NAME}:{cluster.nodes[0].port}"
    is_served(client(face, url), cluster)


@pytest.mark.alternating
def test_nodes_of_ipv6_may_change_their_addresses(form: Form, client, names: Path, face: str):
    cluster = form(at_own_address)
    names.write_text(f"{NAME} {cluster.nodes[0].host}\n")
    one = client(face, f"redis+cluster://{NAME}:{cluster.nodes[0].port}")
    assert one.ask("login") == "in"
    for number, node in enumerate(cluster.nodes, 1):
        before, after = node.host, f"fd02::{number}"
        add_address(after)
        cluster.move_to(node, after)
        remove_address(before)
    names.write_text(f"{NAME} {cluster.nodes[0].host}\n")
    eventually(lambda: one.ask("verify") == "alice")
    is_served(one, cluster)


def test_an_address_that_is_taken_away_is_an_outage_and_no_logout(form: Form, client, face: str):
    cluster = form(at_own_address)
    one = client(face, cluster.url(*cluster.nodes))
    assert one.ask("login") == "in"
    for node in cluster.nodes:
        remove_address(node.host)
    answer = one.ask("verify")
    assert answer["code"] == "store_unavailable"
    for node in cluster.nodes:
        add_address(node.host)
    until = time.monotonic() + 60
    while one.ask("verify") != "alice":
        assert time.monotonic() < until
