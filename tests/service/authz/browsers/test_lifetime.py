"""The lifetime of a browser behind a proxy: cookies that are renewed, expire, or end early."""

import asyncio
import re

from tests.service.authz.browsing import (
    APP,
    COOKIE,
    HOST,
    PORTAL,
    Visitor,
    with_cookie,
)
from tests.service.conftest import PASSWORD
from tests.service.page_browser import words

from .answers import ACCESS_LIFETIME, AWAY, subject_of, until_refused


async def test_an_ended_session_is_explained_and_left_for_a_new_one(visitor, alice, manager):
    await visitor.log_in(alice)
    assert subject_of(await visitor.open("/x")) == alice
    manager.revoke_all(alice, reason="reported as stolen")
    refused = await until_refused(visitor)
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    assert "set-cookie" not in refused.headers
    page = await visitor.open("/x?y=1")
    assert str(page.url).startswith(f"{PORTAL}/page/login")
    assert "by an administrator: reported as stolen" in words(page)
    assert visitor.cookie == ""
    assert "reported as stolen" not in words(await visitor.open("/x?y=1"))
    back = await visitor.submit(page, username=alice, password=PASSWORD)
    assert str(back.url) == f"{APP}/x?y=1"


async def test_the_cookie_alone_explains_the_end_too(visitor, alice, manager):
    await visitor.log_in(alice)
    visitor.forget("-access", "-refresh")
    manager.revoke_all(alice, reason="reported as stolen")
    await until_refused(visitor)
    page = await visitor.open("/x")
    assert "by an administrator: reported as stolen" in words(page)
    assert visitor.cookie == ""


async def test_a_revocation_is_seen_at_once_and_by_who_copied_the_cookie(
    visitor, alice, service, start, make
):
    await visitor.log_in(alice)
    thief, other = Visitor(service), Visitor(await start(make()))
    stolen = with_cookie(visitor.cookie)
    for each in (thief, other):
        assert (await each.fetch("/x", headers=stolen)).status_code == 200
    home = await visitor.open(f"{PORTAL}/")
    token = re.findall(r'name="form_token" value="([^"]+)"', home.text)[0]
    origin = {"Origin": APP, "Sec-Fetch-Site": "same-origin"}
    out = await visitor.http.post(
        f"{PORTAL}/page/logout", data={"form_token": token}, headers=origin
    )
    assert out.status_code == 303
    assert visitor.cookie == ""
    assert (await thief.fetch("/x", headers=stolen)).status_code == 401
    await until_refused(other, headers=stolen)


async def test_a_browser_stays_for_a_day(visitor, alice, clock, manager):
    await visitor.log_in(alice)
    (session,) = manager.sessions(alice)
    first, seen = visitor.cookie, set()
    for turn in range(24 * 6):
        clock.advance(minutes=10)
        body = f"order {turn}"
        posted = await visitor.fetch("/x", "POST", content=body)
        assert subject_of(posted) == alice
        assert posted.json()["body"] == body
        assert subject_of(await visitor.open("/y")) == alice
        seen.add(visitor.cookie)
    # Once in two turns of ten minutes, as the access token would live for fifteen.
    assert 70 <= len(seen) <= 75
    assert visitor.cookie != first
    assert [each.session_id for each in manager.sessions(alice)] == [session.session_id]
    assert "Logged in as" in words(await visitor.open(f"{PORTAL}/"))


async def test_a_laptop_that_was_closed_for_days_loses_no_form(visitor, alice, clock):
    await visitor.log_in(alice, remember="yes")
    clock.advance(days=29)
    posted = await visitor.fetch("/x", "POST", content="long text")
    assert posted.json()["body"] == "long text"
    assert "; Max-Age=" in posted.headers["set-cookie"]
    clock.advance(days=29)
    assert subject_of(await visitor.open("/x")) == alice


async def test_a_session_that_is_idle_ends_for_the_cookie_as_well(visitor, alice, clock, service):
    await visitor.log_in(alice)
    clock.advance(days=6)
    assert subject_of(await visitor.open("/x")) == alice
    copy = visitor.cookie
    clock.advance(days=7, minutes=1)
    assert (await Visitor(service).fetch("/x", headers=with_cookie(copy))).status_code == 401
    page = await visitor.open("/x")
    assert "due to inactivity" in words(page)


