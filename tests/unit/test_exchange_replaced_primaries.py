"""Replies of primaries that may have been replaced: doubted, confirmed or asked for again."""

from dataclasses import replace

import pytest

from clusterpass.model.errors import StoreUnavailable
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import Answer
from clusterpass.store.exchanges.carry_out import carry_out
from clusterpass.store.exchanges.circuit_breaker import CircuitBreakers
from clusterpass.store.exchanges.evidence import Inquiry
from clusterpass.store.exchanges.steps import Agree, LookUp, Send
from clusterpass.store.exchanges.terms import Terms
from clusterpass.store.outcomes import Fault, Replies
from clusterpass.store.topology.slots import Shard, SlotMap

from .driven_call import PATIENCE, READ, WRITE, A, B, C, by_name, call_of, owned_by


def info_of(epoch: int) -> Replies:
    return Replies([b"cluster_state:ok\r\ncluster_current_epoch:%d\r\n" % epoch])


INFO = ((b"CLUSTER", b"INFO"),)


def three_primaries() -> SlotMap:
    return SlotMap([Shard((A, B, C)[slot % 3], 1) for slot in range(16384)], 1)


@pytest.mark.parametrize(
    ("epochs", "is_believed"),
    [
        ({A: 5, B: 5, C: 5}, True),
        ({A: 5, B: None, C: 5}, True),
        ({A: 5, B: 5, C: None}, True),
        ({A: 5, B: None, C: None}, False),
        ({A: 5, B: 6, C: 6}, False),
        ({A: 5, B: 6, C: None}, False),
        ({A: None, B: 5, C: 5}, False),
    ],
)
def test_a_node_in_doubt_is_believed_when_most_agree_with_it(epochs, is_believed):
    slots = three_primaries()
    inquiry = Inquiry(slots, Keyspace(), None, clock=lambda: 0.0, steady=lambda: 0.0, until=1.0)
    steps = inquiry.about(A)
    step = next(steps)
    with pytest.raises(StopIteration) as stop:
        while True:
            assert step.commands == INFO
            epoch = epochs[step.address]
            step = steps.send(Fault("timeout") if epoch is None else info_of(epoch))
    assert stop.value.value is is_believed


def in_doubt(slots: SlotMap) -> Terms:
    """Terms under which every node is in doubt, and an answer came at 7 s."""
    breakers = CircuitBreakers(lambda: 0.0, patience=2.5, most_waiting=256)
    return Terms(
        lambda: slots,
        lambda _: None,
        PATIENCE,
        lambda: 0.0,
        breakers,
        "replicated",
        doubts=lambda _, age, is_durable=False: not is_durable,
        steady=lambda: 7.0,
    )


def test_a_read_that_is_not_believed_is_asked_again():
    slots = owned_by(A)
    terms = replace(in_doubt(slots), current=lambda: slots)
    steps = carry_out(call_of(READ), terms)
    assert steps.send(None) == Send(A, (by_name(READ),))
    assert steps.send(Replies([b"from the past"])) == Agree(
        A, answered_at=7.0, until=2.5, made_at=7.0
    )
    assert steps.send(False) == LookUp(1, suspect=A, until=2.5)
    slots = owned_by(B, version=2)
    assert steps.send(None) == Send(B, (by_name(READ),))
    assert steps.send(Replies([b"value"])) == Agree(B, answered_at=7.0, until=2.5, made_at=7.0)
    with pytest.raises(StopIteration) as stop:
        steps.send(True)
    assert stop.value.value == Answer(("read", b"value"), durable=False, node=B)


def test_a_read_that_is_never_believed_is_no_answer():
    now = 0.0
    terms = replace(in_doubt(owned_by(A)), clock=lambda: now)
    steps = carry_out(call_of(READ), terms)
    steps.send(None)
    steps.send(Replies([b"from the past"]))
    now = 2.5
    with pytest.raises(StoreUnavailable) as ending:
        steps.send(False)
    assert ending.value.reason == "doubted"


def test_who_asks_again_because_of_a_doubt_needs_no_retry_from_the_budget():
    terms = in_doubt(owned_by(A))
    while terms.breakers.may_retry(A):
        pass
    steps = carry_out(call_of(READ), terms)
    step = next(steps)
    sent = 0
    while sent < 5:
        sent += isinstance(step, Send)
        step = steps.send(Replies([b"x"]) if isinstance(step, Send) else False)


def test_a_write_stands_or_falls_with_its_confirmation():
    steps = carry_out(call_of(WRITE), in_doubt(owned_by(A, replicas=1)))
    steps.send(None)
    with pytest.raises(StopIteration) as stop:
        steps.send(Replies([b"value"], 1))
    assert stop.value.value.durable


def test_a_write_that_nobody_confirmed_is_in_doubt_like_a_read():
    steps = carry_out(call_of(WRITE), in_doubt(owned_by(A, replicas=1)))
    steps.send(None)
    assert steps.send(Replies([b"value"], 0)) == Agree(A, answered_at=7.0, until=2.5, made_at=7.0)
