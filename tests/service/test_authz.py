"""The front door over HTTP: what each proxy is told, and what no client can talk it into."""

import asyncio
import http.client
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from clusterpass import ConfigurationError, KeyRing, UserDirectory
from clusterpass.service.app import create_app
from clusterpass.service.settings.service import Settings, load_settings

from .conftest import PASSWORD, Service, bearer, serving

POLICY = """
[[rules]]
name = "public"
hosts = "app.example"
paths = ["/public/**"]
access = "public"

[[rules]]
name = "orders"
hosts = "app.example"
paths = ["/orders/**"]
methods = ["POST"]
scopes = ["orders:write"]
allow_preflight = true

[[rules]]
name = "admin"
hosts = "app.example"
paths = ["/admin/**"]
level = "2"

[[rules]]
name = "recent"
hosts = "app.example"
paths = ["/recent"]
max_auth_age = 600
strict = true

[[rules]]
name = "comments"
hosts = "app.example"
paths = ["/comments"]
not_banned = ["comments"]

[[rules]]
name = "closed"
hosts = "app.example"
paths = ["/closed"]
access = "denied"

[[rules]]
name = "rest"
hosts = "app.example"

[[policies.strict.rules]]
name = "only admins"
hosts = "*"
scopes = ["admin"]
"""
PROXY = "127.0.0.1"
COOKIE = "__Host-clusterpass-access"
ALWAYS = {
    "x-auth-subject",
    "x-auth-session",
    "x-auth-level",
    "x-auth-scope",
    "x-auth-actor",
    "x-auth-grace",
    "x-auth-assertion",
}
FAMILY = {
    "nginx": "X-Original",
    "haproxy": "X-Original",
    "traefik": "X-Forwarded",
    "caddy": "X-Forwarded",
    "forward-auth": "X-Forwarded",
}


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    file = tmp_path / "policy.toml"
    file.write_text(POLICY)
    return file


@pytest.fixture
def make(cluster_url: str, keys_file: Path) -> Callable[..., Settings]:
    def made(**more: Any) -> Settings:
        given = {"store_url": cluster_url, "keys_file": keys_file, "address_attempts": 1_000_000}
        return load_settings(None, {**given, "trusted_proxies": PROXY, **more})

    return made


@pytest.fixture
async def door(start: Any, make: Callable[..., Settings], policy: Path) -> Service:
    return await start(make(authz_policy=policy))


def asked(
    uri: str, method: str = "GET", *, proxy: str = "nginx", host: str = "app.example"
) -> dict[str, str]:
    """The headers by which a proxy describes a request."""
    prefix = FAMILY[proxy]
    return {
        f"{prefix}-Method": method,
        f"{prefix}-Proto": "https",
        f"{prefix}-Host": host,
        f"{prefix}-URI": uri,
    }


async def ask(
    service: Service,
    uri: str,
    method: str = "GET",
    *,
    proxy: str = "nginx",
    host: str = "app.example",
    tokens: Any = None,
    target: str | None = None,
    **headers: str,
) -> httpx.Response:
    own = bearer(tokens) if tokens else {}
    described = asked(uri, method, proxy=proxy, host=host)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await service.client.get(
        target or f"/authz/{proxy}", headers={**own, **described, **named}
    )


def grant(directory: UserDirectory, name: str, scope: str) -> None:
    directory._sessions.claims.set(name, {"scope": scope})


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
    assert await envoy("GET", "//public//a", has_token=False) == 200
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
        "/authz/apache",
        "/authz/",
        "/authz/nginx/",
        "/authz/nginx/strict/x",
        "/authz%2Fnginx",
    ):
        missing = await ask(door, "/public/x", tokens=tokens, target=target)
        assert (missing.status_code, missing.json()["error"]) == (404, "not_found"), target


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
        assert named.status_code == 404
    refused = await ask(door, "/x", tokens=tokens, Cookie="a=b")
    assert refused.status_code == 200


