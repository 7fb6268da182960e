"""The pages that come up now and then, in a real browser: they fit, are readable, need no mouse."""

import asyncio

import pytest

from clusterpass import StepUpRequired

from .conftest import PASSWORD
from .test_page_browser import (
    LOWEST_CONTRAST,
    PHONE,
    SETTINGS,
    chromium,
    fits,
    log_in,
    manager,
    new_page,
    sessions_of,
)

__all__ = ["chromium", "manager", "new_page", "sessions_of"]  # fixtures

ROOT = "root-in-a-real-browser"
SMALL = {"viewport": PHONE, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def server(serve_all):
    return serve_all(
        CLUSTERPASS_COOKIE_SECURE="false",
        CLUSTERPASS_ADMINISTRATORS=ROOT,
        CLUSTERPASS_ADMINISTRATION_MAX_AGE="1",
        CLUSTERPASS_MAX_SESSIONS="3",
        CLUSTERPASS_OVERFLOW="refuse",
        **SETTINGS,
    )


@pytest.fixture(scope="module", autouse=True)
def root(directory):
    directory.add(ROOT, PASSWORD)


async def is_fit(page) -> bool:
    """Whether it fits, can be read, and a thumb hits what is to be clicked."""
    buttons = [await each.bounding_box() for each in await page.get_by_role("button").all()]
    return (
        await fits(page)
        and await page.evaluate(LOWEST_CONTRAST) >= 4.5
        and all(box["height"] >= 44 for box in buttons if box)
    )


async def stale(page, manager) -> None:
    """Return when the login of the browser is no recent one any more."""
    cookies = {cookie["name"]: cookie["value"] for cookie in await page.context.cookies()}
    async with asyncio.timeout(20):
        while True:
            try:
                manager.verify(cookies["clusterpass-access"], max_auth_age=1)
            except StepUpRequired:
                return
            await asyncio.sleep(0.02)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_one_device_too_many(new_page, alice, sessions_of, scheme):
    sessions_of(alice, ["w" * 128, "Safari on iPhone", "Kitchen radio"])
    async with new_page(**SMALL, color_scheme=scheme) as page:
        await log_in(page, alice)
        await page.get_by_text("You have reached the maximum number of devices").wait_for()
        assert await is_fit(page)
        leave = page.get_by_role("button", name="Log out that device and log in here")
        await page.get_by_label("Password").fill(PASSWORD)
        await leave.click()  # the browser itself asks for a choice
        assert await page.get_by_role("radio").first.evaluate("each => !each.validity.valid")
        await page.get_by_role("radio", name="Kitchen radio").check()
        await leave.click()
        await page.get_by_role("heading", name="Where you are logged in").wait_for()
        assert await page.get_by_text("Safari on iPhone", exact=True).first.is_visible()
        assert await is_fit(page)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_an_administrator_acts_after_a_confirmation(
    new_page, alice, sessions_of, manager, scheme
):
    sessions_of(alice, ["Kitchen radio"])
    async with new_page(**SMALL, color_scheme=scheme) as page:
        await log_in(page, ROOT)
        await page.get_by_role("link", name="Online users").click()
        assert await is_fit(page)
        await page.get_by_label("User name").fill(alice)
        await page.get_by_role("button", name="Look up").click()
        await page.get_by_role("heading", name=alice, exact=True).wait_for()
        for summary in await page.locator("summary").all():
            await summary.click()
        assert await is_fit(page)
        await page.locator("#support-reason").fill("A ticket")
        await stale(page, manager)
        await page.get_by_role("button", name="Impersonate this user").click()
        await page.get_by_role("heading", name="Confirm your identity").wait_for()
        assert await is_fit(page)
        await page.keyboard.type(PASSWORD)  # the browser puts the focus there by itself
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name=f"is impersonating {alice}").wait_for()
        assert await is_fit(page)
        await page.get_by_role("button", name="Stop impersonating").click()
        await page.get_by_text("You have stopped impersonating.").wait_for()
        assert await is_fit(page)
