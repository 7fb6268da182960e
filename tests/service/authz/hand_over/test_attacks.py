"""Attacks on the hand-over: codes that are replayed, forged, or used in another browser or host."""

import asyncio
from urllib.parse import parse_qs

import httpx
import pytest

from clusterpass.service.calls.hand_over import LIFETIME

from ...conftest import PASSWORD
from ...page_browser import words
from ..browsing import NAVIGATION, Visitor
from .visits import (
    APP,
    BEGIN,
    COOKIE,
    FINISH,
    NONCE,
    PORTAL,
    SHOP,
    code_for,
    cookies_at,
    finish,
    is_refused,
    reasons,
    subject_of,
)


async def test_a_code_is_good_once_whichever_server_is_asked(visitor, alice, start, make, service):
    other = await start(make())
    url, nonce = await code_for(visitor, alice)
    first, second = await asyncio.gather(
        finish(service, url, nonce=nonce), finish(other, url, nonce=nonce)
    )
    assert sorted([is_refused(first), is_refused(second)]) == [False, True]
    assert reasons(service) + reasons(other) == ["used"]
    for each in (service, other):
        assert is_refused(await finish(each, url, nonce=nonce))


async def test_a_code_is_good_in_one_browser(visitor, alice, service):
    url, nonce = await code_for(visitor, alice)
    assert is_refused(await finish(service, url))
    assert reasons(service) == ["other_browser"]
    # Who brings it to the wrong browser has used it up.
    assert is_refused(await finish(service, url, nonce=nonce))
    thief = Visitor(service, PORTAL)
    mine = await thief.follow(f"{APP}/x", "rd=")
    assert str(mine).startswith(f"{APP}{BEGIN}")
    await thief.http.get(mine, headers=NAVIGATION)
    url, _ = await code_for(visitor, alice)
    own = cookies_at(thief, "app.example.net")[NONCE]
    assert is_refused(await finish(service, url, nonce=own))
    for broken in ("x", "a" * 22, f"{own}0", f'"{own}"'):
        url, _ = await code_for(visitor, alice)
        assert is_refused(await finish(service, url, nonce=broken))
    assert set(reasons(service)) == {"other_browser", "used"}


async def test_nobody_is_logged_in_as_somebody_else(service, new_user):
    """Whoever lures a visitor to a code of their own gains nothing."""
    attacker, victim = Visitor(service, PORTAL), Visitor(service, PORTAL)
    mallory, alice = new_user(), new_user()
    url, _ = await code_for(attacker, mallory)
    page = await victim.open(str(url))
    assert str(page.url).startswith(f"{PORTAL}/page/login?rd=")
    assert COOKIE not in cookies_at(victim, "app.example.net")
    assert subject_of(await victim.submit(page, username=alice, password=PASSWORD)) == alice
    # With a session of their own they stay who they are.
    url, _ = await code_for(attacker, mallory)
    assert subject_of(await victim.open(str(url))) == alice


async def test_a_code_that_a_stranger_has_asked_for_is_of_no_use_to_them(service, alice):
    """The way to the portal may be prepared by somebody else: the browser at its end counts."""
    stranger, victim = Visitor(service, PORTAL), Visitor(service, PORTAL)
    prepared = await stranger.follow(f"{APP}/x", f"{PORTAL}/")
    page = await victim.open(str(prepared))
    await victim.submit(page, username=alice, password=PASSWORD)
    assert COOKIE in cookies_at(victim, "app.example.net"), "by a way of their own"
    assert reasons(service) == ["other_browser"]


async def test_a_code_is_good_at_one_host(visitor, alice, service):
    url, nonce = await code_for(visitor, alice)
    answer = await finish(service, url, nonce=nonce, host="shop.example.com:8443")
    assert is_refused(answer, SHOP)
    assert reasons(service) == ["not_signed"]
    assert not is_refused(await finish(service, url, nonce=nonce))


async def test_a_code_expires(visitor, alice, service, clock):
    url, nonce = await code_for(visitor, alice)
    clock.advance(seconds=LIFETIME)
    assert is_refused(await finish(service, url, nonce=nonce))
    assert reasons(service) == ["expired"]


async def test_a_forged_code_is_refused(visitor, alice, service):
    url, nonce = await code_for(visitor, alice)
    (code,) = parse_qs(url.query.decode())["code"]
    parts = code.split(".")
    for index, other in ((1, "A" * 22), (2, str(int(parts[2]) + 5)), (3, "0" * 64), (7, "Ym9i")):
        forged = ".".join([*parts[:index], other, *parts[index + 1 :]])
        assert is_refused(await finish(service, str(url).replace(code, forged), nonce=nonce))
    for query in ("", "&code=", "&code=x", f"&code={code}&code={code}"):
        assert is_refused(await finish(service, f"{APP}{FINISH}?rd=%2Fx{query}", nonce=nonce))
    assert set(reasons(service)) == {"not_signed", "malformed"}
    assert not is_refused(await finish(service, url, nonce=nonce)), "and it is still good"


async def test_a_session_that_has_ended_is_handed_to_nobody(visitor, alice, service, manager):
    url, nonce = await code_for(visitor, alice)
    manager.revoke_all(alice, reason="reported as stolen")
    assert is_refused(await finish(service, url, nonce=nonce))
    assert reasons(service) == ["session_revoked"]
    page = await visitor.open(f"{APP}/x")
    assert "by an administrator: reported as stolen" in words(page)


EVIL = (
    "https://evil.example/",
    "//evil.example/",
    "\\\\evil.example",
    "@evil.example/",
    "evil",
    "",
)


@pytest.mark.parametrize("evil", EVIL)
async def test_nobody_is_led_anywhere_else(visitor, alice, service, evil):
    begin = str(httpx.URL(f"{APP}{BEGIN}", params={"rd": evil}))
    page = await visitor.open(begin)
    assert str(page.url).startswith(f"{PORTAL}/page/login")
    back = await visitor.submit(page, username=alice, password=PASSWORD)
    assert (back.url.host, subject_of(back)) == ("app.example.net", alice)
    url, nonce = await code_for(visitor, alice)
    (code,) = parse_qs(url.query.decode())["code"]
    changed = httpx.URL(f"{APP}{FINISH}", params={"rd": evil, "code": code})
    answer = await finish(service, changed, nonce=nonce)
    assert not is_refused(answer)
    assert answer.headers["location"].startswith(f"{APP}/")


async def test_no_code_is_made_for_other_hosts_or_other_paths(visitor, alice):
    page = await visitor.open(f"{PORTAL}/")
    await visitor.submit(page, username=alice, password=PASSWORD)
    state = "0" * 64
    for host in ("https://evil.example", "http://app.example.net", "https://app.example.net:8443"):
        link = httpx.URL(f"{PORTAL}/page/login", params={"rd": f"{host}{FINISH}?state={state}"})
        answer = await visitor.http.get(link, headers=NAVIGATION)
        assert answer.headers["location"] == "/"
    for rest in (f"/x?state={state}", FINISH, f"{FINISH}?state=x"):
        link = httpx.URL(f"{PORTAL}/page/login", params={"rd": f"{APP}{rest}"})
        answer = await visitor.http.get(link, headers=NAVIGATION)
        assert answer.headers["location"] == f"{APP}{rest}"
