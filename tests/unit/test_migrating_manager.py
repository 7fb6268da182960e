"""``MigratingSessionManager`` without a store: verify, exchange, logout and counts."""

import asyncio
import dataclasses
import inspect
import time
from types import SimpleNamespace
from typing import Any

import jwt
import pytest

from clusterpass import (
    Config,
    ConfigurationError,
    Ended,
    InvalidRefreshToken,
    InvalidToken,
    KeyRing,
    SessionRevoked,
    TokenExpired,
)
from clusterpass.migrate import (
    AsyncMigratingSessionManager,
    MigratingSessionManager,
    MigrationReport,
    OldUser,
    pyjwt,
)
from clusterpass.protocol.calls.old_token_counts import OldTokensCounted
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import Answer

SECRET = "the-secret-of-the-old-application"
DAY = 86_400
CONFIG = Config(issuer="https://auth.example", keys=KeyRing.generate(), generation_lifetime=DAY)
ISSUED_AT = int(time.time()) - 10


def old_token(kind: str = "access", *, lifetime: int = DAY - 60, **more: Any) -> str:
    members = {"sub": "7", "use": kind, "iat": ISSUED_AT, "exp": ISSUED_AT + lifetime, **more}
    return jwt.encode(members, SECRET, algorithm="HS256")


ACCESS, REFRESH = old_token(), old_token("refresh")
EXPIRED = old_token(lifetime=5)
FOREIGN = jwt.encode({"sub": "7"}, SECRET[::-1], algorithm="HS256")


class Flow:
    """Stands for a flow: what it was made with."""

    def __init__(self, made: str, taken: dict[str, Any]) -> None:
        self.made, self.taken = made, taken


def _refused(flow: Any) -> Any:
    """Run the flow of a verb that refuses a token, and asks for nothing but the cutoff."""
    try:
        call = next(flow)
        while True:
            assert call.script.name == "read_not_before"
            call = flow.send(Answer(0, durable=True))
    except StopIteration as stop:
        return stop.value


class Store:
    """A store that answers what it is told to, and keeps the flows that it was asked to run."""

    keyspace, deadline, has_epochs = Keyspace("app"), 2.5, False

    def __init__(self) -> None:
        self.ran: list[Flow] = []
        self.answers: dict[str, Any] = {}
        self.is_closed = False

    def observe(self, *_: Any) -> None:
        """Pushes nothing."""

    def confirm_by(self, _: str) -> None:
        """Writes nothing."""

    def owner_of(self, slot: int) -> int:
        return slot

    def run(self, flow: Any) -> Any:
        if not isinstance(flow, Flow):
            return _refused(flow)
        self.ran.append(flow)
        answer = self.answers.get(flow.made)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self.is_closed = True


class AwaitableStore(Store):
    """A store whose calls are awaited."""

    async def run(self, flow: Any) -> Any:
        return super().run(flow)

    async def close(self) -> None:
        super().close()


