"""What the mutants of tests/mutants look like; scores come from running them."""

import ast
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.mutants import lua_source, python_source
from tests.mutants.equivalent import PACES, REVIEWED
from tests.mutants.layers import (
    LAYERS,
    SLOW_OR_TEXTUAL,
    TEST_FOLDERS,
    NothingThere,
    check_paths,
    recorded_tests,
    sources_of,
)
from tests.mutants.mutant import SUBTLE, Kind, Mutant
from tests.mutants.process import run_limited
from tests.mutants.record import record
from tests.mutants.recorded import Recorded, check_layers
from tests.mutants.sample import draw, is_code, mutants_of_layer
from tests.mutants.scratch_copy import ScratchCopy
from tests.mutants.trial import Run, Verdict, after, run_pytest, try_mutant

ROOT = Path(__file__).parents[2]


def changes(code: str) -> dict[Kind, set[str]]:
    """Each kind of change with the modules that it leads to."""
    source = code.encode()
    found: dict[Kind, set[str]] = {}
    for mutant in python_source.mutants_of("module.py", source):
        found.setdefault(mutant.kind, set()).add(mutant.apply(source).decode())
    return found


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        (Kind.COMPARISON, "x = a == b", {"x = a != b"}),
        (Kind.COMPARISON, "x = a is not b", {"x = a is b"}),
        (Kind.COMPARISON, "x = 'é' in b", {"x = 'é' not in b"}),
        (Kind.COMPARISON, "x = a < b <= c", {"x = a >= b <= c", "x = a < b > c"}),
        (Kind.BOUNDARY, "x = a < b <= c", {"x = a <= b <= c", "x = a < b < c"}),
        (Kind.NUMBER, "x = 5", {"x = 6"}),
        (Kind.NUMBER, "x = 0.5", {"x = 1.5"}),
        (Kind.FLAG, "x = f(True)", {"x = f(False)"}),
        (Kind.NAME, "x = 'OK'", {"x = 'OK_'"}),
        (Kind.LOGIC, "x = a and b", {"x = a or b"}),
        (Kind.NOT, "x = not a", {"x = (a)"}),
        (Kind.CONDITION, "if a:\n    b()", {"if not (a):\n    b()"}),
        (Kind.CONDITION, "x = b if a else c", {"x = b if not (a) else c"}),
        (Kind.LOOP, "for a in b:\n    continue", {"for a in b:\n    break"}),
        (Kind.CALL, "f()", {"pass"}),
        (Kind.RAISE, "if a:\n    raise E(5)", {"if a:\n    pass"}),
        (Kind.RETURN, "def f():\n    return a", {"def f():\n    return None"}),
        (Kind.ARGUMENT, "x = f(a, b)", {"x = f(a)"}),
        (Kind.KEYWORD, "x = f(a, b=c, d=e)", {"x = f(a, d=e)", "x = f(a, b=c)"}),
        (Kind.KEYWORD, "x = f(b=c, d=e)", {"x = f(d=e)", "x = f(b=c)"}),
    ],
)
def test_each_kind_of_change(kind: Kind, before: str, after: set[str]) -> None:
    assert changes(before)[kind] == after


@pytest.mark.parametrize(
    "code",
    [
        '"""A text."""',
        "x: Literal[5]",
        "def f(a: Literal[5]) -> Literal[6]: ...",
        "log.warning('five', 5)",
        "def __repr__(self):\n    return 'x' + 5",
        "x = cast('T', y)",
        "import a.b5",
        "raise",
        "x = f'{a:5}'",
        "if TYPE_CHECKING:\n    f(5)",
        "@dataclass(frozen=True)\nclass A: ...",
        "x = 'a text for people'",
    ],
)
def test_what_nobody_could_notice_is_left_alone(code: str) -> None:
    assert changes(code) == {}


def test_the_lines_are_those_that_must_run_for_the_change_to_show() -> None:
    code = "LIMIT = 5\n\n\ndef f(a=7):\n    g(a)\n    if (\n        a == 3\n    ):\n        h()\n"
    by_before = {one.before: one for one in python_source.mutants_of("m.py", code.encode())}
    assert (by_before["5"].lines, by_before["5"].names) == ((), ("LIMIT",))
    assert by_before["7"].lines == (5, 6), "a default shows where the function runs"
    assert by_before["3"].lines == (6, 7, 8)
    assert by_before["h()"].lines == (9,)


def test_changes_of_a_script() -> None:
    source = b"-- not 5 == 6\nif not a and b <= 10 then\n    put('a < b', c)\nend\n"
    found = [(one.kind, one.line, one.after) for one in lua_source.mutants_of("s.lua", source)]
    assert found == [
        (Kind.NOT, 2, ""),
        (Kind.LOGIC, 2, "or"),
        (Kind.BOUNDARY, 2, "<"),
        (Kind.COMPARISON, 2, ">"),
        (Kind.NUMBER, 2, "11"),
        (Kind.CALL, 3, ""),
    ]


def test_a_seed_says_which_sample() -> None:
    def sample(seed: int, *, subtle: bool) -> list[tuple[str, Mutant]]:
        return list(draw(ROOT, list(LAYERS), seed=seed, count=22, subtle=subtle))

    assert sample(1, subtle=False) == sample(1, subtle=False)
    assert sample(1, subtle=False) != sample(2, subtle=False)
    assert {mutant.kind for _, mutant in sample(1, subtle=True)} <= SUBTLE
    assert [layer for layer, _ in sample(1, subtle=False)] == [*LAYERS, *LAYERS]


