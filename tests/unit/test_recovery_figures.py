"""The figures of a failover measurement, computed from recorded calls."""

import pytest
from benchmarks.open_loop import Call
from benchmarks.recovery import _RATE, _outcome

AT = 100.0


def calls(begin: float, end: float, latency: float = 0.002, *, is_good: bool = True) -> list[Call]:
    count = int((end - begin) * _RATE)
    dues = [begin + number / _RATE for number in range(count)]
    return [Call(due, due + latency, is_good) for due in dues]


def test_a_gap() -> None:
    hit = [*calls(90, 100), *[Call(100.5, 102.0, True)] * 40, *calls(102, 106)]
    others = [*calls(90, 100), *calls(100, 106, 0.003)]
    outcome = _outcome(hit, others, AT, 1.5)
    assert outcome.recovered == pytest.approx(2.0)
    assert outcome.full_again == pytest.approx(2.0, abs=0.5)
    assert (outcome.failed, outcome.failed_elsewhere) == (0, 0)
    assert outcome.slower_elsewhere == pytest.approx(1.5, rel=0.01)


def test_failures_count_until_the_last_one() -> None:
    hit = [*calls(90, 100), *calls(100, 101, is_good=False), *calls(101, 106)]
    hit.append(Call(103.0, 103.01, False))
    outcome = _outcome(hit, [*calls(90, 106), Call(101.0, 101.1, False)], AT, 1.5)
    assert outcome.recovered == pytest.approx(3.01)
    assert outcome.failed == int(_RATE) + 1
    assert outcome.failed_elsewhere == 1


def test_nothing_happened() -> None:
    outcome = _outcome(calls(90, 106), calls(90, 106), AT, 1.5)
    assert outcome.recovered == 0
    assert outcome.failed == 0
