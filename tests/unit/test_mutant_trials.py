"""Trials of ``tests.mutants``: the tests chosen for a mutant, and the verdict."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.mutants import python_source
from tests.mutants.choose_tests import choose_tests
from tests.mutants.layers import LAYERS
from tests.mutants.mutant import Kind, Mutant
from tests.mutants.process import run_limited
from tests.mutants.record import record
from tests.mutants.recorded import Recorded
from tests.mutants.scratch_copy import ScratchCopy
from tests.mutants.trial import Run, Verdict, after, run_pytest, try_mutant

ROOT = Path(__file__).parents[2]
MUTANT = Mutant("code.py", 1, Kind.NUMBER, 0, 1, "5", "6", (1,), ())
ONE, TWO = "tests/unit/test_one.py::test_x", "tests/unit/test_two.py::test_y"
OVER_CLUSTER = "tests/cluster/test_one.py::test_x"


def test_the_quickest_tests_that_execute_the_line_run_first_and_then_those_over_a_cluster() -> None:
    recorded = Recorded({ONE: 9, TWO: 5, f"{TWO}[a]": 6, OVER_CLUSTER: 1, f"{OVER_CLUSTER}2": 90})
    recorded.tests[MUTANT.path][1] = set(recorded.seconds)

    def chosen(most_seconds: float) -> list[str]:
        return choose_tests(recorded, ROOT, "model", MUTANT, most_seconds=most_seconds)

    assert chosen(1000) == [TWO, ONE, f"{TWO}[a]", OVER_CLUSTER, f"{OVER_CLUSTER}2"]
    assert chosen(21) == [TWO, ONE, f"{TWO}[a]", OVER_CLUSTER]
    assert chosen(1) == [TWO], "at least one"


def test_a_change_of_an_asynchronous_module_has_the_tests_of_the_synchronous_one(
    tmp_path: Path,
) -> None:
    code = (
        "class {0}Group:\n"
        "    {1}def look(self):\n        return 5\n\n"
        "    {1}def other(self):\n        return 6\n"
    )
    for folder, prefix, words in (("aio", "Async", "async "), ("sync", "", "")):
        file = tmp_path / f"src/clusterpass/users/{folder}/group.py"
        file.parent.mkdir(parents=True)
        file.write_text("# A line more.\n" * (not words) + code.format(prefix, words))
    path = "src/clusterpass/users/aio/group.py"
    found = python_source.mutants_of(path, (tmp_path / path).read_bytes())
    (mutant,) = (one for one in found if one.before == "5" and one.kind is Kind.NUMBER)
    recorded = Recorded({ONE: 1.0, TWO: 2.0, OVER_CLUSTER: 1.0})
    recorded.tests[path][3].add(ONE)
    recorded.tests["src/clusterpass/users/sync/group.py"] |= {4: {TWO}, 7: {OVER_CLUSTER}}
    assert choose_tests(recorded, tmp_path, "users", mutant, most_seconds=60) == [ONE, TWO]


def test_a_setting_of_a_class_has_the_tests_that_use_the_class(tmp_path: Path) -> None:
    package = tmp_path / "src/clusterpass"
    package.mkdir(parents=True)
    (package / "settings.py").write_text("class Settings:\n    prefix = 5\n    read = 6\n")
    (package / "user.py").write_text("first = Settings()\nsecond = first.read\n")
    (package / "taker.py").write_text('def take(x: Settings):\n    """Take."""\n    return x\n')
    recorded = Recorded({ONE: 2.0, TWO: 1.0, f"{TWO}[read-5]": 3.0})
    recorded.tests["src/clusterpass/user.py"] |= {1: {ONE}, 2: {TWO, f"{TWO}[read-5]"}}
    recorded.tests["src/clusterpass/taker.py"][3].add(ONE)
    for test in (ONE, TWO):
        file = tmp_path / test.split("::")[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"def {test.split('::')[1]}(): pass\n")

    def chosen(name: str) -> list[str]:
        path = "src/clusterpass/settings.py"
        mutant = Mutant(path, 2, Kind.NUMBER, 0, 1, "5", "6", (), (name, "Settings"))
        return choose_tests(recorded, tmp_path, "model", mutant, most_seconds=60)

    assert chosen("prefix") == [ONE]
    # Those that name it, then those that use the class, even if others are quicker.
    assert chosen("read") == [f"{TWO}[read-5]", ONE, TWO]


def test_code_that_runs_in_other_processes_alone_has_all_files_of_its_layer() -> None:
    first, *others = LAYERS["cli"].fallback
    recorded = Recorded({f"{first}::test_x": 5.0, ONE: 1.0})
    assert choose_tests(recorded, ROOT, "cli", MUTANT, most_seconds=60) == [
        f"{first}::test_x",
        *others,
    ]
    assert choose_tests(Recorded(), ROOT, "cli", MUTANT, most_seconds=60) == [first, *others]
    assert choose_tests(recorded, ROOT, "model", MUTANT, most_seconds=60) == []


def test_what_a_decorator_says_has_the_tests_of_descriptions_too() -> None:
    (described,) = LAYERS["service"].descriptions
    recorded = Recorded({f"{described}::test_x": 5.0, ONE: 1.0, TWO: 1.0})
    recorded.tests[MUTANT.path][1] = {ONE}
    decorator = replace(MUTANT, is_described=True)
    assert choose_tests(recorded, ROOT, "service", decorator, most_seconds=60) == [
        ONE,
        f"{described}::test_x",
    ]
    assert choose_tests(recorded, ROOT, "service", MUTANT, most_seconds=60) == [ONE]


def test_what_a_constant_says_has_the_tests_of_constants_too() -> None:
    (of_all,) = LAYERS["metrics"].constants
    recorded = Recorded({f"{of_all}::test_x": 5.0})
    constant = replace(MUTANT, lines=(), names=("SOMETHING",))
    chosen = choose_tests(recorded, ROOT, "metrics", constant, most_seconds=60)
    assert chosen == [f"{of_all}::test_x"]
    assert choose_tests(recorded, ROOT, "metrics", MUTANT, most_seconds=60) == []


def test_the_tests_behind_the_one_that_failed() -> None:
    assert after(["a.py::x", "a.py::y[1]", "b.py::z"], "a.py::y[1]") == ["b.py::z"]
    assert after(["a.py", "b.py"], "a.py::x") == ["b.py"]
    assert after(["a.py", "b.py"], "") == []


class Trial:
    """A mutant that is tried with runs of pytest which end as the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *tests: str) -> None:
        self.tests = tests
        self.runs: list[tuple[bool, list[str]]] = []
        self.is_changed = False
        self.ends: dict[tuple[bool, str], list[Run]] = {}
        monkeypatch.setattr("tests.mutants.trial.run_pytest", self._pytest)

    def changed(self, _: Mutant) -> "Trial":
        return self

    def __enter__(self) -> bool:
        self.is_changed = True
        return True

    def __exit__(self, *_: object) -> None:
        self.is_changed = False

    def _pytest(self, _copy: object, _recorded: object, tests: list[str]) -> Run:
        self.runs.append((self.is_changed, list(tests)))
        for test in tests:
            ends = self.ends.get((self.is_changed, test), [])
            if ends:
                return ends.pop(0)
        return Run(0, tests[-1], "")

    def end(self, test: str, *statuses: int | None, is_changed: bool = True) -> None:
        self.ends[is_changed, test] = [Run(one, test if one else "", "") for one in statuses]

    def verdict(self) -> Verdict:
        copy: Any = self
        return try_mutant(copy, Recorded(), "model", MUTANT, self.tests).verdict


