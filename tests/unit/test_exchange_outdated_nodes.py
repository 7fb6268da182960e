"""What nodes say that may not know that they were replaced."""

import pytest

from clusterpass.protocol.script import Answer
from clusterpass.store.exchanges.agreement import most_agree_with
from clusterpass.store.exchanges.carry_out import carry_out
from clusterpass.store.exchanges.circuit_breaker import CircuitBreakers
from clusterpass.store.exchanges.steps import LookUp, Send
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
    steps = most_agree_with(A, slots, lambda: 0.0, 1.0)
    step = next(steps)
    with pytest.raises(StopIteration) as stop:
        while True:
            assert step.commands == INFO
            epoch = epochs[step.address]
            step = steps.send(Fault("timeout") if epoch is None else info_of(epoch))
    assert stop.value.value is is_believed


def test_a_read_that_is_not_believed_is_asked_again():
    slots = owned_by(A)
    believed = iter([False, True])

    def believes(*_):
        return next(believed)
        yield

    breakers = CircuitBreakers(lambda: 0.0, patience=2.5, most_waiting=256)
    terms = Terms(
        lambda: slots,
        lambda _: None,
        PATIENCE,
        lambda: 0.0,
        breakers,
        "replicated",
        believes=believes,
    )
    steps = carry_out(call_of(READ), terms)
    assert steps.send(None) == Send(A, (by_name(READ),))
    assert steps.send(Replies([b"from the past"])) == LookUp(1, suspect=A, until=2.5)
    slots = owned_by(B, version=2)
    assert steps.send(None) == Send(B, (by_name(READ),))
    with pytest.raises(StopIteration) as stop:
        steps.send(Replies([b"value"]))
    assert stop.value.value == Answer(("read", b"value"), durable=False, node=B)


def test_a_write_stands_or_falls_with_its_confirmation():
    def believes(*_):
        raise AssertionError("not asked")

    slots = owned_by(A, replicas=1)
    breakers = CircuitBreakers(lambda: 0.0, patience=2.5, most_waiting=256)
    terms = Terms(
        lambda: slots,
        lambda _: None,
        PATIENCE,
        lambda: 0.0,
        breakers,
        "replicated",
        believes=believes,
    )
    steps = carry_out(call_of(WRITE), terms)
    steps.send(None)
    with pytest.raises(StopIteration) as stop:
        steps.send(Replies([b"value"], 1))
    assert stop.value.value.durable
