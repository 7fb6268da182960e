"""Envoy's ext_authz over gRPC: what it is told about a request is what it is told over HTTP."""

import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from clusterpass.service.authz.handler import FrontDoor
from clusterpass.service.settings.service import Settings

from ..conftest import Service, bearer
from .asking import ALWAYS, COOKIE, grant
from .grpc_calls import check, check_request, grpc_address, headers_of, status_of


@pytest.fixture
def settings(make: Callable[..., Settings], policy: Any) -> Settings:
    return make(authz_policy=policy, authz_grpc_address=grpc_address(), trusted_proxies="127.0.0.1")


@pytest.fixture
async def both(start: Any, settings: Settings) -> Service:
    """A service that answers over HTTP and gRPC."""
    return await start(settings)


def authorized(tokens: dict[str, Any]) -> list[tuple[str, str]]:
    return [("authorization", bearer(tokens)["Authorization"])]


def problem(response: Any) -> tuple[int, str, str | None]:
    told = json.loads(response.denied_response.body)
    assert told["status"] == status_of(response)
    return told["status"], told["error"], told.get("reason")


@pytest.mark.parametrize("is_raw", [True, False])
async def test_a_session_gets_in_with_every_identity_header(both, settings, alice, is_raw):
    tokens = await both.login(alice)
    forged = [("x-auth-actor", "root"), ("x-auth-grace", "1")]
    for method in ("GET", "HEAD", "PUT", "PROPFIND"):
        asked = check_request("/x?a=1", method, [*authorized(tokens), *forged], is_raw=is_raw)
        response = await check(settings, asked)
        assert status_of(response) == 200
        headers = headers_of(response)
        assert set(headers) == ALWAYS
        assert headers["x-auth-subject"] == alice
        assert headers["x-auth-session"] == tokens["session_id"]
        assert headers["x-auth-actor"] == headers["x-auth-grace"] == ""
    cookie = [("cookie", f"a=b; {COOKIE}={tokens['access_token']}")]
    response = await check(settings, check_request("/x", "POST", cookie, is_raw=is_raw))
    assert headers_of(response)["x-auth-subject"] == alice
    public = await check(settings, check_request("/public/x", headers=authorized(tokens)))
    assert headers_of(public) == dict.fromkeys(ALWAYS, "")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/x"),
        ("POST", "/orders/1"),
        ("GET", "/admin"),
        ("GET", "/closed"),
        ("GET", "/a/%2e%2e/x"),
    ],
)
async def test_a_denial_is_that_of_http(both, settings, alice, method, path):
    tokens = {} if path == "/x" else await both.login(alice)
    own = bearer(tokens) if tokens else {}
    http = await both.client.request(
        method, f"/authz/envoy{path}", headers={**own, "Host": "app.example"}
    )
    line = both.lines()[-1]
    given = authorized(tokens) if tokens else []
    response = await check(settings, check_request(path, method, given, source=""))
    assert status_of(response) == http.status_code >= 400
    assert response.denied_response.body == http.text
    expected = {**http.headers}
    del expected["content-length"], expected["server"], expected["x-request-id"]
    told = headers_of(response)
    assert told.pop("x-request-id")
    assert told == expected
    varying = ("milliseconds", "timestamp", "request_id", "method", "path")
    same = both.lines()[-1]
    assert same["path"] == "/envoy.service.auth.v3.Authorization/Check"
    assert {**line, **dict.fromkeys(varying)} == {**same, **dict.fromkeys(varying)}


async def test_a_route_names_the_policy(both, settings, alice, directory):
    tokens = await both.login(alice)
    asked = check_request("/public/x", headers=authorized(tokens), policy="strict")
    assert problem(await check(settings, asked))[:2] == (403, "scope_missing")
    grant(directory, alice, "admin")
    tokens = await both.login(alice)
    asked = check_request("/x", headers=authorized(tokens), policy="strict", host="any.example")
    assert status_of(await check(settings, asked)) == 200
    assert status_of(await check(settings, check_request("/public/x", policy=""))) == 200


@pytest.mark.parametrize(("name", "shown"), [("other", "other"), ("a b\n", "[invalid]")])
async def test_a_policy_that_does_not_exist_lets_nobody_in(both, settings, alice, name, shown):
    tokens = await both.login(alice)
    asked = check_request("/public/x", headers=authorized(tokens), policy=name)
    refused = await check(settings, asked)
    assert problem(refused) == (503, "policy_unavailable", None)
    line = both.lines()[-1]
    assert (line["policy"], line["reason"], line["status"]) == (shown, "unknown_policy", 503)
    assert line["client"] == "203.0.113.5"


async def test_a_policy_is_named_in_vain_where_there_is_no_file(start, make, alice):
    settings = make(authz_grpc_address=grpc_address())
    service = await start(settings)
    given = authorized(await service.login(alice))
    assert status_of(await check(settings, check_request("/x", headers=given))) == 200
    refused = await check(settings, check_request("/x", headers=given, policy="strict"))
    assert problem(refused) == (503, "policy_unavailable", None)


