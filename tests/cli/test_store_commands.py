"""``sessions``, ``bans`` and ``claims`` over the real cluster."""

import json
import os
import time
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from clusterpass import (
    Config,
    KeyRing,
    SessionManager,
    SessionRevoked,
    StoreUnavailable,
    SubjectBanned,
)
from clusterpass.cli import _COMMANDS
from clusterpass.cli.group import make_group
from clusterpass.errors import InvalidInput, SessionNotFound
from clusterpass.service.settings import load_settings

ODD = ["a/b{c}", "é😀", "-x", "50%"]


@pytest.fixture
def url(cluster_url, subject):
    """A namespace of its own: lists show everybody."""
    return f"{cluster_url}?namespace=cli-{subject}"


@pytest.fixture
def manager(url):
    config = Config(issuer="https://cli.example", keys=KeyRing.generate())
    with SessionManager.from_url(url, config) as opened:
        yield opened


@pytest.fixture
def run(url, monkeypatch):
    for name in list(os.environ):
        if name.startswith("CLUSTERPASS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CLUSTERPASS_STORE_URL", url)
    group = make_group(_COMMANDS, version="1")

    def ran(*arguments, status=0, **more):
        result = CliRunner().invoke(group, list(arguments), **more)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, result.output
        return result.stdout

    return ran


def test_the_sessions_of_a_subject_are_listed_and_shown(run, manager):
    manager.login("alice", device="phone\x1b[31m".replace("\x1b", "é"), device_type="phone")
    laptop = manager.login("alice", device="laptop", claims={"role": "editor"}, amr=["pwd"])
    listed = run("sessions", "list", "alice")
    assert listed.splitlines()[0].split()[:3] == ["SUBJECT", "SESSION", "DEVICE"]
    assert [line.split()[1] for line in listed.splitlines()[1:]] == [
        each.session_id for each in manager.sessions("alice")
    ]
    found = json.loads(run("sessions", "list", "alice", "--json"))["sessions"]
    assert [each["device_type"] for each in found] == [None, "phone"]
    assert found[0]["claims"] == {"role": "editor"}
    manager.claims.set("alice", {"plan": "pro"})
    manager.bans.add("alice", scope="comments", reason="spam")
    shown = run("sessions", "show", "alice", laptop.session_id)
    for part in ("laptop", "plan=pro", "role=editor", "comments", "pwd", "level 1"):
        assert part in shown
    as_json = json.loads(run("sessions", "show", "alice", "--json"))
    assert len(as_json["sessions"]) == 2
    assert (as_json["claims"], as_json["bans"][0]["scope"]) == ({"plan": "pro"}, "comments")
    with pytest.raises(SessionNotFound):
        run("sessions", "show", "alice", "A" * 22)


def test_an_impersonation_is_shown_with_who_and_why(run, manager):
    actor = manager.verify(manager.login("sam").access_token)
    manager.impersonate(actor, "alice", reason="ticket 7")
    shown = run("sessions", "show", "alice")
    assert "sam: ticket 7" in shown
    assert "sam" in run("sessions", "list", "alice").splitlines()[1]


def test_who_is_online_is_paged_and_counted(run, manager):
    names = {f"user-{number}" for number in range(30)}
    for name in names:
        manager.login(name)
    assert run("sessions", "count") == "30 subjects, 30 sessions\n"
    assert json.loads(run("sessions", "count", "--json")) == {"subjects": 30, "sessions": 30}
    page = json.loads(run("sessions", "list", "--limit", "10", "--json"))
    assert page["next_cursor"]
    rest = json.loads(run("sessions", "list", "--cursor", page["next_cursor"], "--all", "--json"))
    assert rest["next_cursor"] is None
    seen = {each["subject"] for each in page["sessions"] + rest["sessions"]}
    assert seen == names
    assert len(run("sessions", "list", "--all", "--limit", "7").splitlines()) >= 31
    for name in list(names)[:10]:
        manager.revoke_all(name)
    assert run("sessions", "prune") == "20 subjects online\n"
    with pytest.raises(InvalidInput, match="cursor"):
        run("sessions", "list", "--cursor", "x")


def test_sessions_are_revoked_by_choice_never_by_accident(run, manager):
    one = manager.login("alice")
    phone = manager.login("alice", device_type="phone")
    other = manager.login("alice")
    for wrong in ([], ["--all", "--device-type", "phone"], [one.session_id, "--all"]):
        with pytest.raises(InvalidInput, match="--all"):
            run("sessions", "revoke", "alice", *wrong)
    assert len(manager.sessions("alice")) == 3
    told = run("sessions", "revoke", "alice", one.session_id, "--reason", "lost")
    assert told.startswith("ended 1 session")
    with pytest.raises(SessionRevoked) as end:
        manager.verify(one.access_token)
    assert end.value.note == "lost"
    run("sessions", "revoke", "alice", "--device-type", "phone")
    with pytest.raises(SessionRevoked):
        manager.verify(phone.access_token)
    assert manager.verify(other.access_token)
    assert run("sessions", "revoke", "alice", "--all").startswith("ended 1 session")
    assert manager.sessions("alice") == []
    history = run("sessions", "history", "alice")
    assert history.count("revoked") == 3
    assert "lost" in history
    assert {
        entry["kind"] for entry in json.loads(run("sessions", "history", "alice", "--json"))
    } == {
        "login",
        "revoked",
    }


