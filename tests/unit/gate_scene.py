"""A gate of a web integration, requests to it, and a manager that answers from a list."""

from collections.abc import Callable
from typing import Any

from clusterpass import (
    Config,
    KeyRing,
    Session,
    TokenPair,
)
from clusterpass.tokens.refresh import RefreshTokens
from clusterpass.tokens.refresh_secrets import new_refresh_secret, read_refresh_secrets
from clusterpass.web.flow import run
from clusterpass.web.gate import Gate, Needs, Visit
from clusterpass.web.settings import WebSettings

from .web_request import FakeRequest

CONFIG = Config(issuer="https://shop.example", keys=KeyRing.generate())
GATE = Gate(CONFIG, WebSettings())
COOKIES = GATE.settings.cookies
SESSION_ID = bytes(16)
REFRESH = (
    RefreshTokens(read_refresh_secrets((new_refresh_secret(),)), bytes)
    .first("alice", SESSION_ID)
    .encode()
)
SESSION_TEXT = "A" * 22
SESSION = Session("alice", SESSION_TEXT, None, 1, 2, 3, claims={"scope": "orders:*"})
PAIR = TokenPair("new access", "new refresh", 900, SESSION_TEXT, "alice", durable=True,
                 session_expires_in=600)  # fmt: skip
CSRF = GATE.csrf.make(SESSION_TEXT) if GATE.csrf else ""
OWN = {"Origin": "https://shop.example", "X-CSRF-Token": CSRF}
OWN_FORM = {"Origin": "https://shop.example"}


class Manager:
    """Answers as it is told, by verb; notes what it was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[Any, ...]] = []

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def ask(*arguments: Any, **options: Any) -> Any:
            self.asked.append((verb, *arguments, options))
            answer = self.answers[verb]
            if isinstance(answer, list):
                answer = answer.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return ask


def browser(method: str = "GET", *, access: str = "access", refresh: str = REFRESH, **headers: str):
    cookies = {COOKIES.access.name: access, COOKIES.refresh.name: refresh}
    return FakeRequest(
        method,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        cookies={name: value for name, value in cookies.items() if value},
    )


def sending(method: str, **headers: str) -> FakeRequest:
    return browser(method, **headers)


def admit(request: Any, manager: Any, needs: Needs = Needs(), **options: Any) -> Visit:  # noqa: B008
    visit = Visit(request)
    run(manager, GATE.admit(visit, needs, **options))
    return visit


def set_cookies(visit: Visit) -> dict[str, str]:
    """The names and values of the cookies that the response sets."""
    found = [value for name, value in visit.headers if name == "Set-Cookie"]
    return dict(each.partition(";")[0].split("=", 1) for each in found)
