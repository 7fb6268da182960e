"""``clusterpass sessions``: what it prints, and what it refuses."""

import json
import re
import time
from datetime import UTC, datetime

import pytest

from clusterpass import SessionManager, SessionRevoked

from .conftest import IMPATIENT, NOBODY_LISTENS, assert_refused

_MOMENT = r"\d{4}-\d\d-\d\d \d\d:\d\d UTC"


def _columns(text):
    """The columns in which the cells of each line begin."""
    return [[match.start() for match in re.finditer(r"(?<!\S)\S", line)] for line in text]


def test_a_list_is_a_table_for_people(process, manager):
    manager.login("alice", device="laptop", device_type="web")
    manager.login("alice", device="phone", device_type="phone")
    outcome = process("sessions", "list", "alice")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    head, *rows = outcome.stdout.splitlines()
    assert re.split(" {2,}", head) == [
        *("SUBJECT", "SESSION", "DEVICE", "TYPE"),
        *("LOGGED IN", "LAST USED", "EXPIRES", "ACTOR"),
    ]
    assert len(rows) == 2
    for row in rows:
        assert len(re.findall(_MOMENT, row)) == 3
    assert _columns([head])[0][:4] == _columns(rows)[0][:4] == _columns(rows)[1][:4]


def test_wide_characters_take_two_columns(run, manager):
    manager.login("alice", device="日本の電話", device_type="phone")
    manager.login("alice", device="cafe\u0301", device_type="phone")
    wide, marked = sorted(run("sessions", "list", "alice").stdout.splitlines()[1:], key=len)
    assert wide.index("phone") + 5 == marked.index("phone") - 1


def test_what_the_output_cannot_hold_is_escaped(process, manager):
    manager.login("alice", device="日本")
    outcome = process("sessions", "list", "alice", PYTHONIOENCODING="latin-1")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert "\\u65e5\\u672c" in outcome.stdout


def test_pages_lead_to_each_other(run, manager):
    names = {f"user-{number}" for number in range(12)}
    for name in names:
        manager.login(name)
    first = run("sessions", "list", "--limit", "5")
    cursor = re.fullmatch(r"next page: --cursor (\S+)\n", first.stderr)[1]
    rest = run("sessions", "list", "--cursor", cursor, "--all")
    assert rest.stderr == ""
    rows = first.stdout.splitlines()[1:] + rest.stdout.splitlines()[1:]
    assert {row.split()[0] for row in rows} == names
    every = json.loads(run("sessions", "list", "--all", "--limit", "5", "--json").stdout)
    assert {each["subject"] for each in every["sessions"]} == names
    assert every["next_cursor"] is None


def test_show_tells_all_that_is_known(run, manager):
    actor = manager.verify(manager.login("sam").access_token)
    manager.login("alice", device="laptop", claims={"admin": True, "teams": ["a", 1]})
    acted = manager.impersonate(actor, "alice", reason="ticket 7")
    manager.bans.add("alice", scope="comments", level=3, reason="spam")
    manager.claims.set("alice", {"plan": "pro", "trial": None})
    shown = run("sessions", "show", "alice").stdout
    for line in (
        r"live sessions  +2",
        r"live claims  +plan=pro, trial=null",
        r"banned from  +comments, level 3, permanent: spam",
        r"device  +laptop",
        rf"logged in  +{_MOMENT}",
        rf"authenticated  +{_MOMENT}, level 1",
        r'claims  +admin=true, teams=\["a", 1\], plan=pro, trial=null',
        r"impersonated by  +sam: ticket 7",
    ):
        assert re.search(f"^{line}$", shown, re.MULTILINE), (line, shown)
    subject, *each = shown.split("\n\n")
    assert subject.startswith("subject")
    assert [facts.split()[0] for facts in each] == ["session", "session"]
    one = run("sessions", "show", "alice", acted.session_id).stdout
    assert "laptop" not in one
    as_json = json.loads(run("sessions", "show", "alice", acted.session_id, "--json").stdout)
    (session,) = as_json["sessions"]
    assert (session["act"]["subject"], session["act"]["reason"]) == ("sam", "ticket 7")
    assert "token" not in " ".join(session)


