"""Browsers at hosts of other domains: they are handed the session of the portal, and no other."""

import re
from urllib.parse import parse_qs

from ...conftest import PASSWORD
from ...page_browser import words
from ..asking import asked
from ..browsing import FETCH, NAVIGATION, Visitor
from .visits import (
    APP,
    AWAY,
    BEGIN,
    COOKIE,
    FINISH,
    NONCE,
    PORTAL,
    SHOP,
    code_for,
    cookies_at,
    finish,
    subject_of,
    until_refused,
)


async def test_a_visitor_is_led_to_the_login_and_back(visitor, alice, service):
    page = await visitor.open(f"{APP}/orders?page=2&q=a%20b%26c")
    assert page.status_code == 200
    assert str(page.url).startswith(f"{PORTAL}/page/login?rd=")
    page = await visitor.submit(page, username=alice, password="wrong")
    assert page.status_code == 401
    page = await visitor.submit(page, username=alice, password="")
    assert page.status_code == 400
    back = await visitor.submit(page, username=alice, password=PASSWORD)
    assert str(back.url) == f"{APP}/orders?page=2&q=a%20b%26c"
    assert subject_of(back) == alice
    assert subject_of(await visitor.fetch(f"{APP}/data", "POST", content="x")) == alice
    there = cookies_at(visitor, "app.example.net")
    assert set(there) == {COOKIE}
    assert NONCE not in back.json()["cookie"]
    # The next host has no form to fill in.
    other = await visitor.open(f"{SHOP}/cart")
    assert (str(other.url), subject_of(other)) == (f"{SHOP}/cart", alice)
    assert cookies_at(visitor, "shop.example.com")[COOKIE] != there[COOKIE]


async def test_every_step_keeps_the_code_to_itself(visitor, alice, service):
    url, nonce = await code_for(visitor, alice)
    code = parse_qs(url.query.decode())["code"][0]
    answer = await visitor.http.get(url, headers=NAVIGATION)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{APP}/x")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    kept, gone = answer.headers.get_list("set-cookie")
    assert re.fullmatch(rf"{COOKIE}=1\.\S+; Path=/; Secure; HttpOnly; SameSite=Lax", kept)
    assert re.fullmatch(rf"{NONCE}=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax", gone)
    log = service.log.getvalue()
    assert FINISH in log
    for secret in (code, code.rpartition(".")[2], nonce, code.split(".")[1]):
        assert secret not in log
    line = next(each for each in service.lines() if each["path"] == FINISH)
    assert (line["status"], line["subject"]) == (303, alice)


async def test_the_paths_are_at_the_listed_hosts_alone(service, visitor, start, make):
    for path in (BEGIN, FINISH):
        for host in (
            "auth.example.org",
            "evil.example",
            "app.example.net:8443",
            "shop.example.com",
        ):
            answer = await service.client.get(path, headers={**NAVIGATION, "Host": host})
            assert answer.status_code == 404
            assert "set-cookie" not in answer.headers
        answer = await service.client.get(path, headers={**FETCH, "Host": "app.example.net"})
        assert answer.status_code == 404, "no navigation"
    none = await start(
        make(page_prefix="/auth", authz_hand_over_hosts="", authz_portal=f"{PORTAL}/auth")
    )
    answer = await none.client.get(BEGIN, headers={**NAVIGATION, "Host": "app.example.net"})
    assert answer.status_code == 404


async def test_a_proxy_that_does_not_pass_the_paths_leads_nobody_in_circles(service):
    for proxy in ("caddy", "nginx"):
        described = asked(f"{BEGIN}?rd=/x", proxy=proxy, host="app.example.net")
        answer = await service.client.get(f"/authz/{proxy}", headers={**NAVIGATION, **described})
        assert answer.status_code == 401
        assert "x-auth-redirect" not in answer.headers


async def test_a_browser_that_keeps_no_cookies_is_led_six_times(service, alice):
    visitor = Visitor(service, PORTAL)
    page = await visitor.open(f"{PORTAL}/")
    await visitor.submit(page, username=alice, password=PASSWORD)
    url, answer = f"{APP}/x", None
    for _ in range(100):
        for host in ("app.example.net",):
            for name in cookies_at(visitor, host):
                visitor.http.cookies.delete(name, domain=host)
        answer = await visitor.http.get(url, headers=NAVIGATION)
        if not answer.has_redirect_location:
            break
        url = str(answer.url.join(answer.headers["location"]))
    assert answer is not None and answer.status_code == 409


