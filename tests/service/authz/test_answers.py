"""Responses of the front door to each proxy, and the headers of a 200."""

import asyncio

import jwt
import pytest

from clusterpass.service.authz.endpoints import find_endpoint

from ..conftest import PASSWORD, bearer
from .asking import ALWAYS, FAMILY, PROXY, ask, asked, grant


@pytest.mark.parametrize("proxy", FAMILY)
async def test_each_proxy_gets_an_answer(door, alice, proxy):
    tokens = await door.login(alice)
    let_in = await ask(door, "/x?y=1", proxy=proxy, tokens=tokens)
    assert (let_in.status_code, let_in.content) == (200, b"")
    assert let_in.headers["x-auth-subject"] == alice
    assert let_in.headers["x-auth-session"] == tokens["session_id"]
    anonymous = await ask(door, "/x", proxy=proxy)
    assert anonymous.status_code == 401
    assert anonymous.headers["www-authenticate"] == "Bearer"
    assert anonymous.json()["error"] == "token_missing"
    assert (await ask(door, "/public/x", proxy=proxy)).status_code == 200


async def test_envoy_sends_method_path_and_query_of_the_client(door, alice):
    tokens = await door.login(alice)
    headers = {**bearer(tokens), "Host": "app.example"}

    async def envoy(method: str, path: str, *, has_token: bool = True) -> int:
        own = headers if has_token else {"Host": "app.example"}
        content = b"x" * 100_000 if method in {"POST", "PUT"} else None
        url = f"/authz/envoy{path}"
        return (await door.client.request(method, url, headers=own, content=content)).status_code

    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "get"):
        assert await envoy(method, "/x?a=1") == 200
        assert await envoy(method, "/x", has_token=False) == 401
    assert await envoy("POST", "/orders/1") == 403
    assert await envoy("GET", "/orders/1") == 200
    assert await envoy("GET", "/public/a", has_token=False) == 200
    for evil in ("/public/%2e%2e/x", "/public%2f..%2fx", "/public/..;/x", "/public/%00"):
        assert await envoy("GET", evil, has_token=False) == 403, evil
    assert await envoy("GET", "/public//a", has_token=False) == 200
    assert await envoy("GET", "//public/a", has_token=False) == 403
    assert await envoy("GET", ":strict/public/a", has_token=False) == 401
    assert await envoy("GET", "/:strict/x") == 200


async def test_what_a_rule_requires(door, alice, directory):
    tokens = await door.login(alice)

    async def status(uri: str, method: str = "GET") -> tuple[int, str | None]:
        answer = await ask(door, uri, method, tokens=tokens)
        return answer.status_code, None if answer.is_success else answer.json()["error"]

    assert await status("/orders/1", "POST") == (403, "scope_missing")
    grant(directory, alice, "orders:*")
    assert await status("/orders/1", "POST") == (200, None)
    assert await status("/orders/1") == (200, None)
    assert await status("/admin/users") == (401, "step_up_required")
    assert await status("/recent") == (200, None)
    assert await status("/comments") == (200, None)
    assert await status("/closed") == (403, "access_denied")
    directory._sessions.bans.add(alice, scope="comments", reason="spam")
    async with asyncio.timeout(10):
        while await status("/comments") != (403, "subject_banned"):
            await asyncio.sleep(0.01)


async def test_challenges_and_reasons_are_those_of_verify(door, alice, directory):
    tokens = await door.login(alice)
    missing = await ask(door, "/orders/1", "POST", tokens=tokens)
    assert 'error="insufficient_scope"' in missing.headers["www-authenticate"]
    assert 'scope="orders:write"' in missing.headers["www-authenticate"]
    weak = await ask(door, "/admin", tokens=tokens)
    challenge = weak.headers["www-authenticate"]
    assert 'error="insufficient_user_authentication"' in challenge
    assert 'acr_values="2 3"' in challenge
    directory._sessions.revoke(alice, tokens["session_id"])
    async with asyncio.timeout(10):
        while (ended := await ask(door, "/x", tokens=tokens)).status_code == 200:
            await asyncio.sleep(0.01)
    problem = ended.json()
    assert (ended.status_code, problem["error"]) == (401, "session_revoked")
    assert (problem["reason"], problem["status"]) == ("revoked", 401)
    assert problem["ended_at"] > 0
    assert 'error="invalid_token"' in ended.headers["www-authenticate"]
    assert ended.headers["content-type"] == "application/problem+json"