async def test_only_a_trusted_peer_is_believed(start, make, policy, alice):
    settings = make(
        authz_policy=policy, authz_grpc_address=grpc_address(), trusted_proxies="192.0.2.0/24"
    )
    service = await start(settings)
    given = [*authorized(await service.login(alice)), ("x-forwarded-for", "198.51.100.7")]
    refused = await check(settings, check_request("/public/x", headers=given))
    assert problem(refused) == (403, "access_denied", "untrusted_proxy")
    assert service.lines()[-1]["client"] == "127.0.0.1"


async def test_the_client_is_the_one_that_envoy_saw(both, settings, make):
    request = check_request("/x", headers=[("x-forwarded-for", "198.51.100.7")])
    await check(settings, request)
    assert both.lines()[-1]["client"] == "203.0.113.5"
    # Envoy's peer is a trusted proxy itself.
    request = check_request(
        "/x", headers=[("x-forwarded-for", "10.9.9.9, 198.51.100.7")], source="127.0.0.1"
    )
    await check(settings, request)
    assert both.lines()[-1]["client"] == "198.51.100.7"


async def test_what_a_client_sends_twice_is_refused(both, settings, alice):
    (good,) = authorized(await both.login(alice))
    for is_raw in (True, False):
        for others in ([("authorization", "Bearer x")], [good]):
            asked = check_request("/x", headers=[good, *others], is_raw=is_raw)
            assert problem(await check(settings, asked))[:2] == (401, "token_malformed")
    twice = [good, *[("x-forwarded-proto", "https")] * 2]
    refused = await check(settings, check_request("/x", headers=twice))
    assert problem(refused) == (403, "access_denied", "repeated_header")


async def test_nothing_that_a_client_sends_describes_the_request(both, settings):
    claims = [
        ("x-forwarded-host", "app.example"),
        ("x-original-uri", "/public/x"),
        ("x-original-method", "GET"),
        ("x-forwarded-uri", "/public/x"),
        ("host", "app.example"),
    ]
    assert status_of(await check(settings, check_request("/x", headers=claims))) == 401
    elsewhere = check_request("/x", headers=claims, host="other.example")
    assert problem(await check(settings, elsewhere))[2] == "unknown_host"


async def test_a_path_that_is_no_text_is_refused(both, settings):
    for path in ("/public/\xff", "/public/a\xc3"):
        refused = await check(settings, check_request(path))
        assert problem(refused) == (403, "access_denied", "unsafe_path"), path
    assert status_of(await check(settings, check_request("/public/\xc3\xa9"))) == 200


async def test_an_empty_question_is_refused(both, settings):
    from envoy.service.auth.v3.external_auth_pb2 import CheckRequest

    refused = await check(settings, CheckRequest())
    assert problem(refused) == (403, "access_denied", "missing_header")


async def test_an_assertion_is_signed_for_the_host(start, make, policy, alice):
    settings = make(authz_policy=policy, authz_assertion=True, authz_grpc_address=grpc_address())
    service = await start(settings)
    given = authorized(await service.login(alice))
    response = await check(settings, check_request("/x", headers=given, host="App.Example:8443"))
    assertion = headers_of(response)["x-auth-assertion"]
    claims = jwt.decode(assertion, options={"verify_signature": False})
    assert (claims["aud"], claims["sub"]) == ("app.example", alice)


async def test_a_fault_is_a_500_that_lets_nobody_in(both, settings, alice, monkeypatch):
    async def broken(*_: Any) -> None:
        raise RuntimeError("secret")

    given = [*authorized(await both.login(alice)), ("x-request-id", "from-the-proxy.1")]
    monkeypatch.setattr(FrontDoor, "judge", broken)
    response = await check(settings, check_request("/x", headers=given))
    assert problem(response) == (500, "internal_error", None)
    assert headers_of(response)["x-request-id"] == "from-the-proxy.1"
    line = both.lines()[-1]
    assert (line["level"], line["fault"]) == ("error", "builtins.RuntimeError")
    assert (line["status"], line["request_id"]) == (500, "from-the-proxy.1")
    assert "secret" not in both.log.getvalue()


async def test_what_is_allowed_from_memory_is_not_logged(both, settings, alice):
    given = authorized(await both.login(alice))
    asked = check_request("/x", headers=given)
    logged = -1
    while logged != len(both.lines()):  # until it is in memory
        logged = len(both.lines())
        assert status_of(await check(settings, asked)) == 200


async def test_a_service_without_rules_says_so(start, settings, policy):
    from contextlib import AsyncExitStack

    from clusterpass.service.app import create_app

    policy.write_text("rules = 1")
    async with AsyncExitStack() as stack:
        app = create_app(settings, is_successor=True)
        await stack.enter_async_context(app.running())
        response = await check(settings, check_request("/public/x"))
    assert problem(response)[:2] == (503, "policy_unavailable")
    assert headers_of(response)["retry-after"] == "5"
