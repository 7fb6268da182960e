"""Step-up authentication (RFC 9470): required, recorded and claimed in tokens."""

import dataclasses
import time

import pytest

from clusterpass import (
    InvalidInput,
    SessionExpired,
    SessionRevoked,
    SessionUnknown,
    StepUpRequired,
    TokenVerifier,
)
from clusterpass.tokens.identifiers import decode_session_id
from tests.cluster.stored import eventually, fields_of, let_age, let_expire


@pytest.fixture
def read(config):
    """Return the claims of an access token, without the store."""
    return TokenVerifier(config.keys, issuer=config.issuer, audience=config.audience).verify


def is_admitted(manager, pair, **wanted) -> bool:
    try:
        manager.verify(pair.access_token, **wanted)
    except StepUpRequired:
        return False
    return True


def of_level(pair, level):
    return pair if pair.acr == level else None


def test_a_login_has_the_first_level(manager, read, subject):
    pair = manager.login(subject, amr=("pwd",))
    session = manager.verify(pair.access_token, level="1")
    claims = read(pair.access_token)
    assert (session.acr, session.amr, session.auth_time) == ("1", ("pwd",), session.created_at)
    assert (claims.acr, claims.amr, claims.auth_time) == ("1", ("pwd",), session.created_at)
    assert not is_admitted(manager, pair, level="2")


def test_a_login_may_have_a_higher_one(manager, read, subject):
    pair = manager.login(subject, acr="2", amr=("pwd", "otp"))
    assert is_admitted(manager, pair, level="1")
    assert is_admitted(manager, pair, level="2")
    assert not is_admitted(manager, pair, level="3")
    newer = manager.refresh(pair.refresh_token)
    assert (read(newer.access_token).acr, read(newer.access_token).amr) == ("2", ("pwd", "otp"))


def test_what_is_required_is_told_as_a_challenge(engine, manager, subject):
    pair = manager.login(subject)
    let_age(engine, pair, 1000)
    text = 'Bearer error="insufficient_user_authentication", error_description="{}"'
    for wanted, acr_values, max_age, rest in [
        ({"level": "2"}, ("2", "3"), None, ', acr_values="2 3"'),
        ({"max_auth_age": 60}, (), 60, ", max_age=60"),
        ({"level": "3", "max_auth_age": 0}, ("3",), 0, ', acr_values="3", max_age=0'),
    ]:
        with pytest.raises(StepUpRequired) as required:
            manager.verify(pair.access_token, **wanted)
        error = required.value
        assert (error.acr_values, error.max_age) == (acr_values, max_age)
        assert error.challenge == text.format(error.message) + rest
        assert (error.status, error.reason) == (401, "insufficient_user_authentication")


def test_a_step_up_is_told_in_its_token_and_holds_for_it_alone(manager, read, subject):
    pair = manager.login(subject, claims={"role": "editor"})
    session = manager.verify(pair.access_token)
    token = manager.elevate(session, "2", for_seconds=120, amr=("pwd", "otp"))
    assert (token.session_id, token.subject, token.acr) == (pair.session_id, subject, "2")
    claims = read(token.access_token)
    assert (claims.acr, claims.amr, claims.claims) == ("2", ("pwd", "otp"), {"role": "editor"})
    assert abs(claims.auth_time - time.time()) < 60
    assert 1 <= token.expires_in <= 120
    assert claims.expires_at <= claims.auth_time + 120
    stepped = manager.verify(token.access_token, level="2", max_auth_age=60)
    assert (stepped.acr, stepped.amr) == ("2", ("pwd", "otp"))
    assert stepped.auth_time == claims.auth_time
    assert not is_admitted(manager, pair, level="2")
    assert manager.verify(pair.access_token).acr == "1"
    with pytest.raises(StepUpRequired):
        manager.verify(token.access_token, level="3")
    assert manager.sessions(subject)[0].acr == "2"


def test_a_step_up_lives_on_in_the_tokens_of_a_refresh_and_no_longer_than_itself(
    manager, read, subject
):
    pair = manager.login(subject)
    stepped = manager.elevate(manager.verify(pair.access_token), "3", for_seconds=90, amr=("hwk",))
    newer = manager.refresh(stepped.refresh_token)
    assert newer.acr == "3"
    assert is_admitted(manager, newer, level="3")
    claims = read(newer.access_token)
    assert (claims.acr, claims.amr) == ("3", ("hwk",))
    assert claims.expires_at <= claims.auth_time + 90
    assert newer.session_expires_in > 90, "the session itself lives on"


def test_a_step_up_ends_by_itself(manager, read, subject):
    pair = manager.login(subject, amr=("pwd",))
    token = manager.elevate(manager.verify(pair.access_token), "2", for_seconds=1, amr=("otp",))
    assert token.expires_in == 1
    newer = eventually(lambda: of_level(manager.refresh(token.refresh_token), "1"))
    session = manager.verify(newer.access_token)
    assert (session.acr, session.amr, session.auth_time) == ("1", ("pwd",), session.created_at)
    assert (read(newer.access_token).acr, read(newer.access_token).amr) == ("1", ("pwd",))
    assert not is_admitted(manager, newer, level="2")


