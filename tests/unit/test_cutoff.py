"""The cached ``revoke_before`` cutoff: its age, its three copies, and copies that are down."""

import bisect
from typing import Any

import pytest

from clusterpass.model.errors import RevocationPending, StoreUnavailable
from clusterpass.protocol.keyspace import SLOTS, SLOTS_WITH_CUTOFF, Keyspace
from clusterpass.protocol.script import Answer
from clusterpass.sessions.memory.cutoff import Cutoff
from clusterpass.sessions.read_cutoff import read_cutoff

from .driven_flows import KEYSPACE, life


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("bound", "ask_after", "at_most"), [(5.0, 0.5, 0.9), (1.0, 0.5, 0.9), (0.2, 0.1, 0.18)]
)
def test_when_the_store_is_asked_again(bound, ask_after, at_most):
    time = Time()
    cutoff = Cutoff(time, bound)
    assert cutoff.is_due(), "nothing is known yet"
    cutoff.learn(0, time.now)
    assert not cutoff.is_due()
    time.now = 100 + ask_after - 0.01
    assert not cutoff.is_due()
    time.now = 100 + ask_after + 0.01
    assert cutoff.is_due()
    with cutoff.asking():
        assert not cutoff.is_due(), "one asks, the others need not"
        time.now = 100 + at_most - 0.01
        assert not cutoff.is_due()
        time.now = 100 + at_most + 0.01
        assert cutoff.is_due(), "whoever is asked answers too late"
    time.now = 100 + ask_after + 0.01
    assert cutoff.is_due(), "nobody asks any more"


def test_the_age_counts_from_before_the_question():
    time = Time()
    cutoff = Cutoff(time)
    time.now = 103.0
    cutoff.learn(7, 100.0)
    assert cutoff.is_due()
    cutoff.learn(7, 102.9)
    assert not cutoff.is_due()
    cutoff.learn(7, 100.0)
    assert not cutoff.is_due(), "an older answer takes nothing away from a newer one"


def test_an_answer_to_a_question_from_before_it_was_forgotten_does_not_count():
    time = Time()
    cutoff = Cutoff(time)
    cutoff.learn(7, 100.0)
    time.now = 100.2
    cutoff.forget()
    assert cutoff.is_due()
    cutoff.learn(9, 100.1)
    assert cutoff.is_due()
    assert cutoff.milliseconds == 9
    cutoff.learn(9, 100.2)
    assert not cutoff.is_due()


def test_the_time_never_falls_and_who_wants_to_know_is_told_once():
    cutoff = Cutoff(Time())
    raised = []
    cutoff.on_raised = lambda: raised.append(cutoff.milliseconds)
    for milliseconds in (5, 5, 3, 8):
        cutoff.learn(milliseconds, 100.0)
    assert (cutoff.milliseconds, raised) == (8, [5, 8])


def asked(flow, answers):
    """The keys that a flow asks, given an answer or an error for each, and the end of it."""
    keys, call = [], next(flow)
    for answer in answers:
        keys.append(call.keys[0])
        try:
            call = flow.throw(answer) if isinstance(answer, Exception) else flow.send(answer)
        except StopIteration as stop:
            return keys, stop.value
    raise AssertionError(f"asked once more: {call.keys}")


NAMES = [KEYSPACE.not_before(slot) for slot in SLOTS_WITH_CUTOFF]


def test_three_copies_in_slots_of_their_own():
    assert len(set(NAMES)) == 3


def test_the_next_copy_is_asked_when_one_is_away_and_kept_to():
    time = Time()
    cutoff = Cutoff(time)
    away = StoreUnavailable(reason="timeout")
    flow = read_cutoff(Keyspace(), cutoff, 3.0)
    assert asked(flow, [away, Answer(42, False)]) == (NAMES[:2], 42)
    assert list(read_cutoff(Keyspace(), cutoff, 3.0)) == [], "it is known"
    time.now += 0.6
    assert asked(read_cutoff(Keyspace(), cutoff, 3.0), [Answer(43, False)]) == (NAMES[1:2], 43)
    time.now += 0.6
    keys, _ = asked(read_cutoff(Keyspace(), cutoff, 3.0), [away, away, Answer(44, False)])
    assert keys == [NAMES[1], NAMES[2], NAMES[0]]


def test_a_cutoff_that_no_copy_tells_is_an_outage_not_a_zero():
    flow = read_cutoff(Keyspace(), Cutoff(time := Time()), 3.0)
    call = next(flow)
    assert call.deadline == pytest.approx(0.3)
    away = StoreUnavailable(reason="timeout")
    assert [flow.throw(away).keys[0] for _ in range(2)] == NAMES[1:]
    time.now += 0.9
    last = flow.throw(away)
    assert (last.keys[0], last.deadline) == (NAMES[0], pytest.approx(2.1)), "all that is left"
    with pytest.raises(StoreUnavailable):
        flow.throw(away)


def test_who_has_stood_still_meanwhile_has_half_of_the_time_left():
    flow = read_cutoff(Keyspace(), Cutoff(time := Time()), 3.0)
    away = StoreUnavailable(reason="timeout")
    next(flow)
    flow.throw(away)
    time.now += 60.0
    flow.throw(away)
    assert flow.throw(away).deadline == pytest.approx(1.5)


def test_who_has_little_time_asks_each_copy_for_a_part_of_it():
    flow = read_cutoff(Keyspace(), Cutoff(Time()), 0.5)
    away = StoreUnavailable(reason="timeout")
    told = [next(flow).deadline, *(flow.throw(away).deadline for _ in range(3))]
    assert told == pytest.approx([0.06, 0.06, 0.06, 0.5])


def test_a_copy_that_is_away_does_not_keep_the_others_from_being_raised():
    own = life()
    flow = own.flows.end.revoke_before(None)
    away = StoreUnavailable(reason="timeout")
    assert next(flow).keys[0] == NAMES[0]
    assert flow.throw(away).keys[0] == NAMES[1]
    third = flow.send(Answer(5_000, True))
    assert third.keys[0] == NAMES[2]
    assert third.arguments[:2] == (5_000, 1_200_000), "clocks are ten minutes apart, or each is"
    with pytest.raises(RevocationPending) as pending:
        flow.send(Answer(5_000, True))
    assert pending.value.reason == "timeout"
    assert own.flows.memory.cutoff.milliseconds == 5_000
    assert own.flows.memory.pending_cutoffs == 1


@pytest.mark.parametrize("primaries", [3, 4, 5, 6, 7, 12, 100, 1000])
@pytest.mark.parametrize("rounded", [round, int], ids=["redis-cli", "rounded down"])
def test_the_copies_are_on_three_primaries_where_slots_are_divided_evenly(primaries, rounded):
    share = SLOTS / primaries
    firsts = [rounded(share * number) for number in range(primaries)]
    assert len({bisect.bisect(firsts, slot) for slot in SLOTS_WITH_CUTOFF}) == 3


def test_a_cutoff_that_is_forgotten_while_it_is_looked_at_is_due():
    """The thread that hears of changes forgets it, in the middle of a verify of another thread."""

    class Racing(Time):
        cutoff: Any = None

        def __call__(self) -> float:
            if self.cutoff is not None:
                racing, self.cutoff = self.cutoff, None
                racing.forget()
            return super().__call__()

    time = Racing()
    cutoff = Cutoff(time)
    cutoff.learn(42, time.now)
    time.cutoff = cutoff
    assert not cutoff.is_due(), "by what was known when it was looked at"
    assert cutoff.is_due()
