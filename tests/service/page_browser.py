"""A browser without a screen for the tests of the page: cookies, forms, fetch metadata."""

import asyncio
import html
import re
from typing import Any

import httpx

from clusterpass import StepUpRequired, TokenIssuer, TokenVerifier
from clusterpass.service.page.template_environments import SCRIPT

from .conftest import PASSWORD, Service

ORIGIN = "https://auth.example"
ADDRESS = "192.0.2.7"
"""Where they come from: their logins must not use up the attempts of other tests."""
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)
IPAD = IPHONE.replace("iPhone; CPU iPhone OS", "iPad; CPU OS")
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAME_SITE = {"Sec-Fetch-Site": "same-origin", "Origin": ORIGIN}
ACCESS = "__Host-clusterpass-access"
REFRESH = "__Host-clusterpass-refresh"
_FORM = re.compile(r'<form[^>]*action="(?P<action>[^"]*)">(?P<inside>.*?)</form>', re.DOTALL)
_HIDDEN = re.compile(r'<input type="hidden" name="(?P<name>[^"]*)" value="(?P<value>[^"]*)">')
# What stands within a sentence.
_INLINE = re.compile(r"</?(?:bdi|time)\b[^>]*>")


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
        """Return the text of the page, without tags and with entities resolved."""
        return words(await self.get(path))

    async def forms(self, path: str = "/") -> list[tuple[str, str]]:
        """Action and form token of every form of the page that has one, in order."""
        found = forms_of(await self.get(path))
        return [
            (action, fields["form_token"]) for action, fields in found if "form_token" in fields
        ]

    async def click(self, action: str, path: str = "/", **filled: str) -> httpx.Response:
        """Send the first form of the page whose action matches ``action``.

        ``filled``: what was typed or picked; a hidden field of that name must have that value.
        """
        for found, hidden in forms_of(await self.get(path)):
            is_meant = all(hidden.get(name, value) == value for name, value in filled.items())
            if re.fullmatch(action, found) and is_meant:
                return await self.post(found, hidden | filled)
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


def forms_of(answer: httpx.Response) -> list[tuple[str, dict[str, str]]]:
    """Action and hidden fields of every form of an HTML answer, in order; not of the language."""
    return [
        (
            html.unescape(form["action"]),
            {
                html.unescape(field["name"]): html.unescape(field["value"])
                for field in _HIDDEN.finditer(form["inside"])
            },
        )
        for form in _FORM.finditer(answer.text)
        if not form["action"].endswith("/page/language")
    ]


def markup(answer: httpx.Response) -> str:
    """The HTML of an answer without the one script that each page has."""
    return answer.text.replace(f"<script>{SCRIPT}</script>", "", 1)


def words(answer: httpx.Response) -> str:
    """The text of an HTML answer."""
    body = _INLINE.sub("", markup(answer).partition("</head>")[2])
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def expired(service: Service, browser: Browser) -> str:
    """An access token of the browser's session that has expired."""
    config = service.app.service.sessions.config
    verifier = TokenVerifier(config.keys, issuer=config.issuer, audience=config.audience)
    claims = verifier.verify(browser.tokens[ACCESS], allow_expired=True)
    issuer = TokenIssuer(
        config.keys.signing_key,
        issuer=config.issuer,
        audience=config.audience,
        random_bytes=lambda size: b"x" * size,
    )
    then = claims.issued_at - 10_000
    return issuer.issue(
        claims.subject, claims.session_id, issued_at=then, expires_at=then + 900, claims={}
    )


async def stale(service: Service, browser: Browser) -> None:
    """Return when the authentication of the browser's session is not of this very second."""
    sessions = service.app.service.sessions
    async with asyncio.timeout(20):
        while True:
            try:
                await sessions.verify(browser.tokens[ACCESS], max_auth_age=0)
            except StepUpRequired:
                return
            await asyncio.sleep(0.02)
