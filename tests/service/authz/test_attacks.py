"""Attacks on the front door: forged headers, queries, proxies and ambiguous paths."""

import pytest

from ..conftest import bearer
from .asking import COOKIE, ask, asked


async def test_the_cookie_of_the_page_counts_without_a_header(door, alice):
    tokens = await door.login(alice)
    cookie = f"{COOKIE}={tokens['access_token']}"
    for method in ("GET", "POST"):
        answer = await ask(door, "/x", method, Cookie=cookie)
        assert answer.status_code == 200
        assert answer.headers["x-auth-subject"] == alice
        assert "set-cookie" not in answer.headers
    for authorization in ("Bearer", "Bearer nonsense", "Basic YTpi", "", "nonsense"):
        answer = await ask(door, "/x", Cookie=cookie, Authorization=authorization)
        assert answer.status_code == 401, authorization
        assert "set-cookie" not in answer.headers
    twice = [*asked("/x").items(), ("Cookie", cookie)] + [("Authorization", "Bearer x")] * 2
    answer = await door.client.get("/authz/nginx", headers=twice)
    assert (answer.status_code, answer.json()["error"]) == (401, "token_malformed")
    unprefixed = cookie.removeprefix("__Host-")
    assert (await ask(door, "/x", Cookie=unprefixed)).status_code == 401


@pytest.mark.parametrize("query", ["", "?outage_grace=3600", "?scope=x&scope=y&level=9", "?%00=%"])
async def test_nothing_is_taken_from_the_query(door, alice, query):
    tokens = await door.login(alice)
    assert (
        await ask(door, "/x", tokens=tokens, target=f"/authz/caddy{query}", proxy="caddy")
    ).status_code == 200
    anonymous = await ask(door, "/x", target=f"/authz/caddy{query}", proxy="caddy")
    assert anonymous.status_code == 401


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Forwarded-Uri", "/public/x"),
        ("X-Forwarded-Host", "open.example"),
        ("X-Original-URL", "https://app.example/public/x"),
        ("X-Rewrite-URL", "/public/x"),
        ("X_Original_URI", "/public/x"),
        ("X-HTTP-Method-Override", "GET"),
        ("Host", "open.example"),
    ],
)
async def test_a_client_cannot_ask_for_something_else(door, name, value):
    described = {**asked("/closed"), name: value}
    answer = await door.client.get("/authz/nginx", headers=described)
    assert (answer.status_code, answer.json()["reason"]) == (403, "denied_by_rule")


async def test_a_header_that_a_client_adds_is_refused(door, alice):
    tokens = await door.login(alice)
    for name in asked("/x"):
        twice = [*asked("/x").items(), *bearer(tokens).items(), (name, "/public/x")]
        answer = await door.client.get("/authz/nginx", headers=twice)
        assert (answer.status_code, answer.json()["reason"]) == (403, "repeated_header")


async def test_only_trusted_proxies_are_believed(start, make, policy, alice):
    door = await start(make(authz_policy=policy), peer="192.0.2.9")
    tokens = await door.login(alice)
    for uri in ("/public/x", "/x"):
        answer = await ask(door, uri, tokens=tokens)
        assert (answer.status_code, answer.json()["reason"]) == (403, "untrusted_proxy")
    envoy = await door.client.get("/authz/envoy/public/x", headers={"Host": "app.example"})
    assert envoy.status_code == 403


@pytest.mark.parametrize(
    ("described", "reason"),
    [
        (asked("/x", host="other.example"), "unknown_host"),
        (asked("/x", host="a b"), "invalid_host"),
        (asked("/public/../x"), "unsafe_path"),
        (asked("/x", "GE T"), "invalid_method"),
        ({}, "missing_header"),
        ({n: v for n, v in asked("/orders/1").items() if "Method" not in n}, "unknown_method"),
    ],
)
async def test_what_no_rule_may_judge_is_denied(door, alice, described, reason):
    tokens = await door.login(alice)
    answer = await door.client.get("/authz/nginx", headers={**described, **bearer(tokens)})
    problem = answer.json()
    assert (answer.status_code, problem["error"]) == (403, "access_denied")
    assert (problem["reason"], problem["status"]) == (reason, 403)
    assert "www-authenticate" not in answer.headers
