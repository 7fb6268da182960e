"""A browser without a screen for the tests of the page: cookies, forms, fetch metadata."""

import html
import re
from typing import Any

import httpx

from .conftest import PASSWORD, Service

ORIGIN = "https://auth.example"
ADDRESS = "192.0.2.7"
"""Where they come from: their logins must not use up the attempts of other tests."""
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAME_SITE = {"Sec-Fetch-Site": "same-origin", "Origin": ORIGIN}
ACCESS = "__Host-clusterpass-access"
REFRESH = "__Host-clusterpass-refresh"
_FORM = re.compile(
    r'<form[^>]*action="(?P<action>[^"]*)">\s*'
    r'<input type="hidden" name="form_token" value="(?P<token>[^"]*)">'
)


class Browser:
    """One browser, with cookies of its own."""

    def __init__(self, service: Service, *, user_agent: str = CHROME, origin: str = ORIGIN) -> None:
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(service.app, client=(ADDRESS, 4711)),
            base_url=origin,
            headers={"User-Agent": user_agent},
        )

    async def get(self, path: str = "/", **more: Any) -> httpx.Response:
        return await self.http.get(path, **more)

    async def post(
        self,
        path: str,
        fields: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """Send a form as it is sent from the page itself; nothing is followed."""
        given = SAME_SITE if headers is None else headers
        return await self.http.post(path, data=fields or {}, headers=given)

    async def login(self, name: str, password: str = PASSWORD, **more: Any) -> httpx.Response:
        fields = {"username": name, "password": password}
        return await self.post("/page/login", fields, **more)

    async def text(self, path: str = "/") -> str:
        """What the page says: without tags, entities resolved."""
        return words(await self.get(path))

    async def forms(self) -> list[tuple[str, str]]:
        """Action and form token of every form of the page, in order."""
        return _FORM.findall((await self.get()).text)

    async def click(self, action: str) -> httpx.Response:
        """Send the first form of the page whose action matches ``action``."""
        for found, token in await self.forms():
            if re.fullmatch(action, found):
                return await self.post(found, {"form_token": token})
        raise AssertionError(f"no form for {action}")

    @property
    def tokens(self) -> dict[str, str]:
        return {
            cookie.name: cookie.value or ""
            for cookie in self.http.cookies.jar
            if cookie.name in (ACCESS, REFRESH)
        }

    def set_tokens(self, **values: str) -> None:
        """Put tokens into the cookies by hand: ``access=``, ``refresh=``; empty removes one."""
        for kind, value in values.items():
            name = {"access": ACCESS, "refresh": REFRESH}[kind]
            if name in self.tokens:
                self.http.cookies.delete(name, domain="auth.example", path="/")
            if value:
                self.http.cookies.set(name, value, domain="auth.example", path="/")


def words(answer: httpx.Response) -> str:
    """The text of an HTML answer."""
    body = answer.text.partition("</head>")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())
