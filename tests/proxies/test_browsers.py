"""Browsers behind real proxies: the login and back, the renewal of their cookie, and its limits."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from clusterpass import SessionManager, TokenPair, UserDirectory
from clusterpass.service.calls.proxy_cookie import ProxyCookies
from clusterpass.service.settings.loading import load_settings
from clusterpass.service.settings.service import Settings
from tests.ports import free_port
from tests.service.chromium import launched
from tests.service.conftest import ServerProcess, serving
from tests.service.page_browser import forms_of, words

from .conftest import SETTINGS, Seen
from .programs import HOST, PROGRAMS, Proxy, proxying, require

PASSWORD = "correct horse battery"
COOKIE = "clusterpass-proxy"
NAVIGATION = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FETCH = {"Accept": "*/*", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
LONGEST = 20.0


@dataclass
class Site:
    """An application at one host, with the page under /auth."""

    proxy: Proxy
    service: ServerProcess
    settings: Settings

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.proxy.port}"

    def cookie(self, pair: TokenPair, *, age: float = 0, is_lasting: bool = False) -> str:
        """A cookie that the service has issued some seconds ago."""
        cookies = ProxyCookies.of(self.settings, self.settings.session_config())
        assert cookies is not None
        cookies._clock = lambda: time.time() - age  # type: ignore[misc]
        header = cookies.for_pair(pair, is_lasting=is_lasting)[1]
        return header.partition(";")[0].partition("=")[2]


NAMES = [name for name, program in PROGRAMS.items() if program.for_browsers is not None]
AWAY = "redis+cluster://127.0.0.1:1?timeout=0.3&deadline=0.3"


def settings_for(port: int) -> dict[str, str]:
    """The settings of a service whose page is under /auth behind a proxy."""
    return {
        "page_prefix": "/auth",
        "cookie_secure": "false",
        "authz_portal": f"http://{HOST}:{port}/auth",
    }


def as_environment(settings: dict[str, str]) -> dict[str, str]:
    return {f"CLUSTERPASS_{name.upper()}": value for name, value in settings.items()}


@pytest.fixture(scope="module", params=NAMES)
def site(
    request: pytest.FixtureRequest,
    cluster_url: str,
    keys_file: Path,
    app_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    require(request.param)
    folder, port = tmp_path_factory.mktemp(f"{request.param}-browsers"), free_port()
    given = settings_for(port)
    settings = load_settings(
        None, {**given, "trusted_proxies": "127.0.0.1", "keys_file": keys_file}
    )
    with serving(cluster_url, keys_file, folder) as start:
        service = start(**SETTINGS, **as_environment(given))
        options: Any = {"port": port, "for_browsers": True}
        with proxying(
            request.param, service.port, free_port(), app_port, folder / "files", **options
        ) as proxy:
            yield Site(proxy, service, settings)


class ToThisMachine(httpx.HTTPTransport):
    """Sends requests to every host to this machine, as browsers do for ``*.localhost``."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        sent = httpx.Request(
            request.method,
            request.url.copy_with(host="127.0.0.1"),
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        return super().handle_request(sent)


@contextmanager
def browser(site: Site, cookie: str = "") -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, transport=ToThisMachine(), timeout=30) as client:
        if cookie:
            client.cookies.set(COOKIE, cookie, domain=HOST)
        yield client


def cookie_of(client: httpx.Client) -> str | None:
    return client.cookies.get(COOKIE)


@pytest.fixture
def user(manager: SessionManager, subject: str) -> str:
    UserDirectory(manager).add(subject, PASSWORD)
    return subject


def submit(client: httpx.Client, page: httpx.Response, **filled: str) -> httpx.Response:
    """Send the form of a page; follow where that leads."""
    ((action, hidden),) = forms_of(page)
    origin = f"http://{page.request.headers['host']}"
    headers = {**NAVIGATION, "Origin": origin, "Sec-Fetch-Site": "same-origin"}
    return client.post(action, data={**hidden, **filled}, headers=headers, follow_redirects=True)


