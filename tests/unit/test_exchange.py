"""The exchange of one call: the commands sent, and the confirmation of a write."""

import dataclasses
import math

import pytest

from clusterpass.model.errors import StoreFailed, StoreUnavailable
from clusterpass.protocol.script import Answer
from clusterpass.store.exchanges.carry_out import carry_out
from clusterpass.store.exchanges.circuit_breaker import CircuitBreakers
from clusterpass.store.exchanges.steps import LookUp, Pause, Send
from clusterpass.store.exchanges.terms import Terms
from clusterpass.store.outcomes import Fault, Replies
from clusterpass.store.patience import Patience

from .driven_call import (
    NOSCRIPT,
    PATIENCE,
    READ,
    WAIT,
    WRITE,
    A,
    Drive,
    by_name,
    by_source,
    call_of,
    owned_by,
)


def test_a_read_is_one_command_to_the_owner_and_never_durable():
    drive = Drive(READ, owned_by(A, replicas=2))
    assert drive.step == Send(A, (by_name(READ),))
    assert drive.step.until == 102.5
    drive.reply(b"value")
    assert drive.result == Answer(("read", b"value"), durable=False, node=A)


@pytest.mark.parametrize(("confirmed", "durable"), [(0, False), (1, True), (2, True)])
def test_a_write_waits_where_there_are_replicas(confirmed, durable):
    drive = Drive(WRITE, owned_by(A, replicas=1))
    assert drive.step == Send(A, (by_name(WRITE),), WAIT)
    drive.reply(b"value", confirmed=confirmed)
    assert drive.result == Answer(("read", b"value"), durable=durable, node=A, is_confirmed=durable)


def test_a_write_does_not_wait_where_no_replica_can_confirm():
    drive = Drive(WRITE, owned_by(A, replicas=0))
    assert drive.step == Send(A, (by_name(WRITE),))
    drive.reply(b"value")
    assert drive.result.durable is False


def test_a_write_does_not_wait_when_it_shall_not():
    drive = Drive(WRITE, owned_by(A, replicas=1), Patience(replica_wait=0))
    assert drive.step == Send(A, (by_name(WRITE),))


@pytest.mark.parametrize(("age", "looks"), [(0.9, False), (1.1, True), (-math.inf, False)])
def test_replicas_are_counted_again_after_a_write_without_confirmation(age, looks):
    drive = Drive(WRITE, owned_by(A, replicas=0, taken_at=100.0 - age))
    drive.reply(b"value")
    if looks:
        assert drive.step == LookUp(1, suspect=None, until=102.5, counts_replicas=True)
        drive.answer(None)
    assert drive.result == Answer(("read", b"value"), durable=False, node=A)


@pytest.mark.parametrize(("script", "wait"), [(READ, None), (WRITE, WAIT)])
def test_a_script_that_is_not_known_is_sent_in_full_to_the_same_node(script, wait):
    drive = Drive(script, owned_by(A, replicas=1))
    drive.reply(NOSCRIPT)
    assert drive.step == Send(A, (by_source(script),), wait)
    drive.reply(b"value", confirmed=0 if wait is None else 1)
    assert drive.result == Answer(("read", b"value"), durable=script is WRITE, node=A)


def test_a_script_that_is_refused_in_full_is_a_failure():
    drive = Drive(READ, owned_by(A))
    drive.reply(NOSCRIPT)
    with pytest.raises(StoreFailed, match="NOSCRIPT"):
        drive.reply(NOSCRIPT)


def test_a_write_that_needs_no_confirmation_waits_for_none():
    call = dataclasses.replace(call_of(WRITE), confirm=False)
    slots = owned_by(A, replicas=1)
    breakers = CircuitBreakers(lambda: 100.0, patience=2.5, most_waiting=256)
    terms = Terms(lambda: slots, lambda _: None, PATIENCE, lambda: 100.0, breakers, "replicated")
    steps = carry_out(call, terms)
    assert next(steps) == Send(A, (by_name(WRITE),))
    with pytest.raises(StopIteration) as end:
        steps.send(Replies([b"value"]))
    assert end.value.value == Answer(("read", b"value"), durable=False, node=A)


def test_a_call_may_be_given_up_earlier_than_others():
    call = dataclasses.replace(call_of(READ), deadline=0.25)
    slots, now = owned_by(A), [100.0]
    breakers = CircuitBreakers(lambda: now[0], patience=2.5, most_waiting=256)
    steps = carry_out(
        call, Terms(lambda: slots, lambda _: None, PATIENCE, lambda: now[0], breakers)
    )
    step = next(steps)
    with pytest.raises(StoreUnavailable):
        while True:
            now[0] += step.seconds if isinstance(step, Pause) else 0.01
            step = steps.send(Fault("timeout") if isinstance(step, Send) else None)
    assert 100.25 <= now[0] < 101