def test_nobody_has_no_sessions(run):
    assert len(run("sessions", "list", "nobody").stdout.splitlines()) == 1
    assert re.search(r"live sessions  +0\n", run("sessions", "show", "nobody").stdout)
    assert json.loads(run("sessions", "history", "nobody", "--json").stdout) == []
    assert run("sessions", "count").stdout == "0 subjects, 0 sessions\n"
    assert run("sessions", "prune").stdout == "0 subjects online\n"
    told = run("sessions", "revoke", "nobody", "--all").stdout
    assert told.startswith("ended 0 sessions")


def test_history_in_a_table(run, manager):
    pair = manager.login("alice", device="laptop", address="192.0.2.7")
    run("sessions", "revoke", "alice", pair.session_id, "--reason", "lost it")
    head, end, login = run("sessions", "history", "alice").stdout.splitlines()
    assert head.split() == ["TIME", "EVENT", "COUNT", "SESSION", "ADDRESS", "BY", "TEXT"]
    assert re.fullmatch(rf"{_MOMENT}  revoked  .*  os:\S+ +lost it", end)
    assert re.fullmatch(rf"{_MOMENT}  login .* {pair.session_id}  192\.0\.2\.7  - +laptop", login)


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        (["revoke", "alice"], "--all"),
        (["revoke", "alice", "A" * 22, "--device-type", "phone"], "--all"),
        (["revoke", "alice", "A" * 22], "no such session"),
        (["revoke", "alice", "--all", "--reason", "a\nb"], "reason"),
        (["revoke", "alice", "--device-type", "a phone"], "device_type"),
        (["show", "alice", "no-id"], "no such session"),
        (["list", "alice", "--cursor", "0.0"], "--cursor"),
        (["list", "--cursor", "16384.0"], "cursor"),
        (["list", "a\x1b[31mb"], "control characters"),
        (["list", "x" * 256], "255"),
    ],
)
def test_wrong_use_is_one_sentence_and_ends_nothing(run, manager, arguments, saying):
    pair = manager.login("alice", device_type="phone")
    assert_refused(run("sessions", *arguments), saying=saying)
    assert manager.verify(pair.access_token)


@pytest.mark.alternating
def test_bytes_that_are_no_text(process):
    assert_refused(process("sessions", "list", b"\xff\xfe"), saying="Unicode")
    assert_refused(process("bans", "check", b"\xff"), saying="Unicode")


@pytest.mark.parametrize("arguments", [["show"], ["revoke"], ["list", "--limit", "0"], ["nix"]])
def test_wrong_usage_is_explained(run, arguments):
    outcome = run("sessions", *arguments)
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize(
    "when",
    [
        "yesterday",
        "-",
        "0",
        "1969-12-31",
        "0001-01-01T00:00:00+23:59",
        "2026-13-01",
        "1795439000000",
        "9" * 17,
        "9" * 5000,
        "\x1b[31m",
    ],
)
def test_what_may_be_no_time_ends_nothing(run, manager, when):
    pair = manager.login("alice")
    outcome = run("sessions", "revoke-before", "--yes", when)
    assert_refused(outcome, saying="clusterpass: ")
    assert "\x1b" not in outcome.stderr
    with _another(manager) as fresh:
        assert fresh.verify(pair.access_token)


@pytest.mark.parametrize(
    ("when", "shown"),
    [
        ("20200102", "2020-01-02 00:00"),
        ("2020-01-02", "2020-01-02 00:00"),
        ("2020-01-02T03:04:05Z", "2020-01-02 03:04"),
        ("2020-01-02T03:04:05+02:00", "2020-01-02 01:04"),
        ("2020-01-02T03:04:59.5", "2020-01-02 03:05"),
        ("1577934245", "2020-01-02 03:04"),
    ],
)
def test_a_time_is_understood_or_shown_before_it_counts(run, when, shown):
    outcome = run("sessions", "revoke-before", when, text_in="y\n")
    assert f"opened before {shown} UTC? [y/N]" in outcome.stdout
    assert f"revoked every session that was opened before {shown} UTC" in outcome.stdout
    assert outcome.returncode == 0


