"""Decisions of the front door behind each proxy: scopes, step-up, denials, revocation."""

import time

import httpx
import pytest

from .conftest import COOKIE, Seen, visitor

LONGEST = 20.0


def test_a_scope_that_is_missing_is_403(proxy, login):
    with visitor(proxy, login(claims={"scope": "reports:read"})) as client:
        assert Seen.of(client.get("/reports/2026")).said["path"] == "/reports/2026"
    with visitor(proxy, login(claims={"scope": "reports:write"})) as client:
        answer = client.get("/reports/2026")
    assert answer.status_code == 403
    assert "x-upstream" not in answer.headers
    challenge = answer.headers["www-authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="reports:read"' in challenge


def test_a_step_up_opens_what_needs_a_higher_level(proxy, login, manager):
    pair = login()
    with visitor(proxy, pair) as client:
        answer = client.post("/payments/1", content="10")
        assert answer.status_code == 401
        challenge = answer.headers["www-authenticate"]
        assert 'error="insufficient_user_authentication"' in challenge
        assert 'acr_values="2' in challenge
        session = manager.verify(pair.access_token)
        higher = manager.elevate(session, "2", for_seconds=300, amr=["otp"])
        client.headers["Authorization"] = f"Bearer {higher.access_token}"
        seen = Seen.of(client.post("/payments/1", content="10"))
        assert seen.values("X-Auth-Level") == ["2"]
        assert seen.said["body"] == "10"


@pytest.mark.parametrize(
    ("path", "error"), [("/private", "token_missing"), ("/reports/1", "scope_missing")]
)
def test_a_denial_has_a_body_that_programs_read(proxy, login, path, error):
    with visitor(proxy, login() if path == "/reports/1" else None) as client:
        answer = client.get(path)
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["status"] == answer.status_code
    assert answer.json()["error"] == error
    assert answer.json()["title"]


def test_a_session_that_ends_on_the_other_server_is_refused(proxy, services, login):
    """The proxies ask the first service; nobody tells it but the store."""
    other = services[1].url
    for headers in ({}, {"cookie": True}):
        pair = login()
        with visitor(proxy, None if headers else pair) as client:
            if headers:
                client.headers["Cookie"] = f"{COOKIE}={pair.access_token}"
            assert client.get("/private").status_code == 200
            bearer = {"Authorization": f"Bearer {pair.access_token}"}
            assert httpx.post(f"{other}/logout", headers=bearer).status_code == 204
            deadline = time.monotonic() + LONGEST
            while (answer := client.get("/private")).status_code == 200:
                assert time.monotonic() < deadline
            assert answer.status_code == 401
            assert 'error="invalid_token"' in answer.headers["www-authenticate"]
            assert "set-cookie" not in answer.headers
            assert client.get("/private").status_code == 401