def test_the_emergency_switch_asks_first(run, manager):
    pair = manager.login("alice")
    run("sessions", "revoke-before", input="n\n", status=1)
    assert manager.verify(pair.access_token)
    long_ago = datetime.fromtimestamp(time.time() - 86_400, UTC)
    for text in (str(int(long_ago.timestamp())), long_ago.isoformat(), "2020-01-01"):
        assert "has ended" in run("sessions", "revoke-before", text, "--yes")
    assert manager.verify(pair.access_token)
    with pytest.raises(InvalidInput, match="no time"):
        run("sessions", "revoke-before", "yesterday", "--yes")
    run("sessions", "revoke-before", input="y\n")
    with SessionManager(type(manager.store).from_url(_url_of(run)), manager.config) as fresh:
        with pytest.raises(SessionRevoked):
            fresh.verify(pair.access_token)


def _url_of(run):
    return os.environ["CLUSTERPASS_STORE_URL"]


def test_bans_are_added_checked_listed_and_lifted(run, manager):
    pair = manager.login("alice")
    told = run("bans", "add", "alice", "--scope", "comments:*", "--for", "2h", "--level", "3")
    assert told.startswith("banned alice from comments:*, ended 0 sessions")
    (ban,) = manager.verify(pair.access_token).bans
    assert (ban.level, ban.until - ban.banned_at) == (3, 7200)
    assert "comments:*" in run("bans", "list", "alice")
    assert run("bans", "check", "alice") == "not banned\n"
    assert (
        run("bans", "check", "alice", "--scope", "comments:write", "--level", "4") == "not banned\n"
    )
    run("bans", "check", "alice", "--scope", "comments:write", status=3)
    assert run("bans", "add", "alice", "--reason", "fraud").endswith("1 session\n")
    assert "fraud" in run("bans", "check", "alice", status=3)
    with pytest.raises(SubjectBanned):
        manager.login("alice")
    assert [each["scope"] for each in json.loads(run("bans", "list", "alice", "--json"))] == [
        "",
        "comments:*",
    ]
    assert run("bans", "lift", "alice") == "lifted\n"
    assert run("bans", "lift", "alice") == "there was no such ban\n"
    manager.login("alice")
    for wrong in ("2x", "h", "-1", ""):
        with pytest.raises(InvalidInput, match="duration"):
            run("bans", "add", "alice", f"--for={wrong}")


def test_live_claims_are_set_and_shown(run, manager):
    assert "nothing was kept" in run("claims", "set", "alice", '{"plan": "pro"}')
    pair = manager.login("alice")
    assert run("claims", "set", "alice", '{"plan": "pro"}') == "1 session changed\n"
    assert manager.verify(pair.access_token).claims == {"plan": "pro"}
    assert json.loads(run("claims", "get", "alice")) == {"plan": "pro"}
    run("claims", "set", "alice", "-", input='{"plan": "é"}')
    assert manager.verify(pair.access_token).claims == {"plan": "é"}
    for wrong in ("{", "[]", "7", '{"sub": "root"}'):
        with pytest.raises(InvalidInput):
            run("claims", "set", "alice", wrong)


@pytest.mark.parametrize("name", ODD)
def test_odd_subjects(run, manager, name):
    pair = manager.login(name)
    assert json.loads(run("sessions", "list", "--json", "--", name))["sessions"]
    run("sessions", "revoke", "--", name, pair.session_id)
    assert manager.sessions(name) == []


def test_what_others_wrote_cannot_command_the_terminal(run, manager):
    manager.login("al\u202eice", device="a\u200bb")
    listed = run("sessions", "list", "al\u202eice")
    assert "\\u202e" in listed
    assert "\\u200b" in listed
    assert "\u202e" not in listed


def test_a_store_that_is_away_is_told_as_such(run, monkeypatch):
    monkeypatch.setenv("CLUSTERPASS_STORE_URL", "redis+cluster://127.0.0.1:1?deadline=0.5")
    for command in (["sessions", "count"], ["bans", "list", "x"], ["claims", "get", "x"]):
        with pytest.raises(StoreUnavailable):
            run(*command)


def test_they_use_the_settings_of_the_service(tmp_path, run, manager, url, monkeypatch):
    file = tmp_path / "settings.toml"
    file.write_text(f'store_url = "{url}"\nhistory_entries = 1\n')
    monkeypatch.delenv("CLUSTERPASS_STORE_URL")
    assert load_settings(file).history_entries == 1
    manager.login("alice")
    run("sessions", "--config", str(file), "revoke", "alice", "--all")
    assert [entry.kind for entry in manager.history("alice")] == ["revoked"]
