"""The history of a subject's sessions: its lines, their limits, and how long it is kept."""

import dataclasses
import time

import pytest

from clusterpass import (
    InvalidInput,
    RefreshTokenReused,
    SessionNotFound,
    SessionPolicy,
    SessionRevoked,
    acting,
)
from clusterpass.protocol.keyspace import Keyspace
from tests.cluster.stored import (
    fields_of,
    home_of,
    let_age,
    let_expire,
    let_idle,
    opened_apart,
    outdate_operations,
    rewrite,
    seconds_left,
)


@pytest.fixture
def actor(manager, new_subject):
    return manager.verify(manager.login(new_subject()).access_token)


def kinds(manager, subject) -> list[str]:
    return [entry.kind for entry in manager.history(subject)]


def texts(manager, subject) -> list[str]:
    return [entry.text for entry in manager.history(subject)]


def live_through_everything(manager, engine, subject, actor) -> list[str]:
    """Every kind of event there is; their names in the order in which they happen."""
    pair = manager.login(subject)
    manager.elevate(manager.verify(pair.access_token), "2", for_seconds=60)
    support = manager.impersonate(actor, subject, reason="ticket")
    manager.claims.set(subject, {"plan": "pro"})
    manager.revoke(subject, support.session_id, reason="enough")
    pair = manager.login(subject, replace=pair.session_id)
    manager.logout(pair.access_token)
    pair = manager.login(subject)
    manager.verify(manager.refresh(pair.refresh_token).access_token)
    rewrite(engine, pair, refreshed_at=int(time.time()) - 100)
    with pytest.raises(RefreshTokenReused):
        manager.refresh(pair.refresh_token)
    manager.bans.add(subject, reason="fraud")
    manager.bans.lift(subject)
    pair = manager.login(subject)
    session = manager.verify(pair.access_token)
    manager.elevate(session, "1", for_seconds=60, password_changed=True)
    return [
        "login",
        "elevated",
        "impersonated",
        "claims_changed",
        "revoked",
        "replaced",
        "login",
        "logged_out",
        "login",
        "refresh",
        "reused",
        "banned",
        "unbanned",
        "login",
        "password_changed",
    ]


def test_every_event_is_told_newest_first(engine, manager, actor, subject):
    expected = live_through_everything(manager, engine, subject, actor)
    assert kinds(manager, subject) == expected[::-1]
    times = [entry.at for entry in manager.history(subject)]
    assert times == sorted(times, reverse=True)


def test_what_ends_by_itself_is_noted_with_its_time(engine, manager, subject):
    expired, idle = manager.login(subject), manager.login(subject)
    ends = {"expired": let_expire(engine, expired), "idle": let_idle(engine, idle)}
    sessions = {"expired": expired.session_id, "idle": idle.session_id}
    manager.login(subject)
    told = {entry.kind: entry for entry in manager.history(subject) if entry.kind in ends}
    assert {kind: entry.at for kind, entry in told.items()} == ends
    assert {kind: entry.session_id for kind, entry in told.items()} == sessions


def test_a_line_says_who_where_and_why(manager, subject):
    laptop = manager.login(subject, device="laptop", address="192.0.2.7")
    phone = manager.login(subject, device_type="phone", address="2001:db8::7")
    manager.refresh(phone.refresh_token, address="192.0.2.8")
    manager.logout(phone.access_token, address="2001:db8::8")
    manager.revoke(subject, laptop.session_id, reason="lost")
    assert [
        (entry.kind, entry.text, entry.address, entry.session_id, entry.count)
        for entry in manager.history(subject)
    ] == [
        ("revoked", "lost", None, laptop.session_id, 1),
        ("logged_out", "", "2001:db8::8", phone.session_id, 1),
        ("refresh", "", "192.0.2.8", phone.session_id, 1),
        ("login", "phone", "2001:db8::7", phone.session_id, 1),
        ("login", "laptop", "192.0.2.7", laptop.session_id, 1),
    ]
    assert all(abs(entry.at - time.time()) < 60 for entry in manager.history(subject))


def test_who_replaced_a_session_came_from_the_address_of_the_login(manager, subject):
    manager.login(subject, address="192.0.2.7")
    manager.login(subject, address="192.0.2.8", policy=SessionPolicy.single_session())
    assert [(entry.kind, entry.address) for entry in manager.history(subject)] == [
        ("login", "192.0.2.8"),
        ("replaced", "192.0.2.8"),
        ("login", "192.0.2.7"),
    ]


