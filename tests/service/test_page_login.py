"""The login form: how long, on what device, and what a login that is not admitted is told."""

import re

import pytest

from clusterpass.service.page.device_types import device_icon
from clusterpass.web.device import device_name, device_type

from .conftest import PASSWORD, bearer
from .page_browser import (
    ACCESS,
    ADDRESS,
    CHROME,
    FIREFOX,
    IPAD,
    IPHONE,
    REFRESH,
    Browser,
    words,
)

REMEMBER = "__Host-clusterpass-remember"
FULL = "You have reached the maximum number of devices"


@pytest.fixture
async def service(start, settings):
    return await start(settings, ADDRESS)


@pytest.fixture
async def strict(start, settings):
    """A service that refuses a third session."""
    refusing = settings.model_copy(update={"max_sessions": 2, "overflow": "refuse"})
    return await start(refusing, ADDRESS)


def lifetime(answer) -> int | None:
    """Return how long the browser keeps the tokens; None: until it is closed."""
    cookies = [
        each
        for each in answer.headers.get_list("set-cookie")
        if each.startswith((f"{ACCESS}=", f"{REFRESH}="))
    ]
    found = {tuple(re.findall(r"Max-Age=(\d+)", each)) for each in cookies}
    assert len(cookies) == 2 and len(found) == 1
    (ages,) = found
    return int(ages[0]) if ages else None


async def test_who_wants_it_stays_logged_in_for_longer(start, settings, alice):
    service = await start(settings, ADDRESS)
    config = service.app.service.sessions.config
    browser = Browser(service)
    assert lifetime(await browser.login(alice)) is None
    kept = await browser.post(
        "/page/login", {"username": alice, "password": PASSWORD, "remember": "yes"}
    )
    assert lifetime(kept) == config.remember_idle_lifetime > config.idle_lifetime


async def test_a_renewed_pair_is_kept_as_long_as_its_session(service, alice):
    config = service.app.service.sessions.config
    browser = Browser(service)
    await browser.post("/page/login", {"username": alice, "password": PASSWORD, "remember": "yes"})
    browser.set_tokens(access="")
    assert lifetime(await browser.get()) == config.remember_idle_lifetime
    await browser.login(alice)
    assert REMEMBER not in browser.http.cookies
    for _ in range(2):
        browser.set_tokens(access="")
        assert lifetime(await browser.get()) is None


async def test_a_logout_takes_the_note_away_and_has_the_browser_forget_the_site(service, alice):
    browser = Browser(service)
    await browser.post("/page/login", {"username": alice, "password": PASSWORD, "remember": "yes"})
    assert browser.http.cookies[REMEMBER] == "1"
    answer = await browser.click("/page/logout")
    assert answer.headers["clear-site-data"] == '"cache", "storage"'
    assert REMEMBER not in browser.http.cookies and not browser.tokens
    tokens = await service.login(alice)
    answer = await service.client.post("/logout", headers=bearer(tokens))
    assert (answer.status_code, answer.headers["clear-site-data"]) == (204, '"cache", "storage"')
    refused = await service.client.post("/logout", headers=bearer({"access_token": "x"}))
    assert "clear-site-data" not in refused.headers


async def test_the_box_stays_ticked_when_the_password_was_wrong(service, alice):
    browser = Browser(service)
    assert "checked" not in (await browser.get()).text
    answer = await browser.post(
        "/page/login", {"username": alice, "password": "wrong", "remember": "yes"}
    )
    assert 'name="remember" value="yes" checked' in answer.text


async def test_the_session_knows_its_kind_of_device(service, alice):
    for user_agent in (CHROME, IPHONE, "curl/8.14.1"):
        await Browser(service, user_agent=user_agent).login(alice)
    found = await service.app.service.sessions.sessions(alice)
    assert [each.device_type for each in found] == [None, "phone", "computer"]


async def test_one_device_too_many_lets_the_user_pick_one_that_leaves(strict, alice):
    first, second = Browser(strict, user_agent=FIREFOX), Browser(strict, user_agent=IPHONE)
    third = Browser(strict)
    await first.login(alice)
    await second.login(alice)
    fields = {"username": alice, "password": PASSWORD, "remember": "yes"}
    refused = await third.post("/page/login", fields)
    assert refused.status_code == 409
    assert "set-cookie" not in refused.headers
    text = words(refused)
    assert FULL in text and "Firefox on Windows" in text and "Safari on iPhone" in text
    assert f'name="username" value="{alice}"' in refused.text
    assert PASSWORD not in refused.text
    assert 'name="remember" value="yes" checked' in refused.text
    phone = re.findall(r'name="replace" value="([^"]{22})"', refused.text)[0]  # newest first

    wrong = await third.post(
        "/page/login", {"username": alice, "password": "wrong", "replace": phone}
    )
    assert wrong.status_code == 401
    assert "iPhone" not in words(wrong)
    again = await third.post("/page/login", fields | {"replace": ""})
    assert again.status_code == 409
    assert "Choose the device to log out." in words(again)

    answer = await third.post("/page/login", fields | {"replace": phone})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "Firefox on Windows" in await third.text()
    assert f"Logged in as {alice}" in await first.text()
    assert "by a newer login on Chrome on Linux." in await second.text()


