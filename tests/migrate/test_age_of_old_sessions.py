"""A session is as old as the token that opened it: its lifetime, and its place among newer ones."""

import os
from dataclasses import replace
from typing import Any

import pytest

from clusterpass import (
    Config,
    InvalidRefreshToken,
    SessionPolicy,
    SessionRevoked,
    StepUpRequired,
)
from clusterpass.migrate import (
    MigratingSessionManager,
    OldToken,
    OldUser,
)
from clusterpass.testing import SimulatedClock
from tests.migrate.old_apps import DAY, pyjwt


def test_the_session_is_as_old_as_the_token(opened: Any, cp_clock: SimulatedClock) -> None:
    app = pyjwt()
    sessions = opened(app)
    cp_clock.advance(3600)
    pair = sessions.refresh(app.refresh)
    with pytest.raises(StepUpRequired):
        sessions.verify(pair.access_token, max_auth_age=600)
    (session,) = sessions.sessions("7")
    assert session.auth_time == session.created_at
    assert session.refreshed_at - session.created_at >= 3600
    # A later login of the user is the newer one, and is not ended for it.
    login = sessions.login("7")
    assert sessions.sessions("7")[0].session_id == login.session_id


def test_an_old_session_does_not_push_out_a_newer_one(
    cp_url: str, config: Config, cp_clock: SimulatedClock
) -> None:
    app, single = pyjwt(), replace(config, policy=SessionPolicy(max_sessions=1))
    cp_clock.advance(60)
    with MigratingSessionManager.from_url(cp_url, single) as sessions:
        sessions.accept(app.issuer)
        pair = sessions.login("7")
        with pytest.raises(InvalidRefreshToken):
            sessions.refresh(app.exchangeable)
        assert sessions.verify(pair.access_token)
        # The older of two that come from the old application gives way.
        sessions.logout(pair.refresh_token)
        first = sessions.refresh(app.exchangeable)
        sessions.login("7")
        with pytest.raises(SessionRevoked):
            sessions.verify(first.access_token)


def test_an_old_session_finds_room_beside_newer_ones(
    cp_url: str, config: Config, cp_clock: SimulatedClock
) -> None:
    app, three = pyjwt(), replace(config, policy=SessionPolicy(max_sessions=3))
    cp_clock.advance(60)
    with MigratingSessionManager.from_url(cp_url, three) as sessions:
        sessions.accept(app.issuer)
        newer = [sessions.login("7") for _ in range(2)]
        old = sessions.refresh(app.exchangeable)
        assert all(sessions.verify(pair.access_token) for pair in (old, *newer))
        assert sessions.login("7")
        with pytest.raises(SessionRevoked):
            sessions.verify(old.access_token)


def on_a_phone(old: OldToken) -> OldUser:
    return OldUser(old.subject, {"device_type": "phone"})


def test_an_old_session_does_not_push_out_a_newer_one_on_its_kind_of_device(
    cp_url: str, config: Config, cp_clock: SimulatedClock
) -> None:
    app, older = pyjwt(), pyjwt()
    one_each = replace(config, policy=SessionPolicy.one_per_device())
    cp_clock.advance(60)
    with MigratingSessionManager.from_url(cp_url, one_each) as sessions:
        sessions.accept(app.issuer, user_of=on_a_phone)
        desktop = sessions.login("7", device_type="desktop")
        phone = sessions.login("7", device_type="phone")
        with pytest.raises(InvalidRefreshToken) as caught:
            sessions.refresh(app.exchangeable)
        assert caught.value.reason == "revoked"
        assert sessions.verify(phone.access_token)
        # A newer session on a device of another kind is no reason to refuse it.
        sessions.logout(phone.refresh_token)
        first = sessions.refresh(app.exchangeable)
        assert sessions.verify(first.access_token)
        assert sessions.verify(desktop.access_token)
        sessions.login("7", device_type="phone")
        with pytest.raises(SessionRevoked):
            sessions.verify(first.access_token)
        with pytest.raises(InvalidRefreshToken):
            sessions.refresh(older.exchangeable)


def test_the_end_of_a_kind_of_device_ends_old_tokens_on_it(
    opened: Any, cp_clock: SimulatedClock, caplog: pytest.LogCaptureFixture
) -> None:
    app = pyjwt()
    here, there = opened(app, user_of=on_a_phone), opened(app, user_of=on_a_phone)
    elsewhere = opened(app)
    cp_clock.advance(60)
    here.revoke_all("7", device_type="phone")
    for _ in range(2):
        for sessions in (there, here):
            with pytest.raises(InvalidRefreshToken) as caught:
                sessions.refresh(app.refresh)
            assert caught.value.reason == "revoked"
        # The store remembers it, though it has nothing else of the subject.
        cp_clock.advance(3 * DAY)
    assert [each.stats().rollbacks for each in (here, there)] == [0, 0]
    assert "lost writes" not in caplog.text
    pair = there.login("7", device_type="phone")
    assert all(each.verify(pair.access_token) for each in (here, there))
    assert here.verify(elsewhere.refresh(app.refresh).access_token), "on another kind of device"


def test_a_kind_of_device_is_never_forgotten_for_another(opened: Any) -> None:
    """The store remembers sixteen kinds; the first that was ended then counts for all others."""
    app = pyjwt()
    phone = opened(app, user_of=on_a_phone)
    phone.revoke_all("7", device_type="phone")
    for number in range(18):
        phone.revoke_all("7", device_type=f"tv-{number}")
        with pytest.raises(InvalidRefreshToken) as caught:
            phone.refresh(app.refresh)
        assert caught.value.reason == "revoked"


def test_a_token_is_spent_until_its_very_end(opened: Any, cp_clock: SimulatedClock) -> None:
    """Also in its last minutes, and whatever else of the subject is remembered."""
    app = pyjwt()
    sessions = opened(app)
    cp_clock.advance(7 * DAY - 300)
    assert sessions.logout(app.exchangeable).count == 0
    for _ in range(12):
        sessions.logout(sessions.login("7").refresh_token, operation_id=os.urandom(8).hex())
    with pytest.raises(InvalidRefreshToken) as caught:
        sessions.refresh(app.exchangeable)
    assert caught.value.reason == "exchanged"
