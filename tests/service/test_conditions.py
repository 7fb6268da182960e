"""GET /verify with conditions, step-up, and what a proxy is told in headers."""

import asyncio
from urllib.parse import unquote

import pytest

from clusterpass import SessionManager

from .conftest import PASSWORD, bearer


@pytest.fixture
def manager(directory) -> SessionManager:
    """Another program on the same store, with the same keys."""
    return directory._sessions


async def _verify(service, tokens, **conditions):
    return await service.client.get("/verify", headers=bearer(tokens), params=conditions)


async def _step_up(service, tokens, password=PASSWORD):
    return await service.client.post(
        "/step-up", json={"password": password}, headers=bearer(tokens)
    )


async def _is_older_than(service, tokens, seconds):
    """Return when the authentication of the session is older than that."""
    async with asyncio.timeout(20):
        while (await _verify(service, tokens, max_auth_age=seconds)).status_code == 200:
            await asyncio.sleep(0.02)


async def test_a_level_that_is_not_reached_is_challenged(service, alice, manager):
    tokens = await service.login(alice)
    assert (await _verify(service, tokens, level="1")).status_code == 200
    refused = await _verify(service, tokens, level="2")
    assert (refused.status_code, refused.json()["error"]) == (401, "step_up_required")
    assert refused.json()["reason"] == "insufficient_user_authentication"
    assert refused.headers["www-authenticate"] == (
        'Bearer error="insufficient_user_authentication",'
        ' error_description="A stronger or more recent authentication is required.",'
        ' acr_values="2 3"'
    )
    session = manager.verify(tokens["access_token"])
    stepped = manager.elevate(session, "3", for_seconds=60, amr=("otp",))
    assert (await _verify(service, tokens, level="2")).status_code == 401
    answer = await _verify(
        service, {"access_token": stepped.access_token}, level="2", max_auth_age=30
    )
    assert (answer.status_code, answer.headers["x-auth-level"]) == (200, "3")
    assert (answer.json()["acr"], answer.json()["amr"]) == ("3", ["otp"])


async def test_an_authentication_that_is_too_old_is_challenged_and_made_fresh(service, alice):
    tokens = await service.login(alice, device="d")
    await _is_older_than(service, tokens, 1)
    refused = await _verify(service, tokens, max_auth_age=1, level="1")
    assert (refused.status_code, refused.json()["error"]) == (401, "step_up_required")
    assert 'acr_values="1 2 3", max_age=1' in refused.headers["www-authenticate"]
    before = (await _verify(service, tokens)).json()
    answer = await _step_up(service, tokens)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert set(body) == {
        "access_token",
        "refresh_token",
        "token_type",
        "expires_in",
        "session_id",
        "session_expires_in",
        "acr",
        "durable",
    }
    assert (body["token_type"], body["acr"], body["durable"]) == ("Bearer", "1", True)
    assert body["session_id"] == tokens["session_id"]
    assert 0 < body["expires_in"] <= 300
    after = (await _verify(service, body)).json()
    assert after["auth_time"] > before["auth_time"] == after["created_at"]
    older = (await _verify(service, tokens)).json()
    assert older["auth_time"] == before["auth_time"]
    entries = (await service.client.get("/history", headers=bearer(body))).json()["entries"]
    assert (entries[0]["kind"], entries[0]["address"]) == ("elevated", "127.0.0.1")
    refreshed = await service.client.post("/refresh", json={"refresh_token": body["refresh_token"]})
    newer = (await _verify(service, refreshed.json())).json()
    assert (refreshed.json()["acr"], newer["auth_time"]) == ("1", after["auth_time"])


async def test_a_step_up_needs_the_password_and_a_live_session(service, alice):
    tokens = await service.login(alice)
    wrong = await _step_up(service, tokens, "wrong")
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_credentials")
    assert (await _verify(service, tokens)).status_code == 200
    for body in ({}, {"password": 1}, {"password": PASSWORD, "level": "3"}):
        answer = await service.client.post("/step-up", json=body, headers=bearer(tokens))
        assert answer.status_code == 422
    missing = await service.client.post("/step-up", json={"password": PASSWORD})
    assert (missing.status_code, missing.json()["error"]) == (401, "token_missing")
    await service.client.post("/logout", headers=bearer(tokens))
    assert (await _step_up(service, tokens)).json()["reason"] == "logged_out"


