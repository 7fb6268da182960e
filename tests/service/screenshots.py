"""Makes the pictures of the page in docs/images: ``python -m tests.service.screenshots``.

It starts a cluster and servers of its own. The times on the page are replaced by fixed ones, so
that a picture changes only when the page does.
"""

import asyncio
import tempfile
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page

from clusterpass import Config, EmbeddedCluster, KeyRing, SessionManager, UserDirectory
from clusterpass.cli.local_service import ServerProcess
from clusterpass.cli.local_setup import free_port, generate_password, write_keys

from .chromium import launched

IMAGES = Path(__file__).parents[2] / "docs" / "images"
USERNAME, ADMINISTRATOR = "alice", "root"
DEVICES = (
    ("Build server", None),
    ("Safari on iPhone", "phone"),
    ("Firefox on Windows", "computer"),
)
ADDRESSES = ("198.51.100.9", "203.0.113.20", "203.0.113.7")
DESKTOP = {"viewport": {"width": 760, "height": 400}, "device_scale_factor": 1}
PHONE = {
    "viewport": {"width": 375, "height": 667},
    "device_scale_factor": 1,
    "is_mobile": True,
    "user_agent": "Mozilla/5.0 (Linux; Android 16; K) Chrome/140.0.0.0 Mobile Safari/537.36",
}
# Of each session: its start, its last use, how long it is kept.
HERE = ("24 May 2026, 09:12 UTC", "24 May 2026, 09:12 UTC", "31 May 2026, 09:12 UTC")
OTHERS = (
    *("22 May 2026, 18:40 UTC", "24 May 2026, 08:57 UTC", "31 May 2026, 08:57 UTC"),
    *("21 May 2026, 07:55 UTC", "23 May 2026, 22:31 UTC", "22 Jun 2026, 22:31 UTC"),
    *("3 May 2026, 14:03 UTC", "24 May 2026, 09:10 UTC", "31 May 2026, 09:10 UTC"),
)
NOW = datetime(2026, 5, 24, 9, 12)
UNITS = ((1440, "day"), (60, "hour"), (1, "minute"), (0, ""))
HISTORY = (
    "22 May 2026, 18:40 UTC",
    "23 May 2026, 22:31 UTC",
    "21 May 2026, 07:55 UTC",
    "3 May 2026, 14:03 UTC",
)


def as_shown(moment: str) -> str:
    """A time as a reader in the zone UTC finds it at :data:`NOW`."""
    when = datetime.strptime(moment, "%d %b %Y, %H:%M UTC")
    minutes = round((when - NOW).total_seconds() / 60)
    size, unit = next(each for each in UNITS if abs(minutes) >= each[0])
    count = round(abs(minutes) / size) if size else 0
    words = f"{count} {unit}{'' if count == 1 else 's'}"
    relative = "now" if not count else f"in {words}" if minutes > 0 else f"{words} ago"
    return f"{moment.removesuffix(' UTC')} ({relative})"


async def open_page(browser: Browser, options: dict[str, Any], server: str) -> Page:
    page = await (await browser.new_context(**options)).new_page()
    await page.goto(server)
    return page


async def log_in(page: Page, name: str, password: str) -> None:
    await page.get_by_label("User name").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Log in").click()


async def take(page: Page, path: Path, moments: tuple[str, ...]) -> None:
    """A picture with ``moments`` in place of the times, in order; then the session is ended."""
    times = await page.locator("time").all()
    for element, moment in zip(times, moments, strict=True):
        text = as_shown(moment)
        await element.evaluate("(element, text) => { element.textContent = text }", text)
    # Not every machine has the fonts for the names of all languages.
    await page.get_by_role("contentinfo").evaluate("each => each.remove()")
    await page.screenshot(path=path, full_page=True)
    print(f"{path}: {path.stat().st_size} bytes")
    log_out = page.get_by_role("banner").get_by_role("button", name="Log out")
    if await log_out.count():
        await log_out.click()
        await page.get_by_text("You have been logged out.").wait_for()
    await page.context.close()


async def take_all(server: str, strict: str, password: str) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    async with launched() as browser:
        # What was done for a picture before is in the history; each begins with the newest.
        done: tuple[str, ...] = ()
        for name, options in (("page", DESKTOP), ("page-phone", PHONE)):
            page = await open_page(browser, options, server)
            await log_in(page, USERNAME, password)
            await page.get_by_role("heading", name="Where you are logged in").wait_for()
            done = (HERE[0], *done)
            await take(page, IMAGES / f"{name}.png", (*HERE, *OTHERS, *done, *HISTORY))
            done = (HERE[0], *done)

        page = await open_page(browser, PHONE, strict)
        await log_in(page, USERNAME, password)
        await page.get_by_role("radio").nth(1).check()
        kept = tuple(moment for index, moment in enumerate(OTHERS) if index % 3 != 2)
        await take(page, IMAGES / "page-too-many.png", kept)

        page = await open_page(browser, DESKTOP, server)
        await log_in(page, ADMINISTRATOR, password)
        await page.goto(f"{server}/page/subject?name={USERNAME}")
        await page.get_by_text("Ban this user").click()
        await page.get_by_text("Start", exact=True).click()
        await page.get_by_role("region", name="Recent activity").evaluate("each => each.remove()")
        await take(page, IMAGES / "page-administration.png", OTHERS)


def open_sessions(sessions: SessionManager) -> None:
    for (device, kind), address in zip(DEVICES, ADDRESSES, strict=True):
        pair = sessions.login(USERNAME, device=device, device_type=kind, address=address)
        for _ in range(12 if kind == "phone" else 0):
            pair = sessions.refresh(pair.refresh_token, address=address)


def main() -> None:
    password = generate_password()
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedCluster(nodes=3) as cluster,
        ExitStack() as stack,
    ):
        keys_file, port, strict_port = Path(folder, "keys.json"), free_port(), free_port()
        write_keys(keys_file)
        config = Config(issuer=f"http://127.0.0.1:{port}", keys=KeyRing.load(keys_file))
        sessions = stack.enter_context(SessionManager.from_url(cluster.url, config))
        users = UserDirectory(sessions)
        for name in (USERNAME, ADMINISTRATOR):
            users.add(name, password)
        open_sessions(sessions)
        settings = {
            "CLUSTERPASS_STORE_URL": cluster.url,
            "CLUSTERPASS_KEYS_FILE": str(keys_file),
            "CLUSTERPASS_ISSUER": config.issuer,
            "CLUSTERPASS_COOKIE_SECURE": "false",
            "CLUSTERPASS_ADMINISTRATORS": ADMINISTRATOR,
        }
        strict = {
            **settings,
            "CLUSTERPASS_MAX_SESSIONS": str(len(DEVICES)),
            "CLUSTERPASS_OVERFLOW": "refuse",
        }
        for at, given in ((port, settings), (strict_port, strict)):
            server = ServerProcess(f"pictures-{at}", at, given, Path(folder, f"{at}.log"))
            server.start()
            stack.callback(server.stop)
        asyncio.run(take_all(config.issuer, f"http://127.0.0.1:{strict_port}", password))


if __name__ == "__main__":
    main()
