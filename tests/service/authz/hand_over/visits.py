"""A portal and two hosts of other domains, and what tests of the hand-over between them share."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import httpx

from ...conftest import PASSWORD
from ..browsing import NAVIGATION, Visitor

PORTAL = "https://auth.example.org"
APP, SHOP = "https://app.example.net", "https://shop.example.com:8443"
HOSTS = "app.example.net, shop.example.com:8443"
COOKIE, NONCE = "__Host-clusterpass-proxy", "__Host-clusterpass-hand-over"
FINISH, BEGIN = "/_clusterpass/session", "/_clusterpass/begin"
AWAY = "redis+cluster://127.0.0.1:1?timeout=0.3&deadline=0.3&namespace=cp-test-away"
POLICY = """
[[rules]]
hosts = "*"
paths = "/recent"
max_auth_age = 600

[[rules]]
hosts = "*"
paths = "/admin"
level = "2"

[[rules]]
hosts = "*"
"""


def subject_of(answer: httpx.Response) -> str:
    assert answer.headers.get("x-upstream") == "1", (answer.status_code, answer.text)
    return str(answer.json()["subject"])


def cookies_at(visitor: Visitor, host: str) -> dict[str, str]:
    """The cookies that a browser keeps for a host, in httpx's spelling of it."""
    return {each.name: each.value or "" for each in visitor.http.cookies.jar if each.domain == host}


async def until_refused(visitor: Visitor, url: str, **more: Any) -> None:
    async with asyncio.timeout(10):
        while (answer := await visitor.fetch(url, **more)).status_code == 200:
            await asyncio.sleep(0.01)
    assert answer.status_code == 401


async def finish(service: Any, url: httpx.URL | str, *, nonce: str = "", host: str = "") -> Any:
    """Bring a code to a host, in a browser with this nonce."""
    cookies = {"Cookie": f"{NONCE}={nonce}"} if nonce else {}
    parts = urlsplit(str(url))
    headers = {**NAVIGATION, **cookies, "Host": host or parts.netloc}
    return await service.client.get(f"{parts.path}?{parts.query}", headers=headers)


def is_refused(answer: httpx.Response, host: str = APP) -> bool:
    """Whether a code admitted nobody, and the browser goes to the portal again."""
    assert answer.status_code == 303
    given = answer.headers.get_list("set-cookie")
    is_led = answer.headers["location"].startswith(f"{host}{BEGIN}?rd=")
    assert is_led is not any(each.startswith(COOKIE) for each in given)
    return is_led


def reasons(service: Any) -> list[str]:
    return [each["reason"] for each in service.lines() if each.get("error") == "hand_over_refused"]


async def code_for(visitor: Visitor, alice: str, host: str = APP) -> tuple[httpx.URL, str]:
    """Return the address with a code for who is logged in, not opened, and the browser's nonce.

    ``alice``: logs in, unless somebody is.
    """
    page = await visitor.open(f"{PORTAL}/")
    if "Logged in as" not in page.text:
        await visitor.submit(page, username=alice, password=PASSWORD)
    visitor.forget("-led")  # one visit after the other is no circle
    found = await visitor.follow(f"{host}{BEGIN}?rd=/x", "code=")
    return found, cookies_at(visitor, str(found.host))[NONCE]
