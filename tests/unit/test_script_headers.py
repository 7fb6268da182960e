"""The scripts and their headers: the grammar of protocol/scripts/README.md, and how files include.

The statuses that a header names are those that its text returns and those of the Python type.
"""

import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import pytest

from clusterpass.protocol.calls import statuses
from clusterpass.protocol.script import assemble_script, load_script

FOLDER = Path(str(files("clusterpass.protocol"))) / "scripts"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.lua"))
INCLUDES = sorted(path.stem for path in (FOLDER / "_include").glob("*.lua"))
STATUSES = {
    "login": statuses.LoginStatus,
    "rotate": statuses.RotateStatus,
    "end_session": statuses.EndStatus,
    "end_all": statuses.EndAllStatus,
    "elevate": statuses.ElevateStatus,
    "ban": statuses.BanStatus,
    "set_claims": statuses.SetClaimsStatus,
    "link_make": statuses.MakeLinkStatus,
    "user_add": statuses.AddUserStatus,
    "user_change": statuses.ChangeUserStatus,
    "journal_append": statuses.JournalAppendStatus,
    "journal_fill": statuses.JournalFillStatus,
}
NUMBERS = {
    "count_attempt",
    "forget_attempts",
    "never_promoted",
    "note_refusal",
    "return_attempt",
    "take_key_lease",
    "unban",
    "user_remove",
    "link_check",
    "link_use",
}
QUICK = {"login", "rotate"}
"""Scripts whose usual calls end before the functions of the others are made."""
LABELS = ("KEYS", "ARGV", "Returns", "Status")


def header_of(text: str) -> list[str]:
    """The comment at the top, without the line that names the interpreter."""
    lines = text.splitlines()[1:]
    length = next(index for index, line in enumerate(lines) if not re.match(r"--(?!@)", line))
    return [line.removeprefix("--").removeprefix(" ") for line in lines[:length]]


def sections_of(text: str) -> dict[str, list[str]]:
    """The lines of each labelled section, by label, in the order of the header."""
    sections: dict[str, list[str]] = {}
    label = None
    for line in header_of(text):
        if found := re.match(r"([A-Z]\w+) {2,}(\S.*)", line):
            label = found[1]
            assert label in LABELS, line
            assert line.index(found[2]) == 9, line
            assert label not in sections, line
            sections[label] = [found[2]]
        elif label is not None and line.startswith(" " * 9):
            sections[label].append(line[9:])
        else:
            label = None
    return sections


def named_statuses(text: str) -> set[str]:
    """The statuses that the header names."""
    entries = [
        re.match(r"([A-Z]+|\d+) {2,}\S", line) for line in sections_of(text).get("Status", [])
    ]
    named = [entry[1] for entry in entries if entry]
    assert len(named) == len(set(named))
    return set(named)


def code_of(text: str) -> str:
    """The text without comments and without what it says to the server."""
    code = re.sub(r"--.*", "", text)
    code = re.sub(r"'[^'\n]*'", lambda literal: re.sub(r"[()]", "", literal[0]), code)
    while found := re.search(r"redis\.p?call\(", code):
        depth, end = 1, found.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(code[end], 0)
            end += 1
        code = code[: found.start()] + "nil" + code[end:]
    return code


def returned_words(text: str) -> set[str]:
    return set(re.findall(r"'([A-Z]+)'", code_of(text)))


def returned_numbers(text: str) -> set[str]:
    return set(re.findall(r"\b(?:return|and|or) (\d+)\b(?! *[,<>*/+-])", code_of(text)))


def calls_in(text: str) -> set[str]:
    """The names of the functions that the text defines or calls."""
    return set(re.findall(r"(?<![.\w])(\w+)\(", code_of(text)))


def read_script(name: str) -> str:
    return (FOLDER / f"{name}.lua").read_text("utf-8")


def read_include(name: str) -> str:
    return (FOLDER / "_include" / f"{name}.lua").read_text("utf-8")


@pytest.mark.parametrize("name", SCRIPTS)
def test_header_follows_the_grammar(name: str) -> None:
    text = read_script(name)
    assert re.match(r"#!lua( flags=[a-z,-]+)?\n-- [A-Z].*\.?\n", text)
    sections = sections_of(text)
    assert list(sections) == [*LABELS[:3], *(["Status"] if "Status" in sections else [])]
    says_status = re.search(r"\bstatus\b", " ".join(sections["Returns"])) is not None
    assert says_status == ("Status" in sections)
    if "Status" in sections:
        assert re.match(r"([A-Z]+|\d+) {2,}\S", sections["Status"][0])
    # Behind the usual calls of some scripts comes what the others need: each includes first.
    usual, *others = re.split(r"(?m)^-- All other \w+\.\n", text.split("\n\n", 1)[1])
    assert len(others) == (1 if name in QUICK else 0)
    for part in (usual, *(re.sub(r"\A(?:--@include \w+\n)+", "", each) for each in others)):
        assert not re.search(r"^--@include", part, re.M), "includes come first"


