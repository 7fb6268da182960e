"""Browsers at hosts of other domains: they are handed the session of the portal, and no other."""

import asyncio
import os
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from clusterpass import PasswordHasher, SessionManager, UserDirectory
from clusterpass.service.calls.hand_over import LIFETIME, HandOvers
from clusterpass.service.calls.proxy_cookie import ProxyCookies
from clusterpass.service.settings.service import load_settings
from clusterpass.testing import SimulatedClock

from ..conftest import CHEAP_KIB, PASSWORD
from ..page_browser import words
from .asking import asked
from .browsing import FETCH, NAVIGATION, Visitor

PORTAL = "https://auth.example.org"
APP, SHOP = "https://app.example.net", "https://shop.example.com:8443"
HOSTS = "app.example.net, shop.example.com:8443"
COOKIE, NONCE = "__Host-clusterpass-proxy", "__Host-clusterpass-hand-over"
FINISH, BEGIN = "/_clusterpass/session", "/_clusterpass/begin"
AWAY = "redis+cluster://127.0.0.1:1?timeout=0.3&deadline=0.3&namespace=cp-test-away"
POLICY = """
[[rules]]
hosts = "*"
paths = "/recent"
max_auth_age = 600

[[rules]]
hosts = "*"
paths = "/admin"
level = "2"

[[rules]]
hosts = "*"
"""


@pytest.fixture
def clock(monkeypatch):
    moved = SimulatedClock()
    moved.begin()
    for each in (ProxyCookies, HandOvers):
        monkeypatch.setitem(each.__init__.__kwdefaults__, "clock", moved.wall)
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
        "authz_portal": PORTAL,
        "authz_hand_over_hosts": HOSTS,
    }
    return lambda **more: load_settings(None, {**given, **more})


@pytest.fixture
def manager(make):
    settings = make()
    url = settings.store_url.get_secret_value()
    with SessionManager.from_url(url, settings.session_config()) as opened:
        yield opened


@pytest.fixture
def new_user(manager, new_name):
    def add() -> str:
        name = new_name()
        UserDirectory(manager, hasher=PasswordHasher(memory_kib=CHEAP_KIB)).add(name, PASSWORD)
        return name

    return add


@pytest.fixture
def alice(new_user):
    return new_user()


@pytest.fixture
async def service(start, make):
    return await start(make())


@pytest.fixture
def visitor(service):
    return Visitor(service, PORTAL)


def subject_of(answer: httpx.Response) -> str:
    assert answer.headers.get("x-upstream") == "1", (answer.status_code, answer.text)
    return str(answer.json()["subject"])


def cookies_at(visitor: Visitor, host: str) -> dict[str, str]:
    """The cookies that a browser keeps for a host, in httpx's spelling of it."""
    return {each.name: each.value or "" for each in visitor.http.cookies.jar if each.domain == host}


async def until_refused(visitor: Visitor, url: str, **more: Any) -> None:
    async with asyncio.timeout(10):
        while (answer := await visitor.fetch(url, **more)).status_code == 200:
            await asyncio.sleep(0.01)
    assert answer.status_code == 401


async def finish(service: Any, url: httpx.URL | str, *, nonce: str = "", host: str = "") -> Any:
    """Bring a code to a host, in a browser with this nonce."""
    cookies = {"Cookie": f"{NONCE}={nonce}"} if nonce else {}
    parts = urlsplit(str(url))
    headers = {**NAVIGATION, **cookies, "Host": host or parts.netloc}
    return await service.client.get(f"{parts.path}?{parts.query}", headers=headers)


def is_refused(answer: httpx.Response, host: str = APP) -> bool:
    """Whether a code admitted nobody, and the browser goes to the portal again."""
    assert answer.status_code == 303
    given = answer.headers.get_list("set-cookie")
    is_led = answer.headers["location"].startswith(f"{host}{BEGIN}?rd=")
    assert is_led is not any(each.startswith(COOKIE) for each in given)
    return is_led


def reasons(service: Any) -> list[str]:
    return [each["reason"] for each in service.lines() if each.get("error") == "hand_over_refused"]


async def code_for(visitor: Visitor, alice: str, url: str = f"{APP}/x") -> tuple[httpx.URL, str]:
    """Have somebody log in; return the address with their code, not opened, and their nonce."""
    page = await visitor.open(f"{PORTAL}/")
    await visitor.submit(page, username=alice, password=PASSWORD)
    found = await visitor.follow(url, "code=")
    return found, cookies_at(visitor, str(found.host))[NONCE]


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
    url = str((await victim.submit(page, username=alice, password=PASSWORD)).history[-1].url)
    assert url
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
