"""Bans of subjects: from everything, from a scope, by level and for a time."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from clusterpass import Ban, InvalidInput, InvalidRefreshToken, SessionRevoked, SubjectBanned
from clusterpass.limits import DAY
from clusterpass.model.errors import OperationMismatch, TooManyBans
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import LONGEST_NOTE
from tests.cluster.stored import eventually, fields_of, home_of, make_known, seconds_left


def let_bans_end(engine, subject) -> None:
    """Let every ban of the subject have ended a moment ago."""
    key = Keyspace().sessions(subject)
    bans = json.loads(fields_of(engine, subject)[b"b"])
    for ban in bans.values():
        ban["u"] = int(time.time()) - 1
    with home_of(engine, key) as client:
        client.hset(key, b"b", json.dumps(bans))
    make_known(key)


def test_a_ban_from_everything_ends_all_and_lets_nobody_in(manager, subject):
    pairs = [manager.login(subject) for _ in range(3)]
    before = int(time.time())
    ended = manager.bans.add(subject, reason="fraud", level=7)
    assert ended.count == 3
    for pair in pairs:
        with pytest.raises(SessionRevoked) as end:
            manager.verify(pair.access_token)
        assert (end.value.reason, end.value.note) == ("banned", "fraud")
        with pytest.raises(InvalidRefreshToken) as refusal:
            manager.refresh(pair.refresh_token)
        assert (refusal.value.reason, refusal.value.note) == ("banned", "fraud")
    with pytest.raises(SubjectBanned) as refused:
        manager.login(subject)
    ban = refused.value.ban
    assert ban == Ban("", 7, None, "fraud", ban.banned_at)
    assert before <= ban.banned_at <= time.time()
    assert refused.value.message == "The account is banned: fraud."
    assert manager.sessions(subject) == []


def test_a_ban_of_one_subject_is_no_other_ones(manager, new_subject):
    subject, other = new_subject(), new_subject()
    manager.bans.add(subject, reason="fraud")
    assert manager.verify(manager.login(other).access_token).bans == ()
    assert manager.bans.list(other) == ()


def test_a_ban_from_a_scope_leaves_the_session_and_travels_with_it(manager, subject):
    pair = manager.login(subject)
    assert manager.bans.add(subject, scope="comments", reason="spam", level=2).count == 0
    session = manager.verify(pair.access_token)
    assert [(ban.scope, ban.level, ban.reason) for ban in session.bans] == [("comments", 2, "spam")]
    assert manager.sessions(subject)[0].bans == session.bans == manager.bans.list(subject)
    with pytest.raises(SubjectBanned) as refusal:
        session.require_not_banned("comments")
    assert refusal.value.ban == session.bans[0]
    assert refusal.value.message == "The account is banned from comments: spam."
    session.require_not_banned("comments:write")
    session.require_not_banned("orders")
    assert manager.refresh(pair.refresh_token)
    assert manager.login(subject), "a scoped ban keeps nobody out"


def test_a_wildcard_forbids_what_lies_below(manager, subject):
    manager.bans.add(subject, scope="comments:*", reason="spam")
    session = manager.verify(manager.login(subject).access_token)
    for forbidden in ("comments:write", "comments:write:all"):
        with pytest.raises(SubjectBanned):
            session.require_not_banned(forbidden)
        with pytest.raises(SubjectBanned):
            manager.bans.check(subject, forbidden)
    for allowed in ("comments", "commentsx:write", "orders:write"):
        session.require_not_banned(allowed)
        manager.bans.check(subject, allowed)
    manager.bans.add(subject, scope="*:delete")
    with pytest.raises(SubjectBanned):
        manager.bans.check(subject, "orders:delete")
    manager.bans.add(subject, scope="*")
    with pytest.raises(SubjectBanned):
        manager.bans.check(subject, "anything")
    assert manager.verify(manager.login(subject).access_token), "that is a scope like any other"


def test_a_ban_forbids_what_asks_for_its_level_or_less(manager, subject):
    manager.bans.add(subject, scope="comments", level=5)
    session = manager.verify(manager.login(subject).access_token)
    for level in (1, 5):
        with pytest.raises(SubjectBanned):
            session.require_not_banned("comments", level=level)
        with pytest.raises(SubjectBanned):
            manager.bans.check(subject, "comments", level=level)
    session.require_not_banned("comments", level=6)
    manager.bans.check(subject, "comments", level=6)
    manager.bans.add(subject, level=1)
    with pytest.raises(SubjectBanned):
        manager.bans.check(subject, "comments", level=1000)


def test_a_check_of_everything_asks_for_no_scope(manager, subject):
    manager.bans.check(subject)
    manager.bans.add(subject, scope="comments")
    manager.bans.check(subject)
    manager.bans.add(subject, reason="fraud")
    for scope in ("", "comments", "orders:write"):
        with pytest.raises(SubjectBanned):
            manager.bans.check(subject, scope)


def test_a_ban_of_the_same_scope_is_replaced(manager, subject):
    manager.bans.add(subject, scope="comments", reason="first", level=9, for_seconds=50)
    manager.bans.add(subject, scope="orders", reason="other")
    manager.bans.add(subject, scope="comments", reason="second", level=1)
    comments, orders = manager.bans.list(subject)
    assert (comments.scope, comments.reason, comments.level) == ("comments", "second", 1)
    assert comments.until is None
    assert orders.reason == "other"
    manager.bans.add(subject, reason="fraud")
    manager.bans.add(subject, reason="for a while", for_seconds=100)
    with pytest.raises(SubjectBanned) as refusal:
        manager.login(subject)
    assert refusal.value.ban.reason == "for a while"
    assert refusal.value.ban.until <= time.time() + 100


def test_a_ban_is_lifted_once(manager, subject):
    manager.bans.add(subject, reason="fraud")
    manager.bans.add(subject, scope="comments")
    assert manager.bans.lift(subject).count == 1
    assert manager.bans.lift(subject).count == 0
    assert [ban.scope for ban in manager.bans.list(subject)] == ["comments"]
    assert manager.login(subject)
    assert manager.bans.lift(subject, scope="comments:*").count == 0, "another scope"
    assert manager.bans.lift(subject, scope="comments").count == 1
    assert manager.bans.list(subject) == ()


def test_lifting_a_ban_brings_no_session_back(manager, subject):
    pair = manager.login(subject)
    manager.bans.add(subject)
    manager.bans.lift(subject)
    with pytest.raises(SessionRevoked):
        manager.verify(pair.access_token)


def test_bans_end_by_themselves(manager, subject):
    pair = manager.login(subject)
    manager.bans.add(subject, scope="comments", for_seconds=1)
    manager.bans.add(subject, reason="cool down", for_seconds=1)
    with pytest.raises(SubjectBanned) as refusal:
        manager.login(subject)
    assert abs(refusal.value.ban.until - time.time()) < 60
    eventually(lambda: not manager.bans.list(subject))
    manager.bans.check(subject, "comments")
    assert manager.verify(manager.login(subject).access_token).bans == ()
    with pytest.raises(SessionRevoked):
        manager.verify(pair.access_token)


def test_a_ban_that_has_ended_is_no_ban_anywhere(engine, manager, subject):
    pair = manager.login(subject)
    manager.bans.add(subject, scope="comments", for_seconds=500)
    let_bans_end(engine, subject)
    session = manager.verify(pair.access_token)
    session.require_not_banned("comments")
    assert session.bans == manager.bans.list(subject) == ()
    assert manager.bans.lift(subject, scope="comments").count == 0
    assert b"b" not in fields_of(engine, subject)


def test_a_thirty_third_scope_is_refused(engine, manager, subject):
    for number in range(32):
        manager.bans.add(subject, scope=f"scope-{number}", for_seconds=500)
    with pytest.raises(TooManyBans):
        manager.bans.add(subject, scope="one-more")
    assert len(manager.bans.list(subject)) == 32
    manager.bans.add(subject, scope="scope-7", reason="replaced")
    manager.bans.lift(subject, scope="scope-8")
    manager.bans.add(subject, scope="one-more")
    assert len(manager.bans.list(subject)) == 32
    let_bans_end(engine, subject)
    manager.bans.add(subject, scope="fresh")
    assert [ban.scope for ban in manager.bans.list(subject)] == ["fresh"]


def test_the_id_of_a_ban_that_found_no_room_belongs_to_it(manager, subject):
    for number in range(32):
        manager.bans.add(subject, scope=f"scope-{number}")
    operation = "0123456789abcdef"
    with pytest.raises(TooManyBans):
        manager.bans.add(subject, scope="one-more", operation_id=operation)
    manager.bans.lift(subject, scope="scope-8")
    with pytest.raises(OperationMismatch):
        manager.bans.add(subject, scope="another", operation_id=operation)
    manager.bans.add(subject, scope="one-more", operation_id=operation)
    assert "one-more" in {ban.scope for ban in manager.bans.list(subject)}


def test_bans_stay_without_a_session_and_leave_nothing_behind(engine, manager, config, subject):
    assert manager.bans.add(subject, scope="comments", for_seconds=5000).count == 0
    # A day longer: a server whose clock is ahead must not delete it.
    assert DAY + 4900 < seconds_left(engine, subject) <= DAY + 5000
    manager.bans.add(subject, reason="fraud")
    assert seconds_left(engine, subject) == -1
    with pytest.raises(SubjectBanned):
        manager.bans.check(subject)
    with pytest.raises(SubjectBanned):
        manager.login(subject)
    assert seconds_left(engine, subject) == -1
    manager.bans.lift(subject)
    assert DAY + 4900 < seconds_left(engine, subject) <= DAY + 5000
    manager.bans.lift(subject, scope="comments")
    # What is left is which operations were carried out, for as long as one might be repeated, and
    # that all sessions ended, for as long as a login may be under way.
    assert seconds_left(engine, subject) <= max(manager_keeps(config), 3601)
    assert {name[:1] for name in fields_of(engine, subject)} <= {b"h", b"o", b"g"}


def manager_keeps(config):
    """Seconds that a tombstone is kept at least."""
    return config.access_lifetime + config.expiry_leeway + 60


def test_a_ban_outlives_every_session(engine, manager, subject):
    pair = manager.login(subject, lifetime=60)
    manager.bans.add(subject, scope="comments")
    manager.logout(pair.access_token)
    manager.login(subject, lifetime=60)
    manager.revoke_all(subject)
    assert seconds_left(engine, subject) == -1
    assert [ban.scope for ban in manager.bans.list(subject)] == ["comments"]


def test_odd_reasons_and_scopes_are_kept_whole(manager, subject):
    reason = "\"Spam\" / 50 % 'off' \\ {note} 😀"
    for scope in ("1", "a/b:c", "[x]{y}", "%s", "null"):
        manager.bans.add(subject, scope=scope, reason=reason)
        with pytest.raises(SubjectBanned) as refusal:
            manager.bans.check(subject, scope)
        assert (refusal.value.ban.scope, refusal.value.ban.reason) == (scope, reason)
    pair = manager.login(subject)
    manager.bans.add(subject, reason=reason)
    with pytest.raises(SessionRevoked) as end:
        manager.verify(pair.access_token)
    assert end.value.note == reason


def test_whose_session_a_ban_ends_is_told_as_much_of_the_reason_as_fits(manager, subject):
    reason, pair = "because of this, and of that " * 6, manager.login(subject)
    manager.bans.add(subject, reason=reason)
    with pytest.raises(SessionRevoked) as end:
        manager.verify(pair.access_token, verification="strict")
    assert end.value.note == reason[:LONGEST_NOTE]
    assert manager.bans.list(subject)[0].reason == reason


def test_bans_tell_whether_a_replica_knows(engine, manager, subject):
    has_replicas = len(engine[0].nodes) > 1
    assert manager.bans.add(subject, scope="comments").durable is has_replicas
    assert manager.bans.add(subject).durable is has_replicas
    assert manager.bans.lift(subject).durable is has_replicas


@pytest.mark.parametrize("again", range(3))
def test_no_login_slips_through_a_ban(manager, subject, again):
    start = threading.Barrier(33)

    def login(_: int):
        start.wait(30)
        try:
            return manager.login(subject)
        except SubjectBanned as refusal:
            assert refusal.ban.reason == "fraud"
            return None

    def ban() -> int:
        start.wait(30)
        return manager.bans.add(subject, reason="fraud").count

    with ThreadPoolExecutor(33) as pool:
        banning = pool.submit(ban)
        pairs = [pair for pair in pool.map(login, range(32)) if pair]
        assert banning.result() == len(pairs), "each was either refused or ended"
    assert manager.sessions(subject) == []
    for pair in pairs:
        with pytest.raises(SessionRevoked) as end:
            manager.verify(pair.access_token)
        assert end.value.reason == "banned"


@pytest.mark.parametrize("scope", ["two words", "é", 'a"b', "a\\b", "x" * 256, None, 7], ids=repr)
def test_a_scope_that_is_none_is_refused(manager, subject, scope):
    session = manager.verify(manager.login(subject).access_token)
    for act in (
        lambda: manager.bans.add(subject, scope=scope),
        lambda: manager.bans.lift(subject, scope=scope),
        lambda: manager.bans.check(subject, scope),
        lambda: session.require_not_banned(scope),
    ):
        with pytest.raises(InvalidInput):
            act()
