"""Conventions of all commands: JSON, exit statuses, colours, suggestions and manual pages."""

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from click.types import StringParamType

from clusterpass import cli
from clusterpass.cli import COMMANDS
from clusterpass.cli.exit_status import MEANINGS, ExitStatus
from clusterpass.cli.group import make_group
from clusterpass.cli.value_types import FiniteRange

ROOT = Path(__file__).parents[2]
FOLDER = Path(cli.__file__).parent
WITHOUT_JSON = {
    "clusterpass completion",  # prints a script
    "clusterpass dev",  # runs until it is stopped
    "clusterpass keys encryption-key",  # prints one value
    "clusterpass keys public",  # prints JSON anyway
    "clusterpass keys refresh-secret",  # prints one value
    "clusterpass users export",  # prints JSON anyway
    "clusterpass audit export",  # whose lines are JSON
    "clusterpass serve",  # runs until it is stopped
}


def leaves() -> Iterator[tuple[str, click.Command]]:
    def walk(
        command: click.Command, name: str, context: click.Context
    ) -> Iterator[tuple[str, click.Command]]:
        if not isinstance(command, click.Group):
            yield name, command
            return
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None
            yield from walk(found, f"{name} {child}", context)

    group = make_group(COMMANDS, version="1")
    yield from walk(group, "clusterpass", click.Context(group))


def test_every_command_speaks_json() -> None:
    without = {name for name, each in leaves() if not any("--json" in p.opts for p in each.params)}
    assert without == WITHOUT_JSON


def test_an_empty_value_is_never_taken_for_one_that_was_left_out() -> None:
    """Only texts for people may be empty, and what the settings judge."""
    plain = {
        f"{name} {'/'.join(each.opts)}"
        for name, command in leaves()
        for each in command.params
        if isinstance(each.type, StringParamType) and not each.required
    }
    assert plain == {
        "clusterpass bans add --reason",
        "clusterpass serve --host",
        "clusterpass sessions revoke --reason",
    }


def test_numbers_have_a_range_and_are_finite() -> None:
    for name, command in leaves():
        for each in command.params:
            if isinstance(each.type, click.types.FloatParamType):
                assert isinstance(each.type, FiniteRange), f"{name} {each.opts}"
                assert each.type.max is not None, f"{name} {each.opts}"


def test_what_may_be_left_out() -> None:
    """An argument may not, and an option may, but for these."""
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for name, command in leaves():
        for each in command.params:
            is_argument = isinstance(each, click.Argument)
            if each.required is not is_argument:
                found[is_argument].add(f"{name.removeprefix('clusterpass ')} {each.opts[-1]}")
    assert found[False] == {"authz explain --url", "capacity --users"}
    assert found[True] == {
        "sessions list subject",
        "sessions revoke session_id",
        "sessions revoke-before when",
        "sessions show session_id",
    }


RANGES: dict[str, tuple[float, float, float | None]] = {
    "audit tail --lines": (0, 100_000, 20),
    "capacity --users": (1, 10**12, None),
    "capacity --sessions": (1, 10**6, 1),
    "capacity --active": (0, 1, 1),
    "capacity --logins": (0, 10**9, 0),
    "capacity --requests": (0, 10**9, 0),
    "capacity --access-lifetime": (10, 86_400, 900),
    "capacity --name-length": (1, 255, 16),
    "capacity --claims": (0, 10**6, 0),
    "capacity --servers": (1, 10**6, 2),
    "capacity --primaries": (1, 16_384, 3),
    "capacity --replicas": (0, 100, 1),
    "cluster start --node-timeout": (0.05, 3600, None),
    "dev --port": (1, 65_535, 8000),
    "dev --nodes": (1, 30, 6),
    "doctor --interval": (0.1, 86_400, 10),
    "sessions list --limit": (1, 200, 50),
}
"""The least and the most value of an option, and the one that it has when it is left out."""


