"""The page in a real browser, against a real server process."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from clusterpass import SessionManager
from clusterpass.service.language.translation import language
from clusterpass.service.settings.loading import load_settings

from .chromium import launched
from .conftest import PASSWORD

PHONE = {"width": 320, "height": 640}
# The logins come from an address of their own: they must not use up the attempts of other tests.
SETTINGS = {"CLUSTERPASS_TRUSTED_PROXIES": "127.0.0.1"}
_EXPECTED = (
    "status of 4(01|09)|^Clear-Site-Data header .* Cleared data types"
    # Who is quicker than the page keeps the focus.
    "|^Autofocus processing was blocked because a document already has a focused element"
)
HEADERS = {"X-Forwarded-For": "192.0.2.8"}


@pytest.fixture(scope="module")
async def chromium():
    async with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def server(serve_all):
    return serve_all(CLUSTERPASS_COOKIE_SECURE="false", **SETTINGS)


@pytest.fixture
def new_page(chromium, server):
    """Opens the page in a browser profile of its own; nothing may be blocked or fail there."""

    @asynccontextmanager
    async def opened(**options) -> AsyncIterator:
        context = await chromium.new_context(extra_http_headers=HEADERS, **options)
        context.set_default_timeout(15_000)
        page = await context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(server.url)
        yield page
        await context.close()
        # A browser reports each answer of 400 and above; what it must not report is the policy.
        assert not [text for text in complaints if not re.search(_EXPECTED, text)]

    return opened


async def log_in(page, name, password=PASSWORD, say=str):
    await page.get_by_label(say("User name")).fill(name)
    await page.get_by_label(say("Password")).fill(password)
    await page.get_by_role("button", name=say("Log in"), exact=True).click()


def others(page):
    """The other devices in the list."""
    return page.get_by_role("region", name="Other devices").get_by_role("listitem")


async def focused(page) -> str:
    """The text of what has the focus; the browser gives it after it has shown the page."""
    await page.wait_for_function("document.activeElement !== document.body")
    return await page.evaluate("document.activeElement.textContent.trim()")


async def fits(page) -> bool:
    width = await page.evaluate("document.documentElement.scrollWidth")
    return width <= page.viewport_size["width"]


@pytest.mark.alternating
async def test_one_browser_logs_out_another(new_page, alice):
    async with new_page() as one, new_page() as two:
        await log_in(one, alice, "wrong password")
        await (
            one.get_by_role("alert")
            .get_by_text("The user name or password is incorrect.")
            .wait_for()
        )
        await log_in(one, alice)
        await one.get_by_text("You are not logged in anywhere else.").wait_for()
        await log_in(two, alice)
        await two.get_by_role("heading", name="Other devices (1)").wait_for()
        await one.reload()
        assert await others(one).count() == 1
        assert await one.get_by_text("Chrome on Linux", exact=True).count() == 4  # 2 logins

        await others(one).get_by_role("button", name="Log out").click()
        await one.get_by_role("status").get_by_text("The device was logged out.").wait_for()
        assert await others(one).count() == 0

        await two.reload()
        await two.get_by_text("by you from another device or by an administrator.").wait_for()
        assert await two.get_by_role("heading", name="Log in").is_visible()

        await one.get_by_role("banner").get_by_role("button", name="Log out").click()
        await one.get_by_text("You have been logged out.").wait_for()
        await one.go_back()
        await one.reload()
        assert await one.get_by_role("heading", name="Log in").is_visible()


async def test_one_browser_logs_out_all_others(new_page, alice):
    async with new_page() as one, new_page() as two, new_page() as three:
        for page in (two, three, one):
            await log_in(page, alice)
        await one.get_by_role("button", name="Log out all other devices").click()
        await one.get_by_role("heading", name="Log out 2 other devices?").wait_for()
        assert await focused(one) == "Log out 2 other devices?"
        await one.get_by_role("link", name="Cancel").click()
        await one.get_by_role("heading", name="Other devices (2)").wait_for()
        await one.get_by_role("button", name="Log out all other devices").click()
        await one.get_by_role("button", name="Log them out").click()
        await one.get_by_text("2 other devices were logged out.").wait_for()
        assert await focused(one) == "2 other devices were logged out."
        for page in (two, three):
            await page.reload()
            await page.get_by_text("You were logged out on this device on").wait_for()


async def test_the_page_needs_no_script(new_page, alice):
    async with new_page(java_script_enabled=False) as page:
        await log_in(page, alice)
        await page.get_by_text("You are not logged in anywhere else.").wait_for()
        for each in await page.locator("time").all_inner_texts():
            assert re.fullmatch(r"\d+ \w+ \d{4}, \d\d:\d\d UTC", each)
        await page.get_by_role("button", name="Log out").click()
        await page.get_by_text("You have been logged out.").wait_for()


async def test_no_script_can_read_the_cookies(new_page, alice):
    async with new_page() as page:
        await log_in(page, alice)
        await page.get_by_text("You are not logged in anywhere else.").wait_for()
        assert await page.evaluate("document.cookie") == ""
        cookies = {cookie["name"]: cookie for cookie in await page.context.cookies()}
        assert set(cookies) == {"clusterpass-access", "clusterpass-refresh", "clusterpass-device"}
        assert [
            cookies[name]["expires"] for name in ("clusterpass-access", "clusterpass-refresh")
        ] == [
            -1,
            -1,
        ], "until the browser is closed"


@pytest.mark.alternating
async def test_host_cookies_work_where_the_browser_trusts_the_host(serve, chromium, alice):
    server = serve(**SETTINGS)
    context = await chromium.new_context(extra_http_headers=HEADERS)
    page = await context.new_page()
    await page.goto(server.url.replace("127.0.0.1", "localhost"))
    await log_in(page, alice)
    await page.get_by_text("You are not logged in anywhere else.").wait_for()
    cookies = await context.cookies()
    assert len(cookies) == 3
    for cookie in cookies:
        assert cookie["name"].startswith("__Host-")
        assert cookie["secure"] and cookie["httpOnly"]
        is_device = cookie["name"].endswith("-device")
        assert cookie["sameSite"] == ("Strict" if is_device else "Lax")
    await context.close()


async def test_another_site_can_neither_send_a_form_nor_frame_the_page(new_page, alice, server):
    async with new_page() as page:
        await log_in(page, alice)
        await page.get_by_text("You are not logged in anywhere else.").wait_for()
        context = page.context
        evil = await context.new_page()
        content = (
            f'<form method="post" action="{server.url}/page/logout"><button>Win</button></form>'
            f'<iframe src="{server.url}/"></iframe>'
        )
        await context.route(
            "http://evil.example/",
            lambda route: route.fulfill(body=content, content_type="text/html"),
        )
        await evil.goto("http://evil.example/")
        assert "Logged in as" not in await evil.frames[1].content()
        await evil.get_by_role("button", name="Win").click()
        await evil.get_by_text("The form was submitted from another site.").wait_for()
        await page.reload()
        await page.get_by_text("You are not logged in anywhere else.").wait_for()


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("scheme", "locale"), [("light", "en-GB"), ("dark", "de-DE"), ("light", "fr"), ("light", "es")]
)
async def test_nothing_overflows_on_a_phone(
    new_page, directory, sessions_of, new_name, scheme, locale
):
    say = language(locale.partition("-")[0]).gettext
    name = new_name() + "x" * 120
    directory.add(name, PASSWORD)
    sessions_of(name, ["w" * 128, "Safari on iPhone", "a " * 60 + "b", None])
    options = {"viewport": PHONE, "is_mobile": True, "has_touch": True, "color_scheme": scheme}
    async with new_page(**options, locale=locale) as page:
        assert await fits(page)
        await log_in(page, name, "wrong password", say)
        await page.get_by_role("alert").wait_for()
        assert await fits(page)
        await log_in(page, name, PASSWORD, say)
        await page.get_by_role("heading", name=f"{say('Other devices')} (4)").wait_for()
        assert await fits(page)
        for button in await page.get_by_role("button").all():
            box = await button.bounding_box()
            assert box["height"] >= 44  # what a thumb hits
            assert box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"]
        listed = page.get_by_role("region", name=say("Other devices")).get_by_role("listitem")
        await listed.nth(1).get_by_role("button").tap()
        await page.get_by_text(say("The device was logged out.")).wait_for()
        assert await listed.count() == 3
        await page.locator("button.danger").tap()
        await page.get_by_role("button", name=say("Log them out"), exact=True).wait_for()
        assert await fits(page)


async def test_the_keyboard_is_enough(new_page, alice, sessions_of):
    sessions_of(alice, ["old laptop", "tablet"])
    async with new_page() as page:
        # The browser puts the focus into the first field by itself.
        await page.wait_for_function("document.activeElement.name === 'username'")
        await page.keyboard.type(alice)
        await page.keyboard.press("Tab")
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name="Other devices (2)").wait_for()
        reached = []
        for _ in range(5):
            await page.keyboard.press("Tab")
            reached.append(await page.evaluate("document.activeElement.textContent.trim()"))
            assert await page.evaluate(
                "getComputedStyle(document.activeElement).outlineStyle === 'solid'"
            )
        assert reached == [
            *("Change password", "Log out", "Log out", "Log out", "Log out all other devices")
        ]
        await page.keyboard.press("Shift+Tab")
        described = await page.evaluate(
            "document.activeElement.getAttribute('aria-describedby').split(' ')"
            ".map(id => document.getElementById(id).textContent).join(' ')"
        )
        assert re.fullmatch(
            r"old laptop Logged in \w+ \d+, \d{4}, .* \((now|\d+ .* ago)\)", described
        )
        await page.keyboard.press("Enter")
        await page.get_by_text("The device was logged out.").wait_for()
        assert await focused(page) == "The device was logged out."
        assert await others(page).all_inner_texts()
        await page.keyboard.press("Shift+Tab")
        await page.keyboard.press("Space")
        await page.get_by_text("You have been logged out.").wait_for()


async def test_times_are_in_the_zone_of_the_reader_and_relative(new_page, alice):
    async with new_page(locale="de-DE", timezone_id="Pacific/Apia") as page:
        say = language("de").gettext
        await log_in(page, alice, PASSWORD, say)
        await page.get_by_role("heading", name=say("Where you are logged in")).wait_for()
        shown = [
            (await each.inner_text(), await each.get_attribute("datetime"))
            for each in await page.locator("time").all()
        ]
        assert len(shown) == 4
        assert re.fullmatch(r"[\d.]{10}, \d\d:\d\d \((jetzt|vor \d+ .*)\)", shown[0][0])
        assert re.search(r"\(in \d+ (Tagen|Stunden)\)$", shown[2][0])
        for text, machine in shown:
            when = datetime.fromisoformat(machine).astimezone(ZoneInfo("Pacific/Apia"))
            assert text.startswith(f"{when:%d.%m.%Y, %H:%M} (")
        assert (await page.locator("time").first.get_attribute("title")).endswith(" UTC")


async def test_a_reader_chooses_a_language(new_page, alice):
    async with new_page(viewport=PHONE, locale="it-IT") as page:
        await log_in(page, alice)
        await page.get_by_text("You are not logged in anywhere else.").wait_for()
        await page.get_by_role("button", name="简体中文").click()
        await page.get_by_role("heading", name="您的登录设备").wait_for()
        assert await page.evaluate("document.documentElement.lang") == "zh-Hans"
        assert await fits(page)
        assert re.search("\uff08.*\uff09$", await page.locator("time").first.inner_text())
        await page.get_by_role("button", name="English").click()
        await page.get_by_role("heading", name="Where you are logged in").wait_for()


@pytest.mark.sampled(1)
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_text_has_enough_contrast(new_page, alice, sessions_of, scheme):
    sessions_of(alice, ["old laptop"])
    async with new_page(color_scheme=scheme) as page:
        await log_in(page, alice, "wrong password")
        await page.get_by_role("alert").wait_for()
        assert await page.evaluate(LOWEST_CONTRAST) >= 4.5
        await log_in(page, alice)
        await page.get_by_role("heading", name="Other devices (1)").wait_for()
        assert await page.evaluate(LOWEST_CONTRAST) >= 4.5
        await others(page).get_by_role("button").click()
        await page.get_by_role("status").wait_for()
        assert await page.evaluate(LOWEST_CONTRAST) >= 4.5


# The lowest contrast (WCAG 2.2, 1.4.3) of a text on the page with what is behind it.
LOWEST_CONTRAST = """() => {
  const parts = color => color.match(/[\\d.]+/g).map(Number);
  const light = color => parts(color).slice(0, 3)
    .map(value => value / 255)
    .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  const ground = element => {
    const color = getComputedStyle(element).backgroundColor;
    return parts(color)[3] === 0 ? ground(element.parentElement) : color;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const ratios = [];
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim()) continue;
    const pair = [light(getComputedStyle(element).color), light(ground(element))];
    ratios.push((Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05));
  }
  return Math.min(...ratios);
}"""


@pytest.fixture
def manager(cluster_url, keys_file):
    """A manager of the server's sessions."""
    config = load_settings(None, {"keys_file": keys_file}).session_config()
    with SessionManager.from_url(cluster_url, config) as sessions:
        yield sessions


@pytest.fixture
def sessions_of(manager):
    """Opens sessions of a subject on devices."""

    def opened(subject, devices):
        for device in devices:
            manager.login(subject, device=device)

    return opened