async def test_a_changed_file_counts_and_a_broken_one_does_not(door, policy, alice):
    assert (await ask(door, "/news")).status_code == 401

    async def becomes(text: str, status: int) -> None:
        new = policy.with_suffix(".new")
        new.write_text(text)
        new.replace(policy)
        async with asyncio.timeout(20):
            while (await ask(door, "/news")).status_code != status:
                await asyncio.sleep(0.02)

    await becomes(POLICY.replace("/public/**", "/news"), 200)
    loaded = [line for line in door.lines() if line["event"] == "authz_policy_loaded"]
    assert [(line["file"], line["rules"]) for line in loaded] == [(str(policy), 8)]
    new = policy.with_suffix(".new")
    new.write_text(POLICY.replace("access =", "acces ="))
    new.replace(policy)
    async with asyncio.timeout(20):
        while not (kept := [x for x in door.lines() if x["event"] == "authz_policy_kept"]):
            assert (await ask(door, "/news")).status_code == 200
            await asyncio.sleep(0.02)
    assert "did you mean 'access'" in kept[0]["problem"]
    assert (await ask(door, "/news")).status_code == 200
    await becomes(POLICY, 401)


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


async def test_a_denial_says_who_asked_for_what(door, alice, directory):
    tokens = await door.login(alice)
    secret = tokens["access_token"]
    behind = {"X_Forwarded_For": "203.0.113.5", "X_Request_ID": "from-the-proxy.1"}
    await ask(door, f"/orders/{secret}?token={secret}", "POST", tokens=tokens, **behind)
    line = door.lines()[-1]
    assert {name: line[name] for name in line if name not in {"milliseconds", "timestamp"}} == {
        "event": "request",
        "level": "info",
        "method": "GET",
        "path": "/authz/nginx",
        "status": 403,
        "request_id": "from-the-proxy.1",
        "subject": alice,
        "client": "203.0.113.5",
        "original_method": "POST",
        "original_host": "app.example",
        "original_uri": "/orders/[cut]",
        "rule": "orders",
        "error": "scope_missing",
        "reason": "insufficient_scope",
    }
    directory._sessions.revoke(alice, tokens["session_id"])
    async with asyncio.timeout(10):
        while (await ask(door, "/x", tokens=tokens)).status_code == 200:
            await asyncio.sleep(0.01)
    line = door.lines()[-1]
    assert (line["attempted_subject"], line["reason"], line["rule"]) == (alice, "revoked", "rest")
    await door.client.get(f"/authz/envoy/..%2f{secret}", headers={"Host": "app.example"})
    line = door.lines()[-1]
    assert (line["path"], line["original_uri"]) == ("/authz/envoy", "/[cut]")
    assert line["reason"] == "unsafe_path"
    assert "subject" not in line
    assert secret not in door.log.getvalue()


async def test_what_is_allowed_from_memory_is_logged_on_demand(start, make, policy, alice):
    quiet = await start(make(authz_policy=policy))
    tokens = await quiet.login(alice)
    await ask(quiet, "/x", tokens=tokens)
    async with asyncio.timeout(20):
        while True:
            before = len(quiet.lines())
            assert (await ask(quiet, "/x", tokens=tokens)).status_code == 200
            if len(quiet.lines()) == before:
                break
            await asyncio.sleep(0.02)
    loud = await start(make(authz_policy=policy, log_warm_verifies=True))
    for uri in ("/public/x", "/x", "/x"):
        await ask(loud, uri, tokens=tokens)
    assert [line["status"] for line in loud.lines()] == [200, 200, 200]


