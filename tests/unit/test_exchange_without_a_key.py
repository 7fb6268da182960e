"""Commands without a key: requests to any primary or to one given node."""

import pytest

from clusterpass.model.errors import StoreDenied, StoreUnavailable
from clusterpass.store.exchanges.node_queries import ask_one, reach_primary
from clusterpass.store.exchanges.steps import Drop, Send
from clusterpass.store.outcomes import Fault, Replies, ServerError

from .driven_call import A, B, C, ending_of

PING = (b"PING",)
REACH = (PING, (b"ROLE",))
PRIMARY = Replies([b"PONG", [b"master", 0, []]])
REPLICA = Replies([b"PONG", [b"slave", b"10.0.0.9", 6379, b"connected", 0]])


def test_one_primary_is_enough():
    steps = reach_primary([A, B, C], lambda: 0.0, 1.0)
    assert next(steps) == Send(A, REACH)
    assert steps.send(Fault("timeout")) == Send(B, REACH)
    assert ending_of(steps, PRIMARY) is None


def test_a_replica_does_not_count():
    steps = reach_primary([A, B], lambda: 0.0, 1.0)
    next(steps)
    assert steps.send(REPLICA) == Drop(A)
    assert steps.send(None) == Send(B, REACH)
    assert ending_of(steps, PRIMARY) is None


def test_replicas_alone_are_no_store():
    steps = reach_primary([A], lambda: 0.0, 1.0)
    next(steps)
    steps.send(REPLICA)
    with pytest.raises(StoreUnavailable) as ending:
        steps.send(None)
    assert ending.value.reason == "cluster_down"


def test_a_node_that_refuses_to_tell_its_role_counts():
    steps = reach_primary([A], lambda: 0.0, 1.0)
    next(steps)
    refusal = Replies([b"PONG", ServerError("NOPERM", "no permission to run 'role'")])
    assert ending_of(steps, refusal) is None


def test_nobody_answers():
    steps = reach_primary([A, B], lambda: 0.0, 1.0)
    next(steps)
    steps.send(Fault("connection"))
    loading = ServerError("LOADING", "x")
    with pytest.raises(StoreUnavailable) as ending:
        steps.send(Replies([loading, loading]))
    assert ending.value.reason == "loading"


def test_nobody_to_ask():
    with pytest.raises(StoreUnavailable):
        next(reach_primary([], lambda: 0.0, 1.0))


def test_asking_ends_in_time():
    now = 0.0
    steps = reach_primary([A, B, C], lambda: now, 1.0)
    next(steps)
    now = 1.0
    with pytest.raises(StoreUnavailable) as ending:
        steps.send(Fault("timeout"))
    assert ending.value.reason == "timeout"


def test_asking_is_refused():
    steps = reach_primary([A, B], lambda: 0.0, 1.0)
    next(steps)
    refusal = ServerError("NOAUTH", "x")
    with pytest.raises(StoreDenied):
        steps.send(Replies([refusal, refusal]))


def test_asking_over_a_stale_connection():
    steps = ask_one(A, PING)
    next(steps)
    assert steps.send(Fault("connection", stale=True)) == Send(A, (PING,))
    assert ending_of(steps, Replies([[b"0", []]])) == [b"0", []]
