"""``clusterpass audit``: paging through the trail, export, follow and check."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from clusterpass import AuditEntry, AuditPage, InvalidInput, StoreUnavailable
from clusterpass.cli.audit import audit
from clusterpass.model.audit import AuditFault, AuditReport

AUDIT: Any = sys.modules["clusterpass.cli.audit"]
AT = 1_700_000_000


def entry(number: int, subject: str = "alice", **more: Any) -> AuditEntry:
    given = {"actor": "helen", "action": "revoke", "outcome": "done", **more}
    made = {"writer": "w", "writer_number": number, "id": f"{(AT + number) * 1000}-0", **given}
    return AuditEntry(number=number, at=float(AT + number), subject=subject, **made)


class Trail:
    """An audit trail of a few entries, which gives at most two at a time."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []
        self.limits: list[int] = []
        self.unreadable = 0
        self.report = AuditReport(0, 0, 0, "")
        self.heads: list[str | None] = []

    def page(self, *, limit: int, before: str | None = None, after: str = "") -> AuditPage:
        self.limits.append(limit)
        most = min(limit, 2)
        if before is not None:
            there = [each for each in self.entries if not before or each.id < before]
            found = there[-most:]
            return AuditPage(tuple(found), found[0].id if len(there) > most else None)
        there = [each for each in self.entries if each.id > after]
        found, self.unreadable, unreadable = there[:most], 0, self.unreadable
        return AuditPage(tuple(found), found[-1].id if len(there) > most else None, unreadable)

    def check(self, *, head: str | None) -> AuditReport:
        self.heads.append(head)
        return self.report


@pytest.fixture
def trail(monkeypatch: pytest.MonkeyPatch) -> Trail:
    made = Trail()
    made.entries = [entry(number, f"user-{number % 2}") for number in range(1, 6)]

    @contextmanager
    def opened(_: Any) -> Iterator[Any]:
        yield SimpleNamespace(audit=made)

    monkeypatch.setattr(AUDIT, "open_sessions", opened)
    return made


def run(*arguments: str) -> Result:
    return CliRunner().invoke(audit, arguments)


def numbers(output: str) -> list[int]:
    return [json.loads(line)["number"] for line in output.splitlines()]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), [1, 2, 3, 4, 5]),
        (("--lines", "5"), [1, 2, 3, 4, 5]),
        (("-n", "3"), [3, 4, 5]),
        (("-n", "1"), [5]),
        (("-n", "0"), []),
        (("-n", "2", "--subject", "user-1"), [3, 5]),
        (("--subject", "user-1", "--actor", "nobody"), []),
        (("--action", "revoke", "--outcome", "done"), [1, 2, 3, 4, 5]),
        (("--outcome", "refused"), []),
    ],
)
def test_the_latest_entries_the_oldest_first(
    trail: Trail, options: tuple[str, ...], found: list[int]
) -> None:
    outcome = run("tail", "--json", *options)
    assert (outcome.exit_code, numbers(outcome.stdout)) == (0, found)


@pytest.mark.parametrize(("lines", "limit"), [("0", 1), ("1", 1), ("999", 999), ("1001", 1000)])
def test_no_more_is_asked_for_than_is_wanted_nor_than_there_may_be_at_once(
    trail: Trail, lines: str, limit: int
) -> None:
    run("tail", "-n", lines)
    assert set(trail.limits) == {limit}
    assert len(trail.limits) == (1 if int(lines) < 2 else 3)


def test_an_empty_trail(trail: Trail) -> None:
    trail.entries = []
    assert (run("tail").output, run("export").output) == ("", "0 entries\n")


