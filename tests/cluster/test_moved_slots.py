"""The near cache while slots move and epochs rise: entries of other slots stay."""

import time
from collections.abc import Callable, Iterator

import pytest
import redis

from clusterpass import EmbeddedCluster, SessionManager, SessionRevoked
from clusterpass.embedded.options import Node
from clusterpass.protocol.keyspace import Keyspace, slot_of
from tests.cluster.stored import eventually
from tests.staleness.cluster_operations import move_slot, move_slots_at_once

pytestmark = pytest.mark.timeout(180)
SESSIONS = 300
ROUNDS = 60
NODES = 6


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    """One whose slots may be moved."""
    with EmbeddedCluster(nodes=NODES, node_timeout=5.0) as running:
        yield running


@pytest.fixture
def manager(cluster, config) -> Iterator[SessionManager]:
    with SessionManager.from_url(cluster.url, config) as opened:
        yield opened


@pytest.fixture
def other(cluster, config) -> Iterator[SessionManager]:
    with SessionManager.from_url(cluster.url, config) as opened:
        yield opened


def another_primary(cluster: EmbeddedCluster, source: Node) -> Node:
    found = (cluster.primary_of(f"x{number}".encode()) for number in range(100))
    return next(node for node in found if node != source)


def key_of(subject: str) -> bytes:
    return Keyspace().sessions(subject)


def tokens_in_memory(manager: SessionManager) -> list[str]:
    """Tokens of many users, all of which are answered from memory."""
    tokens = [manager.login(f"user-{number}").access_token for number in range(SESSIONS)]

    def are_known() -> bool:
        found = [manager.verify(token) and manager.recall(token) for token in tokens]
        return None not in found

    eventually(are_known)
    return tokens


def share_that_asked(
    manager: SessionManager, tokens: list[str], act: Callable[[int], None]
) -> float:
    """The share of verifies that asked the store, while ``act`` is done each 0.1 seconds."""
    before = manager.stats().cache.misses
    for number in range(ROUNDS):
        act(number)
        for token in tokens:
            manager.verify(token)
        time.sleep(0.1)  # the pace of what is done to the cluster
    return (manager.stats().cache.misses - before) / (ROUNDS * len(tokens))


def test_epochs_that_rise_without_a_vote_void_nothing(cluster, manager):
    tokens = tokens_in_memory(manager)

    def bump(number: int) -> None:
        with cluster.client(cluster.primary_of(f"x{number}".encode())) as client:
            client.execute_command("CLUSTER", "BUMPEPOCH")

    assert share_that_asked(manager, tokens, bump) < 0.1


def test_empty_slots_that_move_void_next_to_nothing(cluster, manager):
    tokens = tokens_in_memory(manager)
    taken = {slot_of(key_of(f"user-{number}")) for number in range(SESSIONS)}
    source = cluster.primary_of(key_of("user-1"))
    target = another_primary(cluster, source)
    with cluster.client(source) as client:
        ranges = client.execute_command("CLUSTER", "SLOTS")
    owned = [
        slot
        for first, last, primary, *_ in ranges
        if primary[1] == source.port
        for slot in range(first, last + 1)
        if slot not in taken
    ]

    def move(number: int) -> None:
        if number % 3 == 0:
            move_slot(cluster, owned[number], source, target)

    assert share_that_asked(manager, tokens, move) < 0.01


MOVES = {
    "key by key": move_slot,
    "at once": lambda cluster, slot, *nodes: move_slots_at_once(cluster, [slot], *nodes),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
def test_what_moved_is_heard_of_from_its_new_owner(cluster, manager, other, subject, move):
    """A session is in memory, its slot moves, and another process ends it there."""
    pair = manager.login(subject)
    eventually(lambda: manager.verify(pair.access_token) and manager.recall(pair.access_token))
    source = cluster.primary_of(key_of(subject))
    target = another_primary(cluster, source)
    try:
        move(cluster, slot_of(key_of(subject)), source, target)
    except redis.ResponseError as error:
        pytest.skip(f"the server cannot move slots at once: {error}")
    other.revoke(subject, pair.session_id)
    ends = time.monotonic() + manager.config.staleness_bound
    while time.monotonic() < ends:
        manager.recall(pair.access_token)
        time.sleep(0.01)
    assert manager.recall(pair.access_token) is None
    with pytest.raises(SessionRevoked):
        manager.verify(pair.access_token)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
def test_what_moved_there_and_back_is_not_taken_for_what_it_was(
    cluster, manager, other, subject, move
):
    pair = manager.login(subject)
    eventually(lambda: manager.verify(pair.access_token) and manager.recall(pair.access_token))
    source = cluster.primary_of(key_of(subject))
    target = another_primary(cluster, source)
    slot = slot_of(key_of(subject))
    try:
        move(cluster, slot, source, target)
        other.claims.set(subject, {"seen": "there"})
        move(cluster, slot, target, source)
    except redis.ResponseError as error:
        pytest.skip(f"the server cannot move slots at once: {error}")
    time.sleep(manager.config.staleness_bound)
    assert manager.verify(pair.access_token).claims == {"seen": "there"}
