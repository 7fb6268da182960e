"""Migration without a logout: tokens of other libraries, on both managers."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from clusterpass import (
    Config,
    InvalidRefreshToken,
    RefreshTokenReused,
    SessionRevoked,
    StepUpRequired,
    SubjectBanned,
    TokenExpired,
    TokenMalformed,
    TokenSignatureInvalid,
    migrate,
)
from clusterpass.migrate import (
    AsyncMigratingSessionManager,
    MigratingSessionManager,
    OldToken,
    OldUser,
)
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.store.store_url import parse_store_url
from clusterpass.testing import SimulatedClock
from tests.migrate.old_apps import DAY, SECRET, OldApp, flask_jwt_extended, pyjwt


def test_an_old_access_token_is_accepted_until_it_expires(
    opened: Any, app: OldApp, cp_clock: SimulatedClock
) -> None:
    sessions = opened(app)
    session = sessions.verify(app.access)
    assert (session.subject, dict(session.claims)) == ("7", {"scope": "orders:read"})
    assert session.has_scope("orders:read")
    assert session.acr == "1"
    with pytest.raises(StepUpRequired):
        sessions.verify(app.access, level="2")
    cp_clock.advance(session.expires_at - session.created_at + 1)
    with pytest.raises(TokenExpired):
        sessions.verify(app.access)


def test_an_old_token_is_exchanged_for_one_session(
    opened: Any, exchanging: OldApp, cp_clock: SimulatedClock
) -> None:
    app = exchanging
    sessions = opened(app)
    pair, again = sessions.refresh(app.exchangeable), sessions.refresh(app.exchangeable)
    assert again.refresh_token == pair.refresh_token
    assert len(sessions.sessions("7")) == 1
    assert sessions.verify(pair.access_token).claims == {"scope": "orders:read"}
    # Another tab comes a moment after the first one has gone on.
    successor = sessions.refresh(pair.refresh_token)
    late = sessions.refresh(app.exchangeable)
    assert late.refresh_token == successor.refresh_token
    cp_clock.advance(60)
    with pytest.raises(InvalidRefreshToken) as caught:
        sessions.refresh(app.exchangeable)
    assert caught.value.reason == "exchanged"
    assert not isinstance(caught.value, RefreshTokenReused)
    assert sessions.verify(successor.access_token).subject == "7"


def test_tabs_that_exchange_at_once_get_one_session(
    opened: Any, cp_url: str, config: Config
) -> None:
    app = flask_jwt_extended()
    several = [opened(app) for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        pairs = list(pool.map(lambda each: each.refresh(app.refresh), several * 4))
    assert len({pair.refresh_token for pair in pairs}) == 1
    assert len(several[0].sessions("7")) == 1
    assert len([each for each in several[0].history("7") if each.kind == "login"]) == 1


@pytest.mark.parametrize("how", ["exchanged", "not exchanged"])
def test_after_a_logout_it_never_comes_back(
    opened: Any, exchanging: OldApp, cp_clock: SimulatedClock, how: str
) -> None:
    app = exchanging
    sessions = opened(app)
    if how == "exchanged":
        pair = sessions.refresh(app.exchangeable)
        assert sessions.logout(app.exchangeable).count == 1
        with pytest.raises(SessionRevoked):
            sessions.verify(pair.access_token)
    else:
        assert sessions.logout(app.exchangeable).count == 0
    with pytest.raises(InvalidRefreshToken):
        sessions.refresh(app.exchangeable)
    if app.refresh is None:
        with pytest.raises(SessionRevoked):
            sessions.verify(app.access)
    # Nor when the store has forgotten the session, for as long as the token would live.
    cp_clock.advance(1500)
    opened(app).login("7")
    with pytest.raises(InvalidRefreshToken) as caught:
        sessions.refresh(app.exchangeable)
    assert caught.value.reason == "exchanged"


def test_a_session_that_ended_is_not_opened_again(opened: Any, cp_clock: SimulatedClock) -> None:
    app = pyjwt()
    sessions = opened(app)
    pair = sessions.refresh(app.refresh)
    sessions.revoke("7", pair.session_id)
    with pytest.raises(InvalidRefreshToken) as caught:
        sessions.refresh(app.refresh)
    assert caught.value.reason == "revoked"
    for days in (1, 5):
        cp_clock.advance(days * DAY)
        sessions.login("7")
        with pytest.raises(InvalidRefreshToken) as caught:
            sessions.refresh(app.refresh)
        assert caught.value.reason == "exchanged"


def test_whatever_ends_all_sessions_ends_old_tokens(opened: Any, cp_clock: SimulatedClock) -> None:
    app = pyjwt()
    sessions = opened(app)
    sessions.verify(app.access)
    sessions.revoke_all("7")
    for _ in range(2):
        with pytest.raises(SessionRevoked):
            sessions.verify(app.access)
        with pytest.raises(InvalidRefreshToken) as caught:
            sessions.refresh(app.refresh)
        assert caught.value.reason == "revoked"
        cp_clock.advance(600)
    # The store remembers it, though it has nothing else of the subject.
    cp_clock.advance(6 * DAY)
    with pytest.raises(InvalidRefreshToken) as caught:
        sessions.refresh(app.refresh)
    assert caught.value.reason == "revoked"


def test_another_process_learns_of_it(opened: Any) -> None:
    app = pyjwt()
    here, there = opened(app), opened(app)
    here.verify(app.access)
    there.revoke_all("7")
    with pytest.raises(SessionRevoked):
        here.verify(app.access)


def test_a_cutoff_ends_old_tokens(opened: Any) -> None:
    app = pyjwt()
    sessions = opened(app)
    sessions.revoke_before()
    with pytest.raises(SessionRevoked):
        sessions.verify(app.access)
    with pytest.raises(InvalidRefreshToken) as caught:
        sessions.refresh(app.refresh)
    assert caught.value.reason == "revoked"


def test_a_ban_ends_old_tokens(opened: Any) -> None:
    app = pyjwt()
    sessions = opened(app)
    sessions.bans.add("7", scope="orders", reason="fraud")
    assert [ban.scope for ban in sessions.verify(app.access).bans] == ["orders"]
    sessions.bans.add("7", reason="fraud")
    with pytest.raises(SessionRevoked):
        sessions.verify(app.access)
    with pytest.raises((InvalidRefreshToken, SubjectBanned)):
        sessions.refresh(app.refresh)


def test_own_tokens_are_what_they_were(opened: Any) -> None:
    sessions = opened(pyjwt())
    pair = sessions.login("alice", claims={"a": 1})
    assert sessions.verify(pair.access_token).claims == {"a": 1}
    pair = sessions.refresh(pair.refresh_token)
    assert sessions.logout(pair.refresh_token).count == 1
    with pytest.raises(SessionRevoked):
        sessions.verify(pair.access_token)
    with pytest.raises(TokenMalformed):
        sessions.verify("nonsense")
    with pytest.raises(TokenSignatureInvalid):
        sessions.verify(pair.access_token[:-4] + "AAAA")


def test_the_application_says_who_it_is(opened: Any) -> None:
    app = pyjwt()
    banned: set[str] = set()

    def user_of(old: OldToken) -> OldUser | None:
        if old.text in banned:
            return None
        return OldUser(f"user-{old.subject}", {"claims": {"scope": "all"}, "device": "Old app"})

    sessions = opened(app, user_of=user_of)
    session = sessions.verify(app.access)
    assert (session.subject, session.claims) == ("user-7", {"scope": "all"})
    pair = sessions.refresh(app.refresh, address="203.0.113.7")
    assert sessions.verify(pair.access_token).device == "Old app"
    assert sessions.history("user-7")[0].address == "203.0.113.7"
    banned |= {app.access, app.refresh or ""}
    with pytest.raises(SessionRevoked):
        sessions.verify(app.access)
    with pytest.raises(InvalidRefreshToken):
        sessions.refresh(app.refresh)


def test_opaque_tokens_are_looked_up(opened: Any, cp_clock: SimulatedClock) -> None:
    app, now = pyjwt(), int(cp_clock.wall())
    kept = {
        "opaque": OldToken(
            text="opaque",
            subject="9",
            kind="access",
            issued_at=now,
            expires_at=now + 3600,
            is_exchangeable=True,
            issuer="table",
        )
    }
    sessions = opened(app, look_up=kept.get, look_up_name="table", look_up_lifetime=3600)
    assert sessions.verify("opaque").subject == "9"
    pair = sessions.refresh("opaque")
    assert sessions.verify(pair.access_token).subject == "9"
    with pytest.raises(TokenMalformed):
        sessions.verify("unknown")


def test_without_the_store_a_token_speaks_for_itself(opened: Any, config: Config) -> None:
    app = pyjwt()
    session = opened(app).verify(app.access, verification="stateless")
    assert session.is_stateless
    assert session.subject == "7"


def test_what_became_of_them_is_counted(opened: Any, cp_clock: SimulatedClock) -> None:
    app = pyjwt()
    here, there = opened(app), opened(app)
    here.verify(app.access)
    here.verify(app.access)
    there.refresh(app.refresh)
    cp_clock.advance(60)
    there.refresh(there.refresh(app.refresh).refresh_token)
    cp_clock.advance(60)
    with pytest.raises(InvalidRefreshToken):
        there.refresh(app.refresh)
    there.migration_reports()
    (report,) = here.migration_reports()
    assert (report.issuer, report.accepted, report.exchanged, report.refused) == ("pyjwt", 2, 2, 1)
    assert report.last_seen_at == pytest.approx(cp_clock.wall() - 60, abs=5)
    assert report.last_issued_at == pytest.approx(cp_clock.wall() - 120, abs=5)
    assert report.lifetime == 7 * DAY
    assert report.ends_at == pytest.approx(cp_clock.wall() - 120 + 7 * DAY, abs=125)


def test_all_issuers_of_the_namespace_are_reported(
    opened: Any, cp_url: str, config: Config
) -> None:
    """Also to a process that accepts none, and with the longest lifetime that one was told."""
    own, other = pyjwt(), flask_jwt_extended()
    opened(own).verify(own.access)
    sessions = opened(other)
    sessions.refresh(other.refresh)
    sessions.accept(migrate.flask_jwt_extended(SECRET, lifetime=60))
    sessions.migration_reports()
    with MigratingSessionManager.from_url(cp_url, config) as reader:
        first, second = reader.migration_reports()
        assert reader.migration_reports() == [first, second], "reading counts nothing"
    assert (first.issuer, first.accepted, first.exchanged) == ("flask-jwt-extended", 0, 1)
    assert (second.issuer, second.accepted, second.exchanged) == ("pyjwt", 1, 0)
    assert (first.lifetime, second.lifetime) == (other.issuer.lifetime, 7 * DAY)


def test_where_none_was_counted_nothing_is_reported(cp_url: str, config: Config) -> None:
    with MigratingSessionManager.from_url(cp_url, config) as sessions:
        assert sessions.migration_reports() == []


async def test_many_tasks_exchange_one_token(cp_url: str, config: Config) -> None:
    app = pyjwt()
    async with AsyncMigratingSessionManager.from_url(cp_url, config) as sessions:
        sessions.accept(app.issuer)
        assert app.refresh is not None
        pairs = await asyncio.gather(*(sessions.refresh(app.refresh) for _ in range(50)))
    assert len({pair.refresh_token for pair in pairs}) == 1


def test_live_claims_count_for_old_tokens(opened: Any) -> None:
    app = pyjwt()
    sessions = opened(app)
    sessions.login("7")
    sessions.claims.set("7", {"scope": "nothing"})
    assert sessions.verify(app.access).claims == {"scope": "nothing"}


def test_counting_never_fails_a_request(opened: Any, cp_url: str, said: list[str]) -> None:
    app = pyjwt()
    sessions = opened(app)
    namespace = cp_url.partition("namespace=")[2]
    keyspace = Keyspace(namespace)
    store = parse_store_url(cp_url)
    host, port = store.seeds[0]
    with redis.RedisCluster(host, port) as client:
        client.set(keyspace.old_tokens(), "of another kind")
        assert sessions.verify(app.access).subject == "7"
        assert sessions.refresh(app.refresh).subject == "7"
        assert any("could not be counted" in each for each in said)
        client.delete(keyspace.old_tokens())
    (report,) = sessions.migration_reports()
    assert (report.accepted, report.exchanged) == (1, 1), "what the store was not told is kept"
