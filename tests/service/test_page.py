"""The page as a browser sees it over HTTP: what it shows, and what each form does."""

import re
from datetime import UTC, datetime

import pytest

from .conftest import PASSWORD, bearer
from .page_browser import (
    ACCESS,
    ADDRESS,
    FIREFOX,
    IPAD,
    IPHONE,
    REFRESH,
    Browser,
    forms_of,
    markup,
    words,
)

EXPIRED = "Your session has expired. Please log in again."


@pytest.fixture
async def service(start, settings):
    return await start(settings, ADDRESS)


@pytest.fixture
def new_browser(service):
    return lambda **more: Browser(service, **more)


@pytest.fixture
def browser(new_browser):
    return new_browser()


async def test_without_cookies_there_is_a_login_form(browser):
    answer = await browser.get()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for needed in ('<html lang="en">', '<label for="username">', '<label for="password">'):
        assert needed in answer.text
    assert 'type="password" autocomplete="current-password"' in answer.text
    assert "<script" not in markup(answer)


async def test_login_leads_to_the_page_that_says_who_and_where(browser, alice):
    answer = await browser.login(alice)
    assert (answer.status_code, answer.headers["location"], answer.content) == (303, "/", b"")
    text = await browser.text()
    assert f"Logged in as {alice}" in text
    assert "This device Chrome on Linux current session Logged in" in text
    assert "You are not logged in anywhere else." in text
    assert "Log out all other devices" not in text


async def test_the_cookies_are_for_this_host_and_for_no_script(browser, alice):
    answer = await browser.login(alice)
    cookies = answer.headers.get_list("set-cookie")
    kept = [cookie for cookie in cookies if cookie.startswith((f"{ACCESS}=", f"{REFRESH}="))]
    assert len(kept) == 2
    for cookie in kept:
        parts = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"secure", "httponly", "samesite=lax", "path=/"} == parts, "it ends with the browser"


async def test_plain_cookies_only_where_it_was_said(start, settings, alice):
    service = await start(settings.model_copy(update={"cookie_secure": False}))
    browser = Browser(service, origin="http://127.0.0.1:8000")
    answer = await browser.login(alice, headers={"Origin": "http://127.0.0.1:8000"})
    assert answer.status_code == 303
    for cookie in answer.headers.get_list("set-cookie"):
        assert cookie.startswith("clusterpass-")
        assert "HttpOnly" in cookie and "secure" not in cookie.lower()
    assert f"Logged in as {alice}" in await browser.text()


async def test_no_token_is_ever_in_the_page(browser, alice, service):
    await browser.login(alice)
    await service.login(alice, device="other")
    body = (await browser.get()).text
    for token in browser.tokens.values():
        assert token not in body
        assert token.rpartition(".")[2] not in body


async def test_other_sessions_are_listed_newest_first(browser, alice, service):
    for device in ("first", "second"):
        await service.login(alice, device=device)
    await browser.login(alice)
    await service.login(alice)
    text = await browser.text()
    assert "Other devices (3)" in text
    assert text.index("Unknown device") < text.index("second") < text.index("first")
    assert text.count("Log out") == 1 + 3 + 1


async def test_times_are_readable_and_in_utc(browser, alice):
    await browser.login(alice)
    found = re.search(r'<time datetime="([^"]*)">([^<]*)</time>', (await browser.get()).text)
    when = datetime.fromisoformat(found[1])
    assert abs((datetime.now(UTC) - when).total_seconds()) < 60
    assert found[2] == f"{when.day} {when:%b %Y, %H:%M} UTC"


async def test_another_device_can_be_logged_out(browser, new_browser, alice):
    other = new_browser(user_agent=FIREFOX)
    await other.login(alice)
    await browser.login(alice)
    assert "Firefox on Windows" in await browser.text()
    answer = await browser.click("/page/sessions/[^/]{22}/revoke")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "The device was logged out. " in await browser.text()
    assert "The device was logged out. " not in await browser.text()
    refused = await other.get()
    assert re.search(
        r"You were logged out on this device on \d+ \w+ \d{4}, \d\d:\d\d UTC,"
        r" by you from another device or by",
        words(refused),
    )
    assert refused.status_code == 200
    assert other.tokens == {}
    assert "You were logged out" not in await other.text()


