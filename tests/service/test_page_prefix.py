"""The page under a prefix: it and its cookies stay there, and the rest of the host is free."""

import re
from typing import Any

import pytest

from .conftest import PASSWORD
from .page_browser import ADDRESS, Browser, words

PREFIX = "/auth"
LINK = re.compile(r'(?:href|action)="([^"]*)"')
OWN = ("access", "refresh", "device", "notice", "remember")


@pytest.fixture
async def service(start, settings, root):
    changes = {"page_prefix": PREFIX, "administrators": (root,)}
    return await start(settings.model_copy(update=changes), ADDRESS)


@pytest.fixture
def root(directory, new_name):
    name = new_name()
    directory.add(name, PASSWORD)
    return name


class PrefixBrowser(Browser):
    async def login(self, name: str, password: str = PASSWORD, **more: Any) -> Any:
        fields = {"username": name, "password": password}
        return await self.post(f"{PREFIX}/page/login", {**fields, **more})


@pytest.fixture
def browser(service):
    return PrefixBrowser(service)


def links(answer) -> set[str]:
    return {link for link in LINK.findall(answer.text) if not link.startswith("data:")}


async def test_everything_that_a_page_names_is_under_the_prefix(browser, service, alice, root):
    await service.login(alice)
    pages = [await browser.get(f"{PREFIX}/")]
    assert 'action="/auth/page/login"' in pages[0].text
    pages.append(await browser.login(alice, "wrong"))
    answer = await browser.login(root)
    assert (answer.status_code, answer.headers["location"]) == (303, "/auth/")
    await service.login(root)
    paths = ("/", "/page/online", f"/page/subject?name={alice}", "/page/subject/nowhere")
    pages += [await browser.get(f"{PREFIX}{path}") for path in paths]
    for page in pages:
        named = links(page) or {page.headers["location"]}
        assert named
        assert all(link.startswith(f"{PREFIX}/") for link in named), named
    assert len({link for page in pages for link in links(page)}) > 8
    style = next(link for link in links(pages[0]) if ".css" in link)
    assert (await browser.get(style)).headers["cache-control"].startswith("public")


async def test_its_cookies_are_sent_to_it_alone(browser, alice):
    answers = [await browser.login(alice, remember="yes")]
    answers.append(await browser.click(f"{PREFIX}/page/logout", f"{PREFIX}/"))
    every = [cookie for answer in answers for cookie in answer.headers.get_list("set-cookie")]
    sent = [cookie for cookie in every if not cookie.startswith("__Host-")]
    named = {cookie.partition("=")[0] for cookie in sent}
    assert named == {f"__Secure-clusterpass-{name}" for name in OWN}
    for cookie in sent:
        assert "; Path=/auth;" in cookie
        assert "; Secure;" in cookie and "; HttpOnly;" in cookie and "Domain" not in cookie
    assert "You have been logged out." in words(await browser.get(f"{PREFIX}/"))


async def test_the_cookies_of_a_page_that_was_at_the_root_before_are_deleted(browser, alice):
    cookies = (await browser.login(alice)).headers.get_list("set-cookie")
    for name in ("access", "refresh"):
        start = f"__Host-clusterpass-{name}=; Max-Age=0; Path=/; Secure;"
        assert len([cookie for cookie in cookies if cookie.startswith(start)]) == 1


async def test_forms_work_there(browser, service, alice, root):
    await service.login(alice)
    await browser.login(root)
    path = f"{PREFIX}/page/subject?name={alice}"
    done = await browser.click(f"{PREFIX}/page/subject/revoke-all", path, reason="lost")
    assert (done.status_code, done.headers["location"]) == (303, path)
    assert "One device was logged out." in words(await browser.get(path))


async def test_the_rest_of_the_host_is_free(browser, alice):
    for path in ("/", "/page/login", "/page/page.css", "/authx", "/auth2/"):
        assert (await browser.get(path)).status_code == 404, path
    refused = await browser.post("/page/login", {"username": alice, "password": PASSWORD})
    assert refused.status_code in {404, 415}
    bare = await browser.get(PREFIX)
    assert (bare.status_code, bare.headers["location"]) == (303, "/auth/")