@pytest.mark.parametrize("name", SCRIPTS)
def test_statuses_of_header_text_and_type_are_equal(name: str) -> None:
    text = read_script(name)
    named = named_statuses(text)
    if name in NUMBERS:
        assert named
        assert named == returned_numbers(text)
        assert not returned_words(text)
    else:
        assert named == returned_words(text)
        assert named == set(get_args(STATUSES[name]) if name in STATUSES else ())


def test_every_status_type_belongs_to_a_script() -> None:
    types: list[Any] = [value for name, value in vars(statuses).items() if name.endswith("Status")]
    assert len(types) == len(STATUSES)
    assert all(kind in types for kind in STATUSES.values())
    literals = {
        path.stem
        for path in (FOLDER.parent / "calls").glob("*.py")
        if re.search(r"""Literal\[['"][A-Z]+['"]|cast\("Any\"""", path.read_text("utf-8"))
    }
    assert literals == {"statuses"}


def test_includes_return_no_status() -> None:
    for name in INCLUDES:
        assert not returned_words(read_include(name)), name


@pytest.mark.parametrize("name", INCLUDES)
def test_an_include_says_what_it_needs_and_gives(name: str) -> None:
    text = read_include(name)
    header = re.match(r"(?:--(?!@).*\n)+", text)
    assert header
    needs = re.search(
        r"^-- Needs {4}(.*(?:\n-- {10}.*)*)\n-- Gives {4}(.*(?:\n-- {10}.*)*)", text, re.M
    )
    assert needs
    words = re.findall(r"\w+", needs[1].replace("--", ""))
    included = re.findall(r"^--@include (\w+)$", text, re.M)
    assert words == (sorted(included) or ["nothing"])
    given = set(re.findall(r"\w+", needs[2]))
    for function in set(re.findall(r"^local function (\w+)", text, re.M)) - given:
        users = [
            other
            for other in [*map(read_script, SCRIPTS), *map(read_include, set(INCLUDES) - {name})]
            if re.search(rf"\b{function}\(", code_of(other))
        ]
        assert not users, f"{function} is used elsewhere"


def test_each_file_has_what_it_calls() -> None:
    """A function of an include is a local: called before its definition, it would be unknown."""
    homes = {
        function: name
        for name in INCLUDES
        for function in re.findall(r"^local function (\w+)", read_include(name), re.M)
    }
    for name in INCLUDES:
        for function in calls_in(read_include(name)) & homes.keys():
            assert homes[function] == name or f"--@include {homes[function]}\n" in read_include(
                name
            )
    for name in SCRIPTS:
        code = code_of(load_script(name).source.decode())
        for function in calls_in(code) & homes.keys():
            first = re.search(rf"(?<![.\w]){function}\(", code)
            assert first
            assert code[: first.start()].endswith("local function "), f"{name}: {function}"


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_within_the_limits_of_lua(name: str) -> None:
    source = load_script(name).source.decode()
    assert "--@include" not in source
    names: list[str] = []
    for found in re.finditer(r"^local (?:function (\w+)|([\w, ]+))", source, re.M):
        names += [found[1]] if found[1] else re.findall(r"\w+", found[2])
    assert len(names) < 180, "Lua allows 200 locals"
    assert len(names) == len(set(names)), "a local hides another"


def write(folder: Path, **texts: str) -> Path:
    (folder / "_include").mkdir()
    for name, text in texts.items():
        place = folder / "_include" if name.islower() else folder
        (place / f"{name.lower()}.lua").write_text(text)
    return folder


def reader(folder: Path) -> Callable[[str], str]:
    return lambda path: (folder / path).read_text("utf-8")


def test_an_include_is_inserted_once_where_it_is_first_needed(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        MAIN="#!lua\n--@include left\n--@include right\nreturn 1",
        left="--@include base\nleft",
        right="--@include base\n--@include left\nright",
        base="base",
    )
    script = assemble_script(reader(folder), "main")
    assert script.source == b"#!lua\nbase\nleft\nright\nreturn 1"
    assert script.writes
    assert len(script.sha1) == 40


@pytest.mark.parametrize(
    ("texts", "circle"),
    [
        ({"own": "--@include own"}, "own.lua > _include/own.lua"),
        (
            {"own": "--@include other", "other": "--@include own"},
            "own.lua > _include/other.lua > _include/own.lua",
        ),
    ],
)
def test_includes_in_a_circle_are_refused(
    tmp_path: Path, texts: dict[str, str], circle: str
) -> None:
    folder = write(tmp_path, MAIN="#!lua\n--@include own", **texts)
    with pytest.raises(ValueError, match="in a circle") as caught:
        assemble_script(reader(folder), "main")
    assert str(caught.value).endswith(circle)


def test_what_is_missing_is_not_found(tmp_path: Path) -> None:
    folder = write(tmp_path, MAIN="#!lua\n--@include absent")
    for name in ("main", "absent"):
        with pytest.raises(FileNotFoundError):
            assemble_script(reader(folder), name)