def test_the_login_and_back(site, user):
    with browser(site) as client:
        page = client.get("/private?x=1&y=a%20b", headers=NAVIGATION, follow_redirects=True)
        assert page.request.url.path == "/auth/page/login"
        assert "Log in" in words(page)
        page = submit(client, page, username=user, password="wrong")
        assert page.status_code == 401
        back = submit(client, page, username=user, password=PASSWORD)
        seen = Seen.of(back)
        assert (seen.said["path"], seen.said["query"]) == ("/private", "x=1&y=a%20b")
        assert seen.values("X-Auth-Subject") == [user]
        assert Seen.of(client.post("/private", content="10")).said["body"] == "10"
        answer = client.get("/auth/")
        assert f"Logged in as {user}" in words(answer)
        out = next(form for form in forms_of(answer) if form[0].endswith("/logout"))
        own = {"Origin": site.url, "Sec-Fetch-Site": "same-origin"}
        assert client.post(out[0], data=out[1], headers=own).status_code == 303
        assert client.get("/private", headers=FETCH).status_code == 401


def test_a_long_address_and_a_long_name_are_led_to_the_login_and_back(site, manager, subject):
    name, query = subject + "\N{CYRILLIC SMALL LETTER ZHE}" * 100, "a=b&" * 470
    UserDirectory(manager).add(name, PASSWORD)
    with browser(site) as client:
        page = client.get(f"/private?{query}", headers=NAVIGATION, follow_redirects=True)
        assert page.request.url.path == "/auth/page/login", page.status_code
        seen = Seen.of(submit(client, page, username=name, password=PASSWORD))
        assert (seen.said["path"], seen.said["query"]) == ("/private", query)


def test_what_is_no_navigation_is_401(site):
    with browser(site) as client:
        for method in ("GET", "POST", "PUT"):
            answer = client.request(method, "/private", headers=FETCH)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "location" not in answer.headers
        answer = client.post("/private", headers=NAVIGATION)
        assert answer.status_code == 401


def test_nobody_is_led_to_another_host(site):
    with browser(site) as client:
        for host in ("evil.example", f"{HOST}.evil.example", f"{HOST}:80@evil.example"):
            answer = client.get("/private", headers={**NAVIGATION, "Host": host})
            assert "evil" not in answer.headers.get("location", "")
            claimed = {"X-Forwarded-Host": host, "X-Original-Host": host}
            answer = client.get("/private", headers={**NAVIGATION, **claimed})
            assert "evil" not in answer.headers["location"]


def test_a_due_cookie_is_renewed_with_any_answer_of_the_application(site, login, subject):
    pair = login()
    due = site.cookie(pair, age=1000)
    for method, path in (("GET", "/private"), ("POST", "/private"), ("GET", "/private/status/404")):
        with browser(site, due) as client:
            seen = Seen.of(client.request(method, path, headers=FETCH))
            assert seen.values("X-Auth-Subject") == [subject]
            assert cookie_of(client) not in (None, due)
            answer = client.get("/private", headers=FETCH)
            assert Seen.of(answer) and "set-cookie" not in answer.headers


def test_a_form_is_not_lost_when_the_cookie_is_old(site, login):
    pair = login()
    with browser(site, site.cookie(pair, age=80_000)) as client:
        answer = client.post("/private", content="x" * 200_000, headers=NAVIGATION)
        assert Seen.of(answer).said["body"] == "x" * 200_000


def test_ten_requests_with_a_due_cookie_all_pass(site, login, manager, subject):
    pair = login()
    due = site.cookie(pair, age=1000)

    def visit(number: int) -> tuple[int, str | None]:
        with browser(site, due) as client:
            answer = client.request(("GET", "POST")[number % 2], "/private", headers=FETCH)
            return answer.status_code, cookie_of(client)

    with ThreadPoolExecutor(10) as pool:
        visits = list(pool.map(visit, range(10)))
    assert [status for status, _ in visits] == [200] * 10
    assert due not in {cookie for _, cookie in visits}
    for _, cookie in visits:
        assert cookie is not None
        with browser(site, cookie) as client:
            assert client.get("/private", headers=FETCH).status_code == 200
    assert [each.session_id for each in manager.sessions(subject)] == [pair.session_id]


