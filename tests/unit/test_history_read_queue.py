"""The queue of subjects whose histories have to be read: order, retries and bounds."""

import logging

import pytest

from clusterpass.managers import history_read_queue
from clusterpass.managers.history_read_queue import ChangedSubjects


class Scene:
    def __init__(self) -> None:
        self.now = 100.0
        self.queue = ChangedSubjects(lambda: self.now)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_many_changes_are_one_reading_and_subjects_take_turns(scene: Scene) -> None:
    queue = scene.queue
    assert (queue.take(), queue.seconds_until_due()) == (None, None)
    for subject in ("alice", "bob", "alice", "alice"):
        queue.add(subject)
    assert queue.seconds_until_due() == 0.0
    assert [queue.take(), queue.take(), queue.take()] == ["alice", "bob", None]
    assert queue.dropped == 0


def test_who_changes_during_a_reading_is_read_again_but_not_at_once(scene: Scene) -> None:
    queue = scene.queue
    queue.add("alice")
    assert queue.take() == "alice"
    queue.add("alice")
    queue.add("alice")
    assert queue.take() is None, "one reading of a subject at a time"
    queue.done("alice")
    assert queue.take() == "alice"
    queue.done("alice")
    assert queue.take() is None


def test_what_does_not_fit_is_dropped_counted_and_logged(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(history_read_queue, "MOST_WAITING", 2)
    queue = scene.queue
    with caplog.at_level(logging.WARNING, logger="clusterpass.listeners"):
        for subject in ("alice", "bob", "carol", "dave", "alice"):
            queue.add(subject)
    assert queue.dropped == 2
    assert [each.getMessage() for each in caplog.records] == [
        "listeners hear late of 1 changes: too many are waiting"
    ]
    assert [queue.take(), queue.take(), queue.take()] == ["alice", "bob", None]


def test_who_changes_after_a_reading_has_failed_is_read_again(scene: Scene) -> None:
    queue = scene.queue
    queue.add("alice")
    assert queue.take() == "alice"
    queue.fail("alice", "it is unreadable")
    assert queue.take() is None
    queue.add("alice")
    assert queue.take() == "alice"


def test_a_silent_node_is_asked_again_later_and_given_up_at_last(scene: Scene) -> None:
    queue, pauses = scene.queue, []
    queue.add("alice")
    for _ in range(6):
        assert queue.take() == "alice"
        queue.put_off("alice")
        queue.add("alice")
        assert queue.take() is None, "it waits"
        pauses.append(queue.seconds_until_due() or 0.0)
        scene.now += pauses[-1]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
    assert queue.dropped == 0
    assert queue.take() == "alice"
    queue.put_off("alice")
    assert (queue.dropped, queue.take(), queue.seconds_until_due()) == (1, None, None)


def test_after_the_last_attempt_a_change_begins_anew(scene: Scene) -> None:
    queue = scene.queue
    queue.add("alice")
    for _ in range(6):
        assert queue.take() == "alice"
        queue.put_off("alice")
        scene.now += 100
    assert queue.take() == "alice"
    queue.put_off("alice")
    assert (queue.dropped, queue.take(), queue.seconds_until_due()) == (1, None, None)
    queue.add("alice")
    assert queue.take() == "alice"
    queue.put_off("alice")
    assert queue.seconds_until_due() == 0.5


def test_a_reading_that_fails_is_counted_and_others_go_on(scene: Scene) -> None:
    queue = scene.queue
    queue.add("alice")
    queue.add("bob")
    assert queue.take() == "alice"
    queue.fail("alice", "unreadable_record")
    assert queue.dropped == 1
    assert [queue.take(), queue.take()] == ["bob", None]


def test_a_cleared_queue_takes_no_ends_of_readings_before(scene: Scene) -> None:
    queue = scene.queue
    for subject in ("alice", "bob", "carol"):
        queue.add(subject)
    queue.take(), queue.take()
    queue.add("alice")
    queue.clear()
    queue.done("alice")
    queue.put_off("bob")
    assert (queue.take(), queue.seconds_until_due(), queue.dropped) == (None, None, 0)


def test_after_a_reading_the_next_outage_begins_with_a_short_pause(scene: Scene) -> None:
    queue = scene.queue
    queue.add("alice")
    for _ in range(3):
        assert queue.take() == "alice"
        queue.put_off("alice")
        scene.now += 20.0
    assert queue.take() == "alice"
    queue.done("alice")
    queue.add("alice")
    assert queue.take() == "alice"
    queue.put_off("alice")
    assert queue.seconds_until_due() == 0.5
