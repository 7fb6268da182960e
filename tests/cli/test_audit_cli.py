"""``clusterpass audit``: what it prints, and what it refuses."""

import getpass
import json
import signal
import subprocess
import sys
from contextlib import nullcontext

import pytest

from clusterpass import InvalidInput, StoreUnavailable
from clusterpass.cli.audit import export
from clusterpass.protocol.calls.audit import SLOT
from tests.cluster.stored import eventually

from ..service.conftest import COMMAND, command_environment
from .conftest import IMPATIENT, assert_refused


def lines(told):
    return [json.loads(line) for line in told.stdout.splitlines()]


def test_what_commands_do_is_in_the_trail(process, run, manager):
    pair = manager.login("alice")
    run("sessions", "revoke", "alice", pair.session_id, "--reason", "lost phone")
    run("bans", "add", "bob", "--reason", "fraud")
    told = process("audit", "export")
    assert (told.returncode, told.stderr.partition(";")[0]) == (0, "2 entries")
    revoked, banned = lines(told)
    assert (revoked["action"], revoked["subject"], revoked["reason"]) == (
        *("revoke", "alice"),
        "lost phone",
    )
    assert (revoked["via"], revoked["actor"]) == ("command", f"os:{getpass.getuser()}")
    assert revoked["session_id"] == pair.session_id
    assert (banned["action"], banned["subject"]) == ("ban", "bob")
    following = run("audit", "export", "--after", revoked["id"])
    assert [each["action"] for each in lines(following)] == ["ban"]
    assert run("audit", "export", "--until", "2020-01-01").stdout == ""
    assert len(lines(run("audit", "export", "--since", "2020-01-01"))) == 2
    assert [each["subject"] for each in lines(run("audit", "export", "--action", "ban"))] == ["bob"]


def test_the_tail_for_people_and_for_programs(run):
    for name in ("a", "b", "c\u202e"):
        run("bans", "add", name, "--reason", "two words")
    told = run("audit", "tail", "-n", "2").stdout.splitlines()
    assert len(told) == 2
    assert " ban done " in told[0]
    assert "subject=b " in told[0]
    assert told[0].endswith('reason="two words"')
    assert "\u202e" not in told[1]
    assert [each["subject"] for each in lines(run("audit", "tail", "--json"))] == [
        *("a", "b"),
        "c\u202e",
    ]
    assert [each["number"] for each in lines(run("audit", "tail", "--json", "--subject", "a"))] == [
        1
    ]
    assert run("audit", "tail", "-n", "0").stdout == ""
    assert run("audit", "tail", "--outcome", "refused").stdout == ""


