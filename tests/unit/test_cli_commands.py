"""The administrative commands: calls of the session manager, and output as text and JSON."""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass import SubjectBanned
from clusterpass.cli import COMMANDS, bans, sessions
from clusterpass.cli.session_output import TABLE_HEAD
from clusterpass.cli.store_connection import Named
from clusterpass.model.errors import InvalidInput
from clusterpass.model.events import HistoryEntry
from clusterpass.model.values import (
    Actor,
    Applied,
    Ended,
    OnlineCount,
    OnlinePage,
    RevokedBefore,
)

from .cli_terminal import (
    AT,
    BAN,
    ENDED,
    FOREVER,
    LATE,
    NOT_CONFIRMED,
    SHOWN,
    Answers,
    Manager,
    Terminal,
    session,
)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


@pytest.mark.parametrize(
    ("arguments", "verb", "answer", "positional", "named", "said"),
    [
        (
            ["sessions", "revoke", "alice", "-id", "--reason", "lost"],
            *("revoke", LATE, ("alice", "-id"), {"reason": "lost"}),
            f"ended 1 session{NOT_CONFIRMED}",
        ),
        (
            ["sessions", "revoke", "alice", "id"],
            *("revoke", ENDED, ("alice", "id"), {"reason": ""}),
            "ended 2 sessions",
        ),
        (
            ["sessions", "revoke", "alice", "--all", "--reason", "lost"],
            *("revoke_all", ENDED, ("alice",), {"device_type": None, "reason": "lost"}),
            "ended 2 sessions",
        ),
        (
            ["sessions", "revoke", "alice", "--device-type", "phone"],
            *("revoke_all", LATE, ("alice",), {"device_type": "phone", "reason": ""}),
            f"ended 1 session{NOT_CONFIRMED}",
        ),
        (
            ["sessions", "revoke-before", str(AT), "--yes"],
            *("revoke_before", RevokedBefore(AT, durable=False), (AT,), {}),
            f"revoked every session that was opened before {SHOWN}{NOT_CONFIRMED}",
        ),
        (
            ["sessions", "revoke-before", "--yes"],
            *("revoke_before", RevokedBefore(AT, durable=True), (None,), {}),
            f"revoked every session that was opened before {SHOWN}",
        ),
        (["sessions", "prune"], "online.prune", 1, (), {}, "1 subject online"),
        (
            ["sessions", "count"],
            *("online.count", OnlineCount(1, 2), (), {}),
            "1 subject, 2 sessions",
        ),
        (
            ["bans", "add", "alice"],
            "bans.add",
            ENDED,
            ("alice",),
            {"reason": "", "for_seconds": None, "scope": "", "level": 1},
            "banned alice, ended 2 sessions",
        ),
        (
            *(["bans", "add", "a\nb", "--reason", "r", "--for", "2m", "--scope", "s:*"],),
            "bans.add",
            LATE,
            ("a\nb",),
            {"reason": "r", "for_seconds": 120, "scope": "s:*", "level": 1},
            f"banned a\\nb from s:*, ended 1 session{NOT_CONFIRMED}",
        ),
        (
            ["bans", "add", "alice", "--level", "7"],
            "bans.add",
            ENDED,
            ("alice",),
            {"reason": "", "for_seconds": None, "scope": "", "level": 7},
            "banned alice, ended 2 sessions",
        ),
        (
            ["bans", "lift", "alice", "--scope", "s"],
            *("bans.lift", Applied(1, durable=False), ("alice",), {"scope": "s"}),
            f"lifted the ban of alice from s{NOT_CONFIRMED}",
        ),
        (
            ["bans", "lift", "alice"],
            *("bans.lift", Applied(0, durable=True), ("alice",), {"scope": ""}),
            "there is no ban of alice",
        ),
        (
            ["bans", "check", "alice", "--scope", "s", "--level", "3"],
            *("bans.check", None, ("alice", "s"), {"level": 3}),
            "not banned",
        ),
        (
            ["bans", "check", "alice"],
            *("bans.check", None, ("alice", ""), {"level": 1}),
            "not banned",
        ),
        (
            ["claims", "get", "alice"],
            *("claims.get", {"plan": "pro"}, ("alice",), {}),
            '{\n  "plan": "pro"\n}',
        ),
        (
            ["claims", "set", "alice", '{"plan": "pro"}'],
            *("claims.set", Applied(2, durable=False), ("alice", {"plan": "pro"}), {}),
            f"updated 2 sessions{NOT_CONFIRMED}",
        ),
        (
            ["claims", "set", "alice", '{"plan": "pro"}'],
            *("claims.set", Applied(0, durable=True), ("alice", {"plan": "pro"}), {}),
            "alice has no live session, so nothing was stored",
        ),
        (
            ["claims", "set", "alice", "{}"],
            *("claims.set", Applied(0, durable=True), ("alice", {}), {}),
            "updated 0 sessions",
        ),
        (
            ["users", "disable", "alice"],
            *("disable", LATE, ("alice",), {}),
            "disabled alice, ended 1 session (not confirmed by a replica)",
        ),
        (["users", "enable", "a\tb"], "enable", None, ("a\tb",), {}, "enabled a\\tb"),
    ],
)
def test_a_command_asks_once_and_says_what_came_of_it(
    terminal: Terminal,
    arguments: list[str],
    verb: str,
    answer: Any,
    positional: tuple[Any, ...],
    named: dict[str, Any],
    said: str,
) -> None:
    terminal.answers[verb] = answer
    assert terminal.says(*arguments) == f"{said}\n"
    assert terminal.asked == [(verb, positional, named)]
    assert terminal.configs == [None]


