"""Tokens around a step-up: it applies to those issued after it, and to no others."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import time_machine

from clusterpass import (
    InvalidRefreshToken,
    RefreshTokenReused,
    SessionRevoked,
    StepUpRequired,
    TokenSuperseded,
)
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.tokens.identifiers import decode_session_id
from tests import golden
from tests.cluster.stored import fields_of, home_of, let_step_up_age, make_known, rewrite

LONG_AGO = 100
"""Seconds, more than the grace."""


@pytest.fixture
def stolen(manager, subject):
    """The tokens of a login, which a thief has as well."""
    return manager.login(subject)


@pytest.fixture
def stepped(manager, stolen):
    """The tokens of the step-up that followed."""
    return step_up(manager, stolen)


def step_up(manager, pair, level="2"):
    return manager.elevate(manager.verify(pair.access_token), level, for_seconds=600, amr=("otp",))


def level_of(manager, pair, **options: Any) -> str:
    """The level that verify finds, which must be the one that it admits to."""
    session = manager.verify(pair.access_token, **options)
    assert manager.verify(pair.access_token, level=session.acr, **options).acr == session.acr
    if session.acr == "1":
        with pytest.raises(StepUpRequired):
            manager.verify(pair.access_token, level="2", **options)
    return session.acr


def test_an_access_token_from_before_never_rises(engine, manager, stolen, stepped):
    for options in ({}, {}, {"verification": "strict"}, {"verification": "stateless"}):
        assert level_of(manager, stolen, **options) == "1"
        assert level_of(manager, stepped, **options) == "2"


@pytest.mark.parametrize("verification", ["cached", "strict"])
def test_a_token_keeps_its_level_when_the_cache_is_full(
    open_manager, config, manager, subject, stolen, stepped, verification
):
    """Whether it is among the entries that were used last or not."""
    small = dataclasses.replace(config, cache_bytes=2**20, verification=verification)
    own = open_manager(small)
    assert (level_of(own, stolen), level_of(own, stepped)) == ("1", "2")
    near = getattr(own, "manager", own)._flows.memory.near
    for number in range(500):  # more than are kept as objects
        own.verify(own.login(f"{subject}-{number}").access_token)
        if stepped.access_token not in near._tokens.objects:
            break
    assert near._tokens.is_packed(stepped.access_token)
    assert (level_of(own, stolen), level_of(own, stepped)) == ("1", "2")


def test_nor_does_it_become_recent(engine, manager, subject):
    pair = manager.login(subject)
    then = manager.verify(pair.access_token).created_at - 1000
    rewrite(engine, pair, created_milliseconds=then * 1000)
    stepped = step_up(manager, pair, "1")
    assert manager.verify(stepped.access_token, max_auth_age=100).auth_time > then
    assert manager.verify(pair.access_token).auth_time == then
    with pytest.raises(StepUpRequired):
        manager.verify(pair.access_token, max_auth_age=100)


@pytest.mark.parametrize("ago", [0, LONG_AGO])
def test_a_refresh_token_from_before_never_leads_to_the_level(
    engine, manager, stolen, stepped, ago
):
    let_step_up_age(engine, stolen, ago)
    pair = stolen
    for _ in range(3):
        pair = manager.refresh(pair.refresh_token)
        assert (pair.acr, level_of(manager, pair)) == ("1", "1")
    assert level_of(manager, stepped) == "2", "what was proved stays proved"


@pytest.mark.parametrize("ago", [0, LONG_AGO])
def test_the_refresh_token_of_the_step_up_does(engine, manager, stolen, stepped, ago):
    let_step_up_age(engine, stolen, ago)
    pair = stepped
    for _ in range(3):
        newer = manager.refresh(pair.refresh_token)
        assert manager.refresh(pair.refresh_token).refresh_token == newer.refresh_token
        assert (newer.acr, level_of(manager, newer)) == ("2", "2")
        pair = newer


def test_a_client_that_lost_the_tokens_of_its_step_up_goes_on_with_its_own(
    engine, manager, stolen, stepped
):
    let_step_up_age(engine, stolen, LONG_AGO)
    newer = manager.refresh(stolen.refresh_token)
    assert manager.refresh(stolen.refresh_token).refresh_token == newer.refresh_token
    assert level_of(manager, manager.refresh(newer.refresh_token)) == "1"


def test_a_change_of_the_password_ends_every_token_from_before(manager, stolen):
    session = manager.verify(stolen.access_token)
    changed = manager.elevate(session, "1", for_seconds=600, password_changed=True)
    with pytest.raises(TokenSuperseded):
        manager.verify(stolen.access_token)
    with pytest.raises(InvalidRefreshToken) as refused:
        manager.refresh(stolen.refresh_token)
    assert refused.value.reason == "superseded"
    newer = manager.refresh(changed.refresh_token)
    assert manager.verify(newer.access_token).session_id == stolen.session_id
    kinds = [entry.kind for entry in manager.history(session.subject)]
    assert kinds[-2:] == ["password_changed", "login"]


def test_the_older_refresh_token_ends_that_of_the_step_up(engine, manager, stolen, stepped):
    let_step_up_age(engine, stolen, LONG_AGO)
    manager.refresh(stolen.refresh_token)
    with pytest.raises(RefreshTokenReused) as reuse:
        manager.refresh(stepped.refresh_token)
    assert reuse.value.reason == "foreign"
    with pytest.raises(SessionRevoked):
        manager.verify(stolen.access_token)


def test_the_refresh_token_of_the_step_up_ends_the_older_one(engine, manager, stolen, stepped):
    let_step_up_age(engine, stolen, LONG_AGO)
    manager.refresh(stepped.refresh_token)
    with pytest.raises(RefreshTokenReused) as reuse:
        manager.refresh(stolen.refresh_token)
    assert reuse.value.reason == "stale"
    with pytest.raises(SessionRevoked):
        manager.verify(stepped.access_token)


def test_two_tabs_keep_whichever_token_came_last(engine, manager, stolen, stepped):
    """One steps up while the other refreshes: either answer may be the last in the browser."""
    by_refresh = manager.refresh(stolen.refresh_token)
    assert manager.refresh(stolen.refresh_token).refresh_token == by_refresh.refresh_token
    by_step_up = manager.refresh(stepped.refresh_token)
    let_step_up_age(engine, stolen, LONG_AGO)
    assert manager.refresh(by_step_up.refresh_token).acr == "2"
    with pytest.raises(RefreshTokenReused):
        manager.refresh(by_refresh.refresh_token)


@pytest.mark.parametrize("late", [0, 1])
def test_both_tokens_of_a_step_up_live_until_the_grace_is_over(
    cp_sessions, cp_clock, subject, late
):
    with time_machine.travel(cp_clock.now, tick=False):  # no second passes but those of the clock
        old = cp_sessions.login(subject)
        stepped = step_up(cp_sessions, old)
        cp_clock.advance(cp_sessions.config.refresh_grace + late)
        cp_sessions.refresh(old.refresh_token)
        if late:
            with pytest.raises(RefreshTokenReused):
                cp_sessions.refresh(stepped.refresh_token)
        else:
            assert cp_sessions.refresh(stepped.refresh_token).acr == "2"


def test_a_thief_who_refreshes_many_times_does_not_reach_the_step_up(
    engine, manager, stolen, stepped
):
    """The rotations of a token from before never pass for those of a later one."""
    pair = stolen
    for _ in range(20):
        pair = manager.refresh(pair.refresh_token)
    let_step_up_age(engine, stolen, LONG_AGO)
    assert manager.refresh(stepped.refresh_token).acr == "2"
    with pytest.raises(RefreshTokenReused):
        manager.refresh(pair.refresh_token)


def test_a_step_up_is_repeated_after_a_lost_answer(engine, manager, stolen, stepped):
    again = step_up(manager, stolen, "3")
    let_step_up_age(engine, stolen, LONG_AGO)
    assert level_of(manager, again) == "3"
    assert level_of(manager, stepped) == "1", "the later step-up has replaced it"
    assert manager.refresh(again.refresh_token).acr == "3"


@pytest.mark.parametrize("which", ["login", "first", "second"])
def test_of_two_step_ups_and_the_login_any_refresh_token_goes_on(engine, manager, stolen, which):
    with ThreadPoolExecutor() as threads:
        session = manager.verify(stolen.access_token)
        made = [
            threads.submit(lambda: manager.elevate(session, "2", for_seconds=600)) for _ in range(2)
        ]
        first, second = sorted((each.result() for each in made), key=lambda p: level_of(manager, p))
    assert [level_of(manager, each) for each in (first, second)] == ["1", "2"]
    let_step_up_age(engine, stolen, LONG_AGO)
    pair = manager.refresh({"login": stolen, "first": first, "second": second}[which].refresh_token)
    assert pair.acr == ("2" if which == "second" else "1")
    assert level_of(manager, manager.refresh(pair.refresh_token)) == pair.acr


def test_a_step_up_that_an_earlier_release_stored_applies_to_no_token(engine, manager, subject):
    pair = manager.login(subject)
    key, field = Keyspace().sessions(subject), decode_session_id(pair.session_id)
    with home_of(engine, key) as client:
        client.hset(key, field + b"e", golden.ELEVATION)
    make_known(key)
    assert level_of(manager, pair) == "1"
    newer = manager.refresh(pair.refresh_token)
    assert (newer.acr, level_of(manager, newer)) == ("1", "1")
    assert [each.acr for each in manager.sessions(subject)] == ["1"]
    assert level_of(manager, step_up(manager, newer)) == "2"


# -- Config(step_up_ends_older_tokens=True)


@pytest.fixture
def strict(open_manager, config):
    return open_manager(dataclasses.replace(config, step_up_ends_older_tokens=True))


def test_older_tokens_end_if_so_configured(strict, manager, stolen):
    strict.verify(stolen.access_token)
    stepped = step_up(strict, stolen)
    for each in (strict, manager):
        with pytest.raises(TokenSuperseded):
            each.verify(stolen.access_token, verification="strict")
        with pytest.raises(InvalidRefreshToken) as refused:
            each.refresh(stolen.refresh_token)
        assert refused.value.reason == "superseded"
    with pytest.raises(TokenSuperseded):
        strict.verify(stolen.access_token, outage_grace=60)
    assert level_of(strict, stepped) == "2"
    assert strict.refresh(stepped.refresh_token).acr == "2"


def test_the_session_survives_its_superseded_refresh_token_until_the_new_one_is_used(
    engine, strict, stolen
):
    stepped = step_up(strict, stolen)
    let_step_up_age(engine, stolen, LONG_AGO)
    with pytest.raises(InvalidRefreshToken) as refused:
        strict.refresh(stolen.refresh_token)
    assert refused.value.reason == "superseded"
    assert strict.refresh(stepped.refresh_token).acr == "2"
    with pytest.raises(RefreshTokenReused):
        strict.refresh(stolen.refresh_token)


def test_its_tokens_go_on_when_the_step_up_is_over(engine, strict, stolen):
    stepped = step_up(strict, stolen)
    let_step_up_age(engine, stolen, LONG_AGO)
    key, field = Keyspace().sessions(stolen.subject), decode_session_id(stolen.session_id)
    with home_of(engine, key) as client:
        value = fields_of(engine, stolen.subject)[field + b"e"]
        client.hset(key, field + b"e", value[:4] + value[:4] + value[8:])  # it is over
    make_known(key)
    newer = strict.refresh(stepped.refresh_token)
    assert (newer.acr, level_of(strict, newer)) == ("1", "1")
    with pytest.raises(TokenSuperseded):
        strict.verify(stolen.access_token)


def test_ended_tokens_stay_ended_after_a_later_step_up_that_ends_none(strict, manager, stolen):
    first = step_up(strict, stolen)
    second = step_up(manager, first, "3")
    for each in (stolen, first):
        with pytest.raises(TokenSuperseded):
            manager.verify(each.access_token)
    assert level_of(manager, second) == "3"
