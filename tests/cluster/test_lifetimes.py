"""Lifetimes of a session: absolute and idle limits, notes of use, and ``shorten``."""

import dataclasses
import time

import pytest

from clusterpass import InvalidInput, InvalidRefreshToken, SessionExpired, SessionNotFound
from clusterpass.tokens.identifiers import decode_session_id
from tests.cluster.stored import (
    activity_of,
    commands_of,
    fields_of,
    keep_cutoff_known,
    let_age,
    let_expire,
    let_idle,
    record_of,
    rewrite,
    seconds_left,
    spent,
)

DAY = 86_400
EARLIEST_NOTE = 225
"""Three quarters of ``activity_interval``: the id of a session says how early its use is noted."""


def test_the_earlier_limit_ends_a_session(manager, subject):
    def limits(**options):
        pair = manager.login(subject, **options)
        session = manager.verify(pair.access_token)
        assert pair.session_expires_in == session.expires_at - session.created_at
        return pair.session_expires_in

    assert limits() == 7 * DAY
    assert limits(remember=True) == 30 * DAY
    assert limits(idle_lifetime=0) == 30 * DAY
    assert limits(remember=True, idle_lifetime=0) == 90 * DAY
    assert limits(lifetime=3600) == 3600
    assert limits(idle_lifetime=600) == 600
    assert limits(lifetime=600, idle_lifetime=3600) == 600
    assert limits(remember=True, lifetime=600, idle_lifetime=0) == 600


def test_the_configuration_sets_the_limits(open_manager, config, subject):
    manager = open_manager(
        dataclasses.replace(
            config,
            absolute_lifetime=5000,
            idle_lifetime=4000,
            remember_lifetime=8000,
            remember_idle_lifetime=0,
        )
    )
    assert manager.login(subject).session_expires_in == 4000
    assert manager.login(subject, idle_lifetime=0).session_expires_in == 5000
    assert manager.login(subject, remember=True).session_expires_in == 8000


def test_no_token_says_longer_than_its_session_lives(manager, subject):
    pair = manager.login(subject, lifetime=40, idle_lifetime=20)
    assert pair.expires_in == 20
    assert manager.refresh(pair.refresh_token).expires_in <= 20


def test_a_refresh_moves_the_idle_limit_and_not_the_absolute_one(engine, manager, subject):
    pair = manager.login(subject, lifetime=3600, idle_lifetime=1000)
    let_age(engine, pair, 900)
    assert manager.sessions(subject)[0].expires_at <= time.time() + 100
    pair = manager.refresh(pair.refresh_token)
    session = manager.verify(pair.access_token)
    assert session.expires_at == session.refreshed_at + 1000
    absolute_end = record_of(engine, pair).absolute_end
    rewrite(engine, pair, absolute_end=absolute_end - 3000)
    pair = manager.refresh(pair.refresh_token)
    assert manager.verify(pair.access_token).expires_at == absolute_end - 3000


@pytest.mark.parametrize("let_end", [let_expire, let_idle])
def test_a_session_that_is_over_is_no_session_anywhere(engine, manager, subject, let_end):
    kept = manager.login(subject)
    over = manager.login(subject)
    let_end(engine, over)
    assert [each.session_id for each in manager.sessions(subject)] == [kept.session_id]
    with pytest.raises(SessionExpired):
        manager.verify(over.access_token)
    with pytest.raises(InvalidRefreshToken):
        manager.refresh(over.refresh_token)
    assert manager.logout(over.access_token).count == 0
    assert manager.revoke(subject, over.session_id).count == 0
    with pytest.raises(SessionExpired):
        manager.shorten(subject, over.session_id, lifetime=100)
    assert manager.revoke_all(subject).count == 1


