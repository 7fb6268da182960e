"""The page when the access token has expired, a tab was overtaken, or the store is away."""

from datetime import UTC, datetime

import pytest

from clusterpass.service.settings import load_settings

from .conftest import bearer
from .page_browser import ACCESS, ADDRESS, REFRESH, Browser, words

AWAY = "redis+cluster://127.0.0.1:1?timeout=0.3&deadline=0.3"


@pytest.fixture
async def service(start, settings):
    return await start(settings, ADDRESS)


@pytest.fixture
def browser(service):
    return Browser(service)


@pytest.fixture
def expired(settings, service):
    """An access token of the same session that has expired."""

    def made(browser: Browser) -> str:
        from clusterpass.tokens.issuer import TokenIssuer
        from clusterpass.tokens.verifier import TokenVerifier

        config = service.app.state.service.sessions.config
        verifier = TokenVerifier(
            config.keys,
            issuer=config.issuer,
            audience=config.audience,
            clock_leeway=0,
            expiry_leeway=0,
            clock=lambda: datetime.now(UTC).timestamp(),
        )
        claims = verifier.verify(browser.tokens[ACCESS])
        issuer = TokenIssuer(
            config.keys.signing_key,
            issuer=config.issuer,
            audience=config.audience,
            random_bytes=lambda size: b"x" * size,
        )
        then = claims.issued_at - 10_000
        return issuer.issue(
            claims.subject, claims.session_id, issued_at=then, expires_at=then + 900, claims={}
        )

    return made


async def test_an_expired_access_token_is_renewed_unseen(browser, alice, expired):
    await browser.login(alice)
    before = browser.tokens
    browser.set_tokens(access=expired(browser))
    assert f"Logged in as {alice}" in await browser.text()
    assert browser.tokens[ACCESS] != before[ACCESS]
    assert browser.tokens[REFRESH] != before[REFRESH]
    assert f"Logged in as {alice}" in await browser.text()


async def test_a_lost_access_token_is_renewed(browser, alice):
    await browser.login(alice)
    browser.set_tokens(access="")
    assert f"Logged in as {alice}" in await browser.text()


async def test_a_form_renews_too(browser, alice, service, expired):
    await service.login(alice)
    await browser.login(alice)
    forms = dict(await browser.forms())
    browser.set_tokens(access=expired(browser))
    action = "/page/sessions/revoke-others"
    answer = await browser.post(action, {"form_token": forms[action]})
    assert (answer.status_code, len(answer.headers.get_list("set-cookie"))) == (303, 3)
    assert "One other device was logged out." in await browser.text()


async def test_a_refused_form_still_hands_out_the_renewed_tokens(browser, alice, expired):
    await browser.login(alice)
    browser.set_tokens(access=expired(browser))
    refused = await browser.post("/page/logout", {"form_token": "x"})
    assert refused.status_code == 403
    assert f"Logged in as {alice}" in await browser.text()


async def test_a_tab_that_was_overtaken_takes_the_newer_cookies(browser, alice, expired):
    await browser.login(alice)
    browser.set_tokens(access=expired(browser))
    stale = browser.tokens
    await browser.get()
    newer = browser.tokens
    browser.set_tokens(access=stale[ACCESS], refresh=stale[REFRESH])
    answer = await browser.get()
    assert (answer.status_code, answer.headers["location"]) == (303, "/?again=1")
    assert "set-cookie" not in answer.headers
    browser.set_tokens(access=newer[ACCESS], refresh=newer[REFRESH])
    answer = await browser.get("/?again=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert f"Logged in as {alice}" in await browser.text()


async def test_overtaken_for_good_is_a_login_form_and_no_circle(browser, alice, expired):
    await browser.login(alice)
    browser.set_tokens(access=expired(browser))
    stale = browser.tokens
    await browser.get()
    browser.set_tokens(access=stale[ACCESS], refresh=stale[REFRESH])
    answer = await browser.get("/?again=1")
    assert answer.status_code == 200
    assert "Your session could not be renewed here. Please log in again." in words(answer)
    assert browser.tokens == stale
    assert (await browser.login(alice)).status_code == 303
    assert "You are not logged in anywhere else." in await browser.text()


async def test_a_form_of_an_overtaken_tab_changes_nothing(browser, alice, service, expired):
    other = await service.login(alice)
    await browser.login(alice)
    action = "/page/sessions/revoke-others"
    token = dict(await browser.forms())[action]
    browser.set_tokens(access=expired(browser))
    stale = browser.tokens
    await browser.get()
    newer = browser.tokens
    browser.set_tokens(access=stale[ACCESS], refresh=stale[REFRESH])
    assert (await browser.post(action, {"form_token": token})).status_code == 303
    browser.set_tokens(access=newer[ACCESS], refresh=newer[REFRESH])
    assert "Nothing was changed, because another tab was faster." in await browser.text()
    assert (await service.client.get("/verify", headers=bearer(other))).status_code == 200


async def test_a_store_that_is_away_logs_nobody_out(start, settings, keys_file, browser, alice):
    await browser.login(alice)
    token = dict(await browser.forms())["/page/logout"]
    away = await start(load_settings(None, {"store_url": AWAY, "keys_file": keys_file}))
    other = Browser(away)
    other.set_tokens(access=browser.tokens[ACCESS], refresh=browser.tokens[REFRESH])
    answers = [
        (await other.get(), "You are still logged in; nobody was logged out."),
        (await other.post("/page/logout", {"form_token": token}), "You are still logged in here."),
        (await other.login(alice), "You could not be logged in just now."),
    ]
    other.set_tokens(access="")
    answers.append((await other.get(), "You are still logged in; nobody was logged out."))
    for answer, sentence in answers:
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert "set-cookie" not in answer.headers
        assert sentence in words(answer)
    other.set_tokens(refresh="")
    assert (await other.get()).status_code == 200
