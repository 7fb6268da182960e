"""The circuit breaker of each node, on the test's own clock."""

import dataclasses
import functools

import pytest

from clusterpass.model.errors import StoreDenied, StoreUnavailable
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.store.address import Address
from clusterpass.store.exchanges.carry_out import carry_out
from clusterpass.store.exchanges.circuit_breaker import CircuitBreakers
from clusterpass.store.exchanges.probe import probe
from clusterpass.store.exchanges.steps import Drop, LookUp, Pause, Probe, Send
from clusterpass.store.exchanges.terms import Terms
from clusterpass.store.outcomes import Fault, Replies, ServerError
from clusterpass.store.topology.slots import SLOTS, Shard, SlotMap

from .driven_call import PATIENCE, READ, WRITE, A, B, C, call_of, ending_of, owned_by


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> CircuitBreakers:
    return CircuitBreakers(clock, patience=2.5, most_waiting=2)


def test_who_answers_is_asked(breakers):
    assert breakers.admit(A, 0.5) == "go"
    breakers.answered(A)
    assert breakers.admit(A, 0.5) == "go"


def test_one_tries_while_the_others_wait(breakers, clock):
    breakers.failed(A, "timeout")
    assert breakers.admit(A, 0.5) == "wait"
    clock.now += 0.02
    assert breakers.admit(A, 0.5) == "try"
    assert breakers.admit(A, 0.5) == "wait"
    assert breakers.admit(B, 0.5) == "go", "the other nodes notice nothing"
    clock.now += 0.6
    assert breakers.admit(A, 0.5) == "try", "whoever tried never came back"


def test_an_answer_lets_everybody_in(breakers, clock):
    breakers.failed(A, "timeout")
    breakers.answered(A)
    assert breakers.admit(A, 0.5) == "go"


def test_after_the_patience_nobody_waits(breakers, clock):
    breakers.failed(A, "timeout")
    clock.now += 2.5
    assert breakers.admit(A, 0.5) == "probe"
    assert [breakers.admit(A, 0.5) for _ in range(3)] == ["refuse"] * 3
    assert breakers.refused == 3
    clock.now += 2.9
    assert breakers.admit(A, 0.5) == "refuse", "the probe may look up the slots, and then ask"
    clock.now += 0.2
    assert breakers.admit(A, 0.5) == "probe", "nothing came of it"


def test_the_silence_begins_with_the_request_that_is_not_answered(breakers, clock):
    breakers.failed(A, "timeout", age=0.5)
    clock.now += 2.0
    assert breakers.seconds_silent(A) == 2.5
    assert breakers.admit(A, 0.5) == "probe"


def test_whoever_has_waited_for_one_has_waited_for_all_where_none_answers(breakers, clock):
    breakers.failed(A, "timeout")
    clock.now += 1.0
    breakers.failed(B, "timeout")
    clock.now += 1.5
    assert breakers.admit(B, 0.5) == "try"
    breakers.failed_together([A, B, C], "timeout", clock.now - 2.0)
    assert [breakers.seconds_silent(node) for node in (A, B, C)] == [2.5, 2.0, 2.0]
    assert breakers.admit(C, 0.5) == "try", "who was asked for a moment is not silent for long"
    breakers.failed_together([A, B, C], "timeout", clock.now - 2.5)
    assert [breakers.seconds_silent(node) for node in (A, B, C)] == [2.5] * 3
    breakers.probe_ended(C)
    assert breakers.admit(C, 0.5) == "probe"
    breakers.answered(C)
    assert breakers.admit(C, 0.5) == "go"


def test_those_who_wait_are_bounded(breakers):
    breakers.failed(A, "timeout")
    for _ in range(2):
        assert breakers.admit(A, 0.5) == "wait"
        breakers.begin_to_wait(A)
    assert breakers.admit(A, 0.5) == "refuse"
    breakers.end_to_wait(A)
    assert breakers.admit(A, 0.5) == "wait"
    breakers.begin_to_wait(A)
    assert breakers.admit(A, 0.5) == "refuse"


def test_who_gives_up_waiting_makes_room_for_others(breakers, clock):
    breakers.failed(A, "timeout")
    clock.now += 0.1
    assert breakers.admit(A, 60) == "try", "somebody else's, which takes long"
    terms = Terms(lambda: owned_by(A), lambda _: None, PATIENCE, clock, breakers)
    for _ in range(4):
        steps = carry_out(call_of(READ), terms)
        step = next(steps)
        for _ in range(6):
            assert isinstance(step, LookUp | Pause)
            clock.now += 0.01
            step = steps.send(None)
        steps.close()
    assert breakers.admit(A, 0.5) == "wait"