def test_use_keeps_a_session_alive_and_does_not_change_its_hash(engine, manager, subject):
    pair = manager.login(subject, idle_lifetime=2000)
    # Used last long ago: without use it ends in a minute.
    let_age(engine, pair, 1940)
    before, old_end = fields_of(engine, subject), manager.sessions(subject)[0].expires_at
    assert old_end <= time.time() + 60
    manager.verify(pair.access_token)
    assert fields_of(engine, subject) == before
    session = manager.sessions(subject)[0]
    assert session.active_at >= session.refreshed_at + 1940
    assert session.expires_at == session.active_at + 2000
    assert seconds_left(engine, subject) >= 1990, "the key stays for as long as the session"

    # What the refresh alone would have allowed is over; the noted use carries the session on.
    let_age(engine, pair, 2100)
    before = fields_of(engine, subject)
    assert manager.verify(pair.access_token).expires_at == session.expires_at
    assert fields_of(engine, subject) == before
    assert [each.session_id for each in manager.sessions(subject)] == [pair.session_id]
    newer = manager.refresh(pair.refresh_token)
    assert newer.session_expires_in == 2000


def test_use_does_not_move_the_absolute_limit(engine, manager, subject):
    pair = manager.login(subject, lifetime=3000, idle_lifetime=2000)
    let_age(engine, pair, 1900)
    end = rewrite(engine, pair, absolute_end=int(time.time()) + 500).absolute_end
    assert manager.verify(pair.access_token).expires_at < end
    assert manager.verify(pair.access_token).expires_at == end


def test_a_session_that_was_idle_too_long_is_not_revived_by_use(engine, manager, subject):
    pair = manager.login(subject, idle_lifetime=2000)
    let_idle(engine, pair)
    for _ in range(2):
        with pytest.raises(SessionExpired) as end:
            manager.verify(pair.access_token)
        assert end.value.reason == "session_idle"
    assert activity_of(engine, subject) == {}


def test_use_is_noted_once_in_an_interval(engine, manager, subject):
    pair = manager.login(subject)
    let_age(engine, pair, EARLIEST_NOTE - 60)
    manager.verify(pair.access_token)
    assert activity_of(engine, subject) == {}, "no note is due yet, whatever the id of the session"
    let_age(engine, pair, 301)
    manager.verify(pair.access_token)
    noted = activity_of(engine, subject)
    assert set(noted) == {decode_session_id(pair.session_id)}
    assert abs(int.from_bytes(*noted.values(), "big") - time.time()) < 60
    manager.verify(pair.access_token)
    assert activity_of(engine, subject) == noted


def test_use_is_noted_more_often_where_the_idle_limit_is_short(engine, manager, subject):
    pair = manager.login(subject, idle_lifetime=400)
    let_age(engine, pair, 5)
    manager.verify(pair.access_token)
    assert activity_of(engine, subject) == {}
    let_age(engine, pair, 25)
    manager.verify(pair.access_token)
    assert len(activity_of(engine, subject)) == 1, "a twentieth of 400 s is over"


def test_without_an_interval_only_a_refresh_is_a_use(engine, open_manager, config, subject):
    manager = open_manager(dataclasses.replace(config, activity_interval=0))
    pair = manager.login(subject, idle_lifetime=2000)
    let_age(engine, pair, 1900)
    end = manager.verify(pair.access_token).expires_at
    assert manager.verify(pair.access_token).expires_at == end <= time.time() + 100
    assert activity_of(engine, subject) == {}


def test_a_verify_without_a_note_due_writes_nothing(engine, manager, subject):
    pair = manager.login(subject)
    session = manager.verify(pair.access_token)
    keep_cutoff_known(manager)
    before, left = fields_of(engine, subject), seconds_left(engine, subject)
    writes = ("hset", "hdel", "expireat", "zadd", "set", "del", "wait", "evalsha")
    counts = commands_of(engine, *writes)
    assert manager.verify(pair.access_token, verification="strict") == session
    after = commands_of(engine, *writes)
    assert after.pop("evalsha") - counts.pop("evalsha") == 1
    assert after == counts
    assert fields_of(engine, subject) == before
    assert seconds_left(engine, subject) <= left


def test_a_note_waits_for_no_replica(engine, manager, subject):
    pair = manager.login(subject)
    let_age(engine, pair, 400)
    assert spent(engine, lambda: manager.verify(pair.access_token), "wait") == 0
    assert len(activity_of(engine, subject)) == 1


