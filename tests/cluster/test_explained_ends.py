"""A session that has ended says why, when and by what, for as long as its tokens would live."""

import time

import pytest

from clusterpass import (
    InvalidRefreshToken,
    RefreshTokenReused,
    SessionExpired,
    SessionPolicy,
    SessionRevoked,
    SessionUnknown,
    TokenVerifier,
)
from clusterpass.protocol.records import Tombstone
from tests.cluster.stored import (
    let_expire,
    let_idle,
    record_of,
    rewrite,
    seconds_left,
)


def log_out(manager, engine, pair):
    manager.logout(pair.access_token)


def replace(manager, engine, pair):
    manager.login(pair.subject, device="new phone", policy=SessionPolicy.single_session())


def choose(manager, engine, pair):
    manager.login(pair.subject, device_type="tablet", replace=pair.session_id)


def revoke(manager, engine, pair):
    manager.revoke(pair.subject, pair.session_id, reason="reported as stolen")


def revoke_all(manager, engine, pair):
    manager.revoke_all(pair.subject, reason="password changed")


def ban(manager, engine, pair):
    manager.bans.add(pair.subject, reason="fraud")


def reuse(manager, engine, pair):
    """The last but one token, long after it was exchanged."""
    manager.verify(manager.refresh(pair.refresh_token).access_token)
    rewrite(engine, pair, refreshed_at=int(time.time()) - 100)
    with pytest.raises(RefreshTokenReused):
        manager.refresh(pair.refresh_token)


ENDS = [
    (log_out, "logged_out", "", "The session was logged out; log in again."),
    (
        replace,
        "replaced",
        "new phone",
        "The session was replaced by a newer login on new phone; log in again.",
    ),
    (
        choose,
        "replaced",
        "tablet",
        "The session was replaced by a newer login on tablet; log in again.",
    ),
    (
        revoke,
        "revoked",
        "reported as stolen",
        "The session was revoked: reported as stolen; log in again.",
    ),
    (
        revoke_all,
        "revoked",
        "password changed",
        "The session was revoked: password changed; log in again.",
    ),
    (ban, "banned", "fraud", "The account was banned: fraud; log in again."),
    (
        reuse,
        "reused",
        "recent",
        "A refresh token was used twice, so the session was ended; log in again.",
    ),
]
each_end = pytest.mark.parametrize(
    ("end", "reason", "note", "message"), ENDS, ids=[act.__name__ for act, *_ in ENDS]
)


@each_end
def test_an_end_is_explained_to_both_tokens(manager, engine, subject, end, reason, note, message):
    pair = manager.login(subject, device="laptop")
    before = int(time.time())
    end(manager, engine, pair)
    after = int(time.time())
    with pytest.raises(SessionRevoked) as refusal:
        manager.verify(pair.access_token)
    explained = refusal.value
    assert (explained.reason, explained.note, explained.message) == (reason, note, message)
    assert before <= explained.ended_at <= after
    for _ in range(2):
        with pytest.raises(InvalidRefreshToken) as refusal:
            manager.refresh(pair.refresh_token)
        assert not isinstance(refusal.value, RefreshTokenReused), "it is over already"
        again = refusal.value
        assert (again.reason, again.note, again.message) == (reason, note, message)
        assert again.ended_at == explained.ended_at
    with pytest.raises(SessionRevoked) as refusal:
        manager.verify(pair.access_token)
    assert (refusal.value.reason, refusal.value.note) == (reason, note)


@each_end
def test_an_end_is_explained_until_the_tokens_would_have_expired(
    manager, engine, config, subject, end, reason, note, message
):
    pair = manager.login(subject, device="laptop", idle_lifetime=5 * 86_400)
    token = TokenVerifier(config.keys, issuer=config.issuer, audience=config.audience).verify(
        pair.access_token
    )
    session_end = record_of(engine, pair).ends_at
    end(manager, engine, pair)
    tombstone = record_of(engine, pair)
    assert isinstance(tombstone, Tombstone)
    # The refresh token would have been good until the session's end.
    assert tombstone.keep_until >= token.expires_at
    assert tombstone.keep_until >= session_end - 100
    left = seconds_left(engine, subject)
    assert left == -1 or left >= session_end - 160 - time.time()


