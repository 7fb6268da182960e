"""The live page in two browsers: what is open in one closes when the other logs out."""

import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from clusterpass.cli.local_setup import write_keys
from tests.integrations.conftest import asgi_server
from tests.service.chromium import launched

PROGRAM = Path(__file__).parents[2] / "examples" / "fastapi_live" / "app.py"
HANGING = 30_000


@pytest.fixture
def url(cluster_url: str, tmp_path: Path) -> Iterator[str]:
    keys_file = tmp_path / "keys.json"
    write_keys(keys_file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLUSTERPASS_STORE_URL", f"{cluster_url}?namespace=live")
        patch.setenv("CLUSTERPASS_ISSUER", "https://live.example")
        patch.setenv("CLUSTERPASS_KEYS_FILE", str(keys_file))
        names = runpy.run_path(str(PROGRAM))
    with asgi_server(names["app"]) as port:
        yield f"http://127.0.0.1:{port}"


async def logged_in(browser: Browser, url: str, name: str) -> Page:
    page = await (await browser.new_context()).new_page()
    await page.goto(url)
    await page.fill("[name=username]", name)
    await page.click("text=Log in")
    await expect(page.locator("#socket")).to_have_text(f"{name} says hello", timeout=HANGING)
    await expect(page.locator("#events")).to_contain_text("tick", timeout=HANGING)
    return page


@pytest.mark.alternating
async def test_a_socket_and_a_stream_close_when_the_user_logs_out_elsewhere(url: str) -> None:
    async with launched() as browser:
        laptop = await logged_in(browser, url, "alice")
        phone = await logged_in(browser, url, "alice")
        other = await logged_in(browser, url, "bob")
        await phone.click("text=Log out everywhere")
        reason = "session_revoked: revoked"
        for page in (laptop, phone):
            socket, events = page.locator("#socket"), page.locator("#events")
            await expect(socket).to_have_text(f"closed: 4401 {reason}", timeout=HANGING)
            said = f'closed: {{"code": 4401, "reason": "{reason}"}}'
            await expect(events).to_have_text(said, timeout=HANGING)
        await expect(other.locator("#events")).to_contain_text("tick")