@pytest.mark.parametrize("group", ["sessions", "bans", "claims"])
def test_the_settings_are_those_of_the_file_that_is_named(terminal: Terminal, group: str) -> None:
    terminal.answers |= {"history": (), "bans.list": (), "claims.get": {}}
    command = {"sessions": "history", "bans": "list", "claims": "get"}[group]
    terminal.says(group, "--config", "a.toml", command, "alice")
    assert terminal.configs == [Path("a.toml")]


@pytest.mark.parametrize(
    "given", [(), ("id", "--all"), ("id", "--device-type", "x"), ("--all", "--device-type", "x")]
)
def test_what_to_revoke_is_said_once(terminal: Terminal, given: tuple[str, ...]) -> None:
    outcome = terminal.run("sessions", "revoke", "alice", *given)
    assert isinstance(outcome.exception, InvalidInput)
    assert terminal.asked == []


def test_all_sessions_are_revoked_only_after_a_yes(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "time", SimpleNamespace(time=lambda: float(AT)))
    terminal.answers["revoke_before"] = RevokedBefore(AT, durable=True)
    asked = f"Revoke every session that was opened before {SHOWN}?"
    for when in ([], [str(AT + 86_400)], [str(AT)]):
        outcome = terminal.run("sessions", "revoke-before", *when, typed="n\n")
        assert asked in outcome.output
        assert outcome.exit_code == 1
    assert terminal.asked == []
    early = terminal.run("sessions", "revoke-before", "1970-01-02T10:00Z", typed="n\n")
    assert "before 1970-01-02 10:00 UTC?" in early.output
    terminal.says("sessions", "revoke-before", typed="y\n")
    assert terminal.asked == [("revoke_before", (None,), {})]


def test_a_list_comes_in_pages(terminal: Terminal) -> None:
    pages = [OnlinePage((session("alice"),), "next"), OnlinePage((session("bob"),), None)]
    terminal.answers["online.page"] = Answers(pages)
    outcome = terminal.run("sessions", "list", "--limit", "7")
    assert (outcome.exit_code, outcome.stderr) == (0, "next page: --cursor next\n")
    head, row = outcome.stdout.splitlines()
    assert head.split() == [*TABLE_HEAD[:4], "LOGGED", "IN", "LAST", "USED", *TABLE_HEAD[6:]]
    assert row.split("  ")[0] == "alice"
    outcome = terminal.run("sessions", "list", "--cursor", "next")
    assert outcome.stderr == ""
    assert "bob" in outcome.stdout
    assert terminal.asked == [
        ("online.page", (None,), {"limit": 7}),
        ("online.page", ("next",), {"limit": 50}),
    ]


def test_all_pages_are_one_list(terminal: Terminal) -> None:
    pages = [OnlinePage((session("alice"),), "next"), OnlinePage((session("bob"),), None)]
    terminal.answers["online.page"] = Answers(pages)
    listed = json.loads(terminal.says("sessions", "list", "--all", "--json"))
    assert [each["subject"] for each in listed["sessions"]] == ["alice", "bob"]
    assert listed["next_cursor"] is None
    assert [asked[1] for asked in terminal.asked] == [(None,), ("next",)]