def test_a_refresh_after_a_step_up_is_told_with_its_address(manager, subject):
    session = manager.verify(manager.login(subject).access_token)
    stepped = manager.elevate(session, "2", for_seconds=60)
    manager.refresh(stepped.refresh_token, address="192.0.2.8")
    refresh = manager.history(subject)[0]
    assert (refresh.kind, refresh.address) == ("refresh", "192.0.2.8")


def test_an_address_that_is_none_is_left_out(manager, subject):
    for address in ("unix:/run/app.sock", "", "300.1.1.1", "x" * 1000):
        manager.login(subject, address=address)
    manager.login(subject, address="fe80::1%eth0")
    assert [entry.address for entry in manager.history(subject)] == ["fe80::1", *[None] * 4]


def test_a_long_text_is_cut_between_characters(manager, subject):
    manager.login(subject, device="é" * 60)
    manager.login(subject, device="é" * 60, address="2001:db8::7")
    with_address, without = manager.history(subject)
    assert without.text == "é" * 20
    assert with_address.text == "é" * 12
    assert with_address.address == "2001:db8::7"


def test_an_end_of_several_is_one_line(manager, subject):
    for _ in range(4):
        manager.login(subject)
    manager.revoke_all(subject, reason="all of them")
    line = manager.history(subject)[0]
    assert (line.kind, line.count, line.session_id, line.text) == (
        "revoked",
        4,
        None,
        "all of them",
    )
    for _ in range(3):
        manager.login(subject)
    manager.bans.add(subject, reason="fraud")
    line = manager.history(subject)[0]
    assert (line.kind, line.count, line.session_id, line.text) == ("banned", 3, None, "fraud")


def test_the_refreshes_of_a_session_share_one_line(engine, manager, subject):
    first, second = manager.login(subject), manager.login(subject)
    for _ in range(5):
        first = manager.refresh(first.refresh_token)
    for _ in range(2):
        second = manager.refresh(second.refresh_token)
    first = manager.refresh(first.refresh_token, address="192.0.2.9")
    lines = {
        entry.session_id: entry for entry in manager.history(subject) if entry.kind == "refresh"
    }
    assert kinds(manager, subject).count("refresh") == 2
    assert {name: line.count for name, line in lines.items()} == {
        first.session_id: 6,
        second.session_id: 2,
    }
    assert lines[first.session_id].address == "192.0.2.9", "of the latest"


def test_a_count_stays_at_the_most_that_a_line_holds(engine, manager, subject):
    pair = manager.refresh(manager.login(subject).refresh_token)
    manager.login_failed(subject)
    key = Keyspace().sessions(subject)
    with home_of(engine, key) as client:
        for name, line in client.hgetall(key).items():
            if len(name) == 2 and name.startswith(b"h"):
                client.hset(key, name, line[:5] + (65_534).to_bytes(2, "big") + line[7:])
    for _ in range(2):
        pair = manager.refresh(pair.refresh_token)
        manager.login_failed(subject)
    counts = {entry.kind: entry.count for entry in manager.history(subject)}
    assert (counts["refresh"], counts["refused"]) == (65_535, 65_535)


def test_a_repeated_refresh_is_none(manager, subject):
    pair = manager.login(subject)
    for _ in range(3):
        manager.refresh(pair.refresh_token)
    assert [(entry.kind, entry.count) for entry in manager.history(subject)] == [
        ("refresh", 1),
        ("login", 1),
    ]


@pytest.mark.parametrize("claims", [None, {"long": "x" * 100}], ids=["compact", "large"])
def test_the_latest_lines_are_kept(manager, subject, claims):
    for number in range(48):
        manager.login(subject, device=str(number), claims=claims)
        if number % 14 == 9 or number == 47:
            newest_first = [str(each) for each in range(number, -1, -1)]
            assert texts(manager, subject) == newest_first[:20]


@pytest.mark.parametrize("entries", [1, 3, 100])
def test_as_many_lines_as_configured(open_manager, config, subject, entries):
    manager = open_manager(dataclasses.replace(config, history_entries=entries))
    for number in range(entries + 5):
        manager.login(subject, device=str(number), policy=SessionPolicy.single_session())
    expected = ["login", "replaced"] * entries
    assert kinds(manager, subject) == expected[:entries]


def test_no_history_where_none_is_wanted(engine, open_manager, config, actor, subject):
    manager = open_manager(dataclasses.replace(config, history_entries=0))
    live_through_everything(manager, engine, subject, actor)
    manager.login(subject)
    assert manager.history(subject) == []
    assert not any(name.startswith(b"h") for name in fields_of(engine, subject) if len(name) < 3)


