"""The mutants that ``tests.mutants`` makes of Python and Lua sources, and its layers."""

import ast
import re
from pathlib import Path

import pytest

from tests.mutants import lua_source, python_source
from tests.mutants.choose_tests import choose_tests
from tests.mutants.equivalent import READ_LITERALS
from tests.mutants.layers import (
    ABOUT_INCLUDES,
    GENERATED,
    LAYERS,
    SLOW_OR_TEXTUAL,
    TEST_FOLDERS,
    NothingThere,
    check_paths,
    recorded_tests,
    sources_of,
)
from tests.mutants.mutant import SUBTLE, Kind, Mutant
from tests.mutants.recorded import Recorded, check_layers
from tests.mutants.reviewed import PACES, REVIEWED
from tests.mutants.sample import draw, is_code, mutants_of_layer

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
        (Kind.FLAG, "def f():\n    return False", {"def f():\n    return True"}),
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
        "X = Literal['a', 'b']",
        "def f():\n    return None",
        "class P(Protocol):\n    def f(self, a=5):\n        'A text.'",
        "Kind = Literal[5, 'a']",
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
        "x = y.encode('ascii')",
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


def test_settings_in_a_pair_and_what_a_decorator_says() -> None:
    code = "A, B = 5, 7\n\n\n@d(9)\ndef f():\n    g(3, 4)\n"
    by_before = {one.before: one for one in python_source.mutants_of("m.py", code.encode())}
    assert by_before["5"].names == by_before["7"].names == ("A", "B")
    assert (by_before["9"].lines, by_before["9"].is_described) == ((6,), True)
    assert not by_before["3"].is_described


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
        return list(draw(ROOT, list(LAYERS), seed=seed, count=2 * len(LAYERS), subtle=subtle))

    first = sample(1, subtle=False)
    assert first == sample(1, subtle=False)
    assert first != sample(2, subtle=False)
    assert {mutant.kind for _, mutant in sample(1, subtle=True)} <= SUBTLE
    assert [layer for layer, _ in first] == [*LAYERS, *LAYERS]


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
        "store_conformance",
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
    left_out = {
        "campaign",
        "docs",
        "examples",
        "journal_model",
        "proxies",
        "simulation",
        "staleness",
    }
    recorded = set(recorded_tests(ROOT))
    for file in (ROOT / "tests").rglob("test_*.py"):
        path = file.relative_to(ROOT)
        if path.parts[1] not in left_out and path.as_posix() not in recorded:
            assert {one.as_posix() for one in (path, *path.parents)} & SLOW_OR_TEXTUAL, path


def test_the_reviewed_lines_are_there() -> None:
    for path, line, _ in REVIEWED:
        assert line in [one.strip() for one in (ROOT / path).read_text("utf-8").splitlines()]


def test_the_literals_that_the_code_reads_are_known() -> None:
    package = ROOT / "src/clusterpass"
    read = {
        name
        for file in package.rglob("*.py")
        for name in re.findall(r"get_args\((\w+)\)", file.read_text("utf-8"))
    }
    assert read == READ_LITERALS


def test_the_names_of_paces_are_there() -> None:
    for name in PACES:
        path, _, constant = name.partition(":")
        assert re.search(
            rf"^{constant}: Final = [\d._]+$", (ROOT / path).read_text("utf-8"), re.M
        ), name


def named_tree(folder: Path) -> Path:
    """A tree with nothing but the paths that the layers name, and one test for each folder."""
    named = [f"src/clusterpass/{one}" for layer in LAYERS.values() for one in layer.sources]
    for layer in LAYERS.values():
        named += [*layer.fallback, *layer.descriptions, *layer.constants]
    named += [test for tests in ABOUT_INCLUDES.values() for test in tests]
    named += [f"src/clusterpass/{one}" for one in GENERATED] + list(SLOW_OR_TEXTUAL)
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


def test_a_part_of_a_statement_of_a_script_is_not_dropped() -> None:
    source = b"local a =\n    f(1)\ntable.sort(a, function(b, c)\n    return b > c\nend)\ng(a)\n"
    dropped = [one for one in lua_source.mutants_of("s.lua", source) if one.kind is Kind.CALL]
    assert [one.before for one in dropped] == ["g(a)"]


SCRIPTS = "src/clusterpass/protocol/scripts"


def test_every_include_that_is_named_is_there() -> None:
    for name in ABOUT_INCLUDES:
        assert (ROOT / SCRIPTS / "_include" / f"{name}.lua").exists(), name


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{SCRIPTS}/unban.lua", {"unban"}),
        (f"{SCRIPTS}/_include/fast_path.lua", {"login", "rotate"}),
        (f"{SCRIPTS}/_include/subject_summary.lua", {"login", "rotate", "settle", "end_session"}),
    ],
)
def test_an_include_shows_in_the_scripts_that_have_it(path: str, expected: set[str]) -> None:
    """``login`` has the summary by way of the glance."""
    found = lua_source.scripts_with(ROOT, path)
    assert found >= expected
    assert (found == expected) == ("summary" not in path)


def test_a_script_is_tried_by_the_tests_over_a_cluster_that_call_it() -> None:
    recorded = Recorded()
    calls = "src/clusterpass/protocol/calls/subject.py"
    functions = {
        node.name: node.body[-1].lineno
        for node in ast.walk(ast.parse((ROOT / calls).read_bytes()))
        if isinstance(node, ast.FunctionDef)
    }
    for number, (test, function) in enumerate(
        {
            "tests/cluster/test_x.py::test_unban": "unban",
            "tests/cluster/test_scripts.py::test_unban": "unban",
            "tests/unit/test_x.py::test_unban": "unban",
            "tests/cluster/test_bans.py::test_ban": "ban",
        }.items()
    ):
        recorded.seconds[test] = number / 10
        recorded.tests[calls][functions[function]].add(test)
    mutant = lua_source.mutants_of(
        f"{SCRIPTS}/unban.lua", (ROOT / SCRIPTS / "unban.lua").read_bytes()
    )[0]
    assert choose_tests(recorded, ROOT, "lua", mutant, most_seconds=60) == [
        "tests/cluster/test_scripts.py::test_unban",
        "tests/cluster/test_x.py::test_unban",
    ]
