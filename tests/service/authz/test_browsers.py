"""Browsers behind a proxy: led to the page and back, and let in while their session lives."""

import asyncio
import os
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from clusterpass import PasswordHasher, SessionManager, UserDirectory
from clusterpass.service.calls.proxy_cookie import ProxyCookies
from clusterpass.service.settings.loading import load_settings
from clusterpass.testing import SimulatedClock

from ..conftest import CHEAP_KIB, PASSWORD
from ..page_browser import words
from .browsing import APP, COOKIE, HOST, NAVIGATION, POLICY, PORTAL, PREFIX, Visitor, with_cookie
from .grpc_calls import check, check_request, grpc_address, headers_of, status_of

AWAY = "redis+cluster://127.0.0.1:1?timeout=0.3&deadline=0.3&namespace=cp-test-away"
ACCESS_LIFETIME = 900


@pytest.fixture
def clock(monkeypatch):
    moved = SimulatedClock()
    moved.begin()
    monkeypatch.setitem(ProxyCookies.__init__.__kwdefaults__, "clock", moved.wall)
    yield moved
    moved.end()


@pytest.fixture
def make(cluster_url, keys_file, tmp_path, clock):
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    sign = "&" if "?" in cluster_url else "?"
    given = {
        "store_url": f"{cluster_url}{sign}namespace=cp-test-{os.urandom(8).hex()}",
        "keys_file": keys_file,
        "address_attempts": 1_000_000,
        "trusted_proxies": "127.0.0.1",
        "authz_policy": policy,
        "page_prefix": PREFIX,
        "authz_portal": PORTAL,
    }
    return lambda **more: load_settings(None, {**given, **more})


@pytest.fixture
def manager(make):
    settings = make()
    url = settings.store_url.get_secret_value()
    with SessionManager.from_url(url, settings.session_config()) as opened:
        yield opened


@pytest.fixture
def alice(manager, new_name):
    name = new_name()
    UserDirectory(manager, hasher=PasswordHasher(memory_kib=CHEAP_KIB)).add(name, PASSWORD)
    return name


@pytest.fixture
async def service(start, make):
    return await start(make())


@pytest.fixture
def visitor(service):
    return Visitor(service)


def subject_of(answer: httpx.Response) -> str:
    assert answer.headers.get("x-upstream") == "1", (answer.status_code, answer.text)
    return answer.json()["subject"]


async def until_refused(visitor: Visitor, **more: Any) -> httpx.Response:
    """Return the first refusal, once the process hears of what another one has ended."""
    async with asyncio.timeout(10):
        while (answer := await visitor.fetch("/x", **more)).status_code == 200:
            await asyncio.sleep(0.01)
    assert answer.status_code == 401
    return answer


async def test_a_visitor_is_led_to_the_login_and_back(visitor, alice):
    page = await visitor.open("/orders-of/me?page=2&q=a%20b%26c")
    assert page.status_code == 200
    assert str(page.url).startswith(f"{PORTAL}/page/login?rd=")
    page = await visitor.submit(page, username=alice, password="wrong")
    assert page.status_code == 401
    page = await visitor.submit(page, username=alice, password="")
    assert page.status_code == 400
    back = await visitor.submit(page, username=alice, password=PASSWORD)
    assert str(back.url) == f"{APP}/orders-of/me?page=2&q=a%20b%26c"
    assert subject_of(back) == alice
    assert subject_of(await visitor.fetch("/data")) == alice


async def test_the_way_back_survives_the_throttle(start, make, alice):
    visitor = Visitor(await start(make(account_attempts=2, account_window=1)))
    page = await visitor.open("/deep")
    while page.status_code != 429:
        page = await visitor.submit(page, username=alice, password="wrong")
        assert page.status_code in {401, 429}
    deadline = asyncio.get_running_loop().time() + 20
    while page.status_code == 429:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)
        page = await visitor.submit(page, username=alice, password=PASSWORD)
    assert str(page.url) == f"{APP}/deep"


