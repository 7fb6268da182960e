"""The output helpers of the command line, and the parsing of times and durations."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from clusterpass.cli import COMMANDS, output
from clusterpass.cli.group import make_group
from clusterpass.cli.help_epilog import examples
from clusterpass.cli.output import json_option
from clusterpass.cli.store_connection import config_option
from clusterpass.cli.time_arguments import parse_duration, parse_time
from clusterpass.model.errors import InvalidInput

Printed = pytest.CaptureFixture[str]


def test_json_is_indented_by_two_and_ascii(capsys: Printed) -> None:
    value = {"name": "é", "list": [1]}
    output.print_json(value)
    shown = capsys.readouterr().out
    assert shown == '{\n  "name": "\\u00e9",\n  "list": [\n    1\n  ]\n}\n'
    assert json.loads(shown) == value


def test_columns_are_aligned_by_the_width_of_characters(capsys: Printed) -> None:
    output.print_table(
        ("a", "long"), [("日本", "x"), ("e\u0301", "y"), ("\x1b", ""), ("12345", "z")]
    )
    assert capsys.readouterr().out.splitlines() == [
        "a      long",
        "日本   x",
        "e\u0301      y",
        "\\x1b",
        "12345  z",
    ]


def test_facts_are_aligned(capsys: Printed) -> None:
    output.print_facts([("name", "alice\n"), ("longer name", "b")])
    assert capsys.readouterr().out == "name         alice\\n\nlonger name  b\n"


@pytest.mark.parametrize(
    ("timestamp", "shown"),
    [(None, "-"), (0, "-"), (1, "1970-01-01 00:00 UTC"), (1_700_000_059, "2023-11-14 22:14 UTC")],
)
def test_a_moment_to_the_minute(timestamp: int | None, shown: str) -> None:
    assert output.moment(timestamp) == shown


def test_numbers_and_confirmations() -> None:
    assert [output.counted(number, "session") for number in (0, 1, 2)] == [
        "0 sessions",
        "1 session",
        "2 sessions",
    ]
    assert output.confirmed(durable=True) == ""
    assert output.confirmed(durable=False) == " (not confirmed by a replica)"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("90", 90),
        ("90s", 90),
        ("30m", 1800),
        ("12h", 43_200),
        ("7d", 604_800),
        ("4w", 2_419_200),
        ("999999999", 999_999_999),
    ],
)
def test_a_duration(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1", "1.5h", "1 h", "1H", "1y", "1h30m", "1" * 10, "٣"])
def test_no_duration(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("123456789", 123_456_789),
        ("1700000000", 1_700_000_000),
        ("2023-11-14T22:13:20Z", 1_700_000_000),
        ("2023-11-14T23:13:20+01:00", 1_700_000_000),
        ("2023-11-14 22:13:20", 1_700_000_000),
        ("2023-11-14T22:13:19.000001", 1_700_000_000),
        ("2023-11-14", 1_699_920_000),
        ("1970-01-01T00:00:01Z", 1),
    ],
)
def test_a_time(text: str, seconds: int) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    ("text", "saying"),
    [
        ("soon", "is not a time"),
        ("17000000000", "is not a time"),
        ("1970-01-01T00:00:00Z", "is before 1970"),
        ("1969-12-31", "is before 1970"),
    ],
)
def test_no_time(text: str, saying: str) -> None:
    with pytest.raises(InvalidInput, match=saying):
        parse_time(text)


def test_the_options_that_many_commands_have() -> None:
    seen: list[tuple[bool, Path | None]] = []

    @click.command()
    @config_option
    @json_option
    def command(config: Path | None, *, as_json: bool) -> None:
        seen.append((as_json, config))

    for arguments in ([], ["--json"], ["--config", "a.toml"], ["--json", "--config", "b.toml"]):
        assert CliRunner().invoke(command, arguments).exit_code == 0
    assert seen == [(False, None), (True, None), (False, Path("a.toml")), (True, Path("b.toml"))]
    shown = CliRunner().invoke(command, ["--help"]).output
    assert "--config PATH" in shown
    assert "Print JSON instead of text." in shown


def test_examples_stand_at_the_end_of_a_help_page_as_they_were_written() -> None:
    lines = ("clusterpass one --long-option value", "clusterpass two")
    command = click.Command("x", epilog=examples(*lines))
    shown = CliRunner().invoke(command, ["--help"]).output
    for line in lines:
        assert f"  {line}\n" in shown


def test_a_command_that_is_none_is_wrong_usage() -> None:
    group = make_group(COMMANDS, version="1.2.3")
    runner = CliRunner()
    assert runner.invoke(group, ["--version"]).output == "clusterpass, version 1.2.3\n"
    wrong = runner.invoke(group, ["sesions"])
    assert wrong.exit_code == 2
    assert "No such command" in wrong.output
    listed = runner.invoke(group, ["--help"]).output
    places = [listed.index(f"\n  {name} ") for name in sorted(COMMANDS)]
    assert places == sorted(places)
