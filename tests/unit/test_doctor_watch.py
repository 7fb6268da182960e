"""``clusterpass doctor --watch``: findings that count as a change, outages and Ctrl-C."""

import json

import pytest

from clusterpass.cli.doctor_watch import Memory, watch
from clusterpass.doctor import Finding, Report
from clusterpass.doctor.snapshot import Snapshot
from clusterpass.model.errors import ConfigurationError, StoreUnavailable


def finding(identifier: str, severity: str = "problem", found: str = "f", nodes: str = "a:1"):
    return Finding(
        severity=severity, found=found, remedy="Repair it.", nodes=(nodes,), id=identifier
    )


def kinds(changes) -> list[tuple[str, str]]:
    return [(each.kind, each.finding.id if each.finding else "") for each in changes]


def test_what_is_found_first_is_new_and_then_nothing_is():
    memory = Memory()
    assert kinds(memory.learn((finding("x"), finding("y")))) == [("found", "x"), ("found", "y")]
    assert kinds(memory.learn((finding("x"), finding("y")))) == []
    assert kinds(memory.learn((finding("y"), finding("z")))) == [("gone", "x"), ("found", "z")]


def test_another_figure_is_no_change_but_another_node_and_severity_are():
    memory = Memory()
    list(memory.learn((finding("memory", found="61% is used."),)))
    assert kinds(memory.learn((finding("memory", found="62% is used."),))) == []
    assert kinds(memory.learn((finding("memory", nodes="b:1"),))) == [
        ("gone", "memory"),
        ("found", "memory"),
    ]
    assert len(kinds(memory.learn((finding("memory", "warning", nodes="b:1"),)))) == 2


def test_an_outage_is_told_once_and_ends_once_and_forgets_nothing():
    memory = Memory()
    list(memory.learn((finding("x"),)))
    assert kinds(memory.fail("away")) == [("unreachable", "")]
    assert kinds(memory.fail("still away")) == []
    assert kinds(memory.learn((finding("x"),))) == [("reachable", "")]
    assert kinds(memory.learn((finding("x"),))) == []


class Script:
    """Examinations with these outcomes, and then Ctrl-C."""

    def __init__(self, *outcomes: tuple[Finding, ...] | Exception, seen: Snapshot) -> None:
        self._outcomes = list(outcomes)
        self._seen = seen

    def __call__(self) -> Report:
        if not self._outcomes:
            raise KeyboardInterrupt
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return Report(self._seen, outcome, 1)


@pytest.fixture
def seen():
    from .doctor_snapshots import sound

    return sound()


def status_of(report: Report) -> int:
    return 0 if report.is_good else 1


def test_ctrl_c_ends_it_with_the_status_of_the_last_examination(seen, capsys):
    away = StoreUnavailable("the store is away")
    for outcomes, status in (
        (((finding("x"),), ()), 0),
        (((), (finding("x"),)), 1),
        (((), away), 2),
        ((away, ()), 0),
    ):
        assert watch(Script(*outcomes, seen=seen), status_of, interval=0, as_json=True) == status
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    events = ["found", "gone", "found", "unreachable", "unreachable", "reachable"]
    assert [line["event"] for line in lines] == events
    assert lines[0]["remedy"] == "Repair it."
    assert all(line["at"].endswith("+00:00") for line in lines)


def test_what_can_never_succeed_is_not_tried_again(seen):
    script = Script(ConfigurationError("no such scheme"), (), seen=seen)
    with pytest.raises(ConfigurationError):
        watch(script, status_of, interval=0, as_json=False)


def test_lines_for_people_have_no_control_characters(seen, capsys):
    script = Script((finding("x", found="a\x1b[31mb"),), seen=seen)
    watch(script, status_of, interval=0, as_json=False)
    (line,) = capsys.readouterr().out.splitlines()
    assert "found PROBLEM x: a\\x1b[31mb On: a:1. Do: Repair it." in line
