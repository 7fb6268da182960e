"""The lookup of slot owners: the order of the nodes, refusals and the deadline."""

import pytest

from clusterpass.model.errors import StoreDenied, StoreFailed
from clusterpass.store.address import Address
from clusterpass.store.exchanges.node_queries import look_up
from clusterpass.store.exchanges.steps import Send
from clusterpass.store.outcomes import Fault, Replies, ServerError

from .driven_call import A, B, C, ending_of


def slots_reply(address: Address) -> Replies:
    return Replies(
        [
            [[0, 16383, [address.host.encode(), address.port, b"id", []]]],
            b"id a:1@2 myself,master - 0 0 1 connected 0-16383\n",
        ]
    )


def test_a_look_up_asks_the_suspect_last_and_passes_over_faults():
    steps = look_up([A, B, C], A, 7, lambda: 5.0, 6.0)
    commands = ((b"CLUSTER", b"SLOTS"), (b"CLUSTER", b"NODES"))
    assert next(steps) == Send(B, commands)
    assert steps.send(Fault("timeout")) == Send(C, commands)
    assert steps.send(Replies([ServerError("LOADING", "x")] * 2)) == Send(A, commands)
    slots = ending_of(steps, slots_reply(B))
    assert slots.shard(0).primary == B
    assert (slots.version, slots.taken_at) == (7, 5.0)


def test_a_look_up_passes_over_a_node_that_knows_no_slots():
    steps = look_up([A, B], None, 1, lambda: 0.0, 1.0)
    next(steps)
    assert steps.send(Replies([[], b""])).address == B


def test_a_look_up_that_nobody_answers():
    steps = look_up([A, B], None, 1, lambda: 0.0, 1.0)
    next(steps)
    steps.send(Fault("connection"))
    assert ending_of(steps, Fault("connection")) is None


def test_a_look_up_ends_in_time():
    now = 0.0
    steps = look_up([A, B, C], None, 1, lambda: now, 1.0)
    assert next(steps).address == A
    now = 0.6
    assert steps.send(Fault("timeout")).address == B
    now = 1.2
    assert ending_of(steps, Fault("timeout")) is None


def test_a_look_up_replaces_a_stale_connection():
    steps = look_up([A, B], None, 1, lambda: 0.0, 1.0)
    assert next(steps).address == A
    assert steps.send(Fault("connection", stale=True)).address == A


def test_a_look_up_at_a_single_server_says_so():
    steps = look_up([A], None, 1, lambda: 0.0, 1.0)
    next(steps)
    error = ServerError("This", "instance has cluster support disabled")
    with pytest.raises(StoreFailed, match=r"a:1 is a single server: use redis:// or rediss://"):
        steps.send(Replies([error, error]))


def test_a_look_up_that_is_refused_says_so():
    """All are asked, as an address of before may belong to somebody else by now."""
    steps = look_up([A, B], None, 1, lambda: 0.0, 1.0)
    next(steps)
    assert steps.send(Replies([ServerError("NOPERM", "x"), b""])).address == B
    with pytest.raises(StoreDenied):
        steps.send(Fault("timeout"))


def test_a_node_that_refuses_leaves_the_look_up_to_the_others():
    steps = look_up([A, B], None, 1, lambda: 0.0, 1.0)
    next(steps)
    error = ServerError("ERR", "This instance has cluster support disabled")
    assert steps.send(Replies([error, error])).address == B
    with pytest.raises(StopIteration) as stop:
        steps.send(Replies([[[0, 16383, [b"b", 1, b"b" * 40]]], b""]))
    assert stop.value.value.primaries() == [Address("b", 1)]
