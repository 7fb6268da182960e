"""A sample shows both engines and both faces, and in time leaves nothing out."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.selection import ENGINES, beyond_sample, other_engines, those_that_rest

NAMES = [f"test_{number}" for number in range(60)]


def contract_test(name: str, engine: tuple[str, str]) -> Any:
    identity = f"{'-'.join(engine)}-odd"
    return SimpleNamespace(
        nodeid=f"tests/cluster/test_x.py::{name}[{identity}]",
        name=f"{name}[{identity}]",
        originalname=name,
        callspec=SimpleNamespace(id=identity, params={"engine": engine}),
    )


def chosen_engines(name: str, seed: int) -> set[tuple[str, str]]:
    items = [contract_test(name, engine) for engine in ENGINES]
    left_out = other_engines(items, seed)
    return {item.callspec.params["engine"] for item in items if item not in left_out}


@pytest.mark.parametrize("seed", [0, 1, 2, 20782, -5])
def test_each_contract_test_shows_both_engines_and_both_faces(seed):
    for name in NAMES:
        chosen = chosen_engines(name, seed)
        assert len(chosen) == 2
        assert {face for _, face in chosen} == {"sync", "async"}
        assert {server == "redis_cluster" for server, _ in chosen} == {True, False}


def test_every_pair_has_its_turn_within_three_days():
    for name in NAMES:
        seen = set().union(*(chosen_engines(name, 20782 + day) for day in range(3)))
        assert seen == set(ENGINES)


def test_the_tests_of_one_run_do_not_all_take_the_same_pair():
    seen = set().union(*(chosen_engines(name, 7) for name in NAMES))
    assert seen == set(ENGINES)


def test_what_was_chosen_by_hand_is_not_left_out():
    items = [contract_test("test_one", ENGINES[1])]
    assert other_engines(items, 7) == []


@pytest.mark.parametrize(("cases", "count"), [(17, 5), (10, 5), (4, 2), (3, 5)])
def test_every_case_of_a_sample_has_its_turn(cases, count):
    items: list[Any] = [SimpleNamespace(name=f"test_x[{number}]") for number in range(cases)]
    seen = []
    for seed in range(-(-cases // count)):
        left_out = beyond_sample(items, count, 20782 + seed)
        chosen = [item.name for item in items if item not in left_out]
        assert len(chosen) == min(count, cases)
        assert left_out == beyond_sample(items, count, 20782 + seed)
        seen += chosen
    assert set(seen) == {item.name for item in items}


@pytest.mark.parametrize("functions", [1, 2, 5])
def test_long_tests_of_a_file_take_turns(functions):
    items: list[Any] = [
        SimpleNamespace(
            nodeid=f"tests/x/test_{file}.py::test_{number}[{case}]",
            name=f"test_{number}[{case}]",
            originalname=f"test_{number}",
        )
        for file in range(9)
        for number in range(functions)
        for case in ("sync", "async")
    ]
    rests = [those_that_rest(items, 20783 + day) for day in range(3)]
    assert rests[0] == rests[2]
    assert [item for item in items if item not in rests[0]] == rests[1]
    run_on_a_day = [sum(f"_{file}.py" in item.nodeid for item in rests[1]) for file in range(9)]
    assert set(run_on_a_day) <= {functions // 2 * 2, -(-functions // 2) * 2}
    assert 0 < sum(run_on_a_day) < len(items), "files do not rest together"
