"""A test moves the time of tokens and sessions together, on a real cluster."""

import asyncio
import datetime
import time
from collections.abc import Callable
from typing import Any

import freezegun
import pytest
import time_machine

from clusterpass import (
    AsyncSessionManager,
    Config,
    InvalidRefreshToken,
    SessionManager,
    StoreUnavailable,
    TokenExpired,
)
from clusterpass.protocol.calls import cutoff, online
from clusterpass.protocol.calls.call_time import CallTime
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.testing import SimulatedClock

DAY = 86_400


def test_a_token_expires_and_its_session_goes_on(
    cp_sessions: SessionManager, cp_clock: SimulatedClock
) -> None:
    pair = cp_sessions.login("alice")
    session = cp_sessions.verify(pair.access_token)
    cp_clock.advance(minutes=14)
    assert cp_sessions.verify(pair.access_token).session_id == session.session_id
    cp_clock.advance(minutes=2)
    with pytest.raises(TokenExpired):
        cp_sessions.verify(pair.access_token)
    renewed = cp_sessions.refresh(pair.refresh_token)
    assert cp_sessions.verify(renewed.access_token).session_id == session.session_id


@pytest.mark.parametrize("verification", ["cached", "strict"])
def test_a_session_that_is_idle_expires_in_the_store(
    cp_url: str, cp_config: Config, cp_clock: SimulatedClock, verification: Any
) -> None:
    config = Config(
        issuer=cp_config.issuer,
        keys=cp_config.keys,
        access_lifetime=500,
        idle_lifetime=600,
        verification=verification,
    )
    with SessionManager.from_url(cp_url, config) as sessions:
        pair = sessions.login("alice")
        assert sessions.verify(pair.access_token)
        cp_clock.advance(400)
        assert sessions.verify(pair.access_token)
        assert [each.subject for each in sessions.sessions("alice")] == ["alice"]
        cp_clock.advance(101)
        with pytest.raises(TokenExpired):
            sessions.verify(pair.access_token)
        assert len(sessions.sessions("alice")) == 1, "it was in use"
        cp_clock.advance(500)
        assert sessions.sessions("alice") == []
        with pytest.raises(InvalidRefreshToken):
            sessions.refresh(pair.refresh_token)


async def test_the_asynchronous_face_goes_by_the_same_clock(
    cp_async_sessions: AsyncSessionManager, cp_sessions: SessionManager, cp_clock: SimulatedClock
) -> None:
    pair = await cp_async_sessions.login("alice")
    assert cp_sessions.verify(pair.access_token)
    cp_clock.advance(days=1)
    for each in range(2):
        with pytest.raises(TokenExpired):
            await cp_async_sessions.verify(pair.access_token)
        assert each or await cp_async_sessions.online.count()
    renewed = await cp_async_sessions.refresh(pair.refresh_token)
    assert cp_sessions.verify(renewed.access_token)


def test_bans_lift_and_nobody_stays_online(
    cp_sessions: SessionManager, cp_clock: SimulatedClock
) -> None:
    pair = cp_sessions.login("alice")
    cp_sessions.bans.add("alice", scope="orders:write", for_seconds=3 * DAY)
    assert [each.scope for each in cp_sessions.verify(pair.access_token).bans] == ["orders:write"]
    cp_clock.advance(days=3, seconds=1)
    later = cp_sessions.refresh(pair.refresh_token)
    assert cp_sessions.verify(later.access_token).bans == ()
    assert cp_sessions.bans.list("alice") == ()
    assert cp_sessions.online.count().sessions == 1
    cp_clock.advance(days=400)
    assert cp_sessions.online.count().sessions == 0
    assert cp_sessions.online.page().sessions == ()


def test_revoke_before_ends_what_was_opened_before_the_time_of_the_test(
    cp_sessions: SessionManager, cp_clock: SimulatedClock
) -> None:
    cp_clock.advance(days=30)
    old = cp_sessions.login("alice")
    cp_clock.advance(2)
    before = int(cp_clock.wall())
    assert before <= cp_sessions.revoke_before().time <= cp_clock.wall()
    with pytest.raises(Exception, match="revoked"):
        cp_sessions.verify(old.access_token)
    cp_clock.advance(2)
    assert cp_sessions.verify(cp_sessions.login("alice").access_token)


