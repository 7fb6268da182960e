"""All nodes of a cluster get other addresses, while a process notices nothing of it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.stored import eventually

from .frozen_client import FACES, FrozenClient
from .moving_cluster import MovingCluster, moving_cluster

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.sampled(1),
    pytest.mark.parametrize("face", FACES),
]
NAME = "store.example"
Client = Callable[[str, str], FrozenClient]


@pytest.fixture
def names(tmp_path: Path) -> Path:
    """The file that says where names lead."""
    path = tmp_path / "names"
    path.write_text("")
    return path


@pytest.fixture
def client(names: Path) -> Iterator[Client]:
    opened: list[FrozenClient] = []

    def open_one(face: str, url: str) -> FrozenClient:
        opened.append(FrozenClient(face, url, names))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


@pytest.fixture
def moving(server_program: str, tmp_path: Path) -> Iterator[MovingCluster]:
    folder = tmp_path / "nodes"
    folder.mkdir()
    with moving_cluster(server_program, folder, replicas=1) as cluster:
        yield cluster


def is_served(client: FrozenClient, cluster: MovingCluster) -> None:
    """The session lives, is served from memory by the watch, and ends."""
    assert client.ask("verify") == "alice"
    addresses = sorted(node.address for node in cluster.primaries)
    eventually(lambda: client.ask("leases") == addresses)
    # On a busy machine a replica may confirm later than in a quarter of a second.
    answer = client.ask("logout")
    assert answer == 1 or answer["code"] == "revocation_pending"
    assert client.ask("verify")["code"] == "session_revoked"
    eventually(lambda: client.ask("pending") == 0)


def test_an_old_address_that_still_leads_there_suffices(
    moving: MovingCluster, client: Client, face: str
):
    """The old address is a replica's, and no seed: only the members that were known lead there."""
    one = client(face, moving.url(*moving.primaries))
    assert one.ask("login") == "in"
    one.freeze()
    moving.move(*moving.primaries)
    one.thaw()
    is_served(one, moving)


def test_a_name_suffices_where_all_have_moved(
    moving: MovingCluster, client: Client, names: Path, face: str
):
    seed = moving.nodes[0]
    names.write_text(f"{NAME} {seed.host}\n")
    one = client(face, f"redis+cluster://{NAME}:{seed.port}")
    assert one.ask("login") == "in"
    one.freeze()
    moving.move(*moving.nodes)
    names.write_text(f"{NAME} {seed.host}\n")
    one.thaw()
    is_served(one, moving)


def test_who_watches_follows_though_no_seed_is_left(
    moving: MovingCluster, client: Client, face: str
):
    """Not frozen: each move is noticed while the other addresses still lead there."""
    one = client(face, moving.url(*moving.primaries))
    assert one.ask("login") == "in"
    for node in moving.nodes:
        moving.move(node)
        assert one.ask("verify") == "alice"
    is_served(one, moving)


def test_where_nothing_leads_there_the_error_says_what_was_tried(
    moving: MovingCluster, client: Client, face: str
):
    before = sorted(node.address for node in moving.nodes)
    one = client(face, moving.url(*moving.primaries))
    assert one.ask("login") == "in"
    one.freeze()
    moving.move(*moving.nodes)
    one.thaw()
    error = eventually(lambda: len((found := one.ask("verify"))["tried"]) == len(before) and found)
    assert error["code"] == "store_unavailable"
    assert error["tried"] == [f"{address}: the connection was refused" for address in before]
    assert all(address in error["described"] for address in before)
