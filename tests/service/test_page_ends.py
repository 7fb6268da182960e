"""The page shows why, when and by whom a session was ended."""

import asyncio
import re

import pytest

from clusterpass import RevocationPending
from clusterpass.model.bans import Ban
from clusterpass.service.language.translation import language
from clusterpass.service.page.session_end import SessionEnd, explain

from .conftest import bearer
from .page_browser import ACCESS, ADDRESS, CHROME, IPHONE, REFRESH, Browser, expired, markup, words

WHEN = r"( on \d+ \w+ \d{4}, \d\d:\d\d UTC)"
ENGLISH = language("en")
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
async def service(start, settings):
    return await start(settings, ADDRESS)


@pytest.fixture
def sessions(service):
    return service.app.service.sessions


@pytest.fixture(params=["with the access token", "with the refresh token alone"])
def returning(request, service):
    """Comes back and reads the page; the tokens are then gone from the browser."""

    async def read(browser: Browser) -> str:
        if "alone" in request.param:
            browser.set_tokens(access=expired(service, browser))
        answer = await browser.get()
        assert answer.status_code == 200
        assert browser.tokens == {}
        assert SCRIPT not in markup(answer)
        assert "You were logged out" not in await browser.text()
        return words(answer)

    return read


async def test_by_a_newer_login(start, settings, alice, returning):
    service = await start(settings.model_copy(update={"max_sessions": 1}), ADDRESS)
    old, new = Browser(service), Browser(service, user_agent=IPHONE)
    await old.login(alice)
    await new.login(alice)
    text = await returning(old)
    assert re.search(
        f"You were logged out on this device{WHEN}? by a newer login on Safari on iPhone\\.", text
    )


async def test_by_a_device_with_a_crafted_name(start, settings, alice, returning):
    service = await start(settings.model_copy(update={"max_sessions": 1}), ADDRESS)
    old = Browser(service)
    await old.login(alice)
    await service.login(alice, device=SCRIPT)
    assert f"by a newer login on {SCRIPT}." in await returning(old)


async def test_by_an_administrator(service, sessions, alice, returning):
    browser = Browser(service)
    await browser.login(alice)
    (session,) = await sessions.sessions(alice)
    await sessions.revoke(alice, session.session_id, reason=f"Lost phone {SCRIPT}")
    text = await returning(browser)
    assert re.search(
        f"You were logged out on this device{WHEN}? by an administrator:"
        f" Lost phone {re.escape(SCRIPT)}",
        text,
    )


async def test_on_another_device(service, alice, returning):
    browser, other = Browser(service), Browser(service)
    await browser.login(alice)
    await other.login(alice)
    await other.click("/page/sessions/revoke-others", confirmed="yes")
    text = await returning(browser)
    assert re.search(
        f"You were logged out on this device{WHEN}?, by you from another device or by", text
    )


async def test_in_another_tab(service, alice, returning):
    browser = Browser(service)
    await browser.login(alice)
    tokens = browser.tokens
    await browser.click("/page/logout")
    browser.set_tokens(access=tokens[ACCESS], refresh=tokens[REFRESH])
    assert re.search(f"You logged out on this device{WHEN}?\\.", await returning(browser))


async def test_by_a_ban(service, sessions, alice, returning):
    browser = Browser(service)
    await browser.login(alice)
    await sessions.bans.add(alice, reason=f"Spam {SCRIPT}", for_seconds=7200)
    text = await returning(browser)
    assert re.search(
        f"Your account was banned{WHEN}?\\. The ban lasts until {WHEN[5:-1]}\\."
        " Reason: Spam <script>",
        text,
    )


async def test_by_a_ban_that_was_lifted_since(service, sessions, alice, returning):
    browser = Browser(service)
    await browser.login(alice)
    await sessions.bans.add(alice)
    await sessions.bans.lift(alice)
    assert re.search(f"Your account was banned{WHEN}?\\. ", await returning(browser))


async def test_by_its_absolute_end(start, settings, alice):
    service = await start(settings, ADDRESS)
    sessions = service.app.service.sessions
    browser = Browser(service)
    await browser.login(alice)
    (session,) = await sessions.sessions(alice)
    await sessions.shorten(alice, session.session_id, lifetime=1)
    async with asyncio.timeout(20):
        while await sessions.sessions(alice):
            await asyncio.sleep(0.02)
    text = await browser.text()
    assert re.search(f"Your session expired{WHEN}. Please log in again.", text)
    assert browser.tokens == {}


async def test_a_form_that_comes_too_late_leads_to_the_reason(service, sessions, alice):
    browser = Browser(service)
    await browser.login(alice)
    token = dict(await browser.forms())["/page/logout"]
    (session,) = await sessions.sessions(alice)
    await sessions.revoke(alice, session.session_id, reason="Lost phone")
    answer = await browser.post("/page/sessions/revoke-others", {"form_token": token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "set-cookie" not in answer.headers
    assert "by an administrator: Lost phone" in await browser.text()


async def test_no_cookie_carries_a_note(service, sessions, alice):
    browser = Browser(service)
    await browser.login(alice)
    await sessions.revoke_all(alice, reason="Lost phone")
    answer = await browser.get()
    assert "Lost" not in str(answer.headers)


async def test_another_session_of_the_user_reads_no_reason(service, alice):
    browser = Browser(service)
    await browser.login(alice)
    other = await service.login(alice)
    await service.client.post("/logout", headers=bearer(other))
    assert "You were logged out" not in await browser.text()


@pytest.mark.parametrize("reason", ["logged_out", "replaced", "revoked", "banned", "reused"])
def test_without_a_time_and_a_note_the_sentence_is_whole(reason):
    sentence = "".join(
        part for part in explain(SessionEnd(reason), ENGLISH) if isinstance(part, str)
    )
    assert re.fullmatch(r"(You|Your) [^{}]*[a-z]\.", sentence)
    assert "  " not in sentence and " ." not in sentence


def test_what_is_not_known_is_an_expired_session():
    for ending in (
        SessionEnd(),
        SessionEnd("malformed"),
        SessionEnd("a later release's", 5, "note"),
    ):
        assert explain(ending, ENGLISH) == ("Your session has expired. Please log in again.",)


def test_idle_and_banned_for_good():
    idle = "You were logged out on this device due to inactivity."
    assert explain(SessionEnd("idle"), ENGLISH) == (idle,)
    ban = Ban(scope="", level=1, until=None, reason="x", banned_at=1)
    assert "The ban is permanent." in explain(SessionEnd("banned", 1, "x", ban), ENGLISH)


async def test_the_device_that_replaced_is_named_as_it_called_itself(start, settings, alice):
    service = await start(settings.model_copy(update={"max_sessions": 1}), ADDRESS)
    old = Browser(service)
    await old.login(alice)
    await Browser(service, user_agent=CHROME).login(alice)
    assert "<bdi>Chrome on Linux</bdi>" in (await old.get()).text


@pytest.mark.parametrize(
    ("is_retried", "text"),
    [
        (True, "This is retried automatically; you do not need to repeat it."),
        (False, "Your change could not be confirmed. Try again in a moment."),
    ],
)
async def test_a_revocation_that_is_pending_says_whether_it_is_retried(
    service, sessions, alice, monkeypatch, is_retried, text
):
    browser = Browser(service)
    await browser.login(alice)
    await service.login(alice)

    async def unconfirmed(*_, **__):
        raise RevocationPending(is_retried=is_retried)

    monkeypatch.setattr(sessions, "revoke_all", unconfirmed)
    answer = await browser.click("/page/sessions/revoke-others", confirmed="yes")
    assert answer.status_code == 503
    assert text in words(answer)