def test_the_range_of_each_number_and_what_it_is_by_default() -> None:
    found = {}
    for name, command in leaves():
        for each in command.params:
            if isinstance(each.type, click.IntRange | click.FloatRange):
                default = each.default if isinstance(each.default, int | float) else None
                option = f"{name.removeprefix('clusterpass ')} {each.opts[-1]}"
                found[option] = (each.type.min, each.type.max, default)
                assert not (each.type.min_open or each.type.max_open or each.type.clamp), option
    assert found == RANGES


METAVARS = {
    "audit check --head": "NUMBER:CHAIN",
    "audit export --after": "ID",
    "audit export --since": "TIME",
    "audit export --until": "TIME",
    "authz explain --policy": "FILE",
    "authz test --policy": "FILE",
    "bans add --for": "DURATION",
    "capacity --access-lifetime": "SECONDS",
    "capacity --claims": "BYTES",
    "claims set text": "JSON",
    "cluster start --node-timeout": "SECONDS",
    "doctor --ignore": "CHECK",
    "doctor --interval": "SECONDS",
    "doctor --only": "CHECK",
    "doctor --store": "URL",
    "sessions revoke-before when": "[TIME]",
    "users invite --send-to": "ADDRESS",
    "users reset-link --send-to": "ADDRESS",
}
"""What the help calls a value that needs a form."""
CHOICES = {
    "authz explain --token": {"-"},
    "completion shell": {"bash", "zsh", "fish"},
    "doctor --durability": {"primary", "replicated", "fsync"},
    "keys generate --algorithm": {"EdDSA", "Ed25519", "ES256", "RS256", "HS256"},
    "keys import --access": {"private", "any"},
    "keys public --access": {"private", "any"},
}


def test_the_help_says_what_each_option_is_for_and_what_holds_without_it() -> None:
    metavars, choices = {}, {}
    for name, command in leaves():
        for each in command.params:
            option = f"{name.removeprefix('clusterpass ')} {each.opts[-1]}"
            if each.metavar and each.opts != ["--config"]:
                metavars[option] = each.metavar
            if isinstance(each.type, click.Choice) and option not in METAVARS:
                choices[option] = set(each.type.choices)
            if isinstance(each, click.Option):
                assert (each.help or "").endswith((".", "]")), option
                has_default = isinstance(each.default, str | int | float | Path)
                if has_default and not each.is_flag and each.default != "":
                    assert each.show_default is True, option
                assert each.metavar == "PATH" or each.opts != ["--config"]
    assert metavars == METAVARS
    assert choices == CHOICES


def exits() -> Iterator[tuple[Path, ast.expr]]:
    """Yield the argument of each exit call in the modules of the command line."""
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "sys.exit",
                "context.exit",
            ):
                yield path, node.args[0]


def test_no_command_ends_with_a_number_of_its_own() -> None:
    found = list(exits())
    assert len(found) > 5
    for path, status in found:
        numbers = [n for n in ast.walk(status) if isinstance(n, ast.Constant)]
        assert not [n for n in numbers if isinstance(n.value, int)], path


def test_the_table_has_every_status_and_what_the_help_says_is_in_it() -> None:
    assert set(MEANINGS) == set(ExitStatus)
    page = (ROOT / "docs/reference/cli.md").read_text("utf-8")
    table = dict(re.findall(r"^\| (\d+) \| (.+) \|$", page, re.M))
    assert {int(status) for status in table} == set(ExitStatus)
    named: dict[int, set[str]] = {}
    for name, command in leaves():
        text = " ".join((command.help or "").split())
        for sentence in re.findall(r"The exit status is [^.]*\.", text):
            for status in map(int, re.findall(r"\b(\d+)\b", sentence)):
                named.setdefault(status, set()).add(name)
    assert set(named) <= set(ExitStatus)
    # Whatever ends with 3 is named in the table.
    for name in named[ExitStatus.NO]:
        assert f"`{name.removeprefix('clusterpass ')}`" in table["3"]
    for name in named[ExitStatus.USAGE]:
        assert f"`{name.removeprefix('clusterpass ')}`" in table["2"]


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["sesions"], "sessions"),
        (["docter"], "doctor"),
        (["sessions", "revok"], "revoke"),
        (["doctor", "--wacth"], "--watch"),
    ],
)
def test_a_misspelt_name_is_answered_with_what_was_meant(arguments: list[str], meant: str) -> None:
    outcome = CliRunner().invoke(make_group(COMMANDS, version="1"), arguments)
    assert outcome.exit_code == ExitStatus.USAGE
    assert "Did you mean" in outcome.output
    assert repr(meant) in outcome.output


