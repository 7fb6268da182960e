"""The front door's answers from memory equal the first, and end with session, rule or policy."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest

from clusterpass.service.authz.warm import Warm
from clusterpass.service.settings.service import Settings

from ..conftest import Service, bearer
from .asking import COOKIE, FAMILY, POLICY, ask, asked, grant
from .browsing import COOKIE as PROXY_COOKIE, PORTAL, PREFIX
from .grpc_calls import check, check_request, grpc_address, headers_of, status_of
from .warm_answers import becomes, becomes_ok, equals, kept, only_memory, remembered, same


@pytest.mark.parametrize("proxy", [*FAMILY, "envoy"])
@pytest.mark.parametrize("has_cookie", [False, True])
async def test_it_is_the_answer_of_the_beginning(start, make, policy, alice, proxy, has_cookie):
    options = {"authz_identity_headers": "remote", "authz_assertion": True}
    door = await start(make(authz_policy=policy, **options))
    loud = await start(make(authz_policy=policy, log_warm_verifies=True, **options))
    tokens = await door.login(alice)
    own = {"Cookie": f"a=b; {COOKIE}={tokens['access_token']}"} if has_cookie else bearer(tokens)

    async def asking(service: Service = door, uri: str = "/x?a=1") -> httpx.Response:
        if proxy == "envoy":
            described = {"Host": "app.example", "X-Forwarded-Proto": "https"}
            return await service.client.get(f"/authz/envoy{uri}", headers={**own, **described})
        return await service.client.get(
            f"/authz/{proxy}", headers={**own, **asked(uri, proxy=proxy)}
        )

    warm = await remembered(door, asking)
    cold = await asking(loud)
    with only_memory():
        again = await kept(asking)
        assert same(await asking(uri="/public/a"))
        assert (await asking(uri="/closed")).status_code == 500
    assert same(again) == same(warm)
    assert warm.content == again.content == b""
    ours = [pair for pair in same(warm) if pair[0] != "x-auth-assertion"]
    assert ours == [pair for pair in same(cold) if pair[0] != "x-auth-assertion"]
    assert again.headers["x-auth-assertion"].count(".") == 2
    public = await asking(loud, "/public/a")
    assert same(await asking(uri="/public/a")) == same(public)


async def test_a_session_that_ends_passes_no_more(door, alice, directory):
    tokens, other = await door.login(alice), await door.login(alice)

    async def asking(given: Any = tokens) -> httpx.Response:
        return await ask(door, "/x", tokens=given)

    for given in (tokens, other):
        assert (await remembered(door, lambda given=given: asking(given))).status_code == 200
    directory._sessions.revoke(alice, tokens["session_id"])
    assert (await becomes(asking, 401)).json()["error"] == "session_revoked"
    answer = await asking(other)
    assert answer.headers["x-auth-session"] == other["session_id"]


async def test_what_a_session_may_do_now_counts(door, alice, directory):
    tokens = await door.login(alice)
    grant(directory, alice, "orders:write")

    async def order() -> httpx.Response:
        return await ask(door, "/orders/1", "POST", tokens=tokens)

    async def comment() -> httpx.Response:
        return await ask(door, "/comments", tokens=tokens)

    await becomes_ok(order)
    await remembered(door, order)
    assert (await remembered(door, comment)).status_code == 200
    with only_memory():
        assert (await kept(order)).headers["x-auth-scope"] == "orders:write"
    grant(directory, alice, "orders:read")
    assert (await becomes(order, 403)).json()["error"] == "scope_missing"
    assert (await remembered(door, comment)).headers["x-auth-scope"] == "orders:read"
    directory._sessions.bans.add(alice, scope="comments", reason="spam")
    assert (await becomes(comment, 403)).json()["error"] == "subject_banned"


async def test_another_policy_counts_at_once(door, policy, alice):
    tokens = await door.login(alice)

    async def asking() -> httpx.Response:
        return await ask(door, "/x", tokens=tokens)

    async def public() -> httpx.Response:
        return await ask(door, "/public/a")

    for each in (asking, public):
        assert (await remembered(door, each)).status_code == 200
    new = policy.with_suffix(".new")
    stricter = '[[rules]]\nname = "x"\nhosts = "*"\npaths = "/x"\nlevel = "3"\n'
    new.write_text(stricter + POLICY.replace("/public/**", "/elsewhere/**"))
    new.replace(policy)
    assert (await becomes(asking, 401)).json()["error"] == "step_up_required"
    assert (await public()).status_code == 401


async def test_a_question_that_differs_is_another_one(door, alice, new_name):
    tokens = await door.login(alice)
    own = bearer(tokens)
    assert (
        await remembered(door, lambda: ask(door, "/orders/1", tokens=tokens))
    ).status_code == 200

    async def status(
        described: dict[str, str], *more: tuple[str, str], to: str = "/authz/nginx"
    ) -> tuple[int, str | None]:
        headers = [*described.items(), *own.items(), *more]
        answer = await door.client.get(to, headers=headers)
        return answer.status_code, None if answer.is_success else answer.json()["error"]

    usual = asked("/orders/1")
    denied, forbidden = (403, "access_denied"), (403, "scope_missing")
    assert await status(usual) == (200, None)
    assert await status(usual, to="/authz/nginx/strict") == forbidden
    assert (await status(usual, to="/authz/nginx/unknown"))[0] == 503
    assert (await status(usual, to="/authz/nobody"))[0] == 503
    assert await status(asked("/orders/1", "POST")) == forbidden
    assert await status(asked("/closed")) == denied
    assert await status(asked("/orders/1", host="other.example")) == denied
    assert await status(usual, ("X-Original-URI", "/orders/1")) == denied
    assert await status(asked("/orders/1 ?a")) == denied
    assert await status({**usual, "X-Original-Method": ""}) == denied
    assert await status({**usual, "X-Original-Method": "G T"}) == denied
    assert await status({**usual, "X-Original-URI": ""}) == denied
    assert (await status(usual, next(iter(own.items()))))[0] == 401
    assert (await ask(door, "/orders/1")).status_code == 401
    assert (await ask(door, "/orders/1", Cookie=f"{COOKIE}=x; {COOKIE}=y")).status_code == 401
    preflight = {"Origin": "https://x.example", "Access-Control-Request-Method": "POST"}
    options = asked("/orders/1", "OPTIONS")
    assert (await door.client.get("/authz/nginx", headers=options)).status_code == 401
    passed = await door.client.get("/authz/nginx", headers={**options, **preflight})
    assert passed.status_code == 200
    assert (await door.client.get("/authz/nginx", headers=options)).status_code == 401


async def test_whoever_no_proxy_vouches_for_is_asked_again(start, make, policy, alice):
    door = await start(make(authz_policy=policy), peer="192.0.2.9")
    tokens = await door.login(alice)
    for _ in range(3):
        answer = await ask(door, "/x", tokens=tokens)
        assert (answer.status_code, answer.json()["reason"]) == (403, "untrusted_proxy")


async def test_a_fault_of_the_memory_is_none_of_the_answer(door, alice, monkeypatch):
    def broken(*_: Any) -> None:
        raise RuntimeError

    tokens = await door.login(alice)
    monkeypatch.setattr(Warm, "allows", broken)
    for _ in range(3):
        assert (await ask(door, "/x", tokens=tokens)).status_code == 200
        assert (await ask(door, "/x")).status_code == 401


async def test_a_cookie_for_proxies_is_kept_from_the_upstream(start, make, policy, alice):
    door = await start(make(authz_policy=policy, page_prefix=PREFIX, authz_portal=PORTAL))
    tokens = await door.login(alice)

    async def asking(uri: str = "/x", **more: str) -> httpx.Response:
        return await ask(door, uri, proxy="traefik", tokens=tokens, **more)

    for uri in ("/x", "/public/a"):
        warm = await remembered(door, lambda uri=uri: asking(uri))
        assert warm.status_code == 200
        assert "cookie" not in warm.headers
        with only_memory():
            answer = await kept(partial(asking, uri, Cookie=f"a=b; {PROXY_COOKIE}=x; c=d"))
        assert answer.headers["cookie"] == "a=b; c=d"


@pytest.fixture
def grpc_settings(make: Callable[..., Settings], policy: Any) -> Settings:
    return make(authz_policy=policy, authz_grpc_address=grpc_address(), authz_assertion=True)


async def test_envoy_gets_the_same_over_grpc(start, grpc_settings, alice, directory):
    door = await start(grpc_settings)
    tokens = await door.login(alice)
    own = [("authorization", bearer(tokens)["Authorization"])]

    async def asking(path: str = "/x?a=1", *more: Any, **options: Any) -> Any:
        return await check(grpc_settings, check_request(path, headers=[*own, *more], **options))

    first = await asking()
    warm = await remembered(door, asking)
    with only_memory():
        assert await equals(asking, warm)
        assert await equals(partial(asking, "/x?b=2"), warm)
        public = await check(grpc_settings, check_request("/public/a"))
        assert set(headers_of(public).values()) == {""}
        assert status_of(await asking("/closed")) == 500
    unsigned = "x-auth-assertion"
    assert headers_of(first) | {unsigned: ""} == headers_of(warm) | {unsigned: ""}
    assert headers_of(warm)["x-auth-subject"] == alice
    assert headers_of(warm)[unsigned].count(".") == 2
    assert status_of(await asking("/x", policy="strict")) == 403
    assert status_of(await asking("/x", host="other.example")) == 403
    assert status_of(await asking("/x", own[0])) == 401
    assert (
        status_of(await asking("/x", ("x-forwarded-proto", "a"), ("x-forwarded-proto", "b"))) == 403
    )
    assert status_of(await check(grpc_settings, check_request("/x"))) == 401
    directory._sessions.revoke_all(alice)
    async with asyncio.timeout(20):
        while status_of(await asking()) != 401:
            await asyncio.sleep(0.01)
