"""Lost refresh responses: the retry of the client, and the same token from a thief."""

import dataclasses
import time

import pytest
import time_machine

from clusterpass import InvalidRefreshToken, RefreshTokenReused
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import LiveRecord, parse_record
from clusterpass.tokens.identifiers import decode_session_id
from clusterpass.web.flow import run
from clusterpass.web.gate import Gate, Needs, Visit
from clusterpass.web.settings import WebSettings
from tests.unit.web_request import FakeRequest

from .stored import OLDER_REFRESHED, activity_of, fields_of, home_of, rewrite

LONG_AGO = 5 * 86_400


KEYS = Keyspace()


def age(engine, pair, seconds: int = LONG_AGO) -> None:
    """Let the last exchange, and the note of a use, have been that long ago."""
    rewrite(engine, pair, refreshed_at=int(time.time()) - seconds)
    beside = KEYS.activity(pair.subject)
    with home_of(engine, beside) as client:
        for name, value in client.hgetall(beside).items():
            earlier = int.from_bytes(value[:4], "big") - seconds
            client.hset(beside, name, earlier.to_bytes(4, "big") + value[4:])


def older_exchange(engine, pair, seconds: int) -> None:
    """Let the last exchange of the token before a step-up have been that long ago."""
    name = decode_session_id(pair.session_id) + b"e"
    value = fields_of(engine, pair.subject)[name]
    earlier = (int(time.time()) - seconds).to_bytes(4, "big")
    key = KEYS.sessions(pair.subject)
    with home_of(engine, key) as client:
        value = value[:OLDER_REFRESHED] + earlier + value[OLDER_REFRESHED + 4 :]
        client.hset(key, name, value)


def step_up_was(engine, pair, seconds: int) -> None:
    """Let the step-up have been that long ago."""
    name = decode_session_id(pair.session_id) + b"e"
    value = fields_of(engine, pair.subject)[name]
    earlier = (int(time.time()) - seconds).to_bytes(4, "big")
    key = KEYS.sessions(pair.subject)
    with home_of(engine, key) as client:
        client.hset(key, name, earlier + value[4:])


def noted(engine, pair) -> LiveRecord:
    """The record, with what is noted beside it."""
    session_id = decode_session_id(pair.session_id)
    beside = activity_of(engine, pair.subject).get(session_id, bytes(5))
    seen_at = int.from_bytes(beside[:4], "big") + sum(beside[4:]) * 2**32
    record = parse_record(fields_of(engine, pair.subject)[session_id], seen_at)
    assert isinstance(record, LiveRecord)
    return record


def test_who_lost_the_answer_gets_it_again_days_later(engine, manager, subject):
    lost = manager.login(subject)
    first = manager.refresh(lost.refresh_token)
    age(engine, lost)
    again = manager.refresh(lost.refresh_token)
    assert again.refresh_token == first.refresh_token
    assert manager.verify(again.access_token).session_id == lost.session_id
    assert manager.refresh(again.refresh_token).session_id == lost.session_id
    assert len(manager.sessions(subject)) == 1


def test_a_late_retry_counts_as_made_now(engine, manager, subject):
    lost = manager.login(subject)
    manager.refresh(lost.refresh_token)
    age(engine, lost)
    before = int(time.time())
    pair = manager.refresh(lost.refresh_token)
    assert noted(engine, lost).refreshed_at >= before
    manager.verify(pair.access_token)
    assert manager.refresh(lost.refresh_token).refresh_token == pair.refresh_token, "another tab"
    age(engine, lost, 60)
    with pytest.raises(RefreshTokenReused):
        manager.refresh(lost.refresh_token)


def test_the_old_access_token_is_no_use_of_the_new_one(engine, manager, subject):
    lost = manager.login(subject)
    first = manager.refresh(lost.refresh_token)
    manager.verify(lost.access_token)
    age(engine, lost)
    manager.verify(lost.access_token)
    assert manager.refresh(lost.refresh_token).refresh_token == first.refresh_token


@pytest.mark.parametrize("after", [0, 60, LONG_AGO])
def test_a_used_access_token_ends_the_retries(engine, manager, subject, after):
    old = manager.login(subject)
    pair = manager.refresh(old.refresh_token)
    if after:
        age(engine, old, after)
    manager.verify(pair.access_token)
    if not after:
        assert manager.refresh(old.refresh_token).refresh_token == pair.refresh_token, "the grace"
        age(engine, old)
    with pytest.raises(RefreshTokenReused) as reuse:
        manager.refresh(old.refresh_token)
    assert reuse.value.reason == "recent"
    with pytest.raises(InvalidRefreshToken):
        manager.refresh(pair.refresh_token)