def test_a_name_that_is_like_none_is_answered_with_none() -> None:
    outcome = CliRunner().invoke(make_group(COMMANDS, version="1"), ["xyzzy"])
    assert "Did you mean" not in outcome.output


@pytest.mark.parametrize(("value", "is_coloured"), [("1", False), ("", True), (None, True)])
def test_no_color_is_respected(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    value: str | None,
    is_coloured: bool,
) -> None:
    @click.command()
    def command() -> None:
        click.secho("red", fg="red")

    monkeypatch.setattr("clusterpass.cli.group.make_group", lambda *_, **__: command)
    monkeypatch.setattr(sys, "argv", ["x"])
    # As if the output were a terminal.
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda stream, color: color is False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    if value is not None:
        monkeypatch.setenv("NO_COLOR", value)
    with pytest.raises(SystemExit):
        cli.main()
    assert ("\x1b[" in capsys.readouterr().out) == is_coloured


@pytest.fixture(scope="module")
def man_pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("man")
    program = ROOT / "scripts" / "generate_man.py"
    subprocess.run([sys.executable, program, folder], check=True, timeout=60)
    return folder


def test_there_is_a_manual_page_for_every_command(man_pages: Path) -> None:
    names = {path.stem for path in man_pages.glob("*.1")}
    commands = {name.replace(" ", "-") for name, _ in leaves()}
    assert commands < names
    assert "clusterpass" in names


def test_the_manual_pages_have_no_fault(man_pages: Path) -> None:
    mandoc = shutil.which("mandoc")
    if mandoc is None:
        pytest.skip("mandoc is not installed; make test-setup installs it")
    pages = sorted(man_pages.glob("*.1"))
    done = subprocess.run(
        [mandoc, "-Tlint", "-Wwarning", *pages], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_a_manual_page_says_what_the_help_says(man_pages: Path) -> None:
    mandoc = shutil.which("mandoc")
    if mandoc is None:
        pytest.skip("mandoc is not installed; make test-setup installs it")
    shown = subprocess.run(
        [mandoc, "-Tutf8", man_pages / "clusterpass-bans-add.1"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    plain = " ".join(re.sub(r".\x08", "", shown).split())
    assert "--for DURATION" in plain
    assert "A second ban from the same scope replaces the first." in plain
    assert "clusterpass bans add alice --scope 'comments:*' --level 2 --for 7d" in plain
    assert "the subject is banned (bans check)" in plain


def test_which_keys_were_written_is_told_as_json_and_no_secret_is(tmp_path: Path) -> None:
    group, made = make_group(COMMANDS, version="1"), tmp_path / "made.json"
    outcome = CliRunner().invoke(group, ["keys", "generate", "--json", "--output", str(made)])
    told = json.loads(outcome.stdout)
    (secret,) = json.loads(made.read_text())["keys"]
    assert told["file"] == str(made)
    assert told["keys"] == [{"key_id": secret["kid"], "algorithm": "EdDSA", "private": True}]
    assert secret["d"] not in outcome.output
    copy = tmp_path / "copy.json"
    arguments = ["keys", "import", str(made), "--json", "--output", str(copy)]
    again = json.loads(CliRunner().invoke(group, arguments).stdout)
    assert again == {"file": str(copy), "keys": told["keys"]}


@pytest.mark.parametrize(
    ("command", "heading"), [("invite", "Example:"), ("reset-link", "Examples:")]
)
def test_the_help_ends_with_examples(command: str, heading: str) -> None:
    group = make_group(COMMANDS, version="1")
    shown = CliRunner().invoke(group, ["users", command, "--help"]).stdout
    _, _, end = shown.partition(f"\n  {heading}\n")
    assert end.startswith(f"    clusterpass users {command} alice\n")