def test_history_that_is_wanted_no_more_goes(engine, open_manager, config, manager, subject):
    manager.login(subject)
    none = open_manager(dataclasses.replace(config, history_entries=0))
    none.login(subject)
    assert none.history(subject) == []
    assert not any(len(name) == 2 for name in fields_of(engine, subject))


@pytest.mark.parametrize("written", [4, 12, 20, 33])
def test_a_cap_that_is_lowered_later_keeps_the_latest(
    open_manager, config, manager, subject, written
):
    for number in range(written):
        manager.login(subject, device=str(number))
    short = open_manager(dataclasses.replace(config, history_entries=5))
    devices = [str(number) for number in range(written)]
    for number in range(written, written + 8):
        short.login(subject, device=str(number))
        devices.append(str(number))
        assert texts(short, subject) == devices[::-1][:5]


@pytest.mark.parametrize("written", [2, 5, 13])
def test_a_cap_that_is_raised_later_keeps_what_there_is(
    open_manager, config, manager, subject, written
):
    short = open_manager(dataclasses.replace(config, history_entries=5))
    devices = [str(number) for number in range(written)]
    for device in devices:
        short.login(subject, device=device)
    devices = devices[-5:]
    for number in range(written, written + 30):
        manager.login(subject, device=str(number))
        devices.append(str(number))
        expected = devices[::-1]
        shown = texts(manager, subject)
        assert 1 <= len(shown) <= 20
        assert shown == expected[: len(shown)]
    assert len(shown) == 20


def test_it_goes_with_the_last_trace_of_the_subject(engine, manager, subject):
    pair = manager.login(subject)
    manager.logout(pair.access_token)
    assert kinds(manager, subject) == ["logged_out", "login"]
    rewrite(engine, pair, keep_until=int(time.time()) - 1)
    outdate_operations(engine, subject)
    with pytest.raises(SessionNotFound):
        manager.shorten(subject, pair.session_id, lifetime=60)
    assert manager.history(subject) == []
    assert fields_of(engine, subject) == {}


def test_it_outlives_the_sessions_where_that_is_wanted(engine, open_manager, config, subject):
    manager = open_manager(dataclasses.replace(config, history_lifetime=100_000))
    pair = manager.login(subject, device="laptop", lifetime=60)
    assert seconds_left(engine, subject) > 99_900
    manager.logout(pair.access_token)
    rewrite(engine, pair, keep_until=int(time.time()) - 1)
    manager.revoke_all(subject)
    assert manager.sessions(subject) == []
    assert kinds(manager, subject) == ["logged_out", "login"]
    assert seconds_left(engine, subject) > 99_900
    # A manager that does not want it longer lets it go with the rest.
    open_manager(config).revoke_all(subject)
    assert seconds_left(engine, subject) < 4000


def test_a_subject_without_history_is_not_kept_for_its_sake(engine, open_manager, config, subject):
    without = open_manager(dataclasses.replace(config, history_entries=0))
    pair = without.login(subject, lifetime=60)
    manager = open_manager(dataclasses.replace(config, history_lifetime=100_000))
    manager.shorten(subject, pair.session_id, lifetime=50)
    assert manager.history(subject) == []
    assert seconds_left(engine, subject) < 4000
    manager.login(subject, lifetime=60)
    assert seconds_left(engine, subject) > 99_900


def test_order_is_kept_over_seconds_and_sessions(engine, manager, subject):
    old = manager.login(subject, device="old")
    let_age(engine, old, 500)
    newer = manager.login(subject, device="newer")
    old = manager.refresh(old.refresh_token)
    manager.logout(newer.access_token)
    assert kinds(manager, subject) == ["logged_out", "refresh", "login", "login"]
    assert manager.history(subject)[1].session_id == old.session_id


def test_a_subject_without_history_has_none(manager, subject):
    assert manager.history(subject) == []


def ends(manager, subject) -> list[tuple[str, str | None, str]]:
    entries = manager.history(subject)
    return [(each.kind, each.by, each.text) for each in entries if each.kind == "revoked"]


