"""A browser whose requests go through a proxy that asks the service about them."""

import json
from typing import Any
from urllib.parse import urlsplit

import httpx

from ..conftest import PASSWORD, Service
from ..page_browser import ADDRESS, CHROME, forms_of

HOST = "app.example.org"
APP = f"https://{HOST}"
PREFIX = "/auth"
PORTAL = f"{APP}{PREFIX}"
COOKIE = "__Host-clusterpass-proxy"
POLICY = """
[[rules]]
hosts = ["app.example.org", "*.example.org"]
paths = "/public/**"
access = "public"

[[rules]]
hosts = ["app.example.org", "*.example.org"]
paths = "/recent"
max_auth_age = 600

[[rules]]
hosts = ["app.example.org", "*.example.org"]
paths = "/admin"
level = "2"

[[rules]]
hosts = ["app.example.org", "*.example.org"]
paths = "/orders"
scopes = "orders:write"

[[rules]]
hosts = ["app.example.org", "*.example.org", "elsewhere.example"]
"""
NAVIGATION = {
    "Accept": "text/html,*/*;q=0.8",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Site": "none",
}
FETCH = {"Accept": "*/*", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}


class AskingProxy(httpx.AsyncBaseTransport):
    """A proxy in front of the page and of an application that says what reaches it."""

    def __init__(self, service: Service, portal: str, proxy: str = "caddy") -> None:
        self._inside = httpx.ASGITransport(service.app, client=("127.0.0.1", 4711))
        self._portal = urlsplit(portal)
        self._proxy = proxy

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        headers = {**request.headers, "x-forwarded-for": ADDRESS}
        is_page = request.url.host == self._portal.hostname and request.url.path.startswith(
            f"{self._portal.path}/"
        )
        if is_page or request.url.path.startswith("/_clusterpass/"):
            inner = httpx.Request(
                request.method, request.url, headers=headers, content=await request.aread()
            )
            return await self._inside.handle_async_request(inner)
        about = {
            "x-forwarded-method": request.method,
            "x-forwarded-proto": request.url.scheme,
            "x-forwarded-host": request.url.netloc.decode(),
            "x-forwarded-uri": request.url.raw_path.decode(),
        }
        if self._proxy == "nginx":
            about = {name.replace("forwarded", "original"): about[name] for name in about}
        kept = {name: value for name, value in headers.items() if name != "content-length"}
        url = f"http://service/authz/{self._proxy}"
        asked = httpx.Request("GET", url, headers={**kept, **about})
        answer = await self._inside.handle_async_request(asked)
        await answer.aread()
        if answer.status_code != 200:
            return answer
        seen = {
            "subject": answer.headers["x-auth-subject"],
            "level": answer.headers["x-auth-level"],
            "cookie": headers.get("cookie", ""),
            "body": (await request.aread()).decode(),
        }
        passed = [("x-upstream", "1")]
        passed += [("set-cookie", each) for each in answer.headers.get_list("set-cookie")]
        return httpx.Response(200, headers=passed, content=json.dumps(seen))


class Visitor:
    """One browser, with cookies of its own."""

    def __init__(self, service: Service, portal: str = PORTAL, proxy: str = "caddy") -> None:
        self.http = httpx.AsyncClient(
            transport=AskingProxy(service, portal, proxy),
            base_url=APP,
            headers={"User-Agent": CHROME},
        )

    async def open(self, url: str, **headers: str) -> httpx.Response:
        """Open a page, wherever it leads."""
        sent = {**NAVIGATION, **headers}
        return await self.http.get(url, headers=sent, follow_redirects=True)

    async def fetch(self, url: str, method: str = "GET", **more: Any) -> httpx.Response:
        """What a script does; nothing is followed."""
        headers = {**FETCH, **more.pop("headers", {})}
        return await self.http.request(method, url, headers=headers, **more)

    async def submit(self, page: httpx.Response, **filled: str) -> httpx.Response:
        """Fill in and send the form of a page, and go where that leads."""
        (form,) = [form for form in forms_of(page) if "logout" not in form[0]]
        action, hidden = form
        origin = f"{page.url.scheme}://{page.url.netloc.decode()}"
        headers = {**NAVIGATION, "Sec-Fetch-Site": "same-origin", "Origin": origin}
        return await self.http.post(
            page.url.join(action), data={**hidden, **filled}, headers=headers, follow_redirects=True
        )

    async def log_in(self, name: str, url: str = "/", **more: str) -> httpx.Response:
        """Open a page of the application, and log in on the way."""
        filled = {"username": name, "password": PASSWORD, **more}
        return await self.submit(await self.open(url), **filled)

    async def follow(self, url: str, until: str) -> httpx.URL:
        """Open a page, and return the first address with ``until`` that it leads to, not opened."""
        answer = await self.http.get(url, headers=NAVIGATION)
        while until not in answer.headers["location"]:
            answer = await self.http.get(answer.headers["location"], headers=NAVIGATION)
        return answer.url.join(answer.headers["location"])

    @property
    def cookie(self) -> str:
        """The cookie for proxies; empty: there is none."""
        found = [each for each in self.http.cookies.jar if each.name.endswith("-proxy")]
        return (found[0].value or "") if found else ""

    def forget(self, *endings: str) -> None:
        """Remove cookies, by the ends of their names."""
        for each in list(self.http.cookies.jar):
            if each.name.endswith(endings):
                self.http.cookies.jar.clear(each.domain, each.path, each.name)


def with_cookie(value: str, name: str = COOKIE) -> dict[str, str]:
    return {"Cookie": f"{name}={value}"}