@pytest.mark.alternating
def test_the_emergency_switch_needs_a_yes(process, manager):
    pair = manager.login("alice")
    for answer in ("", "n\n", "\n"):
        assert process("sessions", "revoke-before", text_in=answer).returncode != 0
    with _another(manager) as fresh:
        assert fresh.verify(pair.access_token)
    time.sleep(1.1 - time.time() % 1)
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    assert f"before {today}" in process("sessions", "revoke-before", "2099-01-01", "--yes").stdout
    with _another(manager) as fresh, pytest.raises(SessionRevoked):
        fresh.verify(pair.access_token)
    assert process("sessions", "prune").stdout == "0 subjects online\n"


def _another(manager):
    """A run of another server would know nothing yet."""
    return SessionManager(type(manager.store)(manager.store.location), manager.config)


@pytest.mark.parametrize(
    "name", ["a b", "-x", "--all", "é😀", "a/b{c}%", "'\"$(id)`", "\u202eevil"]
)
def test_odd_subjects(run, manager, name):
    pair = manager.login(name, device="x")
    assert pair.session_id in run("sessions", "list", "--", name).stdout
    shown = run("sessions", "show", "--", name)
    assert "\u202e" not in shown.stdout
    assert run("sessions", "revoke", "--all", "--", name).stdout.startswith("ended 1 session")
    assert manager.sessions(name) == []


def test_without_a_confirmation_it_says_so(run, manager, url):
    manager.login("alice")
    unasked = {"CLUSTERPASS_STORE_URL": f"{url}&replica_wait=0"}
    told = run("sessions", "revoke", "alice", "--all", **unasked).stdout
    assert told == "ended 1 session (not confirmed by a replica)\n"
    told = run("sessions", "revoke-before", "--yes", "2020-01-01", **unasked).stdout
    assert told.endswith("00:00 UTC (not confirmed by a replica)\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["list", "alice"],
        ["count"],
        ["show", "alice"],
        ["history", "alice"],
        ["revoke", "alice", "--all"],
        ["revoke-before", "--yes"],
        ["prune"],
    ],
    ids=" ".join,
)
@pytest.mark.timeout(60)
def test_a_store_that_is_away_is_told_soon(run, arguments):
    outcome = run("sessions", *arguments, CLUSTERPASS_STORE_URL=IMPATIENT)
    is_revocation = arguments[0].startswith("revoke")
    saying = "cannot be reached" if is_revocation else "temporarily unavailable"
    assert_refused(outcome, saying=saying)


@pytest.mark.long
@pytest.mark.timeout(90)
def test_the_command_that_asks_most_is_told_soon_by_default(run):
    outcome = run("sessions", "revoke-before", "--yes", CLUSTERPASS_STORE_URL=NOBODY_LISTENS)
    assert_refused(outcome, saying="cannot be reached")


@pytest.mark.timeout(90)
def test_a_process_ends_when_the_store_is_away(process):
    outcome = process("sessions", "list", "--all", CLUSTERPASS_STORE_URL=NOBODY_LISTENS)
    assert_refused(outcome, saying="temporarily unavailable")


def test_a_wrong_configuration_is_one_sentence(run, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text("store_url = 'http://user:secret@x'\n")
    for path in (file, tmp_path / "none.toml"):
        outcome = run("sessions", "--config", str(path), "count", CLUSTERPASS_STORE_URL="")
        assert outcome.returncode == 1
        assert outcome.stderr.count("\n") == 1
        assert "secret" not in outcome.stderr


def test_an_id_may_begin_with_a_dash(run, manager):
    while not (pair := manager.login("alice")).session_id.startswith("-"):
        manager.logout(pair.access_token)
    shown = json.loads(run("sessions", "show", "alice", pair.session_id, "--json").stdout)
    assert [each["session_id"] for each in shown["sessions"]] == [pair.session_id]
    ended = run("sessions", "revoke", "alice", pair.session_id, "--reason", "lost")
    assert ended.stdout.startswith("ended 1 session")
    assert run("sessions", "revoke", "alice", "--al").returncode == 1