@pytest.mark.parametrize("tool", [freezegun.freeze_time, time_machine.travel])
def test_tools_that_move_the_time_move_tokens_and_store(
    tool: Callable[..., Any], cp_sessions: SessionManager
) -> None:
    begin = datetime.datetime(2031, 5, 17, 12, tzinfo=datetime.UTC)
    with tool(begin):
        pair = cp_sessions.login("alice")
        session = cp_sessions.verify(pair.access_token)
        assert session.created_at == begin.timestamp()
    for minutes, lives in ((10, True), (16, False)):
        with tool(begin + datetime.timedelta(minutes=minutes)):
            for _ in range(20):
                if lives:
                    assert cp_sessions.verify(pair.access_token)
                else:
                    with pytest.raises(TokenExpired):
                        cp_sessions.verify(pair.access_token)
            assert len(cp_sessions.sessions("alice")) == 1
    with tool(begin + datetime.timedelta(minutes=20)):
        assert cp_sessions.refresh(pair.refresh_token)


@pytest.mark.parametrize("tool", [freezegun.freeze_time, time_machine.travel])
@pytest.mark.parametrize("year", [2001, 2031])
def test_a_token_in_memory_expires_whenever_the_time_was_frozen(
    tool: Callable[..., Any], year: int, cp_sessions: SessionManager
) -> None:
    begin = datetime.datetime(year, 5, 17, 12, tzinfo=datetime.UTC)
    with tool(begin) as moved:
        pair = cp_sessions.login("alice")
        while cp_sessions.recall(pair.access_token) is None:
            cp_sessions.verify(pair.access_token)
        moved.move_to(begin + datetime.timedelta(minutes=16))
        with pytest.raises(TokenExpired):
            cp_sessions.verify(pair.access_token)
        assert cp_sessions.refresh(pair.refresh_token)


def test_the_steady_clock_goes_on_by_what_the_frozen_time_jumps(cp_clock: SimulatedClock) -> None:
    with freezegun.freeze_time("2001-05-17 12:00") as frozen:
        began = cp_clock.steady()
        while cp_clock.steady() < began + 0.05:  # it goes on while the time stands still
            pass
        before = cp_clock.steady()
        frozen.tick(900)
        assert 899.99 < cp_clock.steady() - before < 901


async def test_frozen_time_does_not_stop_the_asynchronous_face(
    cp_async_sessions: AsyncSessionManager,
) -> None:
    with freezegun.freeze_time("2031-05-17 12:00"):
        pair = await cp_async_sessions.login("alice")
        for _ in range(50):
            assert await cp_async_sessions.verify(pair.access_token)
        assert (await cp_async_sessions.logout(pair.refresh_token)).count == 1


@freezegun.freeze_time("2031-05-17 12:00")
def test_a_decorator_that_was_made_before_freezes_both(cp_sessions: SessionManager) -> None:
    pair = cp_sessions.login("alice")
    for _ in range(20):
        assert cp_sessions.verify(pair.access_token).created_at == time.time()


@freezegun.freeze_time("2031-05-17 12:00")
async def test_a_decorated_coroutine_goes_on(cp_async_sessions: AsyncSessionManager) -> None:
    pair = await cp_async_sessions.login("alice")
    await asyncio.sleep(0.01)
    for _ in range(20):
        assert await cp_async_sessions.verify(pair.access_token)
    assert time.time() == datetime.datetime(2031, 5, 17, 12, tzinfo=datetime.UTC).timestamp()


def test_the_tests_of_others_freeze_the_time_as_before() -> None:
    freezer: Any = freezegun.freeze_time("2031-05-17 12:00")
    with freezer:
        assert not [name for name in freezer.ignore if name.startswith("clusterpass")]
        assert not freezer.real_asyncio


def test_the_time_of_a_store_never_goes_back(cp_clock: SimulatedClock) -> None:
    before = cp_clock.now
    with pytest.raises(ValueError, match="never goes back"):
        cp_clock.advance(seconds=5, minutes=-1)
    assert cp_clock.now - before < datetime.timedelta(seconds=1)


def test_no_other_namespace_goes_by_it(
    cluster_url: str, config: Config, sessions: SessionManager, cp_clock: SimulatedClock
) -> None:
    with SessionManager.from_url(cluster_url, config) as other:
        pair = other.login(f"simulated-{cp_clock.wall()}")
        cp_clock.advance(days=400)
        assert other.verify(pair.access_token)
        assert len(other.sessions(pair.subject)) == 1
    far = CallTime(int((cp_clock.wall() + DAY) * 1000), is_agreed=True, is_simulated=True)
    for call in (
        cutoff.raise_cutoff(Keyspace(), 5, milliseconds=0, ahead=0, time=far),
        online.count_online(Keyspace(), [5], time=far),
    ):
        with pytest.raises(StoreUnavailable) as refusal:
            _carry_out(sessions, call)
        assert refusal.value.reason == "clock"


def _carry_out(sessions: SessionManager, call: Any) -> Any:
    def flow() -> Any:
        return (yield call)

    return sessions.store.run(flow())