async def test_an_unexpected_error_is_500_and_lets_nobody_in(door, alice, monkeypatch):
    tokens = await door.login(alice)

    async def broken(_token: str, **_conditions: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(door.app.service.sessions, "verify", broken)
    answer = await ask(door, "/recent", tokens=tokens)
    assert (answer.status_code, answer.json()["error"]) == (500, "internal_error")
    assert not ALWAYS & set(answer.headers)


def test_what_cannot_work_does_not_start(make, policy, tmp_path):
    with pytest.raises(ConfigurationError, match="trusted_proxies"):
        make(authz_policy=policy, trusted_proxies="")
    with pytest.raises(ConfigurationError, match="authz_identity_headers"):
        make(authz_identity_headers="remotes")
    policy.write_text(POLICY.replace('level = "2"', 'level = "9"'))
    with pytest.raises(ConfigurationError, match=r"rule 3: level is none of the levels"):
        create_app(make(authz_policy=policy))
    policy.write_text(POLICY + '\n[[rules]]\nhosts = "*"\noutage_grace = 301\n')
    with pytest.raises(ConfigurationError, match="authz_most_grace"):
        create_app(make(authz_policy=policy))
    create_app(make(authz_policy=policy, authz_most_grace=301))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        create_app(make(authz_policy=tmp_path / "none.toml"))
    secret = tmp_path / "secret.json"
    secret.write_text(KeyRing.generate("HS256").private_jwks_text())
    with pytest.raises(ConfigurationError, match="authz_assertion"):
        create_app(make(keys_file=secret, authz_assertion=True))


def test_the_server_passes_paths_bodies_and_empty_headers(
    cluster_url, keys_file, tmp_path, policy, alice
):
    """Over a real connection: what is true of the test client must be true of the server."""
    environment = {
        "CLUSTERPASS_AUTHZ_POLICY": str(policy),
        "CLUSTERPASS_TRUSTED_PROXIES": PROXY,
    }
    with (
        serving(cluster_url, keys_file, tmp_path) as serve,
        httpx.Client(base_url=serve(**environment).url) as client,
    ):
        body = {"username": alice, "password": PASSWORD}
        tokens = client.post("/login", json=body).json()
        own = {"Host": "app.example", **bearer(tokens)}
        for method in ("GET", "POST", "DELETE", "OPTIONS", "PROPFIND", "HEAD"):
            content = b"x" * 100_000 if method == "POST" else b""
            answer = client.request(method, "/authz/envoy/x%20y?a=b", headers=own, content=content)
            assert (answer.status_code, answer.content) == (200, b""), method
            assert answer.headers["x-auth-subject"] == alice
            assert answer.headers.get_list("x-auth-actor") == [""]
        refused = client.request("HEAD", "/authz/envoy/closed", headers=own)
        assert (refused.status_code, refused.content) == (403, b"")
        assert int(refused.headers["content-length"]) > 0
        plain = http.client.HTTPConnection(client.base_url.host, client.base_url.port)

        def raw(target: str) -> tuple[int, str | None]:
            plain.request("GET", target, headers=own)
            answer = plain.getresponse()
            return answer.status, json.loads(answer.read() or b"{}").get("reason")

        for evil in ("/public/%2e%2e/x", "/public/../x", "/public%2fx", "/public/..;/x", "/%252e"):
            assert raw(f"/authz/envoy{evil}") == (403, "unsafe_path"), evil
        for target in ("/authz%2fenvoy/public/x", "/authz/../authz/nginx", "//authz/nginx"):
            assert raw(target) == (404, None), target
        plain.close()
    assert json.dumps(tokens["access_token"])[1:-1] not in serve_log(tmp_path)


def test_a_worker_is_replaced_although_the_file_is_broken(serve, policy):
    server = serve(CLUSTERPASS_AUTHZ_POLICY=str(policy), CLUSTERPASS_TRUSTED_PROXIES=PROXY)

    def status(uri: str) -> int:
        try:
            answer = httpx.get(f"{server.url}/authz/nginx", headers=asked(uri))
        except httpx.TransportError:
            return 0
        if answer.status_code == 503:
            assert answer.json()["error"] == "policy_unavailable"
            assert int(answer.headers["retry-after"]) > 0
        return answer.status_code

    assert status("/public/x") == 200
    policy.write_text("[[rules")
    (worker,) = server.children()
    os.kill(worker, signal.SIGKILL)
    await_that(lambda: status("/public/x") == 503)
    assert status("/closed") == 503
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    policy.write_text(POLICY)
    await_that(lambda: status("/public/x") == 200)
    assert status("/closed") == 403
    assert server.stop() == 0


def await_that(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def serve_log(folder: Path) -> str:
    (file,) = folder.glob("server-*.log")
    return file.read_text()
