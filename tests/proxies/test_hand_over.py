"""Two hosts of different domains behind real proxies: one login, handed over by a code."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from clusterpass import UserDirectory
from tests.ports import free_port
from tests.service.chromium import launched
from tests.service.conftest import ServerProcess, serving
from tests.service.page_browser import forms_of

from .conftest import SETTINGS, logged
from .programs import HOST, Proxy, proxying, require
from .test_browsers import NAMES, NAVIGATION, ToThisMachine, as_environment, settings_for

PASSWORD = "correct horse battery"
LONGEST = 20.0
NONCE = "clusterpass-hand-over"
COOKIE = "clusterpass-proxy"
AUTH, SHOP = "auth.localhost", "shop.localhost"
"""No browser sends a cookie of one name in .localhost to another one."""


class Sites(NamedTuple):
    """The portal and two applications, each in a domain of its own, behind one proxy."""

    proxy: Proxy
    service: ServerProcess

    def at(self, host: str, path: str = "/") -> str:
        return f"http://{host}:{self.proxy.port}{path}"


def changes(name: str, port: int) -> dict[str, str]:
    """What has the files of ``deploy/`` serve more hosts than one."""
    hosts = " || ".join(f"Host(`{each}`)" for each in (HOST, AUTH, SHOP))
    return {
        "nginx": {f"server_name {HOST}": f"server_name {HOST} {AUTH} {SHOP}"},
        "caddy": {f"http://{HOST}:{port}": f"http://*.localhost:{port}"},
        "traefik": {f"Host(`{HOST}`)": f"({hosts})"},
        "envoy": {f"domains: [{HOST}]": f"domains: [{HOST}, {AUTH}, {SHOP}]"},
    }.get(name, {})


@pytest.fixture(scope="module", params=NAMES)
def sites(
    request: pytest.FixtureRequest,
    cluster_url: str,
    keys_file: Path,
    app_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Sites]:
    require(request.param)
    folder, port = tmp_path_factory.mktemp(f"{request.param}-hand-over"), free_port()
    policy = folder / "policy.toml"
    policy.write_text('[[rules]]\nhosts = "*"\n')
    given = {
        **settings_for(port),
        "authz_portal": f"http://{AUTH}:{port}/auth",
        "authz_hand_over_hosts": f"{HOST}:{port},{SHOP}:{port}",
        "authz_policy": str(policy),
    }
    options: Any = {"port": port, "for_browsers": True, "changes": changes(request.param, port)}
    with serving(cluster_url, keys_file, folder) as start:
        service = start(**{**SETTINGS, **as_environment(given)})
        # The first page takes the longest, on a busy machine longer than a proxy waits.
        assert httpx.get(f"http://127.0.0.1:{service.port}/auth/", timeout=60).status_code == 200
        with proxying(
            request.param, service.port, free_port(), app_port, folder / "files", **options
        ) as proxy:
            yield Sites(proxy, service)


@pytest.fixture
def user(manager: Any, subject: str) -> str:
    UserDirectory(manager).add(subject, PASSWORD)
    return subject


@pytest.mark.sampled(2)
async def test_a_real_browser_is_handed_over(sites, user, manager):
    async with launched() as chromium:
        context = await chromium.new_context()
        context.set_default_timeout(15_000)
        page = await context.new_page()
        requested: list[tuple[str, str | None]] = []
        page.on("request", lambda each: requested.append((each.url, each.headers.get("referer"))))
        await page.goto(sites.at(HOST, "/private?x=1"))
        assert page.url.startswith(sites.at(AUTH, "/auth/page/login?rd="))
        await page.get_by_label("User name").fill(user)
        await page.get_by_label("Password").fill("wrong password")
        await page.get_by_role("button", name="Log in").click()
        await page.get_by_role("alert").wait_for()
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Log in").click()
        await page.wait_for_url(sites.at(HOST, "/private?x=1"))
        assert f'"{user}"' in await page.content()
        post = "fetch('/private', {method: 'POST', body: '10'}).then(answer => answer.status)"
        assert await page.evaluate(post) == 200
        assert await page.evaluate("document.cookie") == ""
        cookies = {(each["name"], each["domain"]) for each in await context.cookies()}
        assert {(COOKIE, HOST), (COOKIE, AUTH), ("clusterpass-refresh", AUTH)} <= cookies
        assert (NONCE, HOST) not in cookies

        await page.goto(sites.at(SHOP, "/cart"))
        assert page.url == sites.at(SHOP, "/cart"), "no form to fill in"
        assert f'"{user}"' in await page.content()

        codes = [url for url, _ in requested if "code=" in url]
        assert len(codes) == 2
        assert not [referer for _, referer in requested if referer and "code=" in referer]
        logs = sites.proxy.log_file.parent.rglob("*log*")
        written = [each.read_text() for each in (sites.service.log_file, *logs) if each.is_file()]
        for url in codes:
            code = url.rpartition("code=")[2]
            assert not [text for text in written if code in text or code[-64:] in text]
            # A code that was used leads to the portal, and back by one of its own.
            await page.goto(url)
            assert f'"{user}"' in await page.content()

        manager.revoke_all(user, reason="reported as stolen")
        for host in (SHOP, HOST):
            deadline = time.monotonic() + LONGEST
            await page.goto(sites.at(host, "/private"))
            while not page.url.startswith(sites.at(AUTH, "/auth/page/login")):
                assert time.monotonic() < deadline
                await page.goto(sites.at(host, "/private"))
        await context.close()


def code_for(sites: Sites, user: str) -> str:
    """Have somebody log in on the way; return the address with their code, not opened."""
    with httpx.Client(transport=ToThisMachine(), timeout=30) as client:
        private = sites.at(HOST, "/private")
        page = client.get(private, headers=NAVIGATION, follow_redirects=True)
        ((action, hidden),) = forms_of(page)
        origin = {"Origin": sites.at(AUTH).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
        filled = {**hidden, "username": user, "password": PASSWORD}
        answer = client.post(page.url.join(action), data=filled, headers={**NAVIGATION, **origin})
        assert answer.status_code == 303
        return str(answer.headers["location"])


@pytest.mark.sampled(3)
async def test_the_code_of_another_browser_logs_nobody_in(sites, user):
    url = code_for(sites, user)
    assert url.startswith(sites.at(HOST, "/_clusterpass/session?rd=%2Fprivate&state="))
    async with launched() as chromium:
        victim = await chromium.new_context()
        page = await victim.new_page()
        await page.goto(url)
        assert page.url.startswith(sites.at(AUTH, "/auth/page/login?rd="))
        names = {each["name"] for each in await victim.cookies(sites.at(HOST))}
        assert names == {NONCE}
        await victim.close()
    line = logged(sites.service, error="hand_over_refused")
    assert (line["path"], line["reason"]) == ("/_clusterpass/session", "other_browser")
