"""The slot map: owners of slots as the nodes report them."""

import math

import pytest

from clusterpass.store.address import Address
from clusterpass.store.outcomes import read_attached
from clusterpass.store.topology.slots import (
    SLOTS,
    Shard,
    SlotMap,
)

ASKED = Address("10.0.0.9", 7000)
A, B, C = b"a" * 40, b"b" * 40, b"c" * 40


def line(identifier: bytes, flags: str, primary: bytes = b"-", slots: str = "") -> bytes:
    return (
        b"%b 10.0.0.1:7000@17000 %b %b 0 0 1 connected %b"
        % (identifier, flags.encode(), primary, slots.encode())
    ).rstrip()


def parse(slots, *lines):
    return SlotMap.parse(slots, b"\n".join(lines) + b"\n", ASKED, 3, 12.5)


def test_ranges_belong_to_their_primary():
    slots = parse(
        [
            [0, 99, [b"10.0.0.1", 7001, A, []], [b"10.0.0.4", 7004, C, []]],
            [100, 16383, [b"10.0.0.2", 7002, B, []]],
        ],
        line(A, "master", slots="0-99"),
        line(B, "myself,master", slots="100-16383"),
        line(C, "slave", A),
    )
    first, second = Shard(Address("10.0.0.1", 7001), 1), Shard(Address("10.0.0.2", 7002), 0)
    assert [slots.shard(n) for n in (0, 99, 100, 16383)] == [first, first, second, second]
    assert slots.primaries() == [first.primary, second.primary]
    assert (slots.version, slots.taken_at) == (3, 12.5)


def test_slots_that_nobody_owns_are_unknown():
    slots = parse([[5, 5, [b"10.0.0.1", 7001, A, []]]], line(A, "master"))
    assert slots.shard(4) is None
    assert slots.shard(5) is not None
    assert slots.shard(6) is None


@pytest.mark.parametrize("host", [None, b"", b"?"])
def test_without_a_name_the_node_that_was_asked_stands(host):
    slots = parse([[0, 16383, [host, 7005, A, []]]], line(A, "myself,master"))
    assert slots.shard(0).primary == Address("10.0.0.9", 7005)


def test_ipv6_and_names_are_taken_as_they_are():
    slots = parse(
        [[0, 1, [b"::1", 7001, A, []]], [2, 3, [b"node.example", 7002, B, []]]],
        line(A, "master"),
        line(B, "master"),
    )
    assert slots.primaries() == [Address("::1", 7001), Address("node.example", 7002)]


@pytest.mark.parametrize(
    ("flags", "counted"),
    [
        ("slave", 1),
        ("myself,slave", 1),
        ("slave,fail?", 1),  # one node's suspicion is no failure
        ("slave,fail", 0),
        ("slave,nofailover", 1),
        ("master", 0),
        ("noaddr", 0),
    ],
)
def test_replicas_are_counted_unless_they_failed(flags, counted):
    slots = parse(
        [[0, 16383, [b"10.0.0.1", 7001, A, []]]],
        line(A, "myself,master", slots="0-16383"),
        line(B, flags, A),
    )
    assert slots.shard(0).replicas == counted


def test_a_line_that_is_none_is_passed_over():
    assert parse([[0, 0, [b"h", 1, A, []]]], b"", b"vars currentEpoch 6").shard(0).replicas == 0


def test_an_older_server_leaves_out_the_metadata():
    slots = parse([[0, 16383, [b"10.0.0.1", 7001, A]]], line(A, "master"))
    assert slots.shard(7).primary == Address("10.0.0.1", 7001)


def test_unknown_knows_nothing():
    slots = SlotMap.unknown()
    assert slots.version == 0
    assert slots.primaries() == []
    assert slots.shard(0) is slots.shard(SLOTS - 1) is None


def test_a_single_server_owns_everything_and_never_ages():
    slots = SlotMap.single(ASKED)
    assert slots.shard(0) == slots.shard(SLOTS - 1) == Shard(ASKED, 0)
    assert slots.primaries() == [ASKED]
    assert slots.version
    assert slots.taken_at == math.inf


def test_a_moved_slot_goes_alone_and_the_old_map_stays():
    before = parse(
        [[0, 9, [b"a", 1, A, []]], [10, 19, [b"b", 2, B, []]]],
        line(A, "master", slots="0-9"),
        line(B, "master", slots="10-19"),
        line(C, "slave", B),
    )
    after = before.moved(3, Address("b", 2))
    assert after.version == before.version + 1
    assert after.taken_at == before.taken_at
    assert after.shard(3) == before.shard(10) == Shard(Address("b", 2), 1)
    assert after.shard(2) == before.shard(2) == before.shard(3) == Shard(Address("a", 1), 0)