def test_a_used_refresh_token_ends_the_retries(engine, manager, subject):
    old = manager.login(subject)
    manager.refresh(manager.refresh(old.refresh_token).refresh_token)
    age(engine, old)
    with pytest.raises(RefreshTokenReused) as reuse:
        manager.refresh(old.refresh_token)
    assert reuse.value.reason == "stale"


def test_a_thief_who_trails_by_one_is_found_out(engine, manager, subject):
    owner = [manager.login(subject)]
    for _ in range(3):
        owner.append(manager.refresh(owner[-1].refresh_token))
        manager.verify(owner[-1].access_token)
        age(engine, owner[0], 60)
    with pytest.raises(RefreshTokenReused):
        manager.refresh(owner[-2].refresh_token)


def test_the_grace_of_a_token_begins_with_its_own_exchange(cp_sessions, cp_clock, subject):
    """Thirty seconds, however soon others follow."""
    pairs = [cp_sessions.login(subject)]
    for seconds in (20, 20, 8):
        pairs.append(cp_sessions.refresh(pairs[-1].refresh_token))
        cp_clock.advance(seconds)
    again = cp_sessions.refresh(pairs[1].refresh_token)
    assert again.refresh_token == pairs[2].refresh_token
    cp_clock.advance(12)
    with pytest.raises(RefreshTokenReused):
        cp_sessions.refresh(pairs[1].refresh_token)


def test_the_first_of_several_exchanges_is_retried_until_its_own_grace_is_over(
    cp_sessions, cp_clock, subject
):
    half = cp_sessions.config.refresh_grace / 2
    with time_machine.travel(cp_clock.now, tick=False):  # no second passes but those of the clock
        pairs = [cp_sessions.login(subject)]
        for seconds in (half, half, 0):
            pairs.append(cp_sessions.refresh(pairs[-1].refresh_token))
            cp_clock.advance(seconds)
        again = cp_sessions.refresh(pairs[0].refresh_token)
        assert again.refresh_token == pairs[1].refresh_token
        cp_clock.advance(1)
        with pytest.raises(RefreshTokenReused):
            cp_sessions.refresh(pairs[0].refresh_token)


def test_each_exchange_is_judged_by_its_own_tokens(engine, manager, subject):
    first = manager.login(subject)
    second = manager.refresh(first.refresh_token)
    manager.verify(second.access_token)
    third = manager.refresh(second.refresh_token)
    manager.verify(second.access_token)
    age(engine, first)
    assert manager.refresh(second.refresh_token).refresh_token == third.refresh_token


def test_a_note_is_written_once(engine, manager, subject):
    pair = manager.refresh(manager.login(subject).refresh_token)
    assert noted(engine, pair).used == 0
    manager.verify(pair.access_token)
    assert noted(engine, pair).used == 1
    noted_at = noted(engine, pair).seen_at
    manager.verify(pair.access_token)
    assert noted(engine, pair).seen_at == noted_at


def test_lines_of_a_step_up_are_judged_by_their_own_tokens(engine, manager, subject):
    """Ten seconds ago, so that both lines live: the later one of them would end the other."""
    first = manager.login(subject)
    older = manager.refresh(first.refresh_token)
    stepped = manager.elevate(manager.verify(first.access_token), "2", for_seconds=600)
    newest = manager.refresh(stepped.refresh_token)
    manager.verify(newest.access_token)
    older_exchange(engine, first, LONG_AGO)
    assert manager.refresh(first.refresh_token).refresh_token == older.refresh_token
    older_exchange(engine, first, LONG_AGO)
    manager.verify(older.access_token)
    with pytest.raises(RefreshTokenReused):
        manager.refresh(first.refresh_token)


def test_the_next_exchange_before_a_step_up_is_retried_until_its_own_tokens_are_used(
    engine, manager, subject
):
    first = manager.login(subject)
    older = manager.refresh(first.refresh_token)
    manager.elevate(manager.verify(first.access_token), "2", for_seconds=600)
    manager.verify(older.access_token)
    newer = manager.refresh(older.refresh_token)
    older_exchange(engine, first, LONG_AGO)
    assert manager.refresh(older.refresh_token).refresh_token == newer.refresh_token


def test_a_use_of_both_lines_of_a_step_up_is_one_of_each(engine, manager, subject):
    first = manager.login(subject)
    older = manager.refresh(first.refresh_token)
    stepped = manager.elevate(manager.verify(first.access_token), "2", for_seconds=600)
    newest = manager.refresh(stepped.refresh_token)
    for pair in (newest, older):
        manager.verify(pair.access_token)
    assert noted(engine, first).used == 1 + 2
    age(engine, first)
    with pytest.raises(RefreshTokenReused):
        manager.refresh(stepped.refresh_token)