def test_a_failure_counts_once_the_same_test_passes_without_the_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trial = Trial(monkeypatch, ONE, TWO)
    trial.end(ONE, 1)
    assert trial.verdict() is Verdict.FOUND
    assert trial.runs == [(True, [ONE, TWO]), (False, [ONE])]


def test_a_test_that_fails_without_the_change_too_finds_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trial = Trial(monkeypatch, ONE, TWO)
    trial.end(ONE, 1)
    trial.end(ONE, 1, is_changed=False)
    assert trial.verdict() is Verdict.DOUBTFUL
    assert trial.runs == [(True, [ONE, TWO]), (False, [ONE]), (True, [TWO])]


@pytest.mark.parametrize("status", [None, 2, 3, 4, -11])
@pytest.mark.parametrize("unchanged", [None, 0, 2])
def test_a_run_that_breaks_off_counts_if_it_passes_without_the_change(
    monkeypatch: pytest.MonkeyPatch, status: int | None, unchanged: int | None
) -> None:
    trial = Trial(monkeypatch, ONE, TWO)
    trial.end(ONE, status)
    trial.end(ONE, unchanged, is_changed=False)
    hangs = Verdict.HANGS if status is None else Verdict.FOUND
    assert trial.verdict() is (hangs if unchanged == 0 else Verdict.DOUBTFUL)
    assert trial.runs[:2] == [(True, [ONE, TWO]), (False, [ONE, TWO])]