async def test_the_way_back_survives_the_choice_of_a_device(start, make, alice):
    service = await start(make(max_sessions=1, overflow="refuse"))
    first, second = Visitor(service), Visitor(service)
    await first.log_in(alice)
    page = await second.log_in(alice, "/deep")
    assert page.status_code == 409
    (device,) = re.findall(r'name="replace" value="([^"]+)"', page.text)
    filled = {"username": alice, "password": PASSWORD, "replace": device}
    back = await second.submit(page, **filled)
    assert str(back.url) == f"{APP}/deep"
    assert subject_of(back) == alice
    assert "by a newer login" in words(await first.open("/"))


EVIL = ("https://evil.example/", f"{APP}@evil.example/", "//evil.example", "javascript:alert(1)")


@pytest.mark.parametrize("evil", EVIL)
async def test_nobody_is_led_anywhere_else(visitor, alice, evil):
    link = str(httpx.URL(f"{PORTAL}/page/login", params={"rd": evil}))
    page = await visitor.open(link)
    assert str(page.url) == f"{PORTAL}/"
    assert "evil" not in page.text
    forged = {"username": alice, "password": PASSWORD, "rd": evil}
    assert str((await visitor.submit(page, **forged)).url) == f"{PORTAL}/"
    assert str((await visitor.open(link)).url) == f"{PORTAL}/"
    twice = f"{PORTAL}/page/login?rd={APP}/a&rd={APP}/b"
    assert str((await visitor.open(twice)).url) == f"{PORTAL}/"


async def test_the_form_may_lead_to_the_host_that_asked(visitor):
    page = await visitor.open("/x")
    assert f"form-action 'self' {APP};" in page.headers["content-security-policy"]
    plain = await visitor.open(f"{PORTAL}/")
    assert "form-action 'self';" in plain.headers["content-security-policy"]


async def test_what_is_no_navigation_gets_401(visitor, service):
    for method in ("GET", "POST", "PUT", "OPTIONS"):
        answer = await visitor.fetch("/x", method)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "location" not in answer.headers
    nginx = Visitor(service, proxy="nginx")
    assert "x-auth-redirect" not in (await nginx.fetch("/x")).headers
    led = await nginx.open("/x?y=1")
    assert (led.status_code, led.headers["www-authenticate"]) == (401, "Bearer")
    url = urlsplit(led.headers["x-auth-redirect"])
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{PORTAL}/page/login"
    assert parse_qs(url.query) == {"rd": [f"{APP}/x?y=1"]}


async def test_the_application_sees_no_token(visitor, alice):
    seen = (await visitor.log_in(alice, remember="yes")).json()["cookie"]
    assert re.fullmatch(rf"{COOKIE}=1\.[A-Za-z0-9._-]+", seen)
    for each in visitor.http.cookies.jar:
        is_for_proxies = each.name == COOKIE
        assert each.path == ("/" if is_for_proxies else PREFIX)
        assert each.secure and not each.domain_specified
    visitor.forget("-proxy")
    steps = (await visitor.open("/")).history
    sent = [each for step in steps for each in step.headers.get_list("set-cookie")]
    (given,) = [each for each in sent if each.startswith(f"{COOKIE}=")]
    assert re.search(r"; Max-Age=\d+; Path=/; Secure; HttpOnly; SameSite=Lax$", given)


async def test_the_cookie_is_of_no_use_elsewhere(visitor, alice, service):
    await visitor.log_in(alice)
    value = visitor.cookie
    for name in ("access", "refresh"):
        for cookie in (f"__Secure-clusterpass-{name}", f"__Host-clusterpass-{name}"):
            page = await service.client.get(f"{PREFIX}/", headers=with_cookie(value, cookie))
            assert "Logged in as" not in page.text
    page = await service.client.get(f"{PREFIX}/", headers=with_cookie(value))
    assert "Logged in as" not in page.text
    bearer = {"Authorization": f"Bearer {value}"}
    for path in ("/verify", "/sessions"):
        assert (await service.client.get(path, headers=bearer)).status_code == 401
        cookie = await service.client.get(path, headers=with_cookie(value))
        assert cookie.status_code == 401
    answer = await service.client.post("/refresh", json={"refresh_token": value})
    assert answer.status_code == 401
    stranger = Visitor(service)
    assert (await stranger.fetch("/x", headers=bearer)).status_code == 401
    assert (await stranger.fetch("/x", headers=with_cookie(value))).status_code == 200
    for host in ("elsewhere.example", "sub.app.example.org", "example.org"):
        answer = await stranger.fetch(f"https://{host}/x", headers=with_cookie(value))
        assert answer.status_code in {401, 403}
    twice = {"Cookie": f"{COOKIE}={value}; {COOKIE}={value}"}
    assert (await stranger.fetch("/x", headers=twice)).status_code == 401


