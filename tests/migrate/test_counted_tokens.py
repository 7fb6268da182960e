"""Counts of old tokens during a migration, and how each verb handles such a token."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jwt
import pytest

from clusterpass import (
    Config,
    Ended,
    InvalidRefreshToken,
    SessionRevoked,
    StepUpRequired,
    TokenExpired,
    TokenMalformed,
)
from clusterpass.migrate import MigratingSessionManager, MigrationReport, OldToken, OldUser, pyjwt
from clusterpass.testing import SimulatedClock

SECRET = "the-secret-of-the-old-application"
ISSUER = pyjwt(SECRET, lifetime=3600, kind_claim="type")


@pytest.fixture
def opened(cp_url: str, cp_config: Config) -> Iterator[Callable[..., MigratingSessionManager]]:
    managers: list[MigratingSessionManager] = []

    def open_one(**options: Any) -> MigratingSessionManager:
        config = replace(cp_config, generation_lifetime=86_400)
        managers.append(MigratingSessionManager.from_url(cp_url, config))
        managers[-1].accept(ISSUER, **options)
        return managers[-1]

    yield open_one
    for manager in managers:
        manager.close()


def old_token(kind: str = "access", *, age: int = 10, **more: Any) -> str:
    now = int(time.time())
    members = {"sub": "7", "type": kind, "iat": now - age, "exp": now - age + 3600, **more}
    return jwt.encode(members, SECRET, algorithm="HS256")


def figures(sessions: MigratingSessionManager) -> tuple[int, int, int]:
    """Return the numbers of accepted, exchanged and refused tokens."""
    (report,) = sessions.migration_reports()
    assert isinstance(report, MigrationReport)
    return report.accepted, report.exchanged, report.refused


def test_each_refusal_counts_once(opened: Any) -> None:
    sessions = opened(user_of=lambda old: None if old.claims.get("gone") else OldUser(old.subject))
    for kind in ("access", "refresh"):
        with pytest.raises((SessionRevoked, InvalidRefreshToken)) as caught:
            verb = sessions.verify if kind == "access" else sessions.refresh
            verb(old_token(kind, gone=True))
        assert caught.value.reason == "revoked"
        assert getattr(caught.value, "ended_at", 0) == 0, "nobody knows when"
    assert figures(sessions) == (0, 0, 2)
    with pytest.raises(TokenExpired):
        sessions.verify(old_token(age=3600))
    with pytest.raises(InvalidRefreshToken) as expired:
        sessions.refresh(old_token("refresh", age=3600))
    assert expired.value.reason == "expired"
    assert figures(sessions) == (0, 0, 4)
    sessions.revoke_all("7")
    with pytest.raises(SessionRevoked):
        sessions.verify(old_token())
    with pytest.raises(InvalidRefreshToken):
        sessions.refresh(old_token("refresh"))
    assert figures(sessions) == (0, 0, 6)


def test_a_token_whose_claims_no_session_can_carry_is_refused(opened: Any) -> None:
    sessions = opened()
    with pytest.raises(InvalidRefreshToken) as caught:
        sessions.refresh(old_token("refresh", notes="x" * 5000))
    assert caught.value.reason == "malformed"
    assert figures(sessions) == (0, 0, 1)
    chosen = opened(user_of=lambda old: OldUser(old.subject, {"claims": {"a": 1}}))
    pair = chosen.refresh(old_token("refresh", notes="x" * 5000))
    assert chosen.verify(pair.access_token).claims == {"a": 1}


def test_what_is_required_of_an_old_token(opened: Any) -> None:
    sessions = opened()
    token = old_token(age=100)
    assert sessions.verify(token, max_auth_age=160, level="1").subject == "7"
    with pytest.raises(StepUpRequired):
        sessions.verify(token, max_auth_age=40)
    with pytest.raises(StepUpRequired):
        sessions.verify(token, level="2", verification="stateless")
    assert sessions.verify(token, verification="stateless").is_stateless
    assert not sessions.verify(token, verification="strict").is_stateless


def test_claims_are_those_of_the_token_unless_the_application_names_others(opened: Any) -> None:
    assert opened().verify(old_token(role="x")).claims == {"role": "x"}
    named = opened(user_of=lambda old: OldUser(old.subject, {"claims": {"role": "y"}}))
    assert named.verify(old_token(role="x")).claims == {"role": "y"}
    none = opened(user_of=lambda old: OldUser(old.subject))
    assert none.verify(old_token(role="x")).claims == {}


def test_a_logout_of_what_opened_no_session_is_done_at_once(opened: Any) -> None:
    sessions = opened()
    assert sessions.logout(old_token(age=3600)) == Ended(0, durable=True)
    assert sessions.logout(old_token("refresh")) == Ended(0, durable=True)
    with pytest.raises(TokenMalformed):
        sessions.logout("nonsense")
    with pytest.raises(InvalidRefreshToken):
        sessions.refresh("")


def test_where_a_refresh_came_from_is_in_the_history_unless_the_application_says(
    opened: Any,
) -> None:
    sessions = opened()
    sessions.refresh(old_token("refresh"), address="203.0.113.7")
    assert sessions.history("7")[0].address == "203.0.113.7"
    says = opened(user_of=lambda old: OldUser("8", {"address": "198.51.100.1"}))
    says.refresh(old_token("refresh", n=2), address="203.0.113.7")
    assert says.history("8")[0].address == "198.51.100.1"
    silent = opened(user_of=lambda old: OldUser("9"))
    silent.refresh(old_token("refresh", n=3))
    assert silent.history("9")[0].address is None


def test_the_store_is_told_at_most_every_ten_seconds_and_on_closing(
    opened: Any, cp_clock: SimulatedClock
) -> None:
    here, there = opened(), opened()
    here.verify(old_token())  # the first one tells
    here.verify(old_token())
    assert figures(there) == (1, 0, 0)
    cp_clock.advance(10)
    here.verify(old_token())
    assert figures(there) == (3, 0, 0)
    here.verify(old_token(), verification="stateless")
    cp_clock.advance(10)
    here.verify(old_token(), verification="stateless")
    assert figures(there) == (3, 0, 0), "a stateless verify makes no round trip"
    here.close()
    assert figures(there) == (5, 0, 0)


def test_a_look_up_is_asked_when_no_issuer_knows_a_token(
    opened: Any, cp_clock: SimulatedClock
) -> None:
    asked: list[str] = []
    now = int(cp_clock.wall())

    def look_up(token: str) -> OldToken | None:
        asked.append(token)
        found = {"name": "table", "age": 0, "late": 50}.get(token.partition(":")[0])
        if found is None:
            return None
        issued_at = now - (found if isinstance(found, int) else 0)
        return OldToken(
            text=token,
            subject="9",
            kind="access",
            issued_at=issued_at,
            expires_at=now + 3600,
            issuer="table",
        )

    sessions = opened(look_up=look_up, look_up_name="table", look_up_lifetime=60)
    sessions.verify(old_token())
    assert asked == []
    assert sessions.verify("age:1").expires_at == now + 60
    assert sessions.verify("late:1").expires_at == now + 10
    cp_clock.advance(10)
    with pytest.raises(TokenExpired):
        sessions.verify("late:1")
    with pytest.raises(TokenMalformed):
        sessions.verify("unknown")
    with pytest.raises(InvalidRefreshToken):
        sessions.refresh("age:1")