async def test_every_answer_but_a_200_names_its_error_in_a_header(door, alice):
    tokens = await door.login(alice)
    errors = {
        "/x": "token_missing",
        "/admin": "step_up_required",
        "/orders/1": "scope_missing",
        "/closed": "access_denied",
        "/../x": "access_denied",
    }
    for uri, error in errors.items():
        given = None if error == "token_missing" else tokens
        answer = await ask(door, uri, "POST", tokens=given)
        assert answer.headers.get_list("x-auth-error") == [error] == [answer.json()["error"]]
    unknown = await ask(door, "/x", tokens=tokens, target="/authz/nginx/other")
    assert unknown.headers["x-auth-error"] == "policy_unavailable"
    let_in = await ask(door, "/x", tokens=tokens)
    assert (let_in.status_code, "x-auth-error" in let_in.headers) == (200, False)


async def test_a_public_page_needs_nobody_and_names_nobody(door, alice):
    tokens = await door.login(alice)
    for headers in ({}, bearer(tokens), {"Authorization": "Bearer nonsense"}):
        answer = await door.client.get(
            "/authz/nginx", headers={**headers, **asked("/public/style.css")}
        )
        assert answer.status_code == 200
        assert {name: answer.headers[name] for name in ALWAYS} == dict.fromkeys(ALWAYS, "")


async def test_every_header_is_in_every_200(start, make, policy, alice, directory):
    sets = "remote,x-auth-request"
    door = await start(make(authz_policy=policy, authz_identity_headers=sets))
    tokens = await door.login(alice)
    forged = {"X_Auth_Actor": "root", "Remote_Groups": "admins", "X_Auth_Grace": "1"}
    answer = await ask(door, "/x", tokens=tokens, **forged)
    others = {
        "remote-user": alice,
        "remote-groups": "",
        "remote-email": "",
        "remote-name": "",
        "x-auth-request-user": alice,
        "x-auth-request-groups": "",
        "x-auth-request-email": "",
        "x-auth-request-preferred-username": "",
    }
    for name in ALWAYS | set(others):
        assert answer.headers.get_list(name) == [answer.headers[name]], name
    assert {name: answer.headers[name] for name in others} == others
    assert answer.headers["x-auth-actor"] == answer.headers["x-auth-grace"] == ""
    directory._sessions.claims.set(
        alice, {"email": "a@app.example", "groups": ["staff"], "name": "Älice", "scope": "a b"}
    )
    async with asyncio.timeout(10):
        while not (live := await ask(door, "/x", tokens=tokens)).headers["remote-email"]:
            await asyncio.sleep(0.01)
    assert live.headers["remote-email"] == "a@app.example"
    assert live.headers["remote-groups"] == live.headers["x-auth-request-groups"] == "staff"
    assert live.headers["remote-name"] == "%C3%84lice"
    assert live.headers["x-auth-scope"] == "a b"


async def test_an_impersonation_names_its_actor(start, make, policy, alice, directory, new_name):
    root = new_name()
    directory.add(root, PASSWORD)
    door = await start(make(authz_policy=policy, administrators=root))
    roots = await door.login(root)
    await door.login(alice)
    body = {"subject": alice, "reason": "Ticket 7"}
    pair = await door.client.post("/admin/impersonate", json=body, headers=bearer(roots))
    assert pair.is_success, pair.text
    answer = await ask(door, "/x", tokens=pair.json())
    assert answer.headers["x-auth-subject"] == alice
    assert answer.headers["x-auth-actor"] == root


