"""The page when the access token has expired, two tabs refresh at once, or the store is away."""

import pytest

from clusterpass.service.settings.loading import load_settings
from tests.cluster.stored import activity_of

from .conftest import PASSWORD, bearer
from .page_browser import ACCESS, ADDRESS, REFRESH, Browser, expired, forms_of, words

AWAY = "redis+cluster://127.0.0.1:1?timeout=0.3&deadline=0.3"

NO_USE = bytes(4)
"""What is noted beside a session: the second of its last use, and more where a token was used."""


@pytest.fixture
async def service(start, settings):
    return await start(settings, ADDRESS)


@pytest.fixture
def browser(service):
    return Browser(service)


async def test_an_expired_access_token_is_renewed_unseen(browser, alice, service):
    await browser.login(alice)
    before = browser.tokens
    browser.set_tokens(access=expired(service, browser))
    assert f"Logged in as {alice}" in await browser.text()
    assert browser.tokens[ACCESS] != before[ACCESS]
    assert browser.tokens[REFRESH] != before[REFRESH]
    assert f"Logged in as {alice}" in await browser.text()


async def test_a_lost_access_token_is_renewed(browser, alice):
    await browser.login(alice)
    browser.set_tokens(access="")
    assert f"Logged in as {alice}" in await browser.text()


async def test_a_form_renews_too(browser, alice, service):
    await service.login(alice)
    await browser.login(alice)
    forms = dict(await browser.forms())
    browser.set_tokens(access=expired(service, browser))
    action = "/page/sessions/revoke-others"
    answer = await browser.post(action, {"form_token": forms[action], "confirmed": "yes"})
    assert (answer.status_code, len(answer.headers.get_list("set-cookie"))) == (303, 3)
    assert "One other device was logged out." in await browser.text()


async def test_a_refused_form_still_hands_out_the_renewed_tokens(browser, alice, service):
    await browser.login(alice)
    browser.set_tokens(access=expired(service, browser))
    refused = await browser.post("/page/logout", {"form_token": "x"})
    assert refused.status_code == 403
    assert f"Logged in as {alice}" in await browser.text()


async def test_two_tabs_that_refresh_at_once_both_go_on(browser, alice, service):
    other = await service.login(alice)
    await browser.login(alice)
    action = "/page/sessions/revoke-others"
    token = dict(await browser.forms())[action]
    browser.set_tokens(access=expired(service, browser))
    before = browser.tokens
    assert f"Logged in as {alice}" in await browser.text()
    first = browser.tokens
    browser.set_tokens(access=before[ACCESS], refresh=before[REFRESH])
    assert (
        await browser.post(action, {"form_token": token, "confirmed": "yes"})
    ).status_code == 303
    assert browser.tokens[REFRESH] == first[REFRESH] != before[REFRESH]
    assert "One other device was logged out." in await browser.text()
    assert (await service.client.get("/verify", headers=bearer(other))).status_code == 401
    browser.set_tokens(access=first[ACCESS], refresh=first[REFRESH])
    assert f"Logged in as {alice}" in await browser.text()


@pytest.mark.parametrize("acts", [False, True], ids=["page", "form"])
async def test_a_page_that_renews_tokens_is_no_use_of_them(
    start, settings, alice, directory, new_name, cluster, acts
):
    """Its answer may be lost on the way: then the browser comes back with its old tokens."""
    root = new_name()
    directory.add(root, PASSWORD)
    service = await start(settings.model_copy(update={"administrators": (root,)}), ADDRESS)
    browser, action = Browser(service), "/page/subject/revoke-all"
    await service.login(alice)
    await browser.login(root)
    forms = forms_of(await browser.get(f"/page/subject?name={alice}"))
    fields = next(fields for found, fields in forms if found == action)
    browser.set_tokens(access="")
    if acts:  # whether the login is recent is asked apart from who it is
        assert (await browser.post(action, fields)).status_code == 303
    else:
        assert f"Logged in as {root}" in await browser.text()
    assert ACCESS in browser.tokens
    assert uses(cluster, root) == 0
    assert f"Logged in as {root}" in await browser.text()
    assert uses(cluster, root) == 1


def uses(cluster, subject: str) -> int:
    """How many sessions of the subject have a note that a token of their exchange was used."""
    noted = activity_of((cluster, "async"), subject).values()
    return sum(len(each) > len(NO_USE) for each in noted)


async def test_a_refresh_token_that_comes_back_late_ends_the_session(start, settings, alice):
    service = await start(settings.model_copy(update={"refresh_grace": 0}))
    browser = Browser(service)
    await browser.login(alice)
    browser.set_tokens(access=expired(service, browser))
    before = browser.tokens
    assert f"Logged in as {alice}" in await browser.text()
    owner = browser.tokens
    browser.set_tokens(access=before[ACCESS], refresh=before[REFRESH])
    assert "a session token was used twice." in await browser.text()
    assert browser.tokens == {}
    assert "used twice" not in await browser.text()
    browser.set_tokens(access=owner[ACCESS], refresh=owner[REFRESH])
    text = await browser.text()
    assert "You were logged out on this device on " in text
    assert "Someone may have copied it" in text
    assert browser.tokens == {}
    await browser.login(alice)
    assert "session token was used twice" in (await browser.text()).partition("Recent activity")[2]


async def test_a_store_that_is_away_logs_nobody_out(start, settings, keys_file, browser, alice):
    await browser.login(alice)
    token = dict(await browser.forms())["/page/logout"]
    away = await start(load_settings(None, {"store_url": AWAY, "keys_file": keys_file}))
    other = Browser(away)
    other.set_tokens(access=browser.tokens[ACCESS], refresh=browser.tokens[REFRESH])
    answers = [
        (await other.get(), "You have not been logged out."),
        (await other.post("/page/logout", {"form_token": token}), "You are still logged in."),
        (await other.login(alice), "You could not be logged in."),
    ]
    other.set_tokens(access="")
    answers.append((await other.get(), "You have not been logged out."))
    for answer, sentence in answers:
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert "set-cookie" not in answer.headers
        assert sentence in words(answer)
    other.set_tokens(refresh="")
    assert (await other.get()).status_code == 200