async def test_all_other_devices_can_be_logged_out(browser, service, alice):
    others = [await service.login(alice) for _ in range(2)]
    await browser.login(alice)
    asked = await browser.click("/page/sessions/revoke-others")
    assert (asked.status_code, "Log out 2 other devices?" in words(asked)) == (200, True)
    assert "Other devices (2)" in await browser.text()
    (form,) = [fields for action, fields in forms_of(asked) if action.endswith("revoke-others")]
    assert (await browser.post("/page/sessions/revoke-others", form)).status_code == 303
    text = await browser.text()
    assert "2 other devices were logged out." in text
    assert "You are not logged in anywhere else." in text
    for tokens in others:
        assert (await service.client.get("/verify", headers=bearer(tokens))).status_code == 401


async def test_logout_ends_the_session_and_the_cookies(browser, service, alice):
    await browser.login(alice)
    token = browser.tokens[ACCESS]
    answer = await browser.click("/page/logout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert browser.tokens == {}
    assert "You have been logged out. User name" in await browser.text()
    dead = await service.client.get("/verify", headers={"Authorization": f"Bearer {token}"})
    assert dead.json()["reason"] == "logged_out"


async def test_a_session_that_is_gone_already_is_no_fault(browser, service, alice):
    tokens = await service.login(alice)
    await browser.login(alice)
    forms = dict(await browser.forms())
    action = f"/page/sessions/{tokens['session_id']}/revoke"
    await service.client.post("/logout", headers=bearer(tokens))
    for path in (action, "/page/sessions/%F0%9F%98%80/revoke", f"/page/sessions/{'A' * 22}/revoke"):
        answer = await browser.post(path, {"form_token": forms[action]})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert "That device had already been logged out." in await browser.text()


async def test_wrong_password_and_unknown_user_get_the_same_page(browser, alice):
    wrong = await browser.login(alice, "no no no")
    unknown = await browser.login("x" * len(alice), "no no no")
    impossible = await browser.login("a\nb", "no no no")
    for answer in (wrong, unknown, impossible):
        assert answer.status_code == 401
        assert "The user name or password is incorrect." in words(answer)
        assert 'role="alert"' in answer.text
        assert "set-cookie" not in answer.headers
    assert wrong.text.replace(alice, "") == unknown.text.replace("x" * len(alice), "")
    assert f'value="{alice}"' in wrong.text
    assert "no no no" not in wrong.text


async def test_empty_fields_are_asked_for(browser):
    for fields in ({}, {"username": "a"}, {"username": "a", "password": ""}):
        answer = await browser.post("/page/login", fields)
        assert answer.status_code == 400
        assert "Enter your user name and password." in words(answer)


async def test_too_many_attempts(start, settings, alice):
    service = await start(settings.model_copy(update={"account_attempts": 2}))
    browser = Browser(service)
    for _ in range(2):
        assert (await browser.login(alice, "no no no")).status_code == 401
    answer = await browser.login(alice)
    assert answer.status_code == 429
    assert 200 < int(answer.headers["retry-after"]) <= 300
    assert "Too many attempts. Try again in 5 minutes." in words(answer)
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("junk", ["x", "a.b.c", "cpr_AAAA", "é", "x" * 3000])
async def test_junk_in_the_cookies_is_a_login_form(service, junk):
    cookie = f"{ACCESS}={junk}; {REFRESH}={junk}".encode()
    answer = await service.client.get("/", headers={b"cookie": cookie})
    assert answer.status_code == 200
    assert EXPIRED in words(answer)
    assert len(answer.headers.get_list("set-cookie")) == 3


async def test_a_form_after_the_session_ended_changes_nothing(browser, alice, service):
    await browser.login(alice)
    token = dict(await browser.forms())["/page/logout"]
    await service.client.post(
        "/logout", headers={"Authorization": f"Bearer {browser.tokens[ACCESS]}"}
    )
    answer = await browser.post("/page/logout", {"form_token": token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "You logged out on this device on " in await browser.text()


async def test_there_is_no_page_where_there_is_no_login(start, settings):
    service = await start(settings.model_copy(update={"login_enabled": False}))
    assert (await service.client.get("/")).status_code == 404


async def test_the_addresses_of_forms_lead_home(browser):
    for path in ("/page/login", "/page/logout", "/page/sessions/x/revoke", "/page/x"):
        answer = await browser.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_the_style_sheet_may_be_kept_under_its_version(browser):
    href = re.search(r'<link rel="stylesheet" href="([^"]*)">', (await browser.get()).text)[1]
    answer = await browser.get(href)
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    other = await browser.get("/page/page.css?v=old")
    assert (other.headers["cache-control"], other.content) == ("no-cache", answer.content)


async def test_the_log_line_names_the_subject_and_the_fault(service, alice):
    browser = Browser(service)
    await browser.login(alice)
    await browser.post("/page/logout", {})
    login, refused = service.lines()[-2:]
    assert (login["path"], login["subject"]) == ("/page/login", alice)
    assert (refused["status"], refused["error"]) == (403, "request_refused")
    assert PASSWORD not in service.log.getvalue()
    assert browser.tokens[ACCESS] not in service.log.getvalue()


async def test_each_session_says_how_long_it_lasts(browser, alice, service):
    await service.login(alice, device="other")
    await browser.login(alice)
    text = await browser.text()
    assert text.count("Last active ") == text.count("Session expires ") == 2


async def test_all_devices_of_a_kind_can_be_logged_out(browser, new_browser, alice):
    phones = [new_browser(user_agent=IPHONE) for _ in range(2)]
    tablet, computer = new_browser(user_agent=IPAD), new_browser(user_agent=FIREFOX)
    for each in (*phones, tablet, browser):
        await each.login(alice)
    assert (
        "Log out all phones (2) Log out all tablets (1) Log out all other" in await browser.text()
    )
    await computer.login(alice)
    asked = await browser.click("/page/sessions/revoke-kind", kind="phone")
    assert "Log out 2 other devices?" in words(asked)
    (form,) = [fields for action, fields in forms_of(asked) if action.endswith("revoke-kind")]
    answer = await browser.post("/page/sessions/revoke-kind", form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    text = await browser.text()
    assert "2 other devices were logged out." in text
    assert "Safari on iPad" in text and "Firefox on Windows" in text and "phones" not in text
    await browser.click("/page/sessions/revoke-kind", kind="computer", confirmed="yes")
    text = await browser.text()
    assert "One other device was logged out." in text
    assert "This device Chrome on Linux current session" in text
    assert "Log out all tablets" not in text  # the only kind: "all other devices" says the same


async def test_a_kind_that_is_none_changes_nothing(browser, service, alice):
    await service.login(alice)
    await browser.login(alice)
    token = dict(await browser.forms())["/page/logout"]
    for kind in ({}, {"kind": ""}, {"kind": "no kind"}, {"kind": "<b>"}):
        fields = {"form_token": token, "confirmed": "yes", **kind}
        answer = await browser.post("/page/sessions/revoke-kind", fields)
        assert answer.status_code == 400
    assert "Other devices (1)" in await browser.text()


async def test_bans_from_something_are_shown(browser, service, alice):
    await browser.login(alice)
    bans = service.app.service.sessions.bans
    await bans.add(alice, scope="comments:*", reason="rude", for_seconds=3600)
    await bans.add(alice, scope="uploads")
    text = await browser.text()
    assert re.search(
        r"You are banned from comments:\*\."
        r" The ban lasts until \d+ \w+ \d{4}, \d\d:\d\d UTC\. Reason: rude",
        text,
    )
    assert "You are banned from uploads. The ban is permanent." in text


async def test_an_idle_limit_of_none_keeps_cookies_until_the_end(start, settings, alice):
    service = await start(
        settings.model_copy(update={"remember_idle_lifetime": 0, "remember_lifetime": 100_000})
    )
    fields = {"username": alice, "password": PASSWORD, "remember": "yes"}
    answer = await Browser(service).post("/page/login", fields)
    assert answer.headers["set-cookie"].count("Max-Age=100000") >= 1