async def test_of_a_full_kind_only_devices_of_that_kind_are_offered(start, settings, alice):
    service = await start(
        settings.model_copy(update={"max_per_device": 1, "overflow": "refuse"}), ADDRESS
    )
    await Browser(service, user_agent=FIREFOX).login(alice)
    await Browser(service, user_agent=IPAD).login(alice)
    refused = await Browser(service).login(alice)
    assert refused.status_code == 409
    assert "Firefox on Windows" in words(refused)
    assert "iPad" not in words(refused)


@pytest.mark.parametrize("forged", ["A" * 22, "A" * 21 + "B", "x", "é" * 22, "../../x", "A" * 400])
async def test_a_session_that_is_no_ones_makes_no_room(strict, alice, forged):
    for _ in range(2):
        await strict.login(alice)
    answer = await Browser(strict).post(
        "/page/login", {"username": alice, "password": PASSWORD, "replace": forged}
    )
    assert answer.status_code == 409
    assert FULL in words(answer)


async def test_somebody_elses_session_cannot_be_made_to_leave(strict, directory, alice, new_name):
    bob = new_name()
    directory.add(bob, PASSWORD)
    theirs = await strict.login(bob)
    fields = {"username": alice, "password": PASSWORD, "replace": theirs["session_id"]}
    assert (await Browser(strict).post("/page/login", fields)).status_code == 303
    await strict.login(alice)
    assert (await Browser(strict).post("/page/login", fields)).status_code == 409
    assert (await strict.client.get("/verify", headers=bearer(theirs))).status_code == 200


async def test_a_ban_is_told_to_who_knows_the_password(service, alice):
    bans = service.app.service.sessions.bans
    await bans.add(alice, reason="Spam in <b>all</b> comments", for_seconds=3600)
    browser = Browser(service)
    refused = await browser.login(alice)
    assert refused.status_code == 403
    assert "set-cookie" not in refused.headers
    assert re.search(
        r"This account is banned\. The ban lasts until \d+ \w+ \d{4}, \d\d:\d\d UTC\."
        r" Reason: Spam in <b>all</b> comments",
        words(refused),
    )
    assert "<b>" not in refused.text
    wrong = await browser.login(alice, "wrong password")
    assert wrong.status_code == 401
    assert "banned" not in wrong.text
    await bans.add(alice)
    assert "This account is banned. The ban is permanent." in words(await browser.login(alice))


_managers = []


async def check_while_all_is_revoked(username: str, password: str) -> bool:
    """A check of passwords during which somebody logs the user out everywhere."""
    await _managers[-1].revoke_all(username)
    return True


async def test_a_login_that_was_overtaken_is_to_be_tried_again(start, settings, alice):
    check = f"{__name__}:{check_while_all_is_revoked.__name__}"
    service = await start(settings.model_copy(update={"password_check": check}), ADDRESS)
    _managers.append(service.app.service.sessions)
    answer = await Browser(service).login(alice)
    assert answer.status_code == 409
    assert "set-cookie" not in answer.headers
    assert (
        "All your devices were logged out while you were logging in. Please log in again."
        in words(answer)
    )


@pytest.mark.parametrize(
    ("user_agent", "name", "kind"),
    [
        (CHROME, "Chrome on Linux", "computer"),
        (FIREFOX, "Firefox on Windows", "computer"),
        (IPHONE, "Safari on iPhone", "phone"),
        (IPAD, "Safari on iPad", "tablet"),
        (IPHONE.replace("Version/18.5", "CriOS/140.0"), "Chrome on iPhone", "phone"),
        (
            CHROME.replace("X11; Linux x86_64", "Linux; Android 15").replace(
                "Safari", "Mobile Safari"
            ),
            "Chrome on Android",
            "phone",
        ),
        (
            CHROME.replace("X11; Linux x86_64", "Linux; Android 15"),
            "Chrome on Android",
            "tablet",
        ),
        (
            "Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0",
            "Firefox on Android",
            "phone",
        ),
        (
            "Mozilla/5.0 (Android 15; Tablet; rv:140.0) Gecko/140.0 Firefox/140.0",
            "Firefox on Android",
            "tablet",
        ),
        (
            CHROME.replace("X11; Linux x86_64", "X11; CrOS x86_64 1"),
            "Chrome on ChromeOS",
            "computer",
        ),
        (f"{CHROME} Edg/140.0", "Edge on Linux", "computer"),
        (f"{CHROME} OPR/120.0", "Opera on Linux", "computer"),
        (CHROME.replace("Chrome", "HeadlessChrome"), "Chrome on Linux", "computer"),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like"
            " Gecko) Version/18.5 Safari/605.1.15",
            "Safari on macOS",
            "computer",
        ),
        ("curl/8.14.1", None, None),
        ("", None, None),
        ("<script>", None, None),
    ],
)
def test_the_device_is_named_after_the_browser(user_agent, name, kind):
    assert (device_name(user_agent), device_type(user_agent)) == (name, kind)


@pytest.mark.parametrize(
    ("kind", "name", "icon"),
    [
        ("phone", "Chrome on Linux", "phone"),
        ("tablet", None, "tablet"),
        ("computer", "Safari on iPhone", "computer"),
        ("tv", "Kitchen tablet", "tablet"),
        (None, "my phone", "phone"),
        (None, "Safari on iPad", "tablet"),
        (None, None, "computer"),
    ],
)
def test_the_picture_fits_the_device(kind, name, icon):
    assert device_icon(kind, name) == icon