async def test_a_preflight_passes_where_the_rule_says_so(door):
    preflight = {"Origin": "https://a.example", "Access_Control_Request_Method": "POST"}
    passed = await ask(door, "/orders/1", "OPTIONS", **preflight)
    assert passed.status_code == 200
    assert passed.headers["x-auth-subject"] == ""
    assert (await ask(door, "/orders/1", "OPTIONS")).status_code == 401
    assert (await ask(door, "/orders/1", "POST", **preflight)).status_code == 401
    assert (await ask(door, "/admin", "OPTIONS", **preflight)).status_code == 401


async def test_policies_have_names(door, alice, directory):
    tokens = await door.login(alice)
    refused = await ask(door, "/public/x", tokens=tokens, target="/authz/nginx/strict")
    assert (refused.status_code, refused.json()["error"]) == (403, "scope_missing")
    grant(directory, alice, "admin")
    allowed = await ask(door, "/x", tokens=tokens, host="any.example", target="/authz/nginx/strict")
    assert allowed.status_code == 200
    for target in (
        "/authz/nginx/other",
        "/authz/envoy:other/x",
        "/authz/lighttpd",
        "/authz/",
        "/authz/nginx/",
        "/authz/nginx/strict/x",
    ):
        missing = await ask(door, "/public/x", tokens=tokens, target=target)
        assert (missing.status_code, missing.json()["error"]) == (503, "policy_unavailable"), target
        assert int(missing.headers["retry-after"]) >= 1
        line = door.lines()[-1]
        is_named = find_endpoint(target) is not None
        reason = "unknown_policy" if is_named else "unknown_endpoint"
        assert (line["error"], line["reason"]) == ("policy_unavailable", reason), target
    encoded = await ask(door, "/public/x", tokens=tokens, target="/authz%2Fnginx")
    assert encoded.status_code == 400, "the path of the call itself has no encoded slash"


async def test_without_a_policy_a_live_session_is_required_everywhere(start, make, alice):
    for peer in (PROXY, "192.0.2.9"):
        door = await start(make(), peer=peer)
        tokens = await door.login(alice)
        for uri, host in (("/x", "app.example"), ("/public/x", "other.example")):
            assert (await ask(door, uri, host=host)).status_code == 401
            assert (await ask(door, uri, host=host, tokens=tokens)).status_code == 200
        for target in ("/authz/nginx", "/authz/envoy/x"):
            assert (await door.client.get(target)).status_code == 401
            let_in = await door.client.get(target, headers=bearer(tokens))
            assert let_in.headers["x-auth-subject"] == alice
        named = await door.client.get("/authz/nginx/strict", headers=bearer(tokens))
        assert named.status_code == 503
    refused = await ask(door, "/x", tokens=tokens, Cookie="a=b")
    assert refused.status_code == 200


async def test_an_assertion_is_signed_for_the_host(start, make, policy, alice):
    door = await start(make(authz_policy=policy, authz_assertion=True))
    tokens = await door.login(alice)
    assert (await ask(door, "/public/x", tokens=tokens)).headers["x-auth-assertion"] == ""
    answer = await ask(door, "/x", tokens=tokens, host="App.Example:8443")
    assertion = answer.headers["x-auth-assertion"]
    published = (await door.client.get("/.well-known/jwks.json")).json()
    keys = jwt.PyJWKSet.from_dict(published)
    key = keys[jwt.get_unverified_header(assertion)["kid"]]
    claims = jwt.decode(
        assertion, key, ["EdDSA"], audience="app.example", issuer="http://127.0.0.1:8000"
    )
    assert (claims["sub"], claims["sid"]) == (alice, tokens["session_id"])
    assert claims["exp"] - claims["iat"] == 60
    again = await ask(door, "/x", tokens=tokens)
    assert again.headers["x-auth-assertion"] == assertion
    presented = {"access_token": assertion}
    as_token = await ask(door, "/x", tokens=presented)
    assert (as_token.status_code, as_token.json()["error"]) == (401, "token_type_invalid")
    verified = await door.client.get("/verify", headers=bearer(presented))
    assert (verified.status_code, verified.json()["error"]) == (401, "token_type_invalid")
