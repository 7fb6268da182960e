"""``clusterpass capacity``: its figures are those that were measured, and it adds up."""

import json
import re
from pathlib import Path

import pytest

from clusterpass.cli import capacity_model as model

TEXT = (Path(__file__).parents[2] / "docs/benchmarks.md").read_text("utf-8")


CALLS = "What a call costs"


def measured(pattern: str, section: str = "") -> float:
    text = TEXT.partition(f"## {section}\n")[2].partition("\n## ")[0] if section else TEXT
    (found,) = re.findall(rf"^\| {pattern} \|", text, re.M)
    return float(found.replace(",", ""))


def test_its_figures_are_those_of_the_measurements():
    one = measured(r"1 session a user, with history and index \| ([\d.]+)(?: \| [^|\n]+)*")
    three = 3 * measured(r"3 sessions a user, with history and index \| ([\d.]+)(?: \| [^|\n]+)*")
    session = (three - one) / 2
    assert session == model.SESSION_BYTES
    assert one - session == model.KEY_BYTES
    for call, microseconds in model.STORE_MICROSECONDS.items():
        rest = r" \| [^|]* \| ([\d.]+)(?: \| [^|\n]*)*"
        assert measured(rf"{call} \| [\d.]+{rest}", CALLS) == microseconds
    for call in ("login", "refresh", "first verify"):
        own = measured(rf"{call} \| ([\d.]+) \| [\d.]+ \| [\d.]+(?: \| [^|\n]*)*", CALLS)
        assert own == model.SERVER_MICROSECONDS[call]
    verify = measured(r"clusterpass serve, from memory \| [\d,]+ \| (\d+) \| 1")
    assert verify == model.SERVER_MICROSECONDS["verify"]
    assert measured(r"50,000 \| (\d+) \| \d+ \| \d+ \| \d+") == model.CACHE_ENTRY_BYTES


def asked(run, *options: str) -> dict:
    done = run("capacity", "--json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_memory_grows_with_users_and_sessions(run):
    one = asked(run, "--users", "1000000", "--name-length", "8")
    assert one["store"]["data_bytes"] == 272_000_000
    three = asked(run, "--users", "1000000", "--sessions", "3", "--name-length", "8")
    assert three["store"]["data_bytes"] == 528_000_000
    longer = asked(run, "--users", "1000000", "--name-length", "10")
    assert longer["store"]["data_bytes"] == 288_000_000
    with_claims = asked(run, "--users", "1000000", "--name-length", "8", "--claims", "100")
    assert with_claims["store"]["data_bytes"] == 372_000_000
    assert one["store"]["maxmemory_per_node"] >= 2 * one["store"]["data_bytes_per_node"]


def test_what_is_shown_to_people(run):
    done = run("capacity", "--users", "1000000", "--requests", "20000", "--servers", "4")
    assert "sessions        1,000,000" in done.stdout
    assert "6 nodes" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        (["--logins", "30000"], "primaries"),
        (["--requests", "100000"], "processes"),
        (["--primaries", "1"], "no majority"),
        (["--replicas", "0"], "loses its sessions"),
    ],
)
def test_what_is_too_little_is_warned_of(run, options, warning):
    assert any(warning in each for each in asked(run, "--users", "1", *options)["warnings"])
    assert f"{warning}" in run("capacity", "--users", "1", *options).stderr


@pytest.mark.parametrize("options", [[], ["--users", "0"], ["--users", "1", "--active", "2"]])
def test_wrong_usage(run, options):
    assert run("capacity", *options).returncode == 2