def test_tries_become_rarer_but_not_rare(breakers, clock):
    tries = 0
    while clock.now < 110:
        if breakers.admit(A, 0.5) in {"go", "try", "probe"}:
            tries += 1
            breakers.failed(A, "connection")
        clock.now += 0.005
    assert 40 <= tries <= 90


def test_a_node_that_is_none_of_ours_any_more_is_forgotten(breakers):
    breakers.failed(A, "timeout")
    breakers.failed(B, "timeout")
    breakers.keep_only({B})
    assert breakers.seconds_silent(A) is None
    assert breakers.seconds_silent(B) == 0


def test_retries_have_a_budget(breakers, clock):
    assert retries_of(breakers, A) == 200
    clock.now += 1
    assert retries_of(breakers, A) == 20
    for _ in range(100):
        breakers.note_call(A)
    assert 19 <= retries_of(breakers, A) <= 20


def retries_of(breakers, node):
    """Uses up the budget of ``node``: how many retries it had."""
    return sum(breakers.may_retry(node) for _ in range(1000))


def test_each_node_has_a_budget_of_its_own(breakers, clock):
    for node in (A, B, None):  # None: the calls whose target is not known
        assert retries_of(breakers, node) == 200
    breakers.note_call(C)
    assert retries_of(breakers, C) == 200, "a new budget is full, and no fuller"
    for _ in range(51):
        breakers.note_call(A)
    assert (retries_of(breakers, A), retries_of(breakers, B)) == (10, 0)
    clock.now += 1
    assert (retries_of(breakers, A), retries_of(breakers, B)) == (20, 20)


def test_a_call_adds_its_share_to_the_budget_of_its_node(breakers, clock):
    terms = Terms(lambda: owned_by(A), lambda _: None, PATIENCE, clock, breakers)
    assert retries_of(breakers, A) == retries_of(breakers, B) == 200
    for _ in range(52):
        steps = carry_out(call_of(READ), terms)
        next(steps)
        ending_of(steps, Replies([b"value"]))
    assert (retries_of(breakers, A), retries_of(breakers, B)) == (10, 0)


def test_who_has_no_retry_left_waits_until_the_deadline_and_then_gives_up(
    breakers, clock, monkeypatch
):
    monkeypatch.setattr(breakers, "may_retry", lambda _: False)
    terms = Terms(lambda: owned_by(A), lambda _: None, PATIENCE, clock, breakers)
    steps = carry_out(call_of(READ), terms)
    step, sent = next(steps), 0
    with pytest.raises(StoreUnavailable):
        while True:
            if isinstance(step, Pause):
                assert step.seconds > 0, "there is something to wait for"
                clock.now += step.seconds
            sent += isinstance(step, Send)
            step = steps.send(Fault("busy") if isinstance(step, Send) else None)
    assert (clock.now, sent) == (102.5, 1)


def test_budgets_are_kept_for_the_nodes_that_exist(breakers):
    for number in range(1000):
        node = Address("a", number)
        breakers.failed(node, "timeout")
        breakers.may_retry(node)
        breakers.may_retry(None)
        breakers.keep_only({A, B})
    assert len(breakers._budgets) <= 2
    assert retries_of(breakers, None) == 0, "that of unknown targets is no node's"


def test_calls_that_insist_use_up_no_other_nodes_budget(breakers, clock):
    """Logouts that no replica confirms insist; a read of another shard still has its retry."""
    terms = Terms(
        lambda: owned_by(A, replicas=1), lambda _: None, PATIENCE, clock, breakers, "replicated"
    )
    insisting = dataclasses.replace(call_of(WRITE), insists=True)
    running = {steps: next(steps) for steps in [carry_out(insisting, terms) for _ in range(60)]}
    answers = []
    while running:
        clock.now += 0.02
        for steps, step in list(running.items()):
            try:
                outcome = Replies([b"value"], 0) if isinstance(step, Send) else None
                running[steps] = steps.send(outcome)
            except StopIteration as stop:
                answers.append(stop.value)
                del running[steps]
    assert len(answers) == 60
    assert not any(answer.is_confirmed for answer in answers)
    assert not breakers.may_retry(A)
    healthy = Terms(lambda: owned_by(B), lambda _: None, PATIENCE, clock, breakers)
    steps = carry_out(call_of(READ), healthy)
    assert isinstance(next(steps), Send)
    began = clock.now
    step = run_until_sent_or_over(
        steps, clock, steps.send(Replies([ServerError("TRYAGAIN", "x")] * 2))
    )
    assert isinstance(step, Send)
    step = run_until_sent_or_over(steps, clock, steps.send(Replies([ServerError("BUSY", "x")])))
    assert isinstance(step, Send)
    assert clock.now - began < 0.05