def test_a_session_that_has_ended_is_refused_and_explained(site, login, manager, subject):
    pair = login()
    with browser(site, site.cookie(pair)) as client:
        assert client.get("/private", headers=FETCH).status_code == 200
        manager.revoke_all(subject, reason="reported as stolen")
        deadline = time.monotonic() + LONGEST
        while (answer := client.get("/private", headers=FETCH)).status_code == 200:
            assert time.monotonic() < deadline
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        page = client.get("/private", headers=NAVIGATION, follow_redirects=True)
        assert "by an administrator: reported as stolen" in words(page)


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ("{}", ""),
        ("a=1; {}", "a=1"),
        ("{}; b=2", "b=2"),
        ("a=1; {}; b=2; c=3", "a=1; b=2; c=3"),
        ("a=1;{};b=2", "a=1;b=2"),
        (f"x{COOKIE}=1; {{}}; {COOKIE}-x=2", f"x{COOKIE}=1; {COOKIE}-x=2"),
        ("a=1;  {}", "a=1"),
    ],
)
def test_the_application_does_not_receive_the_cookie(site, login, sent, received):
    value = site.cookie(login())
    with browser(site) as client:
        cookies = {"Cookie": sent.format(f"{COOKIE}={value}")}
        seen = Seen.of(client.get("/private", headers={**FETCH, **cookies}))
        assert "".join(seen.values("Cookie")) == received


@pytest.mark.parametrize("between", ["; ", "; b=2; "])
@pytest.mark.parametrize("times", [2, 3])
def test_a_cookie_that_is_there_several_times_does_not_reach_the_application(
    site, login, between, times
):
    value = site.cookie(login())
    planted = between.join([f"{COOKIE}={value}"] * times)
    with browser(site) as client:
        for sent in (planted, f"a=1; {planted}; c=3"):
            seen = Seen.of(client.get("/public/page", headers={**FETCH, "Cookie": sent}))
            assert value not in str(seen.said["headers"]), sent
            left = "".join(seen.values("Cookie"))
            assert left in ("", "b=2", "b=2; b=2") or left.startswith("a=1; "), left


def test_other_cookies_arrive_as_they_are(site):
    with browser(site) as client:
        seen = Seen.of(client.get("/public/page", headers={**FETCH, "Cookie": "a=1; b=2;c=3"}))
        assert seen.values("Cookie") == ["a=1; b=2;c=3"]


def test_an_identity_that_a_browser_claims_is_not_believed(site, login, subject):
    with browser(site, site.cookie(login(), age=1000)) as client:
        forged = {"X-Auth-Subject": "mallory", "X-Auth-Actor": "mallory", "Remote-User": "mallory"}
        seen = Seen.of(client.get("/private", headers={**FETCH, **forged}))
        assert seen.values("X-Auth-Subject") == [subject]
        assert "mallory" not in str(seen.said["headers"])


def test_a_cookie_of_the_application_arrives_beside_the_renewed_one(site, login):
    with browser(site, site.cookie(login(), age=1000)) as client:
        answer = client.get("/private/cookie/theme", headers=FETCH)
        assert Seen.of(answer)
        assert {each.partition("=")[0] for each in answer.headers.get_list("set-cookie")} == {
            "theme",
            COOKIE,
        }


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", NAMES)
def test_an_outage_leads_nobody_anywhere(name, cluster_url, keys_file, app_port, login, tmp_path):
    require(name)
    port = free_port()
    given = settings_for(port)
    settings = load_settings(
        None, {**given, "trusted_proxies": "127.0.0.1", "keys_file": keys_file}
    )
    options: Any = {"port": port, "for_browsers": True}
    with serving(cluster_url, keys_file, tmp_path) as start:
        service = start(**SETTINGS, **as_environment(given), CLUSTERPASS_STORE_URL=AWAY)
        folder = tmp_path / "files"
        with proxying(name, service.port, free_port(), app_port, folder, **options) as proxy:
            site = Site(proxy, service, settings)
            with browser(site, site.cookie(login(), age=1000)) as client:
                for is_gone in (False, True):
                    if is_gone:
                        service.stop()
                    for answer in (
                        client.get("/private", headers=NAVIGATION),
                        client.post("/private", headers=FETCH, content="x"),
                    ):
                        assert answer.status_code == 503
                        assert int(answer.headers["retry-after"]) >= 1
                        for header in ("set-cookie", "location", "x-upstream"):
                            assert header not in answer.headers
                    if not is_gone:
                        page = client.get("/auth/", headers=NAVIGATION)
                        assert "You have not been logged out." in words(page)