async def test_a_logout_ends_it_on_every_host(visitor, alice, service):
    await code_for(visitor, alice)
    for host in (APP, SHOP):
        assert subject_of(await visitor.open(f"{host}/x")) == alice
    stolen = {
        host: {"Cookie": f"{COOKIE}={cookies_at(visitor, name)[COOKIE]}"}
        for host, name in ((APP, "app.example.net"), (SHOP, "shop.example.com"))
    }
    home = await visitor.open(f"{PORTAL}/")
    token = re.findall(r'name="form_token" value="([^"]+)"', home.text)[0]
    origin = {"Origin": PORTAL, "Sec-Fetch-Site": "same-origin"}
    out = await visitor.http.post(
        f"{PORTAL}/page/logout", data={"form_token": token}, headers=origin
    )
    assert out.status_code == 303
    for host in (APP, SHOP):
        await until_refused(visitor, f"{host}/x")
        await until_refused(Visitor(service, PORTAL), f"{host}/x", headers=stolen[host])


async def test_a_cookie_of_one_host_is_none_of_another(visitor, alice, service):
    await code_for(visitor, alice)
    await visitor.open(f"{APP}/x")
    value = {"Cookie": f"{COOKIE}={cookies_at(visitor, 'app.example.net')[COOKIE]}"}
    stranger = Visitor(service, PORTAL)
    assert (await stranger.fetch(f"{APP}/x", headers=value)).status_code == 200
    for host in (SHOP, PORTAL.replace("auth", "app"), "https://x.app.example.net"):
        assert (await stranger.fetch(f"{host}/x", headers=value)).status_code == 401
    page = await service.client.get("/", headers={"Host": "auth.example.org", **value})
    assert "Logged in as" not in page.text


async def test_it_is_renewed_where_it_is(visitor, alice, clock):
    await code_for(visitor, alice)
    await visitor.open(f"{APP}/x")
    first = cookies_at(visitor, "app.example.net")[COOKIE]
    clock.advance(minutes=20)
    answer = await visitor.fetch(f"{APP}/x", "POST", content="10")
    assert subject_of(answer) == alice
    assert cookies_at(visitor, "app.example.net")[COOKIE] != first
    assert subject_of(await visitor.fetch(f"{APP}/x")) == alice


async def test_who_asked_to_be_remembered_is_so_there(visitor, alice):
    page = await visitor.open(f"{APP}/x")
    filled = {"username": alice, "password": PASSWORD, "remember": "yes"}
    back = await visitor.submit(page, **filled)
    sent = [each for step in back.history for each in step.headers.get_list("set-cookie")]
    (given,) = [
        each
        for each in sent
        if each.startswith(COOKIE) and "Domain" not in each and "Max-Age=" in each
    ][-1:]
    assert re.search(r"; Max-Age=[1-9]\d+; ", given)
    other = await visitor.open(f"{SHOP}/x")
    sent = [each for step in other.history for each in step.headers.get_list("set-cookie")]
    assert re.search(r"; Max-Age=[1-9]\d+; ", next(e for e in sent if e.startswith(COOKIE)))


async def test_a_step_up_reaches_the_host(visitor, alice, clock):
    await code_for(visitor, alice)
    assert subject_of(await visitor.open(f"{APP}/recent")) == alice
    clock.advance(minutes=11)
    page = await visitor.open(f"{APP}/recent?x=1")
    assert str(page.url).startswith(f"{PORTAL}/page/step-up?rd=")
    page = await visitor.submit(page, password="wrong")
    assert page.status_code == 401
    back = await visitor.submit(page, password=PASSWORD)
    assert (str(back.url), subject_of(back)) == (f"{APP}/recent?x=1", alice)
    page = await visitor.open(f"{APP}/admin")
    assert page.status_code == 403
    assert "requires a stronger authentication" in words(page)


async def test_a_long_address_loses_its_query(visitor, alice):
    page = await visitor.open(f"{APP}/x?{'a=%20' * 300}")
    back = await visitor.submit(page, username=alice, password=PASSWORD)
    assert (str(back.url), subject_of(back)) == (f"{APP}/x", alice)


async def test_an_outage_logs_nobody_out_and_admits_nobody(visitor, alice, start, make):
    url, nonce = await code_for(visitor, alice)
    away = await start(make(store_url=AWAY))
    answer = await finish(away, url, nonce=nonce)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert "set-cookie" not in answer.headers
    again = await visitor.http.get(url, headers=NAVIGATION)
    assert again.headers["location"] == f"{APP}/x", "nothing was used up"