def test_an_end_of_a_brief_session_is_explained_while_its_access_tokens_live(
    manager, engine, subject
):
    pair = manager.login(subject)
    # The token was made before the session was cut short: it says 15 minutes.
    manager.shorten(subject, pair.session_id, lifetime=5)
    manager.logout(pair.access_token)
    tombstone = record_of(engine, pair)
    assert tombstone.keep_until >= tombstone.ended_at + pair.expires_in
    assert seconds_left(engine, subject) >= pair.expires_in


def test_a_tombstone_leaves_with_the_first_change_after_its_time(
    manager, open_manager, config, engine, subject
):
    pair = manager.login(subject)
    manager.logout(pair.access_token)
    rewrite(engine, pair, keep_until=int(time.time()) - 1)
    manager.login(subject)
    other = open_manager(config)  # who ended the session remembers that
    with pytest.raises(SessionUnknown):
        other.verify(pair.access_token)
    with pytest.raises(InvalidRefreshToken) as refusal:
        other.refresh(pair.refresh_token)
    assert (refusal.value.reason, refusal.value.ended_at) == ("unknown_session", 0)


def test_later_ends_do_not_hide_earlier_ones(manager, subject):
    pair = manager.login(subject)
    manager.revoke(subject, pair.session_id, reason="the first")
    for _ in range(20):
        manager.login(subject, policy=SessionPolicy.single_session())
    manager.revoke_all(subject, reason="the last")
    manager.bans.add(subject, reason="and a ban")
    with pytest.raises(SessionRevoked) as end:
        manager.verify(pair.access_token)
    assert (end.value.reason, end.value.note) == ("revoked", "the first")


@pytest.mark.parametrize(
    ("let_end", "reason", "refresh_reason"),
    [(let_expire, "session_expired", "expired"), (let_idle, "session_idle", "idle")],
    ids=["expired", "idle"],
)
def test_an_end_by_itself_is_explained_too(
    manager, engine, subject, let_end, reason, refresh_reason
):
    pair = manager.login(subject, device="laptop")
    ended_at = let_end(engine, pair)

    def is_explained_to_verify():
        with pytest.raises(SessionExpired) as end:
            manager.verify(pair.access_token)
        return (end.value.reason, end.value.ended_at) == (reason, ended_at)

    assert is_explained_to_verify(), "before anything has changed the record"
    with pytest.raises(InvalidRefreshToken) as refusal:
        manager.refresh(pair.refresh_token)
    told = refusal.value
    assert (told.reason, told.ended_at, told.note) == (refresh_reason, ended_at, "")
    assert is_explained_to_verify(), "and as a tombstone"
    tombstone = record_of(engine, pair)
    assert tombstone.keep_until >= ended_at + 900
    manager.login(subject)
    manager.revoke_all(subject)
    manager.bans.add(subject, reason="later")
    assert is_explained_to_verify()


def test_an_end_by_itself_is_not_taken_for_a_revocation_that_follows(manager, engine, subject):
    pair = manager.login(subject)
    ended_at = let_expire(engine, pair)
    assert manager.revoke(subject, pair.session_id, reason="too late").count == 0
    with pytest.raises(SessionExpired) as end:
        manager.verify(pair.access_token)
    assert end.value.ended_at == ended_at


def test_a_long_reason_is_cut_between_characters(manager, subject):
    pair = manager.login(subject)
    manager.revoke(subject, pair.session_id, reason="é" * 100)
    with pytest.raises(SessionRevoked) as end:
        manager.verify(pair.access_token)
    assert end.value.note == "é" * 27


def test_the_class_of_a_reuse_is_told(manager, engine, subject):
    first = manager.login(subject)
    second = manager.refresh(first.refresh_token)
    manager.refresh(second.refresh_token)
    rewrite(engine, first, refreshed_at=int(time.time()) - 100, burst=0)
    with pytest.raises(RefreshTokenReused) as reuse:
        manager.refresh(first.refresh_token)
    assert reuse.value.reason == "stale"
    with pytest.raises(SessionRevoked) as end:
        manager.verify(second.access_token)
    assert (end.value.reason, end.value.note) == ("reused", "stale")
    assert end.value.ended_at == reuse.value.ended_at