def test_a_page_as_json_has_its_cursor(terminal: Terminal) -> None:
    terminal.answers["online.page"] = OnlinePage((), "next")
    outcome = terminal.run("sessions", "list", "--json")
    assert json.loads(outcome.stdout) == {"sessions": [], "next_cursor": "next"}
    assert outcome.stderr == ""


def test_the_sessions_of_one_subject_have_no_pages(terminal: Terminal) -> None:
    terminal.answers["sessions"] = [session(act=Actor("admin", "id", "help"), bans=(BAN,))]
    assert "admin" in terminal.says("sessions", "list", "alice")
    (listed,) = json.loads(terminal.says("sessions", "list", "alice", "--json"))["sessions"]
    assert listed["act"] == {"subject": "admin", "session_id": "id", "reason": "help"}
    assert listed["bans"][0]["scope"] == "comments"
    assert terminal.asked == [("sessions", ("alice",), {})] * 2
    outcome = terminal.run("sessions", "list", "alice", "--cursor", "x")
    assert isinstance(outcome.exception, InvalidInput)


def test_the_count_as_json(terminal: Terminal) -> None:
    terminal.answers["online.count"] = OnlineCount(1, 2)
    assert json.loads(terminal.says("sessions", "count", "--json")) == {
        "subjects": 1,
        "sessions": 2,
    }


def test_everything_about_a_subject_or_about_one_session(terminal: Terminal) -> None:
    terminal.answers |= {
        "sessions": [session(session_id="-one"), session(session_id="two", claims={"a": [1]})],
        "bans.list": (BAN, FOREVER),
        "claims.get": {"plan": "pro"},
    }
    shown = terminal.says("sessions", "show", "alice")
    assert "live sessions  2\n" in shown
    assert "plan=pro" in shown
    assert f"comments, level 2, until {SHOWN}: spam\n" in shown
    assert "everything, level 1, permanent\n" in shown
    assert shown.count("\n\n") == 2
    one = terminal.says("sessions", "show", "alice", "-one")
    assert "live sessions" not in one
    assert "two" not in one
    facts = json.loads(terminal.says("sessions", "show", "alice", "two", "--json"))
    assert (facts["subject"], facts["claims"]) == ("alice", {"plan": "pro"})
    assert [each["session_id"] for each in facts["sessions"]] == ["two"]
    assert [each["scope"] for each in facts["bans"]] == ["comments", ""]
    assert terminal.run("sessions", "show", "alice", "three").exit_code == 1


def test_all_the_facts_of_a_session(terminal: Terminal) -> None:
    day = 86_400
    whole = session(
        session_id="id",
        active_at=AT + 2 * day,
        auth_time=AT - day,
        acr="2",
        amr=("pwd", "otp"),
        claims={"plan": "pro", "teams": ["é"]},
        act=Actor("admin", "other", "a ticket"),
    )
    whole = dataclasses.replace(
        whole,
        device="Ann's phone",
        device_type="phone",
        refreshed_at=AT + day,
        expires_at=AT + 3 * day,
    )
    terminal.answers |= {"sessions": [whole], "bans.list": (), "claims.get": {}}
    shown = terminal.says("sessions", "show", "alice", "id").splitlines()
    facts = [line.split("  ", 1) for line in shown if line]
    assert [(name, value.strip()) for name, value in facts][-11:] == [
        ("session", "id"),
        ("device", "Ann's phone"),
        ("type", "phone"),
        ("logged in", SHOWN),
        ("refreshed", "2023-11-15 22:13 UTC"),
        ("last used", "2023-11-16 22:13 UTC"),
        ("expires", "2023-11-17 22:13 UTC"),
        ("authenticated", "2023-11-13 22:13 UTC, level 2"),
        ("methods", "pwd otp"),
        ("claims", 'plan=pro, teams=["é"]'),
        ("impersonated by", "admin: a ticket"),
    ]
    empty = session(session_id="id")
    terminal.answers["sessions"] = [empty]
    shown = terminal.says("sessions", "show", "alice", "id").splitlines()
    told = dict(line.split("  ", 1) for line in shown if line)
    assert [
        told[name].strip() for name in ("device", "type", "last used", "methods", "claims")
    ] == (["-"] * 5)
    assert "impersonated by" not in told