async def test_a_forged_cookie_is_refused(visitor, alice, service, clock, make):
    await visitor.log_in(alice)
    version, session_id, issued, expires, lasting, step_up, subject, mac = visitor.cookie.split(".")
    for forged in (
        f"{version}.{session_id}.{issued}.{int(expires) + 1}.{lasting}.{step_up}.{subject}.{mac}",
        f"{version}.{session_id}.{issued}.{expires}.1.{step_up}.{subject}.{mac}",
        f"{version}.{session_id}.{issued}.{expires}.{lasting}.AAAAAAAAAAA.{subject}.{mac}",
        f"{version}.{session_id}.{issued}.{expires}.{lasting}.{step_up}.Ym9i.{mac}",
        f"{version}.{session_id}.{issued}.{expires}.{lasting}.{step_up}.{subject}.{'0' * 64}",
        f"2.{session_id}.{issued}.{expires}.{lasting}.{step_up}.{subject}.{mac}",
        visitor.cookie + "0",
        visitor.cookie[:-1],
        "x",
        "1.........",
    ):
        answer = await Visitor(service).fetch("/x", headers=with_cookie(forged))
        assert answer.status_code == 401, forged
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    other = make(authz_portal="https://other.example.org/auth")
    elsewhere = ProxyCookies.of(other, other.session_config())
    assert elsewhere is not None
    with pytest.raises(Exception, match="none of this service"):
        elsewhere.read(visitor.cookie)


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


async def test_a_step_up_on_the_way(visitor, alice, clock, service):
    await visitor.log_in(alice)
    assert subject_of(await visitor.open("/recent?x=1")) == alice
    clock.advance(seconds=700)
    before = visitor.cookie
    page = await visitor.open("/recent?x=1")
    assert str(page.url).startswith(f"{PORTAL}/page/step-up?rd=")
    for wrong, status in (("wrong", 401), ("", 400)):
        page = await visitor.submit(page, password=wrong)
        assert page.status_code == status
    back = await visitor.submit(page, password=PASSWORD)
    assert str(back.url) == f"{APP}/recent?x=1"
    assert subject_of(back) == alice
    # A copy from before does not rise, and is good for all else.
    copy = Visitor(service)
    refused = await copy.fetch("/recent", headers=with_cookie(before))
    assert refused.status_code == 401
    assert 'error="insufficient_user_authentication"' in refused.headers["www-authenticate"]
    assert (await copy.fetch("/x", headers=with_cookie(before))).status_code == 200
    # Renewed, the cookie still knows of the step-up, which is over after its time.
    clock.advance(seconds=250)
    assert subject_of(await visitor.open("/recent")) == alice
    clock.advance(seconds=ACCESS_LIFETIME)
    assert subject_of(await visitor.open("/x")) == alice
    assert "step-up" in str((await visitor.open("/recent")).url)


async def test_a_step_up_without_a_session_of_the_page_is_a_login(visitor, alice, clock, manager):
    await visitor.log_in(alice)
    visitor.forget("-access", "-refresh")
    clock.advance(seconds=700)
    page = await visitor.open("/recent")
    assert str(page.url).startswith(f"{PORTAL}/page/login?rd=")
    back = await visitor.submit(page, username=alice, password=PASSWORD)
    assert str(back.url) == f"{APP}/recent"
    assert len(manager.sessions(alice)) == 1, "the session of the cookie was replaced"


async def test_a_step_up_that_the_page_cannot_give_is_explained(visitor, alice):
    await visitor.log_in(alice)
    page = await visitor.open("/admin")
    assert page.status_code == 403
    assert "requires a stronger authentication than a password" in words(page)