def run_until_sent_or_over(steps, clock, step):
    while isinstance(step, LookUp | Pause | Drop):
        if isinstance(step, Pause):
            clock.now += step.seconds
        step = steps.send(None)
    return step


def test_callers_of_a_silent_node_share_one_try(breakers, clock):
    """While one tries, the others send nothing; its answer lets them go on."""
    terms = Terms(lambda: owned_by(A), lambda _: None, PATIENCE, clock, breakers)
    first = carry_out(call_of(READ), terms)
    assert isinstance(next(first), Send)
    step = first.send(Fault("timeout"))
    step = run_until_sent_or_over(first, clock, step)
    assert isinstance(step, Send), "it tries again"
    second = carry_out(call_of(READ), terms)
    assert isinstance(next(second), LookUp)
    assert isinstance(second.send(None), Pause), "somebody tries already"
    with pytest.raises(StopIteration):
        first.send(Replies([b"value"]))
    assert isinstance(second.send(None), Send)


def test_a_call_that_comes_too_late_is_refused_at_once(breakers, clock):
    breakers.failed(A, "timeout")
    clock.now += 3
    assert breakers.admit(A, 0.5) == "probe"
    terms = Terms(lambda: owned_by(A), lambda _: None, PATIENCE, clock, breakers)
    with pytest.raises(StoreUnavailable) as refusal:
        next(carry_out(call_of(READ), terms))
    assert refusal.value.reason == "circuit_open"
    assert refusal.value.retry_after >= 1


def test_a_call_that_has_waited_is_told_what_for(breakers, clock):
    breakers.failed(A, "timeout")
    clock.now += 1
    assert breakers.admit(A, 60) == "try", "somebody else's, which takes long"
    terms = Terms(lambda: owned_by(A), lambda _: None, PATIENCE, clock, breakers)
    steps = carry_out(call_of(READ), terms)
    assert not isinstance(next(steps), Send)
    clock.now += 1.6
    with pytest.raises(StoreUnavailable) as refusal:
        for _ in range(5):
            assert not isinstance(steps.send(None), Send)
    assert refusal.value.reason == "timeout"


def test_a_call_that_got_no_answer_is_told_of_that_where_others_have_waited_for_longer(
    breakers, clock
):
    terms = Terms(lambda: owned_by(A), lambda _: None, PATIENCE, clock, breakers)
    steps = carry_out(call_of(READ), terms)
    assert isinstance(next(steps), Send)
    steps.send(Fault("timeout"))
    breakers.failed_together([A], "timeout", clock.now - 60)
    with pytest.raises(StoreUnavailable) as refusal:
        for _ in range(5):
            assert not isinstance(steps.send(None), Send)
    assert refusal.value.reason == "timeout"


def test_a_new_owner_has_a_breaker_of_its_own(breakers, clock):
    breakers.failed(A, "timeout")
    terms = Terms(lambda: owned_by(B), lambda _: None, PATIENCE, clock, breakers)
    assert next(carry_out(call_of(READ), terms)).address == B


def test_a_shard_that_is_down_is_silent_also_when_its_node_answers(breakers, clock):
    terms = Terms(lambda: owned_by(A), lambda _: None, PATIENCE, clock, breakers)
    steps = carry_out(call_of(READ), terms)
    next(steps)
    steps.send(Replies([ServerError("CLUSTERDOWN", "The cluster is down")]))
    assert breakers.kind_of(A) == "cluster_down"


def test_who_tries_goes_on_over_a_stale_connection_and_after_an_answer(breakers, clock):
    """Whatever comes of its try, the one that makes it is not refused for making it."""
    for outcome in (
        Fault("connection", stale=True),
        Replies([ServerError("READONLY", "x")]),
        Replies([ServerError("NOSCRIPT", "x")]),
        Replies([ServerError("TRYAGAIN", "x")]),
    ):
        breakers.failed(A, "timeout")
        clock.now += 1
        terms = Terms(lambda: owned_by(A), lambda _: None, PATIENCE, clock, breakers)
        steps = carry_out(call_of(READ), terms)
        assert isinstance(next(steps), Send)
        step = run_until_sent_or_over(steps, clock, steps.send(outcome))
        assert isinstance(step, Send), outcome
        breakers.answered(A)


def refused_or_sent(breakers, clock, current, during_probe):
    """A call to A, whose breaker is open: what it sends, once ``during_probe`` has happened."""
    breakers.failed(A, "timeout")
    clock.now += 60
    terms = Terms(current, lambda _: None, PATIENCE, clock, breakers)
    steps = carry_out(call_of(READ), terms)
    step = next(steps)
    assert isinstance(step, Probe)
    assert (step.node, step.seconds) == (A, 0.05)
    during_probe()
    return steps.send(None)


