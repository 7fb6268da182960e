"""A short form of ``python -m tests.simulation``: promises, known shortfalls, broken builds.

Seeds are fixed: the figures that are pinned belong to them. ``make simulate`` tries more. The runs
are made in a process of their own, as managers of other tests may run in this one.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context

import pytest

from .broken import BROKEN
from .costs import DESIGNS, Costs
from .invariants import SMALL, Violation, amplification
from .pinned import PROCESSES, SAMPLED, SECONDS, SHORTFALLS, bounds
from .process import Traffic
from .report import PRIMARIES, Figures, in_a_line, run_one
from .run import Setup
from .scenarios import SCENARIOS

SEED = 1


_pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))


@pytest.fixture(scope="module", autouse=True)
def _the_pool_ends() -> Iterator[None]:
    yield
    _pool.shutdown()


@dataclass(frozen=True)
class Seen:
    """The result of a run in another process."""

    events: int
    counts: Counter[str]
    violations: list[Violation]
    latest: list[str]
    trace: list[str]


def _seen(name: str, setup: Setup) -> Seen:
    found = SCENARIOS[name].run(setup, 5)
    judge = found.judge
    trace = list(judge.clock.trace)
    return Seen(found.events, judge.counts, judge.violations, list(judge.latest), trace)


def run(name: str, setup: Setup, seconds: float) -> Figures:
    return _pool.submit(run_one, name, setup, seconds).result()


@cache
def short(name: str) -> Figures:
    setup = Setup(PROCESSES, seed=SEED, sampled=SAMPLED, endings=20)
    found = run(name, setup, SECONDS)
    print(in_a_line(found))
    return found


@cache
def small(name: str, seed: int = SEED, **changed: object) -> Seen:
    """Some processes, each simulated, and many revocations."""
    traffic = Traffic(verifies=20, sessions=200)
    setup = Setup(12, sampled=12, seed=seed, traffic=traffic, endings=100, **changed)  # type: ignore[arg-type]
    return _pool.submit(_seen, name, setup).result()


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_keeps_the_promises_and_its_bounds(name: str) -> None:
    """The load is bounded, or a known shortfall has neither grown nor gone."""
    found, scenario = short(name), SCENARIOS[name]
    assert found.keeps_promises, in_a_line(found)
    assert not found.refused_before, "something was refused on a healthy cluster"
    if scenario.is_used:
        assert found.counts["acknowledged"] > 100
        assert found.counts["from memory"] > 5 * found.counts["ended"] > 0
    if scenario.has_event:
        times, seconds = bounds(name)
        assert found.peak <= max(times * found.steady, SMALL * PRIMARIES), in_a_line(found)
        assert found.seconds <= seconds, in_a_line(found)
    if name in SHORTFALLS:
        assert not found.within, f"its figures have to go down, or away: {in_a_line(found)}"


def test_every_shortfall_is_one_of_a_scenario() -> None:
    assert SHORTFALLS.keys() <= {name for name, each in SCENARIOS.items() if each.has_event}


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("name", "design"),
    [("cut-off", "today"), ("replaced", "today"), ("failover", "today"), ("replaced", "before")],
)
def test_nothing_is_accepted_too_late(name: str, design: str) -> None:
    is_default = design == "today"
    judge = small(name) if is_default else small(name, design=DESIGNS[design])
    assert not judge.violations, "\n".join(judge.latest)
    assert judge.counts["by journals"] > 0 or name == "cut-off"


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("build", "name"),
    [
        ("leases-of-two-bounds", "cut-off"),
        ("leases-for-ever", "cut-off"),
        ("trusting", "replaced"),
    ],
)
def test_a_broken_build_is_found_out(build: str, name: str) -> None:
    judge = small(name, leases=BROKEN[build])
    assert any(each.kind == "stale" for each in judge.violations)
    assert judge.latest, "the trace of what happened before"


def test_loading_everything_again_at_once_is_found_out() -> None:
    """A build that reloads all it held with each new epoch, without jitter."""
    setup = Setup(PROCESSES, seed=SEED, sampled=SAMPLED, endings=20, reloads_at_once=True)
    found = run("failover", setup, 4)
    assert found.times > bounds("failover")[0], in_a_line(found)


@pytest.mark.alternating
def test_a_seed_repeats_a_run() -> None:
    first, again = small("failover"), small.__wrapped__("failover")
    other = small("failover", seed=2)
    assert first == again
    assert first.events != other.events


@pytest.mark.alternating
@pytest.mark.parametrize("name", ["moved-20"])
def test_a_process_that_stands_for_others_costs_as_much_as_they(name: str) -> None:
    whole = run(name, Setup(40, sampled=40, endings=0.1), 4)
    sample = run(name, Setup(40, sampled=10, endings=0.1), 4)
    assert sample.steady == pytest.approx(whole.steady, rel=0.1)
    assert sample.peak == pytest.approx(whole.peak, rel=0.2)


def test_processes_that_nobody_asks_send_no_heartbeats_unless_they_hear_of_every_change() -> None:
    setup = Setup(PROCESSES, seed=SEED, sampled=SAMPLED, design=DESIGNS["before"])
    beating = run("idle", setup, 1)
    assert beating.steady > 0.05, in_a_line(beating)
    assert short("idle").steady < beating.steady / 20, in_a_line(short("idle"))


def test_pushes_cost_what_was_measured() -> None:
    costs = [Costs.broadcast(trackers) for trackers in (10, 100, 1_000)]
    assert costs == pytest.approx([126, 680, 11_000])
    assert Costs.broadcast(3_000) > 3 * costs[-1]


def test_amplification() -> None:
    assert amplification([2.0, 6.0, 2.6, 2.0], 2.0, 0.25) == (6.0, 0.75)
    assert amplification([2.0, 2.2], 2.0, 0.25) == (2.2, 0.0)
    assert amplification([2.0, 4.0], 2.0, 0.25) == (4.0, float("inf"))
    assert amplification([0.0, 4.0, 3.0], 0.0, 0.25, small=3.0) == (4.0, 0.5)