@pytest.mark.sampled(3)
async def test_a_real_browser(site, user, manager):
    async with launched() as chromium:
        context = await chromium.new_context()
        context.set_default_timeout(15_000)
        page = await context.new_page()
        await page.goto(f"{site.url}/private?x=1")
        assert "/auth/page/login?rd=" in page.url
        await page.get_by_label("User name").fill(user)
        await page.get_by_label("Password").fill("wrong password")
        await page.get_by_role("button", name="Log in").click()
        await page.get_by_role("alert").wait_for()
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Log in").click()
        await page.wait_for_url(f"{site.url}/private?x=1")
        assert f'"{user}"' in await page.content()
        post = "fetch('/private', {method: 'POST', body: '10'}).then(answer => answer.status)"
        assert await page.evaluate(post) == 200
        assert await page.evaluate("document.cookie") == ""
        manager.revoke_all(user, reason="reported as stolen")
        deadline = time.monotonic() + LONGEST
        while await page.evaluate(post) == 200:
            assert time.monotonic() < deadline
        assert await page.evaluate(post) == 401
        await page.reload()
        assert "/auth/page/login?rd=" in page.url
        await page.get_by_text("by an administrator: reported as stolen").wait_for()
        await context.close()


@pytest.mark.parametrize("name", ["nginx", "caddy"])
async def test_one_login_for_the_hosts_of_a_domain(
    name, cluster_url, keys_file, app_port, user, tmp_path
):
    """The browser enforces the prefix and the domain of the cookie, and where forms may lead."""
    require(name)
    port, domain = free_port(), "corp.localhost"
    shop, auth = f"shop.{domain}", f"auth.{domain}"
    policy = tmp_path / "policy.toml"
    policy.write_text('[[rules]]\nhosts = "*.corp.localhost"\n')
    given = {
        **settings_for(port),
        "authz_portal": f"http://{auth}:{port}/auth",
        "authz_cookie_domain": domain,
        "authz_hosts": f"{shop}:{port},forum.{domain}:{port}",
    }
    environment = {**SETTINGS, **as_environment(given), "CLUSTERPASS_AUTHZ_POLICY": str(policy)}
    hosts = (
        {f"server_name {HOST}": f"server_name .{domain}"}
        if name == "nginx"
        else {f"http://{HOST}:{port}": f"http://*.{domain}:{port}"}
    )
    options: Any = {"port": port, "for_browsers": True, "changes": hosts}
    with serving(cluster_url, keys_file, tmp_path) as start:
        service = start(**environment)
        with proxying(name, service.port, free_port(), app_port, tmp_path / "files", **options):
            async with launched() as chromium:
                context = await chromium.new_context()
                context.set_default_timeout(15_000)
                page = await context.new_page()
                await page.goto(f"http://{shop}:{port}/cart?x=1")
                assert page.url.startswith(f"http://{auth}:{port}/auth/page/login?rd=")
                await page.get_by_label("User name").fill(user)
                await page.get_by_label("Password").fill("wrong password")
                await page.get_by_role("button", name="Log in").click()
                await page.get_by_role("alert").wait_for()
                await page.get_by_label("Password").fill(PASSWORD)
                await page.get_by_role("button", name="Log in").click()
                await page.wait_for_url(f"http://{shop}:{port}/cart?x=1")
                assert f'"{user}"' in await page.content()
                await page.goto(f"http://forum.{domain}:{port}/")
                assert f'"{user}"' in await page.content()
                cookies = {each["name"]: each for each in await context.cookies()}
                assert cookies[COOKIE]["domain"] == f".{domain}"
                assert cookies["clusterpass-refresh"]["domain"] == auth
                await page.goto(f"http://other.{domain}:{port}/")
                assert f'"{user}"' in await page.content()
                await context.clear_cookies()
                answer = await page.goto(f"http://other.{domain}:{port}/")
                assert answer is not None and answer.status == 401, "no host to lead back to"
                await context.close()
