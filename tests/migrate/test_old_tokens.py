"""Migration without a logout: tokens of other libraries, on both managers."""

import asyncio
import base64
import logging
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import jwt
import pytest
import redis
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from clusterpass import (
    Config,
    ConfigurationError,
    InvalidRefreshToken,
    InvalidToken,
    RefreshTokenReused,
    SessionManager,
    SessionPolicy,
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
from tests.cluster.conftest import Facade
from tests.migrate.old_apps import APPS, DAY, EXCHANGING, SECRET, OldApp, flask_jwt_extended, pyjwt


class Async(Facade):
    """The asynchronous manager, each verb run to its end."""

    async def _open(self, url: str, config: Config) -> Any:
        return AsyncMigratingSessionManager.from_url(url, config)

    def accept(self, *issuers: Any, user_of: Any = None, look_up: Any = None, **more: Any) -> None:
        def awaitable(function: Any) -> Any:
            async def call(argument: Any) -> Any:
                return function(argument)

            return function and call

        self.manager.accept(
            *issuers, user_of=awaitable(user_of), look_up=awaitable(look_up), **more
        )


@pytest.fixture
def config(cp_config: Config) -> Config:
    lifetimes = {"absolute_lifetime": 1200, "idle_lifetime": 1200}
    return replace(cp_config, generation_lifetime=30 * DAY, **lifetimes)


@pytest.fixture(params=["sync", "async"])
def opened(
    request: pytest.FixtureRequest, cp_url: str, config: Config
) -> Iterator[Callable[..., Any]]:
    """Opens a manager that accepts the tokens of an application."""
    managers: list[Any] = []

    def open_one(app: OldApp, **options: Any) -> Any:
        make = MigratingSessionManager.from_url if request.param == "sync" else Async
        managers.append(make(cp_url, config))
        managers[-1].accept(app.issuer, **options)
        return managers[-1]

    yield open_one
    for manager in managers:
        manager.close()


@pytest.fixture(params=EXCHANGING)
def exchanging(request: pytest.FixtureRequest) -> OldApp:
    return APPS[request.param]()


@pytest.fixture(params=APPS)
def app(request: pytest.FixtureRequest) -> OldApp:
    return APPS[request.param]()


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What is logged, on whichever thread, however other libraries have set logging up."""
    messages: list[str] = []

    class Keeps(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    logger, handler = logging.getLogger("clusterpass.migrate"), Keeps(logging.WARNING)
    level = logger.level
    logger.setLevel(logging.WARNING)
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)
    logger.setLevel(level)


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


@pytest.mark.parametrize("change", ["signature", "payload", "none"])
def test_a_forged_token_is_refused_as_ever(opened: Any, app: OldApp, change: str) -> None:
    sessions = opened(app)
    header, payload, signature = app.access.split(".")
    match change:
        case "signature":
            signature = signature[::-1]
        case "payload":
            payload = payload[:-4] + ("AAAA" if payload[-4:] != "AAAA" else "BBBB")
        case _:
            header, signature = "eyJhbGciOiJub25lIn0", ""
    forged = f"{header}.{payload}.{signature}"
    with pytest.raises(InvalidToken):
        sessions.verify(forged)
    with pytest.raises(InvalidRefreshToken) as caught:
        sessions.refresh(forged)
    assert caught.value.reason == "malformed"


def test_a_refresh_token_is_no_access_token(opened: Any) -> None:
    app = flask_jwt_extended()
    sessions = opened(app)
    with pytest.raises(InvalidToken):
        sessions.verify(app.refresh)
    with pytest.raises(InvalidRefreshToken):
        sessions.refresh(app.access)


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


def test_a_store_that_forgets_too_early_is_refused(cp_url: str, cp_config: Config) -> None:
    with MigratingSessionManager.from_url(cp_url, cp_config) as sessions:
        with pytest.raises(ConfigurationError, match="generation_lifetime"):
            sessions.accept(pyjwt().issuer)
        with pytest.raises(ConfigurationError, match="issuer"):
            sessions.accept()
        assert isinstance(sessions, SessionManager)


async def test_many_tasks_exchange_one_token(cp_url: str, config: Config) -> None:
    app = pyjwt()
    async with AsyncMigratingSessionManager.from_url(cp_url, config) as sessions:
        sessions.accept(app.issuer)
        assert app.refresh is not None
        pairs = await asyncio.gather(*(sessions.refresh(app.refresh) for _ in range(50)))
    assert len({pair.refresh_token for pair in pairs}) == 1


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


def test_another_signature_does_not_make_another_token(
    opened: Any, cp_clock: SimulatedClock
) -> None:
    """A valid ECDSA signature (r, s) can be turned into (r, n - s)."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    now = int(cp_clock.wall())
    token = jwt.encode({"sub": "7", "iat": now, "exp": now + 3600}, pem, algorithm="ES256")
    signed, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    turned = raw[:32] + (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    twin = f"{signed}.{base64.urlsafe_b64encode(turned).decode().rstrip('=')}"
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    issuer = migrate.pyjwt(public, algorithm="ES256", lifetime=3600)
    sessions = opened(OldApp(issuer, token, None))
    assert sessions.verify(twin).subject == "7"
    pair = sessions.refresh(token)
    assert sessions.refresh(twin).session_id == pair.session_id
    sessions.logout(token)
    for each in (token, twin):
        with pytest.raises(InvalidRefreshToken):
            sessions.refresh(each)
        with pytest.raises(SessionRevoked):
            sessions.verify(each)


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


def test_claims_that_no_session_can_carry_are_said(opened: Any, said: list[str]) -> None:
    now = int(time.time())
    large = {"sub": "7", "iat": now, "exp": now + 900, "notes": "x" * 5000}
    token = jwt.encode(large, SECRET, algorithm="HS256")
    app = OldApp(migrate.pyjwt(SECRET, lifetime=900), token, None)
    sessions = opened(app)
    assert sessions.verify(token).claims["notes"]
    with pytest.raises(InvalidRefreshToken):
        sessions.refresh(token)
    assert any("pass user_of" in each for each in said)


@pytest.mark.parametrize(
    ("issuers", "more", "says"),
    [
        ((), {}, "issuer"),
        (("x",), {}, "flask_jwt_extended"),
        ((migrate.pyjwt(SECRET, lifetime=60), migrate.pyjwt("b" * 40, lifetime=60)), {}, "name="),
        ((migrate.pyjwt(SECRET, lifetime=60), migrate.authx(SECRET)), {}, "one key"),
        ((), {"look_up": len, "look_up_lifetime": 0}, "look_up_lifetime"),
        ((), {"look_up": len, "look_up_lifetime": "5"}, "look_up_lifetime"),
        ((), {"look_up": len, "look_up_lifetime": 5, "look_up_name": None}, "look_up_name"),
        (
            (migrate.pyjwt(SECRET, lifetime=60),),
            {"look_up": len, "look_up_lifetime": 5, "look_up_name": "pyjwt"},
            "look_up_name",
        ),
        ((migrate.pyjwt(SECRET, lifetime=60, name="a"), migrate.authx("c" * 40)), {}, None),
    ],
)
def test_what_cannot_be_accepted_is_said(
    cp_url: str, config: Config, issuers: Any, more: Any, says: str | None
) -> None:
    with MigratingSessionManager.from_url(cp_url, config) as sessions:
        if says is None:
            sessions.accept(*issuers, **more)
            return
        with pytest.raises(ConfigurationError, match=says):
            sessions.accept(*issuers, **more)


@pytest.mark.parametrize("found", ["a user", OldToken, 5])
def test_what_an_application_returns_is_checked(opened: Any, found: Any) -> None:
    app = pyjwt()
    sessions = opened(app, user_of=lambda _: found)
    with pytest.raises(ConfigurationError, match="OldUser"):
        sessions.verify(app.access)
    looking = opened(app, look_up=lambda _: found, look_up_lifetime=60)
    with pytest.raises(ConfigurationError, match="look_up"):
        looking.verify("opaque")
