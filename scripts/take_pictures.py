"""Makes the pictures of the page and of the doctor in docs/images.

Run ``python -m scripts.take_pictures`` from the root of the repository, with the environment of
``make setup``; Chromium is needed (``make test-setup`` installs it). The script starts a cluster
and servers on this machine. It replaces times, addresses and ports with fixed ones, so that a
picture changes only when its content does.
"""

import asyncio
import html
import itertools
import re
import subprocess
import sys
import tempfile
import textwrap
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page
from tests.service.chromium import launched

from clusterpass import Config, EmbeddedCluster, KeyRing, SessionManager, UserDirectory
from clusterpass.cli.local_setup import free_port, generate_password, write_keys
from clusterpass.cli.service_child import ServerProcess

IMAGES = Path(__file__).parents[1] / "docs" / "images"
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
        page = await open_page(browser, DESKTOP, server)
        await page.get_by_role("button", name="Log in").wait_for()
        await take(page, IMAGES / "page-login.png", ())

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


LINE, LETTER, MARGIN = 18, 7.83, 16
"""Pixels: the height of a line, the width of a letter, the space around the text."""
COLUMNS = 100


def draw_terminal(command: str, said: str, path: Path) -> None:
    """A picture of a terminal, as text that can be searched and copied."""
    lines = [f"$ {command}", *said.rstrip().splitlines()]
    width = int(max(map(len, lines)) * LETTER) + 2 * MARGIN
    height = len(lines) * LINE + 2 * MARGIN
    rows = "\n".join(
        f'<text x="{MARGIN}" y="{MARGIN + number * LINE + 13}" xml:space="preserve">'
        f"{html.escape(line)}</text>"
        for number, line in enumerate(lines)
    )
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" font-family="ui-monospace, DejaVu Sans Mono, monospace"'
        f' font-size="13" fill="#e6edf3">\n<title>{html.escape(command)}</title>\n'
        f'<rect width="{width}" height="{height}" rx="6" fill="#161b22"/>\n{rows}\n</svg>\n',
        "utf-8",
    )
    print(f"{path}: {path.stat().st_size} bytes")


def take_doctor(cluster: EmbeddedCluster) -> None:
    """What the doctor says of a cluster that lacks a replica."""
    cluster.kill(cluster.replicas_of(b"any")[0])
    # What it says of every trial on one machine is not what the picture is about.
    shown = "doctor --write --ignore hosts --ignore password --ignore persistence"
    command = [sys.executable, "-m", "clusterpass", *shown.split(), "--ignore", "rights-too-wide"]
    said, give_up_at = "", time.monotonic() + 60
    while "node-failed" not in said:  # the nodes agree on that after a while
        assert time.monotonic() < give_up_at, said
        done = subprocess.run(
            [*command, "--store", cluster.url],
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=120,
        )
        said = done.stdout
    known: dict[str, str] = {}
    numbers = itertools.count(1)

    def placed(found: re.Match[str]) -> str:
        return known.setdefault(found[0], f"10.0.0.{next(numbers)}:6379")

    said = re.sub(r"127\.0\.0\.1:\d+", placed, said)
    said = re.sub(r"\b[0-9a-f]{40}\b", "07c37dfeb235213a872192d90877d0cd55635b91", said)
    draw_terminal("clusterpass doctor --write", wrapped(said), IMAGES / "doctor.svg")


def wrapped(text: str) -> str:
    """Text as a terminal of ``COLUMNS`` letters shows it, with indented lines that go on so."""
    lines = (
        textwrap.fill(line, COLUMNS, subsequent_indent="       ", break_on_hyphens=False)
        for line in text.splitlines()
    )
    return "\n".join(lines)


def open_sessions(sessions: SessionManager) -> None:
    for (device, kind), address in zip(DEVICES, ADDRESSES, strict=True):
        pair = sessions.login(USERNAME, device=device, device_type=kind, address=address)
        for _ in range(12 if kind == "phone" else 0):
            pair = sessions.refresh(pair.refresh_token, address=address)


def main() -> None:
    password = generate_password()
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedCluster(nodes=6) as cluster,
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
        take_doctor(cluster)


if __name__ == "__main__":
    main()