class Trail:
    """An audit trail that keeps what it is to note."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, dict[str, Any]]] = []

    def around(self, action: str, flow: Flow, **about: Any) -> Flow:
        self.noted.append((action, about))
        return flow


class Face:
    """A manager of either kind; the flows that it runs, by the parameters that they were given."""

    def __init__(self, kind: Any, store: Any) -> None:
        self.store, self.trail = store(), Trail()
        self.manager = kind(self.store, CONFIG)
        self.manager._running.trail = self.trail
        self.is_async = kind is AsyncMigratingSessionManager
        for group, name in (
            ("exchange", "verify"),
            ("exchange", "exchange"),
            ("exchange", "spend"),
            ("old_tokens", "count"),
            ("old_tokens", "counted"),
        ):
            self.record(group, name)

    def record(self, group: str, name: str) -> None:
        flows = getattr(self.manager._flows, group)
        signature = inspect.signature(getattr(flows, name))

        def made(*positional: Any, **named: Any) -> Flow:
            return Flow(f"{group}.{name}", dict(signature.bind(*positional, **named).arguments))

        setattr(flows, name, made)

    def accept(self, user_of: Any = None) -> None:
        async def awaitable(old: Any) -> Any:
            return user_of(old)

        issuer = pyjwt(SECRET, lifetime=DAY, kind_claim="use")
        given = awaitable if user_of and self.is_async else user_of
        self.manager.accept(issuer, user_of=given)

    def call(self, verb: str, *positional: Any, **named: Any) -> Any:
        async def awaited() -> Any:
            return await outcome

        outcome = getattr(self.manager, verb)(*positional, **named)
        return asyncio.run(awaited()) if self.is_async else outcome

    def taken(self, made: str) -> list[dict[str, Any]]:
        return [flow.taken for flow in self.store.ran if flow.made == made]

    def counted(self) -> tuple[int, int, int]:
        """How many tokens this manager has accepted, exchanged and refused, as it told the store"""
        self.store.answers["old_tokens.counted"] = []
        self.call("migration_reports")
        told = [taken["numbers"] for taken in self.taken("old_tokens.count")]
        return tuple(map(sum, zip(*told, strict=True)))  # type: ignore[return-value]


FACES = [(MigratingSessionManager, Store), (AsyncMigratingSessionManager, AwaitableStore)]


@pytest.fixture(params=FACES, ids=["threads", "loop"])
def face(request: pytest.FixtureRequest) -> Face:
    made = Face(*request.param)
    made.accept()
    return made


def test_a_token_of_its_own_is_verified_with_all_that_was_given(face: Face) -> None:
    face.record("verify", "verify")
    face.store.answers["verify.verify"] = "session"
    given = {"level": "2", "max_auth_age": 60, "verification": "stateless", "outage_grace": 5.0}
    assert face.call("verify", "token", **given) == "session"
    assert face.taken("verify.verify") == [{"access_token": "token", "is_late": False, **given}]


@pytest.mark.parametrize(("mode", "asks"), [(None, True), ("strict", True), ("stateless", False)])
def test_an_old_token_is_verified_with_all_that_was_given(
    face: Face, mode: Any, asks: bool
) -> None:
    face.store.answers["exchange.verify"] = "session"
    given = {"level": "2", "max_auth_age": 60}
    token = old_token(role="admin")
    assert face.call("verify", token, verification=mode, outage_grace=5.0, **given) == "session"
    (taken,) = face.taken("exchange.verify")
    old = taken.pop("old")
    assert (old.text, dict(old.claims)) == (token, {"role": "admin"})
    assert taken == {"subject": "7", "asks": asks, **given}
    told = [(each["issuer"], each["numbers"]) for each in face.taken("old_tokens.count")]
    assert told == [("pyjwt", (1, 0, 0))] * asks, "without a round trip nothing is told"
    assert face.counted() == (1, 0, 0)


def test_the_user_of_an_old_token_is_who_the_application_says(face: Face) -> None:
    claims = {"role": "guest"}
    face.accept(lambda old: OldUser(f"user-{old.subject}", {"claims": claims, "device": "phone"}))
    face.call("verify", ACCESS)
    face.call("refresh", REFRESH)
    (verified,), (exchanged,) = face.taken("exchange.verify"), face.taken("exchange.exchange")
    assert (verified["subject"], dict(verified["old"].claims)) == ("user-7", claims)
    assert exchanged["subject"] == "user-7"
    assert exchanged["options"] == {"claims": claims, "device": "phone"}


def test_who_the_application_refuses_is_counted_and_not_asked_for(face: Face) -> None:
    face.accept(lambda _: None)
    with pytest.raises(SessionRevoked) as ended:
        face.call("verify", ACCESS)
    assert (ended.value.reason, ended.value.ended_at) == ("revoked", 0)
    for verb, kind in (("refresh", InvalidRefreshToken), ("logout", InvalidToken)):
        with pytest.raises(kind) as refused:
            face.call(verb, REFRESH)
        assert refused.value.reason == "revoked"
    assert face.store.ran == []
    assert face.counted() == (0, 0, 3)


@pytest.mark.parametrize(
    "token", [REFRESH, "nonsense", FOREIGN], ids=["refresh", "none", "foreign"]
)
def test_what_is_no_old_access_token_is_refused_as_elsewhere(face: Face, token: str) -> None:
    with pytest.raises(InvalidToken) as refused:
        face.call("verify", token)
    assert not isinstance(refused.value, SessionRevoked)
    assert face.store.ran == []
    assert face.counted() == (0, 0, 0)


def test_an_old_token_that_has_expired(face: Face) -> None:
    with pytest.raises(TokenExpired):
        face.call("verify", EXPIRED)
    with pytest.raises(InvalidRefreshToken) as refused:
        face.call("refresh", EXPIRED)
    assert refused.value.reason == "expired"
    assert face.call("logout", EXPIRED) == Ended(0, durable=True)
    assert face.store.ran == []
    assert face.counted() == (0, 0, 3)


def test_an_old_token_is_exchanged_counted_and_noted(face: Face) -> None:
    face.store.answers["exchange.exchange"] = "pair"
    assert face.call("refresh", REFRESH, address="10.0.0.1") == "pair"
    (taken,) = face.taken("exchange.exchange")
    assert (taken["old"].text, taken["subject"]) == (REFRESH, "7")
    assert taken["options"] == {"claims": {}, "address": "10.0.0.1"}
    about = {"subject": "7", "address": "10.0.0.1", "details": {"exchanged": "pyjwt"}}
    assert face.trail.noted == [("login", about)]
    (told,) = face.taken("old_tokens.count")
    assert ISSUED_AT <= told.pop("last_seen_at") <= time.time()
    assert told == {
        "issuer": "pyjwt",
        "numbers": (0, 1, 0),
        "last_issued_at": ISSUED_AT,
        "lifetime": DAY,
    }


@pytest.mark.parametrize("verb", ["verify", "refresh"])
def test_what_the_store_refuses_is_counted_as_refused(face: Face, verb: str) -> None:
    refusal = InvalidRefreshToken(reason="exchanged")
    face.store.answers |= {"exchange.verify": refusal, "exchange.exchange": refusal}
    with pytest.raises(InvalidRefreshToken) as refused:
        face.call(verb, ACCESS if verb == "verify" else REFRESH)
    assert refused.value is refusal
    assert face.counted() == (0, 0, 1)


@pytest.mark.parametrize("token", [ACCESS, "nonsense", ""], ids=["access", "none", "empty"])
def test_what_is_no_old_refresh_token_is_not_exchanged(face: Face, token: str) -> None:
    with pytest.raises(InvalidRefreshToken) as refused:
        face.call("refresh", token)
    assert refused.value.reason == "malformed"
    assert face.store.ran == []


def test_a_token_of_its_own_is_logged_out_with_all_that_was_given(face: Face) -> None:
    face.record("end", "logout")
    ended = Ended(1, durable=True)
    face.store.answers["end.logout"] = ended
    given = {"address": "10.0.0.1", "operation_id": "a1"}
    assert face.call("logout", "token", **given) is ended
    ((taken,),) = [face.taken("end.logout")]
    assert taken == {"token": "token", **given}


def test_an_old_token_that_opened_no_session_is_spent(face: Face) -> None:
    assert face.call("logout", REFRESH, address="10.0.0.1") == Ended(0, durable=True)
    (taken,) = face.taken("exchange.spend")
    assert (taken["old"].text, taken["subject"]) == (REFRESH, "7")
    about = {"subject": "7", "actor": "7", "address": "10.0.0.1", "details": {"issuer": "pyjwt"}}
    assert face.trail.noted[-1] == ("spend_old_token", about), "after the logout that found nothing"


def test_the_session_that_an_old_token_opened_is_ended(face: Face) -> None:
    plain, ended = face.manager._flows.end.logout, Ended(1, durable=True)
    face.record("end", "logout")
    made = face.manager._flows.end.logout
    face.manager._flows.end.logout = lambda token, **given: (
        made(token, **given) if token == "opened" else plain(token, **given)
    )
    opened = SimpleNamespace(encode=lambda: "opened")
    face.store.answers |= {"exchange.spend": opened, "end.logout": ended}
    given = {"address": "10.0.0.1", "operation_id": "a1"}
    assert face.call("logout", REFRESH, **given) is ended
    assert face.taken("end.logout") == [{"token": "opened", **given}]


def test_a_manager_that_has_seen_no_old_token_tells_of_none(face: Face) -> None:
    assert face.counted() == (0, 0, 0)
    (told,) = face.taken("old_tokens.count")
    assert (told["last_seen_at"], told["last_issued_at"]) == (0, 0)


@pytest.mark.parametrize(("last_issued_at", "ends_at"), [(0, 560), (400, 560), (700, 760)])
def test_the_store_says_what_became_of_the_tokens_of_each_issuer(
    face: Face, last_issued_at: int, ends_at: int
) -> None:
    counted = OldTokensCounted(
        issuer="authx",
        began_at=500,
        accepted=1,
        exchanged=2,
        refused=3,
        last_seen_at=800,
        last_issued_at=last_issued_at,
        lifetime=60,
    )
    face.store.answers["old_tokens.counted"] = [counted]
    assert face.call("migration_reports") == [
        MigrationReport(
            issuer="authx",
            accepted=1,
            exchanged=2,
            refused=3,
            last_seen_at=800,
            last_issued_at=last_issued_at,
            lifetime=60,
            ends_at=ends_at,
        )
    ]


def test_counts_are_told_now_and_then_and_at_the_end(face: Face) -> None:
    now = [1000.0]
    clock = dataclasses.replace(face.manager._flows.context.clock, steady=lambda: now[-1])
    face.manager._flows.context = SimpleNamespace(clock=clock)
    told = []
    for seconds in (1000.0, 1009.9, 1010.0):
        now.append(seconds)
        face.call("verify", ACCESS)
        told.append([taken["numbers"] for taken in face.taken("old_tokens.count")])
    assert told == [[(1, 0, 0)], [(1, 0, 0)], [(1, 0, 0), (2, 0, 0)]]
    face.call("verify", ACCESS)
    face.call("close")
    assert face.taken("old_tokens.count")[-1]["numbers"] == (1, 0, 0)
    assert face.store.is_closed


def test_a_manager_that_cannot_tell_its_counts_is_closed_all_the_same(face: Face) -> None:
    face.call("verify", ACCESS)
    face.call("verify", ACCESS)
    face.store.answers["old_tokens.count"] = KeyError("a fault")
    with pytest.raises(KeyError):
        face.call("close")
    assert face.store.is_closed


def test_a_look_up_is_told_how_long_its_tokens_live_and_has_a_name_of_its_own(face: Face) -> None:
    def look_up(_: str) -> Any:
        return None

    with pytest.raises(ConfigurationError, match="look_up_lifetime"):
        face.manager.accept(look_up=look_up)
    face.manager.accept(look_up=look_up, look_up_lifetime=60)
    assert face.counted() == (0, 0, 0)
    (told,) = face.taken("old_tokens.count")
    assert (told["issuer"], told["lifetime"]) == ("look-up", 60)
    with pytest.raises(ConfigurationError, match="generation_lifetime"):
        face.manager.accept(look_up=look_up, look_up_lifetime=DAY + 1)
    with pytest.raises(ConfigurationError, match="needs an issuer, or a look_up"):
        face.manager.accept()