def test_a_slot_moved_to_a_stranger_may_have_a_replica():
    after = SlotMap.unknown().moved(3, Address("new", 9))
    assert after.shard(3).primary == Address("new", 9)
    assert after.shard(3).replicas, "WAIT must be asked for until the replicas were counted"


def test_a_slot_that_moved_forgets_nothing_of_the_cluster():
    before = SlotMap([None] * SLOTS, 4, 12.5, is_replicated=True, has_failed=True)
    after = before.moved(3, Address("new", 9))
    assert (after.version, after.taken_at) == (5, 12.5)
    assert (after.is_replicated, after.has_failed) == (True, True)
    assert after.shard(3) == Shard(Address("new", 9), 1, is_whole=False)


def test_the_replicas_of_a_single_server():
    one = SlotMap.single(ASKED)
    assert (one.version, one.is_replicated, one.has_failed) == (1, None, False)
    none = one.with_replicas(0, 5.0)
    assert (none.version, none.taken_at) == (2, 5.0)
    assert (none.is_replicated, none.has_failed) == (False, False)
    assert none.shard(0) == none.shard(SLOTS - 1) == Shard(ASKED, 0, is_whole=False)
    two = one.with_replicas(2, 5.0)
    assert (two.is_replicated, two.has_failed) == (True, False)
    assert two.shard(7) == Shard(ASKED, 2, is_whole=True)
    lost = two.with_replicas(0, 6.0)
    assert (lost.version, lost.is_replicated, lost.has_failed) == (3, True, True)
    assert lost.shard(7) == Shard(ASKED, 0, is_whole=False)


@pytest.mark.parametrize(
    ("role", "count"),
    [
        ([b"master", 1, [[b"h", b"1", b"0"], [b"h", b"2", b"0"]]], 2),
        ([b"master", 1, []], 0),
        ([b"slave", b"h", 1, b"connected", 5], 0),
        ([b"slave", b"h", [1]], 0),
        ([b"master", 1], 0),
        ([b"master", 1, [], b"more"], 0),
        ("ERR", 0),
    ],
)
def test_connected_replicas_are_counted_in_a_role(role, count):
    assert len(read_attached(role) or ()) == count


@pytest.mark.parametrize(
    ("flags", "slots", "is_replicated", "has_failed"),
    [
        ("slave", "", True, False),
        ("slave,fail", "", True, True),
        ("master", "", False, False),
        ("master,fail", "", True, True),
        ("master,fail", "5-9", False, True),
        ("master,fail", "[5-<-x]", False, True),
    ],
)
def test_whether_a_cluster_has_replicas_and_a_failed_node(flags, slots, is_replicated, has_failed):
    found = parse(
        [[0, 9, [b"a", 1, A, []]], [10, 19, [b"b", 2, C, []]]],
        line(A, "myself,master", slots="0-9"),
        line(C, "master", slots="10-19"),
        line(B, flags, A, slots),
    )
    assert (found.is_replicated, found.has_failed) == (is_replicated, has_failed)
    assert found.shard(0).is_whole == (flags != "slave,fail")
    assert found.shard(10).is_whole


@pytest.mark.parametrize(
    ("flags", "primary", "slots"),
    [("master", "", ""), ("master", "", "5-9"), ("slave", "c" * 40, ""), (None, "", "")],
)
def test_an_owner_that_changed_its_role_between_the_two_replies_is_not_whole(
    flags: str | None, primary: str, slots: str
):
    """A replica was promoted in between; the one that is left confirms what that one lacks."""
    lines = [line(B, "slave", A), line(C, "master", slots="0-4")]
    if flags is not None:
        lines.append(line(A, flags, primary.encode(), slots))
    found = parse([[0, 9, [b"a", 1, A, []]]], *lines)
    assert not found.shard(0).is_whole


def test_where_everybody_is():
    lines = b"""\
a 10.0.0.1:7001@17001 myself,master - 0 0 1 connected 0-9
b 10.0.0.2:7002@17002 slave a 0 0 1 connected
c :7003@17003 slave,fail a 0 0 1 connected
"""
    found = parse([[0, 9, [b"10.0.0.1", 7001, b"a", []]]], lines)
    a, b, c = Address("10.0.0.1", 7001), Address("10.0.0.2", 7002), Address("10.0.0.9", 7003)
    assert found.shard(0).at == {b}
    assert found.members == {a, b, c}
    assert found.moved(3, Address("new", 9)).members == found.members