async def test_an_impersonation_is_shown_and_cannot_be_stepped_up(
    service, alice, manager, directory, new_name
):
    helper = new_name() + " é"
    directory.add(helper, PASSWORD)
    acting = await service.login(helper)
    actor = manager.verify(acting["access_token"])
    pair = manager.impersonate(actor, alice, reason="Ticket 7")
    tokens = {"access_token": pair.access_token}
    answer = await _verify(service, tokens)
    assert answer.json()["act"] == {
        "subject": helper,
        "session_id": acting["session_id"],
        "reason": "Ticket 7",
    }
    assert unquote(answer.headers["x-auth-actor"]) == helper
    assert answer.headers["x-auth-subject"] == alice
    refused = await _step_up(service, tokens)
    assert (refused.status_code, refused.json()["error"]) == (403, "impersonation_refused")
    assert refused.json()["reason"] == "impersonated"
    line = service.lines()[-1]
    assert (line["subject"], line["actor"]) == (alice, helper)
    assert "x-auth-actor" not in (await _verify(service, acting)).headers
    await service.client.post("/logout", headers=bearer(acting))
    assert (await _verify(service, tokens)).status_code == 401


async def test_scopes_are_required_and_told(service, alice, manager):
    tokens = await service.login(alice)
    empty = await _verify(service, tokens)
    assert empty.headers["x-auth-scope"] == ""
    manager.claims.set(alice, {"scope": "orders:* profile", "plan": "gold"})
    answer = await _verify(service, tokens, scope=["orders:write", "profile"])
    assert answer.status_code == 200
    assert answer.headers["x-auth-scope"] == "orders:* profile"
    assert answer.json()["claims"] == {"scope": "orders:* profile", "plan": "gold"}
    refused = await _verify(service, tokens, scope=["profile", "admin:all"])
    assert (refused.status_code, refused.json()["error"]) == (403, "scope_missing")
    assert refused.json()["reason"] == "insufficient_scope"
    assert refused.headers["www-authenticate"] == (
        'Bearer error="insufficient_scope",'
        ' error_description="The session does not have the required scope.",'
        ' scope="admin:all"'
    )
    assert "x-auth-subject" not in refused.headers
    manager.claims.set(alice, {"scope": ["a b", "é", "x"]})
    answer = await _verify(service, tokens, verification="strict")
    assert answer.headers["x-auth-scope"] == "a%20b %C3%A9 x"


async def test_bans_from_a_scope_are_asked_for(service, alice, manager):
    tokens = await service.login(alice)
    manager.bans.add(alice, scope="comments:*", level=5, reason="spam")
    answer = await _verify(service, tokens, verification="strict")
    assert answer.json()["bans"][0]["scope"] == "comments:*"
    assert (await _verify(service, tokens, not_banned="orders")).status_code == 200
    assert (await _verify(service, tokens, not_banned="comments:x", ban_level=6)).is_success
    refused = await _verify(service, tokens, not_banned=["orders", "comments:x"], ban_level=5)
    assert (refused.status_code, refused.json()["error"]) == (403, "subject_banned")
    assert refused.json()["ban"]["reason"] == "spam"
    assert refused.json()["ban"]["until"] is None
    assert "www-authenticate" not in refused.headers


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("level=9", 400),
        ("level=", 400),
        ("scope=", 400),
        ("scope=a%20b", 400),
        ("scope=%C3%A9", 400),
        ("not_banned=", 400),
        ("not_banned=a%22b", 400),
        ("ban_level=2", 400),
        ("max_auth_age=-1", 422),
        ("max_auth_age=soon", 422),
        ("max_auth_age=", 422),
        ("max_auth_age=1.5", 422),
        ("max_auth_age=99999999999999999999", 422),
        ("not_banned=a&ban_level=0", 422),
        ("not_banned=a&ban_level=1001", 422),
        ("level=1&level=2", 422),
        ("max_auth_age=900&max_auth_age=1", 422),
        ("scopes=admin", 422),
        ("Level=2", 422),
        ("%ff=1", 422),
        ("&".join("scope=a" for _ in range(33)), 422),
    ],
)
async def test_a_condition_that_cannot_be_checked_is_not_passed_over(service, alice, query, status):
    tokens = await service.login(alice)
    answer = await service.client.get(f"/verify?{query}", headers=bearer(tokens))
    assert answer.status_code == status, answer.text
    assert answer.json()["error"] == ("invalid_input" if status == 400 else "invalid_request")
    assert "x-auth-subject" not in answer.headers


async def test_a_wrong_condition_and_no_token_is_401(service):
    answer = await service.client.get("/verify?max_auth_age=soon")
    assert (answer.status_code, answer.json()["error"]) == (401, "token_missing")
