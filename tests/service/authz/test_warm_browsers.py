"""Browsers with the cookie for proxies are answered from memory, as bearer tokens are."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from clusterpass.service.settings.service import Settings

from ..conftest import Service
from .asking import FAMILY, POLICY, ask, asked, grant
from .browsing import PREFIX
from .grpc_calls import check, check_request, grpc_address, headers_of, status_of
from .warm_answers import becomes, becomes_ok, equals, kept, only_memory, remembered, same

ELSEWHERE = "app.example.net"
"""A host that the cookie of the portal does not reach."""


@pytest.fixture
def for_browsers(make: Callable[..., Settings], policy: Any) -> Callable[..., Settings]:
    rule = f'[[rules]]\nhosts = "{ELSEWHERE}"\n\n'
    policy.write_text(rule + POLICY)
    given = {
        "authz_policy": policy,
        "page_prefix": PREFIX,
        "authz_portal": f"https://app.example{PREFIX}",
        "authz_hand_over_hosts": ELSEWHERE,
        "authz_identity_headers": "remote",
    }
    return lambda **more: make(**given, **more)


async def cookie_at(door: Service, tokens: dict[str, Any], host: str = "app.example") -> str:
    """The pair that a browser sends to a host, as the service has given it."""
    cookies = door.app.service.proxy_cookies
    place, token = cookies.place_of(host), tokens["access_token"]
    session = await door.app.service.sessions.verify(token)
    return str(cookies.renewed(cookies.ticket_for(token, False), session, place)[1].split(";")[0])


@pytest.mark.parametrize("host", ["app.example", ELSEWHERE])
@pytest.mark.parametrize("proxy", [*FAMILY, "envoy"])
async def test_a_browser_gets_the_answer_of_the_beginning(start, for_browsers, alice, proxy, host):
    door = await start(for_browsers())
    loud = await start(for_browsers(log_warm_verifies=True))
    tokens = await door.login(alice)
    cookie = await cookie_at(door, tokens, host)

    async def asking(service: Service = door, uri: str = "/x?a=1") -> httpx.Response:
        own = {"Cookie": f"a=b; {cookie}; c=d"}
        if proxy == "envoy":
            described = {"Host": host, "X-Forwarded-Proto": "https"}
            return await service.client.get(f"/authz/envoy{uri}", headers={**own, **described})
        described = asked(uri, proxy=proxy, host=host)
        return await service.client.get(f"/authz/{proxy}", headers={**own, **described})

    warm = await remembered(door, asking)
    cold, public = await asking(loud), await asking(loud, "/public/a")
    with only_memory():
        again = await kept(asking)
        if host != ELSEWHERE:
            assert sorted(same(await asking(uri="/public/a"))) == sorted(same(public))
    assert sorted(same(again)) == sorted(same(warm)) == sorted(same(cold))
    assert again.headers["x-auth-subject"] == again.headers["remote-user"] == alice
    assert again.headers["x-auth-session"] == tokens["session_id"]
    passed_on = {"traefik", "forward-auth"}
    assert again.headers.get("cookie") == ("a=b; c=d" if proxy in passed_on else None)


async def test_a_browser_whose_session_ends_passes_no_more(start, for_browsers, alice, directory):
    door = await start(for_browsers())
    tokens, other = await door.login(alice), await door.login(alice)
    for host in ("app.example", ELSEWHERE):
        for given in (tokens, other):
            cookie = await cookie_at(door, given, host)
            answer = await remembered(
                door, lambda c=cookie, h=host: ask(door, "/x", host=h, Cookie=c)
            )
            assert answer.status_code == 200
    cookies = [await cookie_at(door, tokens, host) for host in ("app.example", ELSEWHERE)]
    directory._sessions.revoke(alice, tokens["session_id"])
    for cookie, host in zip(cookies, ("app.example", ELSEWHERE), strict=True):
        answer = await becomes(lambda c=cookie, h=host: ask(door, "/x", host=h, Cookie=c), 401)
        assert answer.json()["error"] == "session_revoked"
    cookie = await cookie_at(door, other)
    answer = await ask(door, "/x", Cookie=cookie)
    assert answer.headers["x-auth-session"] == other["session_id"]


async def test_what_a_browser_may_do_now_counts(start, for_browsers, alice, directory):
    door = await start(for_browsers())
    cookie = await cookie_at(door, await door.login(alice))
    grant(directory, alice, "orders:write")

    async def order() -> httpx.Response:
        return await ask(door, "/orders/1", "POST", Cookie=cookie)

    await becomes_ok(order)
    assert (await remembered(door, order)).status_code == 200
    grant(directory, alice, "orders:read")
    assert (await becomes(order, 403)).json()["error"] == "scope_missing"
    assert (await ask(door, "/admin/x", Cookie=cookie)).json()["error"] == "step_up_required"


async def test_a_cookie_that_is_due_forged_or_of_another_host_is_judged_from_the_beginning(
    start, for_browsers, alice, monkeypatch
):
    door = await start(for_browsers())
    tokens = await door.login(alice)
    cookie, elsewhere = await cookie_at(door, tokens), await cookie_at(door, tokens, ELSEWHERE)

    async def status(sent: str, host: str = "app.example", **more: str) -> int:
        return (await ask(door, "/x", host=host, Cookie=sent, **more)).status_code

    for sent, host in ((cookie, "app.example"), (elsewhere, ELSEWHERE)):
        answer = await remembered(door, lambda c=sent, h=host: ask(door, "/x", host=h, Cookie=c))
        assert answer.status_code == 200
    assert await status(elsewhere) == await status(cookie, ELSEWHERE) == 401
    assert await status(f"{cookie[:-1]}{'0' if cookie[-1] != '0' else '1'}") == 401
    assert await status(f"{cookie}; {cookie}") == await status("a=b") == 401
    assert await status(cookie, Authorization="Bearer x") == 401
    assert await status(cookie, Authorization="Basic x") == 401
    cookies = door.app.service.proxy_cookies
    monkeypatch.setattr(cookies, "_clock", lambda: time.time() + 1000)
    for _ in range(2):
        answer = await ask(door, "/x", Cookie=cookie)
        assert (answer.status_code, "set-cookie" in answer.headers) == (200, True)
    renewed = answer.headers["set-cookie"].split(";")[0]
    answer = await remembered(door, lambda: ask(door, "/x", Cookie=renewed))
    assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)


async def test_envoy_gets_the_same_about_browsers_over_grpc(start, for_browsers, alice, directory):
    settings = for_browsers(authz_grpc_address=grpc_address())
    door = await start(settings)
    cookie = await cookie_at(door, await door.login(alice))

    async def asking(sent: str = f"a=b; {cookie}; c=d") -> Any:
        return await check(settings, check_request("/x?a=1", headers=[("cookie", sent)]))

    first = await asking()
    warm = await remembered(door, asking)
    with only_memory():
        assert await equals(asking, warm)
        assert headers_of(await asking(f"{cookie}; e=f")) == {**headers_of(warm), "cookie": "e=f"}
        assert await asking() == warm, "what is kept has not changed"
    assert headers_of(first) == headers_of(warm)
    assert headers_of(warm)["cookie"] == "a=b; c=d"
    assert headers_of(warm)["x-auth-subject"] == alice
    directory._sessions.revoke_all(alice)
    async with asyncio.timeout(20):
        while status_of(await asking()) != 401:
            await asyncio.sleep(0.01)
