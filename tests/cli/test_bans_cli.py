"""``clusterpass bans``: what it prints, and what it refuses."""

import json
import re
import time

import pytest

from clusterpass import SubjectBanned

from .conftest import IMPATIENT, assert_refused


@pytest.mark.alternating
def test_a_ban_from_everything(process, manager):
    manager.login("alice")
    manager.login("alice")
    added = process("bans", "add", "alice", "--reason", "fraud", "--for", "12h")
    assert (added.returncode, added.stderr) == (0, "")
    assert added.stdout.startswith("banned alice, ended 2 sessions")
    with pytest.raises(SubjectBanned):
        manager.login("alice")
    checked = process("bans", "check", "alice")
    assert (checked.returncode, checked.stdout) == (3, "The account is banned: fraud.\n")
    assert process("bans", "check", "alice", "--scope", "anything").returncode == 3
    assert process("bans", "lift", "alice").stdout.startswith("lifted the ban of alice")
    checked = process("bans", "check", "alice")
    assert (checked.returncode, checked.stdout) == (0, "not banned\n")
    assert process("bans", "lift", "alice").stdout == "there is no ban of alice\n"


def test_bans_in_a_table_and_as_json(run, manager):
    manager.bans.add("alice", scope="comments:*", level=3, reason="spam", for_seconds=3600)
    manager.bans.add("alice", scope="uploads")
    head, *rows = run("bans", "list", "alice").stdout.splitlines()
    assert head.split() == ["SCOPE", "LEVEL", "SINCE", "UNTIL", "REASON"]
    (spam,) = [row for row in rows if row.startswith("comments:*")]
    assert re.fullmatch(r"comments:\*  3  .* UTC  .* UTC  spam", spam)
    (good,) = [row for row in rows if row.startswith("uploads")]
    assert re.fullmatch(r"uploads  .* UTC  permanent +-", good)
    found = json.loads(run("bans", "list", "alice", "--json").stdout)
    assert {(ban["scope"], ban["level"], ban["reason"]) for ban in found} == {
        ("comments:*", 3, "spam"),
        ("uploads", 1, ""),
    }
    assert json.loads(run("bans", "list", "nobody", "--json").stdout) == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("30m", 1800), ("12h", 43_200), ("7d", 604_800), ("4w", 2_419_200)],
)
def test_durations(run, manager, text, seconds):
    run("bans", "add", "alice", "--scope", "comments", "--for", text)
    (ban,) = manager.bans.list("alice")
    assert ban.until - ban.banned_at == seconds


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        (["add", "alice", "--for", "0m"], "seconds"),
        (["add", "alice", "--for", "7x"], "duration"),
        (["add", "alice", "--for", "1h30m"], "duration"),
        (["add", "alice", "--for", "1.5h"], "duration"),
        (["add", "alice", "--for", "٣h"], "duration"),
        (["add", "alice", "--for", "\x1b[31m"], "duration"),
        (["add", "alice", "--for", "999999999w"], "seconds"),
        (["add", "alice", "--scope", "a b"], "scope"),
        (["add", "alice", "--level", "0"], "level"),
        (["add", "alice", "--level", "9" * 30], "level"),
        (["add", "alice", "--reason", "a\x1b[31m"], "control characters"),
        (["add", "alice", "--reason", "x" * 201], "200"),
        (["add", ""], "subject"),
        (["lift", "alice", "--scope", "a b"], "scope"),
        (["check", "alice", "--level", "1001"], "level"),
    ],
)
def test_wrong_use_is_one_sentence_and_bans_nobody(run, manager, arguments, saying):
    outcome = run("bans", *arguments)
    assert_refused(outcome, saying=saying)
    assert "\x1b" not in outcome.stderr
    assert manager.bans.list("alice") == ()


@pytest.mark.parametrize("arguments", [["add"], ["check"], ["add", "alice", "--level", "high"]])
def test_wrong_usage_is_explained(run, arguments):
    outcome = run("bans", *arguments)
    assert (outcome.returncode, outcome.stdout) == (2, "")


def test_too_many_bans_are_refused(run, manager):
    for number in range(32):
        manager.bans.add("alice", scope=f"scope-{number}")
    assert_refused(run("bans", "add", "alice", "--scope", "more"), saying="lift one")


@pytest.mark.parametrize("name", ["a b", "-x", "é😀", "a/b{c}%", "\u202eevil"])
def test_odd_subjects(run, manager, name):
    added = run("bans", "add", "--", name)
    assert added.stdout.startswith("banned ")
    assert "\u202e" not in added.stdout
    assert run("bans", "check", "--", name).returncode == 3
    assert run("bans", "lift", "--", name).stdout.startswith("lifted")
    assert manager.bans.list(name) == ()


def test_without_a_confirmation_it_says_so(run, url):
    unasked = {"CLUSTERPASS_STORE_URL": f"{url}&replica_wait=0"}
    told = run("bans", "add", "alice", **unasked).stdout
    assert told == "banned alice, ended 0 sessions (not confirmed by a replica)\n"
    assert run("bans", "lift", "alice", **unasked).stdout == (
        "lifted the ban of alice (not confirmed by a replica)\n"
    )


@pytest.mark.parametrize("command", ["add", "lift", "list", "check"])
def test_a_store_that_is_away_is_told_soon_and_is_no_ban(run, command):
    began = time.monotonic()
    outcome = run("bans", command, "alice", CLUSTERPASS_STORE_URL=IMPATIENT)
    # A ban is in force here and pending; the others were not carried out.
    saying = "cannot be reached" if command == "add" else "temporarily unavailable"
    assert_refused(outcome, saying=saying)
    assert time.monotonic() - began < 10


def test_a_name_means_whoever_logs_in_by_it(run, manager):
    kept, typed = "Zo\u00eb", "Zoe\u0308"
    run("users", "add", typed, "--password-stdin", text_in="correct horse battery\n")
    manager.login(kept)
    added = json.loads(run("bans", "add", typed, "--json").stdout)
    assert (added["subject"], added["known"], added["ended"]) == (kept, True, 1)
    with pytest.raises(SubjectBanned):
        manager.login(kept)
    assert run("bans", "check", typed).returncode == 3
    assert len(json.loads(run("bans", "list", typed, "--json").stdout)) == 1
    noted = run("audit", "tail", "--json", "--action", "ban", "--subject", typed).stdout
    assert json.loads(noted)["subject"] == kept
    assert run("bans", "lift", typed).stdout.startswith("lifted the ban")
    manager.login(kept)
    assert json.loads(run("claims", "set", typed, '{"a": 1}', "--json").stdout)["updated"] == 1
    assert json.loads(run("claims", "get", typed).stdout) == {"a": 1}
    assert len(json.loads(run("sessions", "list", typed, "--json").stdout)["sessions"]) == 1
    assert json.loads(run("sessions", "show", typed, "--json").stdout)["subject"] == kept
    assert json.loads(run("sessions", "history", typed, "--json").stdout)
    assert run("sessions", "revoke", typed, "--all").stdout.startswith("ended 1 session")


def test_a_ban_of_nobody_says_so(run, manager):
    run("users", "add", "alice", "--password-stdin", text_in="correct horse battery\n")
    assert "the directory has no user" in run("bans", "add", "Alice").stderr
    assert run("bans", "add", "alice").stderr == ""
    assert json.loads(run("bans", "add", "alice ", "--json").stdout)["known"] is False
    checks = {"CLUSTERPASS_PASSWORD_CHECK": "os:getcwd"}
    unasked = run("bans", "add", "Alice", "--json", **checks)
    assert (json.loads(unasked.stdout)["known"], unasked.stderr) == (None, "")