def test_who_has_a_node_probed_goes_on_if_it_answers(breakers, clock):
    sent = refused_or_sent(breakers, clock, lambda: owned_by(A), lambda: breakers.answered(A))
    assert isinstance(sent, Send)
    assert sent.address == A


def test_who_has_a_node_probed_goes_to_its_successor(breakers, clock):
    owners = [A]
    moved = functools.partial(owners.__setitem__, 0, B)
    sent = refused_or_sent(breakers, clock, lambda: owned_by(owners[0]), moved)
    assert isinstance(sent, Send)
    assert sent.address == B


def test_who_has_a_node_probed_is_refused_if_nothing_comes_of_it(breakers, clock):
    for during_probe in (lambda: None, lambda: breakers.failed(A, "timeout")):
        with pytest.raises(StoreUnavailable) as refusal:
            refused_or_sent(breakers, clock, lambda: owned_by(A), during_probe)
        assert refusal.value.reason == "circuit_open"
        breakers.answered(A)


@pytest.mark.parametrize(
    ("outcome", "is_silent"),
    [
        (Replies([None]), False),
        (Replies([ServerError("MOVED", "1 b:1")]), False),
        (Replies([ServerError("NOPERM", "x")]), False),
        (Replies([ServerError("CLUSTERDOWN", "x")]), True),
        (Replies([ServerError("LOADING", "x")]), True),
        (Fault("timeout"), True),
        (Fault("connection"), True),
    ],
)
def test_a_probe_tells_who_serves_from_who_answers(breakers, clock, outcome, is_silent):
    breakers.failed(A, "timeout")
    steps = probe(Probe(A, 7, 0.05), lambda: owned_by(A), breakers, Keyspace(), 3.0)
    assert next(steps) == LookUp(owned_by(A).version, suspect=A, until=3.0)
    asked = steps.send(None)
    assert asked == Send(A, ((b"GET", Keyspace().probe(7)),))
    assert asked.fresh, "a connection that idled while the node was away may be dead"
    with pytest.raises(StopIteration):
        steps.send(outcome)
    assert (breakers.seconds_silent(A) is not None) == is_silent


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        (Fault("connection", cause="refused"), "refused"),
        (Replies([ServerError("CLUSTERDOWN", "x")]), "no_quorum"),
    ],
)
def test_who_is_refused_after_a_probe_is_told_what_came_of_it(breakers, clock, outcome, cause):
    breakers.failed(A, "timeout")
    clock.now += 60
    steps = probe(Probe(A, 7, 0.05), lambda: owned_by(A), breakers, Keyspace(), 3.0)
    next(steps)
    steps.send(None)
    ending_of(steps, outcome)
    terms = Terms(lambda: owned_by(A), lambda _: None, PATIENCE, clock, breakers)
    with pytest.raises(StoreUnavailable) as refusal:
        next(carry_out(call_of(READ), terms))
    assert (refusal.value.reason, refusal.value.cause) == ("circuit_open", cause)


def test_a_probe_asks_nobody_whose_slot_has_a_new_owner(breakers):
    steps = probe(Probe(A, 7, 0.05), lambda: owned_by(B), breakers, Keyspace(), 3.0)
    next(steps)
    with pytest.raises(StopIteration):
        steps.send(None)


def test_a_probe_that_is_denied_has_the_next_caller_learn_why(breakers):
    breakers.failed(A, "timeout")
    steps = probe(Probe(A, 7, 0.05), lambda: owned_by(A), breakers, Keyspace(), 3.0)
    next(steps)
    with pytest.raises(StopIteration):
        steps.throw(StoreDenied(reason="noauth"))
    assert breakers.admit(A, 0.5) == "go"


def test_a_probe_that_ends_without_a_verdict_leaves_room_for_another(breakers, clock):
    """As where its event loop has ended: the node may be back already."""
    breakers.failed(A, "timeout")
    clock.now += 10
    assert breakers.admit(A, 0.5) == "probe"
    assert breakers.admit(A, 0.5) == "refuse"
    steps = probe(Probe(A, 7, 0.05), lambda: owned_by(A), breakers, Keyspace(), 13.0)
    next(steps)
    steps.close()
    assert breakers.admit(A, 0.5) == "probe"


def test_a_probe_asks_a_node_that_owns_other_slots(breakers, clock):
    breakers.failed(A, "timeout")
    slots = SlotMap([Shard(B, 0)] * 8 + [Shard(A, 0)] * (SLOTS - 8), 1)
    steps = probe(Probe(A, 7, 0.05), lambda: slots, breakers, Keyspace(), 3.0)
    next(steps)
    assert isinstance(steps.send(None), Send)
    with pytest.raises(StopIteration):
        steps.send(Replies([ServerError("MOVED", "7 b:1")]))
    assert breakers.admit(A, 0.5) == "go"