def test_a_note_goes_with_what_it_is_about(engine, manager, subject):
    pairs = [manager.login(subject) for _ in range(3)]
    for pair in pairs:
        let_age(engine, pair, 400)
        manager.verify(pair.access_token)
    assert len(activity_of(engine, subject)) == 3
    manager.refresh(pairs[0].refresh_token)
    manager.logout(pairs[1].access_token)
    assert set(activity_of(engine, subject)) == {decode_session_id(pairs[2].session_id)}
    manager.revoke_all(subject)
    assert activity_of(engine, subject) == {}


def test_shorten_only_ever_shortens(engine, manager, subject):
    pair = manager.login(subject, lifetime=5000, idle_lifetime=3000)

    def limits(**options):
        shown = manager.shorten(subject, pair.session_id, **options)
        assert shown == manager.sessions(subject)[0] == manager.verify(pair.access_token)
        record = record_of(engine, pair)
        return record.absolute_end, record.idle_seconds

    end = record_of(engine, pair).absolute_end
    assert limits(lifetime=9000) == (end, 3000)
    assert limits(idle_lifetime=9000) == (end, 3000)
    assert limits(lifetime=2**31, idle_lifetime=9000) == (end, 3000)
    assert limits(idle_lifetime=1000) == (end, 1000)
    shorter_end, idle = limits(lifetime=500)
    assert shorter_end <= time.time() + 500 < end
    assert idle == 1000
    assert limits(lifetime=4000, idle_lifetime=2000) == (shorter_end, 1000)


@pytest.mark.parametrize(
    ("options", "saying"),
    [
        ({}, "^give lifetime, idle_lifetime or both"),
        ({"lifetime": 0}, r"^lifetime must be .* from 1 to 2147483648"),
        ({"lifetime": 2**31 + 1}, "^lifetime must be"),
        ({"idle_lifetime": 9}, r"^idle_lifetime must be .* from 10 to 316224000"),
        ({"idle_lifetime": 0}, "^idle_lifetime must be"),
        ({"idle_lifetime": 10 * 366 * DAY + 1}, "^idle_lifetime must be"),
    ],
)
def test_shorten_names_what_it_refuses(manager, subject, options, saying):
    pair = manager.login(subject)
    with pytest.raises(InvalidInput, match=saying):
        manager.shorten(subject, pair.session_id, **options)
    assert manager.shorten(subject, pair.session_id, lifetime=1, idle_lifetime=10)


def test_shorten_gives_an_idle_limit_to_a_session_without_one(manager, subject):
    pair = manager.login(subject, lifetime=5000, idle_lifetime=0)
    session = manager.shorten(subject, pair.session_id, idle_lifetime=900)
    assert session.expires_at == session.active_at + 900


def test_what_was_shortened_stays_so_after_a_refresh(manager, subject):
    pair = manager.login(subject)
    end = manager.shorten(subject, pair.session_id, lifetime=60).expires_at
    newer = manager.refresh(pair.refresh_token)
    assert manager.verify(newer.access_token).expires_at == end
    assert newer.expires_in <= 60
    # An access token that was made before says longer, and is refused all the same.
    assert pair.expires_in > 60


def test_shorten_needs_a_live_session_of_the_subject(manager, new_subject):
    subject = new_subject()
    pair = manager.login(subject)
    with pytest.raises(SessionNotFound):
        manager.shorten(new_subject(), pair.session_id, lifetime=60)
    for unknown in ("A" * 22, "nonsense", None):
        with pytest.raises(SessionNotFound):
            manager.shorten(subject, unknown, lifetime=60)
    with pytest.raises(InvalidInput):
        manager.shorten(subject, pair.session_id)
    assert manager.verify(pair.access_token).expires_at > time.time() + 6 * DAY


def test_a_short_life_ends_by_itself(manager, subject):
    from clusterpass.model.authentication_errors import InvalidToken
    from tests.cluster.stored import eventually

    pair = manager.login(subject)
    end = manager.shorten(subject, pair.session_id, lifetime=1).expires_at

    def refusal():
        try:
            manager.verify(pair.access_token)
        except InvalidToken as error:
            return error
        return None

    error = eventually(refusal)
    assert isinstance(error, SessionExpired)
    assert (error.reason, error.ended_at) == ("session_expired", end)
