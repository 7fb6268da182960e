"""Browsers behind a proxy: led to the page and back, and let in while their session lives."""

import asyncio
import re
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from clusterpass.service.calls.proxy_cookie import ProxyCookies
from tests.service.authz.browsing import (
    APP,
    COOKIE,
    HOST,
    NAVIGATION,
    PORTAL,
    PREFIX,
    Visitor,
    with_cookie,
)
from tests.service.authz.grpc_calls import check, check_request, grpc_address, headers_of, status_of
from tests.service.conftest import PASSWORD
from tests.service.page_browser import words

from .answers import ACCESS_LIFETIME, subject_of


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
