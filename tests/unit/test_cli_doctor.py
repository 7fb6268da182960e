"""``clusterpass doctor``: reports as text and JSON, exit statuses, and options passed on."""

import dataclasses
import json
import sys
from typing import Any

import pytest
from click.testing import CliRunner

from clusterpass.cli.doctor import doctor
from clusterpass.doctor import DoctorOptions, Finding, Report
from clusterpass.doctor.stored_secrets import SecretSettings
from clusterpass.model.errors import StoreUnavailable

from .doctor_snapshots import members, seen_by, sound

DOCTOR: Any = sys.modules["clusterpass.cli.doctor"]
STORE = "redis+cluster://:secret@10.0.0.1:7000"


def finding(severity: Any, identifier: str, *nodes: str) -> Finding:
    return Finding(
        severity=severity,
        found=f"What was found by {identifier}.",
        remedy="What to do.",
        nodes=nodes,
        id=identifier,
    )


PROBLEM = finding("problem", "replicas", "b:2", "a:1")
WARNING, NOTE = finding("warning", "skew"), finding("note", "hosts")
UNSEEN = finding("unseen", "unseen")


class Examination:
    """Notes what is to be examined, and answers with a report."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.findings: tuple[Finding, ...] = ()
        self.seen = sound()

    def __call__(self, store: str, options: Any, *, only: Any, ignore: Any) -> Report:
        self.asked.append((store, options, only, ignore))
        return Report(self.seen, self.findings, 31)


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> Examination:
    made = Examination()
    monkeypatch.setattr(DOCTOR, "examine", made)
    monkeypatch.setenv("CLUSTERPASS_STORE_URL", STORE)
    return made


def run(*arguments: str) -> Any:
    return CliRunner().invoke(doctor, arguments)


def test_a_report_for_people(examined: Examination) -> None:
    examined.findings = (PROBLEM, WARNING, NOTE, UNSEEN)
    outcome = run()
    assert outcome.exit_code == 1
    lines = outcome.stdout.splitlines()
    assert "secret" not in lines[0]
    assert lines[0].endswith(": 3 primaries, 3 replicas, Valkey 9.1.2")
    assert lines[1:7] == [
        "",
        "PROBLEM replicas",
        "  What was found by replicas.",
        "  On:  a:1, b:2",
        "  Do:  What to do.",
        "  See: docs/reference/doctor.md#replicas",
    ]
    assert lines[8:12] == [
        "WARNING skew",
        "  What was found by skew.",
        "  Do:  What to do.",
        "  See: docs/reference/doctor.md#skew",
    ]
    assert "NOTE hosts" in lines
    assert "UNSEEN unseen" in lines
    assert lines[-2:] == [
        "",
        "31 checks: 1 problem, 1 warning, 1 note, 1 not inspected.",
    ]


def test_colours_on_a_terminal(examined: Examination) -> None:
    examined.findings = (PROBLEM, WARNING, NOTE, UNSEEN)
    shown = CliRunner().invoke(doctor, [], color=True).stdout
    for mark, colour in (("PROBLEM", 31), ("WARNING", 33), ("NOTE", 34), ("UNSEEN", 35)):
        assert f"\x1b[{colour}m\x1b[1m{mark}\x1b[0m" in shown


def test_each_role_is_counted_and_each_version_named_once(examined: Examination) -> None:
    them = members()
    nodes = (
        seen_by(them[0], them, info={"redis_version": "7.2.4"}),
        seen_by(them[3], them, info={"redis_version": "7.0.1"}),
        seen_by(them[1], them, refusal="gone", info=None),
        seen_by(them[2], (), info=None),
    )
    examined.seen = dataclasses.replace(examined.seen, nodes=nodes)
    first, *_ = run().stdout.splitlines()
    assert first.endswith(
        ": 1 primary, 1 replica, 1 unreachable, 1 unknown, Redis 7.0.1, Redis 7.2.4"
    )


@pytest.mark.parametrize(
    ("nodes", "shown"),
    [
        (["a:1", "b:2", "c:3", "d:4"], "a:1, b:2, c:3, d:4"),
        (["e:5", "d:4", "c:3", "b:2", "a:1"], "a:1, b:2, c:3, d:4 and 1 more"),
        (["a:1"] * 6, "all 6 nodes"),
    ],
)
def test_many_nodes_are_not_all_listed(examined: Examination, nodes: list[str], shown: str) -> None:
    examined.findings = (finding("note", "x", *nodes),)
    assert f"  On:  {shown}\n" in run().stdout


def test_a_few_nodes_are_listed_even_if_they_are_all(examined: Examination) -> None:
    examined.seen = dataclasses.replace(examined.seen, nodes=examined.seen.nodes[:4])
    examined.findings = (finding("note", "x", "a:1", "b:2", "c:3", "d:4"),)
    assert "  On:  a:1, b:2, c:3, d:4\n" in run().stdout


@pytest.mark.parametrize(
    ("findings", "loose", "strict"),
    [
        ((), 0, 0),
        ((NOTE,), 0, 0),
        ((WARNING,), 0, 1),
        ((UNSEEN,), 0, 1),
        ((PROBLEM,), 1, 1),
    ],
)
def test_what_fails_and_what_fails_if_one_is_strict(
    examined: Examination, findings: Any, loose: int, strict: int
) -> None:
    examined.findings = findings
    assert (run().exit_code, run("--strict").exit_code) == (loose, strict)


def test_a_report_as_json(examined: Examination) -> None:
    examined.findings = (PROBLEM,)
    outcome = run("--json")
    told = json.loads(outcome.stdout)
    assert (outcome.exit_code, told["good"], told["checks"]) == (1, False, 31)
    assert told["findings"][0]["nodes"] == ["b:2", "a:1"]


def test_the_settings_say_what_to_examine_unless_an_option_does(
    examined: Examination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLUSTERPASS_DURABILITY", "fsync")
    run()
    run("--durability", "primary")
    run("--store", "redis://10.0.0.9")
    monkeypatch.setenv("CLUSTERPASS_PORT", "no number, and not looked at")
    options = ("--store", "redis://10.0.0.9", "--durability", "primary")
    more = ("--only", "skew", "--only", "hosts", "--ignore", "tls")
    run(*options, "--write", "--user", "app", *more)
    whole = DoctorOptions(durability="primary", write=True, user="app")
    own = SecretSettings(token_seconds=900)
    others = SecretSettings(token_seconds=900, is_of_service=False)
    assert examined.asked == [
        (STORE, DoctorOptions(durability="fsync", secrets=own), (), ()),
        (STORE, DoctorOptions(durability="primary", secrets=own), (), ()),
        ("redis://10.0.0.9", DoctorOptions(durability="fsync", secrets=others), (), ()),
        ("redis://10.0.0.9", whole, ("skew", "hosts"), ("tls",)),
    ]


@pytest.mark.parametrize("arguments", [("--only", "tsl"), ("--ignore", "x"), ("--durability", "x")])
def test_wrong_usage_examines_nothing(examined: Examination, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2
    assert examined.asked == []


def test_what_cannot_be_inspected_has_the_status_2(
    examined: Examination, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Report:
        raise StoreUnavailable("no node can be inspected")

    monkeypatch.setattr(DOCTOR, "examine", fail)
    outcome = run("--json")
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert "no node can be inspected" in outcome.stderr
    monkeypatch.setenv("CLUSTERPASS_STORE_URL", "mysql://x")
    assert run().exit_code == 2


def test_watching_examines_again_and_again_and_ends_with_its_own_status(
    examined: Examination, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched: list[Any] = []

    def watch(look: Any, status_of: Any, *, interval: float, as_json: bool) -> int:
        examined.findings = (WARNING,)
        watched.append((interval, as_json, status_of(look())))
        return 7

    monkeypatch.setattr(DOCTOR, "watch", watch)
    for options in ((), ("--strict", "--interval", "0.5", "--json")):
        outcome = run("--watch", *options)
        assert (outcome.exit_code, outcome.output) == (7, "")
    assert watched == [(10.0, False, 0), (0.5, True, 1)]
    assert len(examined.asked) == 2