def test_whoever_presents_the_token_before_a_step_up_again_is_found_out(engine, manager, subject):
    first = manager.login(subject)
    manager.elevate(manager.verify(first.access_token), "2", for_seconds=600)
    older = manager.refresh(first.refresh_token)
    manager.verify(older.access_token)
    older_exchange(engine, first, LONG_AGO)
    with pytest.raises(RefreshTokenReused) as reuse:
        manager.refresh(first.refresh_token)
    assert reuse.value.reason == "recent"


def test_a_use_before_the_step_up_is_not_forgotten(engine, manager, subject):
    first = manager.login(subject)
    older = manager.refresh(first.refresh_token)
    stepped = manager.elevate(manager.verify(older.access_token), "2", for_seconds=600)
    manager.refresh(stepped.refresh_token)
    older_exchange(engine, first, LONG_AGO)
    with pytest.raises(RefreshTokenReused):
        manager.refresh(first.refresh_token)


def test_a_step_up_that_was_given_up_leaves_the_session_as_any_other(engine, manager, subject):
    """Its answer was lost: the client goes on with the tokens that it has."""
    first = manager.login(subject)
    second = manager.refresh(first.refresh_token)
    manager.elevate(manager.verify(second.access_token), "2", for_seconds=600)
    step_up_was(engine, first, LONG_AGO)
    third = manager.refresh(second.refresh_token)
    assert noted(engine, first).used == 0
    manager.verify(third.access_token)
    assert noted(engine, first).used == 1
    noted_at = noted(engine, first).seen_at
    manager.verify(third.access_token)
    assert noted(engine, first).seen_at == noted_at, "once is enough"
    age(engine, first)
    with pytest.raises(RefreshTokenReused):
        manager.refresh(second.refresh_token)


def test_a_note_in_the_second_of_the_exchange_outlives_what_settles_the_subject(
    engine, manager, subject
):
    other = manager.login(subject)
    old = manager.login(subject)
    pair = manager.refresh(old.refresh_token)
    manager.verify(pair.access_token)
    manager.logout(other.access_token)
    assert noted(engine, old).used == 1
    age(engine, old)
    with pytest.raises(RefreshTokenReused):
        manager.refresh(old.refresh_token)


def sent_by_browser(refresh_token: str, access_token: str = "") -> Visit:
    """A request of a browser that has these tokens in cookies."""
    names = WebSettings().cookies
    cookies = {names.refresh.name: refresh_token}
    if access_token:
        cookies[names.access.name] = access_token
    return Visit(FakeRequest(cookies=cookies))


@pytest.mark.parametrize("mode", ["cached", "strict"])
@pytest.mark.parametrize("needs", [Needs(), Needs(strict=True)], ids=["plain", "strict"])
def test_a_browser_may_lose_the_answer_that_renews_it(
    engine, open_manager, config, subject, mode, needs
):
    """The request that renews its tokens is no use of them, but the next one is."""
    manager = open_manager(dataclasses.replace(config, verification=mode))
    gate, lost = Gate(manager.config, WebSettings()), manager.login(subject)
    for _ in range(3):
        visit = sent_by_browser(lost.refresh_token)
        for _ in range(2):  # by a middleware and by the view
            assert run(manager, gate.admit(visit, needs)).session_id == lost.session_id
        assert noted(engine, lost).used == 0
        age(engine, lost)
        pair = visit.renewed
    visit = sent_by_browser(lost.refresh_token)
    run(manager, gate.admit(visit, needs))
    assert visit.renewed.refresh_token == pair.refresh_token
    pair = visit.renewed
    run(manager, gate.admit(sent_by_browser(pair.refresh_token, pair.access_token), needs))
    assert noted(engine, lost).used == 1
    age(engine, lost)
    with pytest.raises(RefreshTokenReused):
        run(manager, gate.admit(sent_by_browser(lost.refresh_token), needs))


def test_with_the_policy_of_seconds_time_alone_counts(engine, open_manager, config, subject):
    manager = open_manager(dataclasses.replace(config, refresh_retry="grace"))
    old = manager.login(subject)
    pair = manager.refresh(old.refresh_token)
    manager.verify(pair.access_token)
    assert noted(engine, old).used == 0, "nothing is noted"
    age(engine, old, 60)
    with pytest.raises(RefreshTokenReused):
        manager.refresh(old.refresh_token)