def test_a_password_asked_for_again_does_not_make_a_stronger_login_recent(engine, manager, subject):
    pair = manager.login(subject, acr="2", amr=("pwd", "otp"))
    let_age(engine, pair, 1000)
    pair = manager.elevate(manager.verify(pair.access_token), "1", for_seconds=600, amr=("pwd",))
    assert pair.acr == "2"
    assert is_admitted(manager, pair, level="2"), "the login was that strong"
    assert is_admitted(manager, pair, level="1", max_auth_age=100), "the password is recent"
    assert is_admitted(manager, pair, max_auth_age=100)
    assert not is_admitted(manager, pair, level="2", max_auth_age=100), "no one thing is both"
    assert is_admitted(manager, pair, level="2", max_auth_age=2000)
    shown = manager.verify(pair.access_token)
    assert (shown.acr, shown.amr, shown.auth_time) == ("2", ("pwd", "otp"), shown.created_at)


def test_a_second_factor_asked_for_again_is_recent(engine, manager, subject):
    pair = manager.login(subject, acr="2")
    let_age(engine, pair, 1000)
    assert not is_admitted(manager, pair, level="2", max_auth_age=100)
    pair = manager.elevate(manager.verify(pair.access_token), "2", for_seconds=600)
    assert is_admitted(manager, pair, level="2", max_auth_age=100)
    assert manager.verify(pair.access_token).auth_time > time.time() - 60


def test_the_later_step_up_replaces_the_earlier_one(manager, subject):
    pair = manager.login(subject)
    session = manager.verify(pair.access_token)
    earlier = manager.elevate(session, "3", for_seconds=600)
    later = manager.elevate(session, "2", for_seconds=600)
    assert manager.verify(later.access_token).acr == "2"
    assert not is_admitted(manager, later, level="3")
    assert manager.verify(earlier.access_token).acr == "1"


def test_a_step_up_is_of_one_session_only(manager, subject):
    one, other = manager.login(subject), manager.login(subject)
    one = manager.elevate(manager.verify(one.access_token), "2", for_seconds=600)
    assert is_admitted(manager, one, level="2")
    assert not is_admitted(manager, other, level="2")


def test_a_step_up_goes_with_its_session(engine, manager, subject):
    pair = manager.login(subject)
    session = manager.verify(pair.access_token)
    token = manager.elevate(session, "2", for_seconds=600)
    assert decode_session_id(pair.session_id) + b"e" in fields_of(engine, subject)
    manager.logout(pair.access_token)
    assert not any(name.endswith(b"e") for name in fields_of(engine, subject) if len(name) == 17)
    with pytest.raises(SessionRevoked):
        manager.verify(token.access_token)


def test_a_session_that_has_ended_is_not_stepped_up(engine, manager, new_subject):
    def session_of(subject):
        pair = manager.login(subject)
        return pair, manager.verify(pair.access_token)

    pair, session = session_of(new_subject())
    manager.logout(pair.access_token)
    with pytest.raises(SessionRevoked) as end:
        manager.elevate(session, "2", for_seconds=60)
    assert end.value.reason == "logged_out"
    pair, session = session_of(new_subject())
    let_expire(engine, pair)
    with pytest.raises(SessionExpired):
        manager.elevate(session, "2", for_seconds=60)
    stranger = dataclasses.replace(session, subject=new_subject())
    with pytest.raises(SessionUnknown):
        manager.elevate(stranger, "2", for_seconds=60)
    assert fields_of(engine, stranger.subject) == {}


def test_a_step_up_is_a_use_of_the_session(engine, manager, subject):
    pair = manager.login(subject, idle_lifetime=2000)
    session = manager.verify(pair.access_token)
    let_age(engine, pair, 1000)
    manager.elevate(session, "2", for_seconds=60)
    assert manager.sessions(subject)[0].expires_at > session.created_at + 1990


def test_the_levels_are_the_configurations(open_manager, config, subject):
    manager = open_manager(dataclasses.replace(config, levels=("password", "otp")))
    pair = manager.login(subject)
    session = manager.verify(pair.access_token)
    assert session.acr == "password"
    stepped = manager.elevate(session, "otp", for_seconds=60)
    assert manager.verify(stepped.access_token, level="otp").acr == "otp"
    for act in (
        lambda: manager.login(subject, acr="2"),
        lambda: manager.elevate(session, "2", for_seconds=60),
        lambda: manager.verify(pair.access_token, level="2"),
    ):
        with pytest.raises(InvalidInput):
            act()


def test_a_level_that_is_none_any_more_is_the_lowest(open_manager, config, manager, subject):
    pair = manager.login(subject, acr="3")
    renamed = open_manager(dataclasses.replace(config, levels=("low", "high")))
    assert not is_admitted(renamed, pair, level="low")
    assert is_admitted(renamed, pair)
    pair = renamed.elevate(renamed.verify(pair.access_token), "low", for_seconds=60)
    assert is_admitted(renamed, pair, level="low")