async def test_an_old_copy_expires_although_the_session_lives(visitor, alice, clock, service):
    await visitor.log_in(alice)
    copy = visitor.cookie
    for _ in range(4):
        clock.advance(days=2)
        assert subject_of(await visitor.open("/x")) == alice
    answer = await Visitor(service).fetch("/x", headers=with_cookie(copy))
    assert answer.status_code == 401


async def test_ten_tabs_that_renew_at_once_all_go_on(visitor, alice, clock, service, start, make):
    await visitor.log_in(alice)
    services = [service, await start(make())]
    old = visitor.cookie
    clock.advance(seconds=ACCESS_LIFETIME + 1)
    tabs = [Visitor(services[number % 2]) for number in range(10)]
    methods = ["GET", "POST"] * 5
    calls = [
        tab.fetch("/x", method, headers=with_cookie(old))
        for tab, method in zip(tabs, methods, strict=True)
    ]
    answers = await asyncio.gather(*calls)
    assert [subject_of(answer) for answer in answers] == [alice] * 10
    renewed = {tab.cookie for tab in tabs}
    assert "" not in renewed and old not in renewed
    clock.advance(seconds=ACCESS_LIFETIME + 1)  # longer than any grace
    for value in (*renewed, old):
        answer = await Visitor(service).fetch("/x", headers=with_cookie(value))
        assert subject_of(answer) == alice
    assert "Logged in as" in words(await visitor.open(f"{PORTAL}/"))


async def test_a_renewal_in_vain_changes_nothing(visitor, alice, clock):
    """The answer that brings the new cookie is lost, twice."""
    await visitor.log_in(alice)
    old = visitor.cookie
    for _ in range(2):
        clock.advance(seconds=ACCESS_LIFETIME * 2)
        assert "set-cookie" in (await visitor.fetch("/x")).headers
        visitor.forget("-proxy")
        visitor.http.cookies.set(COOKIE, old, domain=HOST)
    assert subject_of(await visitor.fetch("/x")) == alice


async def test_only_a_due_cookie_is_replaced_and_not_by_a_part_of_a_page(visitor, alice, clock):
    await visitor.log_in(alice)
    assert "set-cookie" not in (await visitor.fetch("/x")).headers
    clock.advance(seconds=ACCESS_LIFETIME + 1)
    for part in ("image", "style", "script", "font"):
        answer = await visitor.fetch("/x", headers={"Sec-Fetch-Dest": part})
        assert subject_of(answer) == alice
        assert "set-cookie" not in answer.headers
    assert "set-cookie" not in (await visitor.fetch("/public/x")).headers
    assert (await visitor.fetch("/orders")).status_code == 403
    cookie = (await visitor.fetch("/x")).headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=1.")
    assert "Max-Age" not in cookie


async def test_an_outage_is_503_and_leaves_the_cookie_alone(visitor, alice, clock, start, make):
    await visitor.log_in(alice)
    away = Visitor(await start(make(store_url=AWAY)))
    cookie = with_cookie(visitor.cookie)
    clock.advance(seconds=ACCESS_LIFETIME + 1)
    for answer in (
        await away.fetch("/x", headers=cookie),
        await away.fetch("/x", "POST", headers=cookie),
        await away.open("/x", **cookie),
    ):
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        for name in ("set-cookie", "location", "www-authenticate"):
            assert name not in answer.headers
    led = await away.open("/x")
    assert led.status_code == 200, "the form needs no store"
    assert subject_of(await visitor.open("/x")) == alice


async def test_a_cookie_is_served_from_memory_as_a_token_is(visitor, alice, clock, service):
    await visitor.log_in(alice)
    old = visitor.cookie
    clock.advance(seconds=ACCESS_LIFETIME + 1)
    assert subject_of(await visitor.fetch("/x")) == alice
    assert visitor.cookie != old

    async def is_from_memory(value: str) -> bool:
        """What is answered without the store is not logged."""
        before = len(service.lines())
        assert subject_of(await Visitor(service).fetch("/x", headers=with_cookie(value))) == alice
        return len(service.lines()) == before

    async with asyncio.timeout(10):
        while not await is_from_memory(visitor.cookie):
            await asyncio.sleep(0.01)
