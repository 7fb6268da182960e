"""``clusterpass users``: names reach the terminal as the other commands print them."""

import json
import time
from datetime import UTC, datetime

import pytest

from clusterpass import InvalidCredentials, UserDirectory

from .conftest import assert_refused

PASSWORD = "correct horse battery\n"


def test_names_cannot_command_the_terminal(run):
    name, escaped = "al\u202eice", "al\\u202eice"
    password = "correct horse battery\n"
    added = run("users", "add", name, "--password-stdin", text_in=password)
    assert (added.returncode, added.stdout) == (0, f"added {escaped}\n")
    assert run("users", "list").stdout.startswith(f"{escaped}\tenabled\tsince ")
    assert run("users", "disable", name).stdout == f"disabled {escaped}, ended 0 sessions\n"
    assert run("users", "enable", name).stdout == f"enabled {escaped}\n"
    changed = run("users", "passwd", name, "--password-stdin", text_in=password)
    assert changed.stdout.startswith(f"changed the password of {escaped}, ended 0 sessions")
    assert [user["name"] for user in json.loads(run("users", "list", "--json").stdout)] == [name]


def test_the_list_in_lines_and_as_json(run):
    for name in ("bob", "alice"):
        run("users", "add", name, "--password-stdin", text_in=PASSWORD)
    run("users", "disable", "bob")
    members = json.loads(run("users", "list", "--json").stdout)
    assert [list(user) for user in members] == [["name", "disabled", "created_at"]] * 2
    assert [(user["name"], user["disabled"]) for user in members] == [
        ("alice", False),
        ("bob", True),
    ]
    assert all(0 <= time.time() - user["created_at"] < 600 for user in members)
    days = [datetime.fromtimestamp(user["created_at"], UTC).date() for user in members]
    assert run("users", "list").stdout == (
        f"alice\tenabled\tsince {days[0]}\nbob\tdisabled\tsince {days[1]}\n"
    )


def test_who_is_not_there_and_who_is_there_already(run):
    for verb in ("disable", "enable"):
        refused = run("users", verb, "nobody")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.startswith("clusterpass: ")
    assert run("users", "passwd", "nobody", "--password-stdin", text_in=PASSWORD).returncode == 1
    assert run("users", "add", "alice", "--password-stdin", text_in=PASSWORD).returncode == 0
    assert run("users", "add", "alice", "--password-stdin", text_in=PASSWORD).returncode == 1


def test_a_password_is_the_first_line_without_its_end(run, manager):
    run("users", "add", "alice", "--password-stdin", text_in="längeres Wort \r\nmore\n")
    directory = UserDirectory(manager)
    directory.authenticate("alice", "längeres Wort ")
    assert run("users", "add", "bob", "--password-stdin", text_in="").returncode == 1
    changed = run("users", "passwd", "alice", "--password-stdin", text_in="another word")
    assert changed.stdout == "changed the password of alice, ended 0 sessions\n"
    directory.authenticate("alice", "another word")
    with pytest.raises(InvalidCredentials):
        directory.authenticate("alice", "längeres Wort ")


def test_a_disabled_user_is_logged_out(run, manager):
    run("users", "add", "alice", "--password-stdin", text_in=PASSWORD)
    manager.login("alice")
    assert run("users", "disable", "alice").stdout == "disabled alice, ended 1 session\n"
    assert manager.sessions("alice") == []


def test_a_user_is_deleted_and_erased_after_a_confirmation(run, manager):
    run("users", "add", "alice", "--password-stdin", text_in=PASSWORD)
    manager.login("alice", device="Sofa")
    kept = run("users", "delete", "alice", text_in="n\n")
    assert (kept.returncode, kept.stdout) == (130, "")
    assert "Delete alice?" in kept.stderr
    exported = json.loads(run("users", "export", "alice").stdout)
    assert exported["user"]["name"] == exported["subject"] == "alice"
    assert [session["device"] for session in exported["sessions"]] == ["Sofa"]
    deleted = run("users", "delete", "alice", "--erase", text_in="y\n")
    assert deleted.stdout == "deleted alice, ended 1 session\n"
    assert run("users", "list").stdout == ""
    exported = json.loads(run("users", "export", "alice").stdout)
    assert (exported["user"], exported["sessions"], exported["history"]) == (None, [], [])
    assert run("users", "delete", "alice", "--yes").returncode == 1


def test_a_user_who_is_deleted_keeps_a_history_and_bans(run, manager):
    run("users", "add", "alice", "--password-stdin", text_in=PASSWORD)
    manager.login("alice", device="Sofa")
    manager.bans.add("alice", scope="chat", reason="spam")
    assert run("users", "delete", "alice", "--yes").stdout == "deleted alice, ended 1 session\n"
    exported = json.loads(run("users", "export", "alice").stdout)
    assert [entry["kind"] for entry in exported["history"]][::-1] == ["login", "banned", "revoked"]
    assert [ban["reason"] for ban in exported["bans"]] == ["spam"]


def test_a_password_that_is_easy_to_guess(run):
    refused = run("users", "add", "alice", "--password-stdin", text_in="iloveyou\n")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "one of the most common ones" in refused.stderr
    environment = {"CLUSTERPASS_SHORTEST_PASSWORD": "30"}
    short = run("users", "add", "alice", "--password-stdin", text_in=PASSWORD, **environment)
    assert "at least 30 characters" in short.stderr


def test_links_are_printed_alone(run, manager):
    run("users", "add", "alice", "--password-stdin", text_in=PASSWORD)
    directory = UserDirectory(manager)
    environment = {"CLUSTERPASS_ISSUER": "https://auth.example", "CLUSTERPASS_PAGE_PREFIX": "/in"}
    for verb, name in (("reset-link", "alice"), ("invite", "bob")):
        made = run("users", verb, name, **environment)
        assert made.stderr.startswith(f"for {name}, once, until 20")
        address, _, token = made.stdout.removesuffix("\n").partition("?token=")
        assert address == "https://auth.example/in/page/link"
        directory.use_link(token, "battery staple horse")
        directory.authenticate(name, "battery staple horse")
    again = json.loads(run("users", "reset-link", "bob", "--json").stdout)
    assert (again["name"], 3500 < again["expires_at"] - time.time() < 3700) == ("bob", True)
    assert "?token=cpl_" in again["link"]
    for verb, name in (("reset-link", "nobody"), ("invite", "alice")):
        assert run("users", verb, name).returncode == 1


def test_no_link_is_made_where_the_page_is_turned_off(run, manager):
    run("users", "add", "alice", "--password-stdin", text_in="correct horse battery\n")
    for verb, name in (("reset-link", "alice"), ("invite", "bob")):
        refused = run("users", verb, name, CLUSTERPASS_LOGIN_ENABLED="false")
        assert_refused(refused, saying="login_enabled is off")
    assert [each["name"] for each in json.loads(run("users", "list", "--json").stdout)] == ["alice"]
