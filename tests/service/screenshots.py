"""Makes the pictures of the page in docs/images: ``python -m tests.service.screenshots``.

It starts a cluster and a server of its own. The times on the page are replaced by fixed ones, so
that a picture changes only when the page does.
"""

import asyncio
import tempfile
from pathlib import Path

from playwright.async_api import Page

from clusterpass import Config, EmbeddedCluster, KeyRing, SessionManager, UserDirectory
from clusterpass.cli.local import ServerProcess, free_port, generate_password, write_keys

from .chromium import launched

IMAGES = Path(__file__).parents[2] / "docs" / "images"
USERNAME = "alice"
DEVICES = ("Firefox on Windows", "Safari on iPhone", "Build server")
DESKTOP = {"viewport": {"width": 760, "height": 400}, "device_scale_factor": 1.25}
PHONE = {
    "viewport": {"width": 375, "height": 667},
    "device_scale_factor": 1.25,
    "is_mobile": True,
    "user_agent": "Mozilla/5.0 (Linux; Android 16; K) Chrome/140.0.0.0 Mobile Safari/537.36",
}
MOMENTS = (
    "24 May 2026, 09:12 UTC",  # this device; then the start and the last refresh of each other one
    "22 May 2026, 18:40 UTC",
    "24 May 2026, 08:57 UTC",
    "21 May 2026, 07:55 UTC",
    "23 May 2026, 22:31 UTC",
    "3 May 2026, 14:03 UTC",
    "24 May 2026, 09:10 UTC",
)


async def take(page: Page, server: str, password: str, path: Path) -> None:
    await page.goto(server)
    await page.get_by_label("User name").fill(USERNAME)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Log in").click()
    await page.get_by_role("heading", name="Where you are logged in").wait_for()
    times = await page.get_by_role("time").all()
    for element, moment in zip(times, MOMENTS, strict=True):
        await element.evaluate("(element, moment) => { element.textContent = moment }", moment)
    await page.screenshot(path=path, full_page=True)
    await page.get_by_role("banner").get_by_role("button", name="Log out").click()
    await page.get_by_text("You are logged out.").wait_for()
    print(f"{path}: {path.stat().st_size} bytes")


async def take_all(server: str, password: str) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    async with launched() as browser:
        for name, options in (("page", DESKTOP), ("page-phone", PHONE)):
            context = await browser.new_context(**options)
            await take(await context.new_page(), server, password, IMAGES / f"{name}.png")
            await context.close()


def main() -> None:
    password = generate_password()
    with tempfile.TemporaryDirectory() as folder, EmbeddedCluster(nodes=3) as cluster:
        keys_file, port = Path(folder, "keys.json"), free_port()
        write_keys(keys_file)
        config = Config(issuer=f"http://127.0.0.1:{port}", keys=KeyRing.load(keys_file))
        with SessionManager.from_url(cluster.url, config) as sessions:
            UserDirectory(sessions).add(USERNAME, password)
            for device in reversed(DEVICES):
                sessions.login(USERNAME, device=device)
        settings = {
            "CLUSTERPASS_STORE_URL": cluster.url,
            "CLUSTERPASS_KEYS_FILE": str(keys_file),
            "CLUSTERPASS_ISSUER": config.issuer,
            "CLUSTERPASS_COOKIE_SECURE": "false",
        }
        server = ServerProcess("pictures", port, settings, Path(folder, "server.log"))
        server.start()
        try:
            asyncio.run(take_all(config.issuer, password))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
