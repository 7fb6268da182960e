"""A short search of the model: nothing is violated, and without any one rule something is.

The seed of the random histories is that of the run's selection of tests, so it moves on daily.
``python -m tests.journal_model`` searches for longer.
"""

import pytest

from tests.selection import SEED

from .histories import histories
from .known_violations import BEYOND, search_beyond
from .power import DANGERS, SKETCH, rule_of, search_danger, search_sketch
from .rules import WORDS, Rules
from .scenarios import WORLDS
from .search import Result, follow, reaches
from .world import World


def shown(result: Result) -> str:
    return "\n\n".join("\n".join(trace) for trace in result.violations.values())


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", WORLDS)
def test_with_all_rules_nothing_is_violated(request: pytest.FixtureRequest, name: str) -> None:
    result, seed = Result(), request.config.stash[SEED]
    histories(World(Rules(), **WORLDS[name]), seed, result, most_steps=40_000)
    print(f"seed {seed}, {result.states} states, {dict(result.seen)}")
    assert not result.violations, shown(result)
    assert result.seen["by owner"] + result.seen["by journals"] > 0, "nothing was acknowledged"


@pytest.mark.sampled(4)
@pytest.mark.parametrize("danger", DANGERS)
def test_near_a_danger_nothing_is_violated(danger: str) -> None:
    result = search_danger(danger, Rules(), 3_000)
    assert not result.violations, shown(result)
    assert result.states == 3_000


@pytest.mark.sampled(12)
@pytest.mark.parametrize("danger", DANGERS)
def test_without_the_rule_something_is_violated(danger: str) -> None:
    """Or else the rule is not needed, or the model cannot tell."""
    rules = Rules().without(rule_of(danger))
    follow(World(rules, **DANGERS[danger].world), DANGERS[danger].steps, strict=True)
    assert search_danger(danger, rules, 60_000).violations


def test_every_rule_averts_a_danger() -> None:
    assert {rule_of(danger) for danger in DANGERS} == set(WORDS)


@pytest.mark.parametrize("name", SKETCH)
def test_the_first_sketch_breaks(name: str) -> None:
    assert search_sketch(name, 60_000).violations


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", BEYOND)
def test_what_the_protocol_does_not_avert_is_found(name: str) -> None:
    """The assumptions that exclude it elsewhere are needed."""
    kind, danger = BEYOND[name]
    follow(World(Rules(), **danger.world), danger.steps, strict=True)
    assert list(search_beyond(name, 60_000).violations) == [kind]


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "danger",
    [
        "heads",
        "wait_all",
        "count_failed",
        "apply_first",
        "login_evidence",
        "asked_knowing",
        "ahead_all",
        "own_id",
        "ids_move",
        "declared",
    ],
)
def test_random_histories_find_what_is_wrong(danger: str) -> None:
    """Without being led to the danger, from a seed that is known to come to it."""
    result = Result()
    world = World(Rules().without(danger), **DANGERS[danger].world)
    histories(world, 1, result, most_steps=300_000)
    assert result.violations


@pytest.mark.parametrize(
    "outage",
    [
        "CRASH 2,3 is promoted",
        "CRASH 2,3 is promoted,CRASH 4,5 is promoted",
        "CRASH 2,CRASH 4,start 2,start 4",
    ],
)
def test_after_an_outage_reads_are_believed_again(outage: str) -> None:
    world = World(Rules(), layout="4", side=(), kinds="crash", actors="trim")
    s, _ = follow(world, outage, strict=True)
    assert reaches(world, s, "accepts", 5_000)


def test_after_a_restart_of_all_journals_nobody_is_believed() -> None:
    """All three may have lost the same entry, so somebody has to decide."""
    world = World(Rules(), layout="4", side=(), kinds="crash", actors="trim")
    s, _ = follow(world, "CRASH 2,CRASH 4,CRASH 6,start 2,start 4,start 6", strict=True)
    assert reaches(world, s, "accepts", 3_000) is None
