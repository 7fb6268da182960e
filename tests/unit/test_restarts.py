"""A watch that has failed begins again after a pause that grows, and says why there is none."""

import logging

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
    monkeypatch.setattr(restarts.time, "monotonic", lambda: now[0])
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
