"""The order in which the scheduler hands the test files out to the workers."""

from itertools import pairwise
from pathlib import Path

from tests import scheduling
from tests.scheduling import in_turns

ROOT = Path(__file__).parents[2]
LONGEST = list(scheduling._LONGEST_FIRST)


def test_files_that_compute_and_files_that_wait_take_turns() -> None:
    waiting = [f"tests/cluster/test_{number}.py" for number in range(40)]
    computing = [f"tests/unit/test_{number}.py" for number in range(20)]
    found = in_turns([*computing, *waiting, *LONGEST])
    assert sorted(found) == sorted([*computing, *waiting, *LONGEST])
    assert [group for group in found if group in LONGEST] == LONGEST
    assert [group for group in found if group in waiting] == waiting
    places = [found.index(group) for group in computing]
    assert places == sorted(places)
    assert places[0] > 13
    assert max(later - former for former, later in pairwise(places)) <= 6


def test_each_file_that_is_named_is_there() -> None:
    groups = set(scheduling._GROUPS.values())
    named = [*scheduling._GROUPS, *(name for name in LONGEST if name not in groups)]
    assert [name for name in named if not (ROOT / name).is_file()] == []
    assert len(LONGEST) == len(set(LONGEST))