def test_an_entry_in_one_line(trail: Trail) -> None:
    trail.entries = [
        entry(1, session_id="abc", address="192.0.2.1", via="http", request_id="r-1"),
        entry(
            2,
            "a b",
            actor=None,
            outcome="refused",
            error="subject_banned",
            reason='"spam"\x1b',
            details={"ended": 2, "issuer": "", "to": "x=y"},
        ),
    ]
    first, second = run("tail").stdout.splitlines()
    assert first == (
        "2023-11-14 22:13:21Z #1 revoke done actor=helen subject=alice session_id=abc via=http"
        " address=192.0.2.1 request_id=r-1"
    )
    assert second == (
        '2023-11-14 22:13:22Z #2 revoke refused (subject_banned) subject="a b"'
        ' ended=2 issuer="" to="x=y" reason="\\"spam\\"\\u001b"'
    )


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), [1, 2, 3, 4, 5]),
        (("--since", str(AT + 2)), [2, 3, 4, 5]),
        (("--until", str(AT + 4)), [1, 2, 3]),
        (("--since", str(AT + 2), "--until", str(AT + 3)), [2]),
        (("--after", f"{(AT + 3) * 1000}-0"), [4, 5]),
        (("--subject", "user-0"), [2, 4]),
    ],
)
def test_an_export_has_each_wanted_entry_once(
    trail: Trail, options: tuple[str, ...], found: list[int]
) -> None:
    outcome = run("export", *options)
    assert (outcome.exit_code, numbers(outcome.stdout)) == (0, found)
    what = "1 entry" if len(found) == 1 else f"{len(found)} entries"
    assert outcome.stderr.startswith(f"{what}; go on with --after 170000000")


def test_an_entry_that_was_written_twice_is_exported_once(trail: Trail) -> None:
    again = entry(6, "user-1", writer_number=1)
    trail.entries.append(AuditEntry(**{**vars_of(again), "at": trail.entries[0].at}))
    trail.unreadable = 1
    outcome = run("export")
    assert numbers(outcome.stdout) == [1, 2, 3, 4, 5]
    assert outcome.stderr == (
        "5 entries, without 1 that cannot be read (clusterpass audit check); go on with --after"
        f" {trail.entries[4].id}\n"
    )


def vars_of(one: AuditEntry) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


def test_an_export_that_is_cut_short_says_how_to_go_on(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = trail.page

    def failing(**given: Any) -> AuditPage:
        if len(trail.limits) == 2:
            raise StoreUnavailable
        return plain(**given)

    monkeypatch.setattr(trail, "page", failing)
    outcome = run("export")
    assert isinstance(outcome.exception, StoreUnavailable)
    assert numbers(outcome.stdout) == [1, 2, 3, 4]
    assert outcome.stderr == f"not all: 4 entries; go on with --after {trail.entries[3].id}\n"


def test_following_goes_on_behind_an_outage(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, slept = trail.page, list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 4:
            trail.entries += [entry(6), entry(7, "bob")]
        if len(slept) == 6:
            raise KeyboardInterrupt

    def page(**given: Any) -> AuditPage:
        if len(slept) in {2, 3}:
            raise StoreUnavailable
        return plain(**given)

    monkeypatch.setattr(AUDIT, "time", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(trail, "page", page)
    outcome = run("tail", "-n", "1", "--follow", "--json", "--subject", "alice")
    assert numbers(outcome.stdout) == [6]
    assert outcome.stderr.count("waiting for it") == 1
    assert slept == [1.0] * 6


def test_a_sound_trail(trail: Trail) -> None:
    trail.report = AuditReport(5, 1, 5, "5:abc")
    outcome = run("check", "--head", "3:def")
    assert (outcome.exit_code, trail.heads) == (0, ["3:def"])
    assert [" ".join(line.split()) for line in outcome.stdout.splitlines()] == [
        "entries 5",
        "numbers 1 to 5",
        "head 5:abc",
        "the trail is sound",
    ]
    assert json.loads(run("check", "--json").stdout)["sound"] is True
    trail.report = AuditReport(0, 0, 0, "")
    told = [line.split()[-1] for line in run("check").stdout.splitlines()]
    assert told == ["0", "-", "-", "sound"]


def test_a_trail_with_faults_fails_the_check(trail: Trail) -> None:
    fault = AuditFault("changed", 3, "Entry 3 is not what was written.")
    trail.report = AuditReport(5, 1, 5, "5:abc", (fault,))
    for options in ((), ("--json",)):
        outcome = run("check", *options)
        assert outcome.exit_code == 1
        assert fault.message in outcome.stdout
    assert run("check").stdout.splitlines()[-2:] == [f"changed: {fault.message}", "1 fault"]


def test_an_export_to_a_closed_output_is_refused(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AUDIT, "sys", SimpleNamespace(stdout=None))
    with pytest.raises(InvalidInput, match="nowhere to export"):
        CliRunner().invoke(audit, ["export"], catch_exceptions=False)
    assert trail.limits == []
