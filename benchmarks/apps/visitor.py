"""The clients of the checks, logged in to an app: a phone with tokens, a browser with cookies."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from benchmarks.apps.serving import Served

BROWSER: Final = {"Sec-Fetch-Site": "same-origin"}
ABSENT: Final = (404, 405)
_SECONDS = 30.0


class Failed(Exception):
    """The check found something other than it expects; the text says what."""


class NotThere(Exception):
    """The app lacks the feature that the check is about; the text says what is missing."""


def expect(found: bool, otherwise: str = "") -> None:
    """Raise Failed unless ``found``."""
    if not found:
        raise Failed(otherwise)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Opens clients, all of which are closed together."""

    served: Served
    _stack: ExitStack = field(default_factory=ExitStack)

    def client(self, **headers: str) -> httpx.Client:
        """A client of the first server, with cookies of its own."""
        client = httpx.Client(base_url=self.served.urls[0], headers=headers, timeout=_SECONDS)
        return self._stack.enter_context(client)

    def elsewhere(self, path: str) -> str:
        """A path of the first server, on the second one."""
        return self.served.urls[1] + path

    def phone(self, name: str = "alice") -> tuple[httpx.Client, dict[str, Any]]:
        """A client of the API that is logged in, and the answer of its login."""
        client = self.client()
        answer = client.post("/login", json={"username": name, "password": "pw", "device": "phone"})
        expect(answer.status_code == 200, f"login: {answer.status_code}")
        pair: dict[str, Any] = answer.json()
        client.headers["Authorization"] = f"Bearer {pair['access_token']}"
        return client, pair

    def browser(self, name: str = "alice") -> httpx.Client:
        """A browser that is logged in."""
        client = self.client(**BROWSER)
        answer = client.post(
            "/login", json={"username": name, "password": "pw", "device": "browser"}
        )
        expect(answer.status_code in (200, 204), f"login: {answer.status_code}")
        expect(self.served.candidate.access_cookie in client.cookies, "a login sets no cookie")
        return client

    def give_up_at(self, seconds: float) -> float:
        """The time on the monotonic clock at which to give up waiting, ``seconds`` from now."""
        return time.monotonic() + seconds * self.served.patience

    def csrf(self, client: httpx.Client, *, refresh: bool = False) -> dict[str, str]:
        """The header with which ``client`` shows that a request is its own."""
        app = self.served.candidate
        name = app.refresh_csrf_cookie if refresh else app.csrf_cookie
        return {app.csrf_header: client.cookies.get(name) or ""}

    def refresh(self, pair: Mapping[str, Any]) -> httpx.Response:
        """Refresh by a token in the body, as a client of the API does."""
        token = pair.get("refresh_token")
        if not token:
            raise NotThere("a login gives no refresh token")
        return there(self.client().post("/refresh", json={"refresh_token": token}))

    def renewed(self, pair: Mapping[str, Any]) -> dict[str, Any]:
        """``pair`` after a refresh; its refresh token stays if there is no new one."""
        answer = self.refresh(pair)
        expect(answer.status_code == 200, f"refresh: {answer.status_code}")
        return {**pair, **answer.json()}

    def await_refusal(self, client: httpx.Client, url: str, seconds: float = 5.0) -> httpx.Response:
        """The first answer that is no 200; Failed if there is none for ``seconds``."""
        give_up_at = self.give_up_at(seconds)
        while (answer := client.get(url)).status_code == 200:
            expect(time.monotonic() < give_up_at, "still accepted")
        return answer


def answered(answer: httpx.Response) -> str:
    """Describe ``answer`` in a note."""
    return f"answers {answer.status_code}"


def there(answer: httpx.Response) -> httpx.Response:
    """``answer``, or NotThere if nothing has that path."""
    if answer.status_code in ABSENT:
        raise NotThere(f"there is no `{answer.request.url.path}`")
    return answer


@contextmanager
def visiting(served: Served) -> Iterator[Visitor]:
    """A visitor, whose clients are closed at the end."""
    visitor = Visitor(served)
    with visitor._stack:
        yield visitor
