"""The heartbeat of a node: its commands, and replies of a node that is no longer the owner."""

import pytest

from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace, slot_of
from clusterpass.store.address import Address
from clusterpass.store.drivers.heartbeat import Heartbeat, Pulse, make_heartbeats, read_pulse
from clusterpass.store.outcomes import ServerError
from clusterpass.store.topology.epoch import read_epoch
from clusterpass.store.topology.slots import Shard, SlotMap

INFO = b"cluster_state:ok\r\ncluster_current_epoch:%s\r\ncluster_my_epoch:3\r\n"
OF_CLUSTER = Heartbeat(b"", has_cutoff=True, is_cluster=True)
OF_SERVER = Heartbeat(b"", has_cutoff=False, is_cluster=False)
MASTER = [b"master", 42, []]
TIME = [b"1800000000", b"123456"]
MILLISECONDS = 1_800_000_000_123


@pytest.mark.parametrize(
    ("info", "epoch"),
    [
        (INFO % b"17", 17),
        (INFO % b"0", 0),
        (INFO % b"", None),
        (INFO % b"many", None),
        (b"cluster_state:ok\r\ncluster_my_epoch:3\r\n", None),
        (b"17", None),
        (b"", None),
        (None, None),
        (17, None),
    ],
)
def test_the_epoch_that_a_node_tells(info, epoch):
    assert read_epoch(info) == epoch
    pulse = read_pulse(OF_CLUSTER, [b"5", info, TIME])
    if epoch is None:
        assert isinstance(pulse, ServerError), "a node without an epoch vouches for nothing"
        assert pulse.code == "ERR"
    else:
        assert pulse == Pulse(epoch, 5, MILLISECONDS, own_epoch=3)


def test_the_cutoff_is_read_where_the_node_holds_a_copy():
    assert read_pulse(OF_CLUSTER, [None, INFO % b"1", TIME]) == Pulse(
        1, 0, MILLISECONDS, own_epoch=3
    )
    elsewhere = Heartbeat(b"", has_cutoff=False, is_cluster=True)
    assert read_pulse(elsewhere, [b"5", INFO % b"1", TIME]) == Pulse(
        1, None, MILLISECONDS, own_epoch=3
    )


def test_a_server_that_became_a_replica_is_refused():
    assert read_pulse(OF_SERVER, [b"x", MASTER, TIME]) == Pulse(0, None, MILLISECONDS)
    refused = read_pulse(OF_SERVER, [b"x", [b"slave", b"127.0.0.1", 6379], TIME])
    assert isinstance(refused, ServerError)
    assert refused.code == "READONLY"


@pytest.mark.parametrize("position", [0, 1, 2])
def test_an_error_in_any_answer_is_the_answer(position):
    moved = ServerError("MOVED", "1 127.0.0.1:1")
    values = [b"5", INFO % b"1", TIME]
    values[position] = moved
    assert read_pulse(OF_CLUSTER, values) is moved


def test_every_primary_is_asked_for_a_key_that_it_must_own():
    keyspace, nodes = Keyspace(), [Address("a", port) for port in range(5)]
    shards = [Shard(nodes[0], 1)] * 16384
    owned = {address: [] for address in nodes}
    for number, address in enumerate(nodes[1:4]):
        shards[SLOTS_WITH_CUTOFF[number]] = Shard(address, 1)
        owned[address].append(SLOTS_WITH_CUTOFF[number])
    shards[77] = Shard(nodes[4], 1)
    beats = make_heartbeats(SlotMap(shards, 1), keyspace, is_cluster=True)
    assert set(beats) == set(nodes)
    for address, beat in beats.items():
        assert b"CLUSTER" in beat.packed
        assert beat.count == beat.packed.count(b"*") == 3
        key = beat.packed.split(b"\r\n")[4]
        assert shards[slot_of(key)].primary == address
        assert beat.has_cutoff == (address in nodes[1:4])
    alone = make_heartbeats(SlotMap.single(nodes[0]), keyspace, is_cluster=False)
    (beat,) = alone.values()
    assert b"ROLE" in beat.packed
    assert beat.has_cutoff
    assert not beat.is_cluster


def test_what_the_journal_of_a_node_tells_counts_under_the_nodes_own_epoch():
    """Its own epoch tells the journal of a new primary from that of the one that it replaced."""
    slots, keyspace = SlotMap([Shard(Address("a", 1), 1)] * 16384, 1), Keyspace()
    (node,) = slots.primaries()
    (beat,) = make_heartbeats(slots, keyspace, is_cluster=True, journals={node: 7}).values()
    assert beat.count == 4
    assert b"HMGET\r\n" in beat.packed
    assert keyspace.journal(7) in beat.packed
    answer = [b"5", INFO % b"17", TIME, [b"9", b"run:4", b"250"]]
    assert read_pulse(beat, answer) == Pulse(17, 5, MILLISECONDS, (9, b"run:4", 250, 3), 3)
    answer[1] = b"cluster_current_epoch:17\r\n"
    assert read_pulse(beat, answer) == Pulse(17, 5, MILLISECONDS, (9, b"run:4", 250, 0), None)
    (beat,) = make_heartbeats(slots, keyspace, is_cluster=True).values()
    assert beat.count == 3