def test_the_tail_is_followed(url, tmp_path, run):
    run("bans", "add", "first")
    following = subprocess.Popen(
        [*COMMAND, "audit", "tail", "--follow", "--json"],
        env=command_environment(url, tmp_path / "no-keys.json", PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert following.stdout is not None
    try:
        assert json.loads(following.stdout.readline())["subject"] == "first"
        run("bans", "add", "second")
        assert json.loads(following.stdout.readline())["subject"] == "second"
    finally:
        following.send_signal(signal.SIGINT)
        _, told = following.communicate(timeout=20)
    assert following.returncode == 130
    assert "Traceback" not in told


def test_a_sound_trail_and_one_that_is_not(run, url, cluster, manager):
    for name in ("a", "b", "c"):
        run("bans", "add", name)
    told = run("audit", "check")
    assert told.returncode == 0
    assert "the trail is sound" in told.stdout
    report = json.loads(run("audit", "check", "--json").stdout)
    assert (report["count"], report["sound"], report["faults"]) == (3, True, [])
    assert run("audit", "check", "--head", report["head"]).returncode == 0
    entries = lines(run("audit", "export"))
    key = manager.store.keyspace.audit(SLOT)
    with cluster.client(cluster.primary_of(key)) as client:
        assert client.execute_command("XDEL", key, entries[1]["id"]) == 1
    told = run("audit", "check")
    assert told.returncode == 1
    assert "missing: entries 2 to 2 are not there" in told.stdout


def test_an_export_begins_behind_both(run):
    """The option --after is no reason to forget about --since."""
    run("bans", "add", "a")
    (entry,) = lines(run("audit", "export"))
    both = ("--after", "1-0", "--since")
    assert run("audit", "export", *both, "2999-01-01").stdout == ""
    assert lines(run("audit", "export", *both, "2020-01-01")) == [entry]


def test_an_export_says_what_it_leaves_out(run, cluster, manager):
    run("bans", "add", "a")
    key = manager.store.keyspace.audit(SLOT)
    with cluster.client(cluster.primary_of(key)) as client:
        client.xadd(key, {"n": 2, "e": '{"v":2}', "h": "0" * 40})
    assert manager.audit.page().unreadable == 1
    told = run("audit", "export")
    assert len(lines(told)) == 1
    assert told.stderr.startswith(
        "1 entry, without 1 that cannot be read (clusterpass audit check)"
    )


def test_an_export_into_nowhere(process, run, monkeypatch):
    run("bans", "add", "a")
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(InvalidInput, match="standard output is closed"):
        export.main(["--until", "2020-01-01"], standalone_mode=False)


class Fading:
    """A manager whose store goes away behind the first page."""

    def __init__(self, manager):
        self._manager, self.audit = manager, self
        self.refusals = 0

    def page(self, *, after, limit):
        if after not in ("", None) and self.refusals < 2:
            self.refusals += 1
            raise StoreUnavailable
        return self._manager.audit.page(after=after, limit=limit)


def test_an_export_that_is_cut_short_says_where_to_go_on(run, manager, monkeypatch):
    from clusterpass.cli import audit

    for name in ("a", "b", "c"):
        run("bans", "add", name)
    entries = lines(run("audit", "export"))
    with monkeypatch.context() as patched:
        patched.setattr(audit, "_AT_ONCE", 2)
        patched.setattr(audit, "open_sessions", lambda _: nullcontext(Fading(manager)))
        told = run("audit", "export")
    assert told.returncode == 1
    assert lines(told) == entries[:2]
    said, error = told.stderr.splitlines()
    assert said == f"not all: 2 entries; go on with --after {entries[1]['id']}"
    assert error.startswith("clusterpass: ")
    assert lines(run("audit", "export", "--after", entries[1]["id"])) == entries[2:]


def test_an_outage_does_not_end_the_tail(run, manager, monkeypatch, capsys):
    from clusterpass.cli import audit

    run("bans", "add", "a")
    fading = Fading(manager)
    cursor = manager.audit.page().entries[-1].id
    run("bans", "add", "b")
    monkeypatch.setattr(audit, "_SECONDS_BETWEEN_LOOKS", 0.01)

    def printed(entries, *, as_json):
        assert [each.subject for each in entries] == ["b"]
        raise KeyboardInterrupt

    monkeypatch.setattr(audit, "_print", printed)
    with pytest.raises(KeyboardInterrupt):
        audit._follow(fading, cursor, lambda _: True, as_json=True)
    assert fading.refusals == 2
    assert capsys.readouterr().err.count("waiting for it") == 1


def test_nothing_is_there_yet(run):
    assert run("audit", "tail").stdout == ""
    assert "the trail is sound" in run("audit", "check").stdout
    told = run("audit", "export")
    assert (told.stdout, told.stderr) == ("", "0 entries\n")


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        (("check", "--head", "x"), "NUMBER:CHAIN"),
        (("export", "--after", "x"), "cursor"),
        (("export", "--since", "yesterday"), "is not a time"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(run, arguments, saying):
    assert_refused(run("audit", *arguments), saying=saying)


def test_a_store_that_is_away(process):
    told = process("audit", "tail", CLUSTERPASS_STORE_URL=IMPATIENT)
    assert_refused(told, saying="unavailable")


def test_switched_off_by_a_setting(run):
    run("bans", "add", "a", CLUSTERPASS_AUDIT="false")
    assert run("audit", "export").stdout == ""
    run("bans", "add", "b")
    eventually(lambda: len(lines(run("audit", "export"))) == 1)