def test_who_ended_a_session(manager, subject):
    one, two, three, four, five = (manager.login(subject) for _ in range(5))
    manager.revoke(subject, one.session_id, reason="program")
    with acting(subject):
        manager.revoke(subject, two.session_id, reason="lost it")
    with acting("root"):
        manager.revoke(subject, three.session_id)
    long_name = "somebody-with-a-very-long-name@example.org"
    with acting(long_name):
        manager.revoke(subject, four.session_id, reason="because of a reason that is long, too")
    with acting("a\x1fb\n"):
        manager.revoke_all(subject)
    found = ends(manager, subject)
    assert found[-1] == ("revoked", None, "program")
    assert found[-2] == ("revoked", subject, "lost it")
    assert found[-3] == ("revoked", "root", "")
    kind, by, text = found[-4]
    assert (by, kind) == ("somebody-with-a-v…", "revoked")
    assert "because of a reason".startswith(text[:10])
    assert found[-5] == ("revoked", "a\ufffdb\ufffd", "")
    for pair, reason in ((two, "lost it"), (three, ""), (five, "")):
        with pytest.raises(SessionRevoked) as refused:
            manager.verify(pair.access_token, verification="strict")
        assert refused.value.note == reason


def test_others_are_told_the_reason_alone(engine, config, manager, subject):
    pair = manager.login(subject)
    with acting("root"):
        manager.revoke(subject, pair.session_id, reason="lost phone")
    with opened_apart(engine, config, "cp") as other, pytest.raises(SessionRevoked) as refused:
        other.verify(pair.access_token)
    assert refused.value.note == "lost phone"


def test_who_could_not_log_in_is_in_the_history(manager, subject):
    manager.login(subject)
    manager.login_failed(subject, address="192.0.2.1")
    manager.login_failed(subject, address="192.0.2.2")
    manager.login_failed(subject, error="too_many_attempts", address="192.0.2.3")
    refused, login = manager.history(subject)
    assert (refused.kind, refused.count, refused.address) == ("refused", 2, "192.0.2.2")
    assert (refused.text, refused.session_id) == ("invalid_credentials", None)
    assert login.kind == "login"


def test_nothing_is_kept_of_a_name_that_nobody_has(engine, manager, subject):
    manager.login_failed(subject)
    assert manager.history(subject) == []
    assert fields_of(engine, subject) == {}


def test_refusals_keep_nothing_for_longer(engine, open_manager, config, subject):
    """Strangers could keep for ever what is known of a subject, refused login by refused login."""
    manager = open_manager(dataclasses.replace(config, history_lifetime=100_000))
    pair = manager.login(subject)
    manager.logout(pair.access_token)
    rewrite(engine, pair, keep_until=int(time.time()) - 1)
    outdate_operations(engine, subject)
    with pytest.raises(SessionNotFound):
        manager.shorten(subject, pair.session_id, lifetime=60)
    key = Keyspace().sessions(subject)
    with home_of(engine, key) as client:
        goes_at = client.pexpiretime(key)
        until = time.time() + 1.1
        while time.time() < until:
            manager.login_failed(subject)
            time.sleep(0.1)
        assert client.pexpiretime(key) == goes_at
        assert kinds(manager, subject) == ["refused", "logged_out", "login"]
        manager.erase(subject)
        goes_at = client.pexpiretime(key)
        manager.login_failed(subject)
        assert client.pexpiretime(key) == goes_at
    assert kinds(manager, subject) == ["refused"]


@pytest.mark.parametrize("error", ["", "No Code", 7])
def test_what_is_no_code_of_an_error(manager, subject, error):
    with pytest.raises(InvalidInput):
        manager.login_failed(subject, error=error)


def test_a_call_may_be_repeated_by_somebody_else(manager, subject):
    pair = manager.login(subject)
    again = {"operation_id": "00000000000000aa", "reason": "lost"}
    with acting("root"):
        assert manager.revoke(subject, pair.session_id, **again).count == 1
    assert manager.revoke(subject, pair.session_id, **again).count == 1
    other = manager.login(subject)
    every = {"operation_id": "00000000000000bb"}
    assert manager.revoke_all(subject, **every).count == 1
    with acting("root"):
        assert manager.revoke_all(subject, **every).count == 1
    assert other.session_id != pair.session_id


def test_the_release_before_is_not_told_who_ended_a_session(engine, config, subject):
    previous = dataclasses.replace(config, compatibility="previous")
    with opened_apart(engine, previous, "cp") as manager, acting("root"):
        pair = manager.login(subject)
        manager.revoke(subject, pair.session_id, reason="lost")
        assert ends(manager, subject) == [("revoked", None, "lost")]
        (tombstone,) = (
            value for value in fields_of(engine, subject).values() if b"lost" in value[:20]
        )
        assert tombstone.endswith(b"lost")
        assert b"root" not in tombstone