async def test_who_is_logged_in_at_the_page_is_led_straight_back(visitor, alice):
    await visitor.log_in(alice)
    visitor.forget("-proxy")
    back = await visitor.open("/x?y=1")
    assert str(back.url) == f"{APP}/x?y=1"
    assert subject_of(back) == alice


async def test_a_browser_that_is_led_in_circles_is_told(visitor, alice):
    await visitor.log_in(alice)
    for _ in range(20):
        visitor.forget("-proxy")
        page = await visitor.http.get(f"{PORTAL}/page/login?rd={APP}/x")
        if page.status_code == 409:
            break
        assert page.status_code == 303
    assert "does not receive the cookie" in words(page)
    assert f'href="{APP}/x"' in page.text


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


async def test_an_impersonation_takes_the_cookie_over(start, make, alice, manager, new_name):
    root = new_name()
    UserDirectory(manager, hasher=PasswordHasher(memory_kib=CHEAP_KIB)).add(root, PASSWORD)
    service = await start(make(administrators=root))
    visitor = Visitor(service)
    await visitor.log_in(root)
    page = await visitor.open(f"{PORTAL}/page/subject?name={alice}")
    token = re.findall(r'name="form_token" value="([^"]+)"', page.text)[0]
    fields = {"form_token": token, "subject": alice, "reason": "help", "minutes": "5"}
    done = await visitor.http.post(
        f"{PORTAL}/page/subject/impersonate",
        data=fields,
        headers={"Origin": APP, "Sec-Fetch-Site": "same-origin"},
    )
    assert done.status_code == 303
    assert subject_of(await visitor.open("/x")) == alice
    manager.revoke_all(root)
    await until_refused(visitor)


async def test_a_domain_of_several_hosts(start, make, alice):
    portal = "https://auth.example.org"
    settings = make(page_prefix="", authz_portal=portal, authz_cookie_domain="example.org")
    visitor = Visitor(await start(settings), portal)
    page = await visitor.open("https://shop.example.org/cart?x=1")
    assert str(page.url).startswith(f"{portal}/page/login?rd=")
    assert "form-action 'self' https://shop.example.org;" in page.headers["content-security-policy"]
    back = await visitor.submit(page, username=alice, password=PASSWORD)
    assert str(back.url) == "https://shop.example.org/cart?x=1"
    assert back.json()["cookie"].startswith("__Secure-clusterpass-proxy=1.")
    assert "access" not in back.json()["cookie"] and "refresh" not in back.json()["cookie"]
    (cookie,) = [each for each in visitor.http.cookies.jar if each.name.endswith("-proxy")]
    assert (cookie.domain, cookie.path, cookie.secure) == (".example.org", "/", True)
    assert subject_of(await visitor.open("https://forum.example.org/")) == alice
    outside = with_cookie(visitor.cookie, "__Secure-clusterpass-proxy")
    answer = await visitor.fetch("https://elsewhere.example/", headers=outside)
    assert answer.status_code == 401


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


async def test_envoy_over_grpc(visitor, alice, clock, start, make):
    await visitor.log_in(alice)
    settings = make(authz_grpc_address=grpc_address())
    await start(settings)
    sent = f"a=1; {COOKIE}={visitor.cookie}; b=2"
    asked = {"host": HOST, "headers": [("cookie", sent)]}
    passed = await check(settings, check_request("/x", "POST", **asked))
    assert status_of(passed) == 200
    assert headers_of(passed)["x-auth-subject"] == alice
    assert headers_of(passed)["cookie"] == "a=1; b=2"
    assert not passed.ok_response.response_headers_to_add
    clock.advance(seconds=ACCESS_LIFETIME + 1)
    renewed = await check(settings, check_request("/x", "POST", **asked))
    (cookie,) = renewed.ok_response.response_headers_to_add
    assert cookie.header.value.startswith(f"{COOKIE}=1.")
    assert "set-cookie" not in headers_of(renewed)
    navigation = [(name.lower(), value) for name, value in NAVIGATION.items()]
    led = await check(settings, check_request("/x?y=1", host=HOST, headers=navigation))
    assert (status_of(led), led.status.code) == (302, 16)
    url = urlsplit(headers_of(led)["location"])
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{PORTAL}/page/login"
    assert parse_qs(url.query) == {"rd": [f"{APP}/x?y=1"]}
