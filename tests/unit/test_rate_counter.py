"""Events per second over the last ten seconds, and what is known of one node's heartbeats."""

from clusterpass.sessions.memory.node_state import NodeState
from clusterpass.sessions.memory.rate_counter import Rate


def test_events_count_for_ten_seconds() -> None:
    rate = Rate()
    assert rate.per_second(0.5) == 0
    for at in (0.0, 0.9, 1.0):
        rate.note(at)
    assert rate.total == 3
    assert rate.per_second(1.5) == 0.3
    assert rate.per_second(9.9) == 0.3
    assert rate.per_second(10.0) == 0.1
    assert rate.per_second(11.0) == 0.0
    assert rate.total == 3


def test_a_bucket_is_used_again_for_a_later_second() -> None:
    rate = Rate()
    for at in (3.0, 3.5, 13.0, 13.1, 13.2):
        rate.note(at)
    assert rate.total == 5
    assert rate.per_second(13.9) == 0.3


def test_a_beat_is_found_once_and_those_before_it_are_dropped() -> None:
    state = NodeState()
    for number in (1, 3, 5):
        state.unanswered.append((number, number / 10))
    assert state.sent_at(4) is None, "nothing was sent under that number"
    assert list(state.unanswered) == [(5, 0.5)]
    assert state.sent_at(5) == 0.5
    assert state.sent_at(5) is None
    assert state.sent_at(9) is None


def test_a_later_beat_waits_for_its_answer() -> None:
    state = NodeState()
    state.unanswered.append((7, 0.7))
    assert state.sent_at(6) is None
    assert state.sent_at(7) == 0.7


def test_64_beats_may_be_unanswered() -> None:
    state = NodeState()
    for number in range(70):
        state.unanswered.append((number, 0.1))
    assert len(state.unanswered) == 64