def test_every_layer_has_mutants_that_are_other_code() -> None:
    for layer in LAYERS:
        mutants = mutants_of_layer(ROOT, layer, subtle=False)
        assert len(mutants) > 100, layer
        assert not any("/sync/" in one.path for one in mutants), "those are generated"
        for one in mutants[:: len(mutants) // 20]:
            source = (ROOT / one.path).read_bytes()
            assert one.apply(source) != source
            if one.path.endswith(".py") and is_code(ROOT, one):
                assert ast.dump(ast.parse(one.apply(source))) != ast.dump(ast.parse(source))


def test_every_module_belongs_to_a_layer_or_is_left_out_on_purpose() -> None:
    package = ROOT / "src/clusterpass"
    covered = {path for layer in LAYERS for path in sources_of(ROOT, layer)}
    left_out = {
        path.relative_to(package).parts[0]
        for path in package.rglob("*.py")
        if path.relative_to(ROOT).as_posix() not in covered
        and "sync" not in path.relative_to(package).parts
    }
    assert left_out == {
        "__init__.py",
        "__main__.py",
        "embedded",
        "pytest_plugin.py",
        "store_conformance.py",
    }


def test_every_path_that_is_named_is_there_and_has_tests() -> None:
    check_paths(ROOT)
    tests = recorded_tests(ROOT)
    assert len(tests) == len(set(tests))
    for folder in TEST_FOLDERS:
        assert any(one.startswith(f"{folder}/") for one in tests), folder
    for left_out in SLOW_OR_TEXTUAL:
        assert not any(one == left_out or one.startswith(f"{left_out}/") for one in tests)


def test_every_folder_with_tests_is_recorded_or_left_out_on_purpose() -> None:
    left_out = {"campaign", "docs", "examples", "staleness"}
    recorded = set(recorded_tests(ROOT))
    for file in (ROOT / "tests").rglob("test_*.py"):
        path = file.relative_to(ROOT)
        if path.parts[1] not in left_out and path.as_posix() not in recorded:
            assert {one.as_posix() for one in (path, *path.parents)} & SLOW_OR_TEXTUAL, path


def test_the_reviewed_lines_are_there() -> None:
    for path, line, _ in REVIEWED:
        assert line in [one.strip() for one in (ROOT / path).read_text("utf-8").splitlines()]


def test_the_names_of_paces_are_there() -> None:
    for name in PACES:
        path, _, constant = name.partition(":")
        assert re.search(rf"^{constant}: Final = \d+$", (ROOT / path).read_text("utf-8"), re.M), (
            name
        )


def named_tree(folder: Path) -> Path:
    """A tree with nothing but the paths that the layers name, and one test for each folder."""
    named = [f"src/clusterpass/{one}" for layer in LAYERS.values() for one in layer.sources]
    named += [one for layer in LAYERS.values() for one in layer.fallback]
    named += ["src/clusterpass/managers/sync", "src/clusterpass/users/sync", *SLOW_OR_TEXTUAL]
    named += [f"{folder}/deep/down/test_one.py" for folder in TEST_FOLDERS]
    for name in named:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix:
            path.touch()
        else:
            path.mkdir(exist_ok=True)
    return folder


@pytest.mark.parametrize(
    "path",
    [
        "src/clusterpass/limits.py",
        "src/clusterpass/web",
        "tests/service/test_cli.py",
        "tests/cluster/model",
        "tests/unit/test_wheel.py",
    ],
)
def test_a_path_that_is_not_there_is_refused(tmp_path: Path, path: str) -> None:
    tree = named_tree(tmp_path)
    check_paths(tree)
    (tree / path).rename(tree / "elsewhere")
    with pytest.raises(NothingThere, match=path):
        check_paths(tree)


def test_a_folder_without_tests_is_refused(tmp_path: Path) -> None:
    tree = named_tree(tmp_path)
    assert "tests/store/deep/down/test_one.py" in recorded_tests(tree)
    (tree / "tests/store/deep/down/test_one.py").unlink()
    with pytest.raises(NothingThere, match="tests/store"):
        check_paths(tree)


def test_a_layer_that_no_test_executes_is_refused() -> None:
    recorded = Recorded()
    check_layers(ROOT, recorded, ["lua"])
    with pytest.raises(NothingThere, match="tokens"):
        check_layers(ROOT, recorded, ["lua", "tokens"])
    recorded.tests["src/clusterpass/tokens/issuer.py"][1].add("tests/unit/test_tokens.py::test_x")
    check_layers(ROOT, recorded, ["tokens"])


def test_the_tests_behind_the_one_that_failed() -> None:
    assert after(["a.py::x", "a.py::y[1]", "b.py::z"], "a.py::y[1]") == ["b.py::z"]
    assert after(["a.py", "b.py"], "a.py::x") == ["b.py"]
    assert after(["a.py", "b.py"], "") == []


MUTANT = Mutant("code.py", 1, Kind.NUMBER, 0, 1, "5", "6", (1,), ())
ONE, TWO = "tests/unit/test_one.py::test_x", "tests/unit/test_two.py::test_y"
OVER_CLUSTER = "tests/cluster/test_one.py::test_x"


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