def test_a_run_without_tests_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial(monkeypatch, ONE)
    trial.end(ONE, 5)
    assert trial.verdict() is Verdict.SURVIVED


def test_a_test_over_a_cluster_must_fail_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial(monkeypatch, OVER_CLUSTER)
    trial.end(OVER_CLUSTER, 1, 0)
    assert trial.verdict() is Verdict.SURVIVED
    trial.end(OVER_CLUSTER, 1, 1)
    assert trial.verdict() is Verdict.FOUND


def test_what_pytest_tells_of_a_test_that_fails_and_of_a_file_that_does_not_load(
    tmp_path: Path,
) -> None:
    copy = ScratchCopy(tmp_path / "tree")
    shutil.copytree(ROOT / "tests/mutants", copy.tree / "tests/mutants")
    file = copy.tree / "tests/test_small.py"

    def run(text: str) -> Run:
        file.write_text(text)
        return run_pytest(copy, Recorded(), ["tests/test_small.py"])

    assert run("def test_x(): pass").is_quiet
    failed = run("def test_x(): assert 0\ndef test_y(): pass")
    assert (failed.status, failed.last) == (1, "tests/test_small.py::test_x")
    crashed = run("import os\ndef test_x(): os._exit(7)")
    assert (crashed.status, crashed.last) == (7, "tests/test_small.py::test_x")
    unread = run("1 / 0")
    assert (unread.status not in {0, 5}, unread.last) == (True, "")


def test_a_file_that_takes_too_long_plays_no_part_until_it_is_given_more_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: list[float] = []
    monkeypatch.setattr("tests.mutants.record.cache_folder", lambda: tmp_path)
    monkeypatch.setattr("tests.mutants.record.recorded_tests", lambda *_: ["tests/test_one.py"])
    copy = ScratchCopy(tmp_path / "tree")
    test_file = copy.tree / "tests/test_one.py"
    test_file.parent.mkdir(parents=True)
    test_file.write_text("def test_x(): pass")

    def run(*_: object, seconds: float, **__: object) -> tuple[int | None, str]:
        given.append(seconds)
        return (None if seconds < 300 else 1), ""

    def said_when_given(seconds: float) -> list[str]:
        said: list[str] = []
        found = record(copy, [], longest_file=seconds, say=lambda text, **_: said.append(text))
        assert found.seconds == {}
        return said

    monkeypatch.setattr("tests.mutants.record.run_limited", run)
    again = "recording tests/test_one.py"
    late = "tests/test_one.py plays no part: it took longer than 240 seconds"
    none = "tests/test_one.py plays no part: no test passed"
    assert said_when_given(240) == [again, late]
    assert said_when_given(240) == [late], "it is not tried again"
    assert said_when_given(300) == [again, none]
    assert said_when_given(900) == [none]
    assert given == [240, 300]


def test_what_takes_too_long_is_ended() -> None:
    status, _ = run_limited(["sleep", "60"], cwd=ROOT, environment={}, seconds=0.2)
    assert status is None
