"""A watch that has failed begins again after a pause that grows, and says why there is none."""

import logging
from types import SimpleNamespace

import pytest

from clusterpass.store.drivers import restarts
from clusterpass.store.drivers.restarts import Restarts


class Observer:
    refusal = ""


def failure(kind: type[Exception], text: str) -> Exception:
    try:
        raise kind(text)
    except kind as error:
        return error


@pytest.fixture
def now(monkeypatch):
    """The steady clock, which the test moves."""
    now = [1000.0]
    monkeypatch.setattr(restarts, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_pauses_grow_and_a_watch_that_recovered_begins_again_soon(now):
    failing = Restarts(Observer())
    pauses = []
    for _ in range(12):
        failing.begin()
        pauses.append(failing.failed(failure(ValueError, "x")))
    assert 0.05 <= pauses[0] <= 0.1
    assert all(later > 1.0 for later in pauses[6:])
    assert 15 <= pauses[-1] <= 30
    failing.begin()
    now[0] += 31
    assert failing.failed(failure(ValueError, "x")) <= 0.1


def test_each_cause_is_logged_once(caplog):
    observer = Observer()
    failing = Restarts(observer)
    with caplog.at_level(logging.WARNING):
        for number in range(5):
            failing.failed(failure(ValueError, f"number {number}"))
            assert f"ValueError: number {number}" in observer.refusal
        failing.failed(failure(KeyError, "another"))
        failing.failed(OSError("raised nowhere"))
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
    assert "number 0" in caplog.records[0].getMessage()


def test_a_watch_recovers_when_it_has_run_for_longer_than_the_longest_pause(now):
    failing = Restarts(Observer())
    for _ in range(12):
        failing.failed(failure(ValueError, "x"))
    failing.begin()
    now[0] += 30
    assert failing.failed(failure(ValueError, "x")) >= 15, "it had not run for longer"
    now[0] += 1
    assert failing.failed(failure(ValueError, "x")) <= 0.1, "it began when it last began"


def test_a_pause_is_twice_the_one_before(now, monkeypatch):
    monkeypatch.setattr(restarts.chance, "uniform", lambda least, most: (least, most))
    failing = Restarts(Observer())
    pauses = [failing.failed(OSError("x")) for _ in range(10)]
    assert pauses[:3] == [(0.05, 0.1), (0.1, 0.2), (0.2, 0.4)]
    assert pauses[8:] == [(12.8, 25.6), (15, 30)]


def test_what_is_told_of_a_failure_is_short_and_so_is_the_memory_of_causes(caplog):
    observer = Observer()
    failing = Restarts(observer)
    failing.failed(OSError("x" * 300))
    assert observer.refusal.startswith("the watch of the store failed: OSError: xxx")
    assert len(observer.refusal) == 200
    for number in range(110):
        failing.failed(type(f"Error{number}", (Exception,), {})())
    assert len(caplog.records) == 100