def test_a_history(terminal: Terminal) -> None:
    entries = [
        HistoryEntry("login", AT, 1, "id", "10.0.0.1", "phone"),
        HistoryEntry("refused", AT, 3, None, None, ""),
    ]
    terminal.answers["history"] = entries
    lines = terminal.says("sessions", "history", "alice").splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "TIME EVENT COUNT SESSION ADDRESS BY TEXT",
        f"{SHOWN} login 1 id 10.0.0.1 - phone",
        f"{SHOWN} refused 3 - - -",
    ]
    first, _ = json.loads(terminal.says("sessions", "history", "alice", "--json"))
    assert (first["kind"], first["at"], first["count"]) == ("login", AT, 1)


@pytest.mark.parametrize(
    ("is_known", "ended", "is_noted"),
    [
        (False, Ended(0, durable=True), True),
        (False, Ended(1, durable=True), False),
        (False, Ended(0, durable=True, journaled=True), False),
        (True, Ended(0, durable=True), False),
        (None, Ended(0, durable=True), False),
    ],
)
def test_a_ban_of_nobody_who_is_known_is_noted(
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    is_known: bool | None,
    ended: Ended,
    is_noted: bool,
) -> None:
    @contextmanager
    def about(_: Path | None, name: str) -> Iterator[Any]:
        yield Manager(terminal.answers, terminal.asked), Named(name, lambda: is_known)

    monkeypatch.setattr(bans, "open_about", about)
    terminal.answers["bans.add"] = ended
    said = terminal.run("bans", "add", "a\nb")
    assert said.exit_code == 0
    assert ("note: the directory has no user a\\nb" in said.stderr) is is_noted
    assert (said.stderr == "") is not is_noted
    told = json.loads(terminal.says("bans", "add", "alice", "--json"))
    assert told["known"] is (None if ended.journaled else is_known)


@pytest.mark.parametrize(("given", "scope"), [((), ""), (("--scope", "s:*"), "s:*")])
def test_what_became_of_a_ban_as_json(
    terminal: Terminal, given: tuple[str, ...], scope: str
) -> None:
    terminal.answers |= {"bans.add": LATE, "bans.lift": Applied(1, durable=True)}
    about = {"subject": "alice", "scope": scope}
    added = json.loads(terminal.says("bans", "add", "alice", *given, "--json"))
    assert added == {**about, "known": None, "ended": 1, "durable": False}
    lifted = json.loads(terminal.says("bans", "lift", "alice", *given, "--json"))
    assert lifted == {**about, "lifted": True, "durable": True}


def test_who_is_not_banned_as_json(terminal: Terminal) -> None:
    terminal.answers["bans.check"] = None
    checked = json.loads(terminal.says("bans", "check", "alice", "--json"))
    assert checked == {"subject": "alice", "banned": False, "message": None}


def test_bans_in_a_table_and_as_json(terminal: Terminal) -> None:
    terminal.answers["bans.list"] = (BAN, FOREVER)
    lines = terminal.says("bans", "list", "alice").splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "SCOPE LEVEL SINCE UNTIL REASON",
        f"comments 2 {SHOWN} {SHOWN} spam",
        f"(everything) 1 {SHOWN} permanent -",
    ]
    first, second = json.loads(terminal.says("bans", "list", "alice", "--json"))
    assert (first["until"], second["until"]) == (AT, None)


def test_who_is_banned_has_the_status_3(terminal: Terminal) -> None:
    terminal.answers["bans.check"] = SubjectBanned(ban=FOREVER)
    outcome = terminal.run("bans", "check", "alice")
    assert (outcome.exit_code, outcome.stdout) == (3, f"{SubjectBanned(ban=FOREVER).message}\n")


def test_claims_from_standard_input_and_what_are_none(terminal: Terminal) -> None:
    terminal.answers["claims.set"] = Applied(1, durable=True)
    terminal.says("claims", "set", "alice", "-", typed='{"a": 1}')
    assert terminal.asked == [("claims.set", ("alice", {"a": 1}), {})]
    for text, why in (("{", "not valid JSON"), ("[" * 100_000, "JSON"), ("[1]", "a JSON object")):
        outcome = terminal.run("claims", "set", "alice", text)
        assert isinstance(outcome.exception, InvalidInput)
        assert why in outcome.exception.message
    assert len(terminal.asked) == 1


def test_the_root_lists_every_command_and_says_its_version(terminal: Terminal) -> None:
    shown = terminal.says("--help")
    assert "Distributed JWT sessions on a Redis or Valkey Cluster." in shown
    for name, (_, line) in COMMANDS.items():
        assert f"  {name} " in shown
        assert line[:40] in shown
        assert terminal.says(name, "--help")
    assert terminal.says("--version") == "clusterpass, version 1\n"
