"""The login routes of FastAPI and Litestar: what they count, what they note, what they hand on."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from litestar import Litestar
from litestar.config.app import AppConfig

from clusterpass import TooManyAttempts
from clusterpass.integrations import fastapi, litestar
from clusterpass.integrations.litestar_middleware import with_visits

from .web_apps import AsyncSessions, Sessions


def check(username: str, password: str) -> Any:
    if password != "pw":
        return None
    return {"subject": f"user {username}", "amr": ("otp",)}


class Site:
    """An application with the routes, which notes what its ClusterPass is asked."""

    def __init__(self, name: str, monkeypatch: pytest.MonkeyPatch, *, throttle: bool) -> None:
        self.name = name
        self.asked: list[tuple[Any, ...]] = []
        self.failure: Exception | None = None
        module: Any = {"fastapi": fastapi, "litestar": litestar}[name]
        cp = module.ClusterPass(AsyncSessions(Sessions()), cookie_secure=False)
        for verb in ("count_attempt", "login_failed"):
            monkeypatch.setattr(cp, verb, self._noting(verb))
        plain = cp.log_in

        async def log_in(request: Any, subject: str, **options: Any) -> Any:
            self.asked.append(("log_in", subject, dict(options)))
            return await plain(request, subject, **options)

        monkeypatch.setattr(cp, "log_in", log_in)
        if name == "fastapi":
            self.app: Any = FastAPI()
            cp.install(self.app)
            self.app.include_router(cp.router(authenticate=check, throttle=throttle), prefix="/a")
        else:
            router = cp.router("/a", authenticate=check, throttle=throttle)
            self.app = Litestar([router], plugins=[cp])

    def _noting(self, verb: str) -> Any:
        async def note(_: Any, *arguments: Any) -> None:
            self.asked.append((verb, *arguments))
            if self.failure is not None:
                raise self.failure

        return note

    async def post(self, path: str, **sent: Any) -> int:
        transport = httpx.ASGITransport(self.app)
        headers = {"sec-fetch-site": "same-origin"}
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as client:
            return (await client.post(f"/a{path}", headers=headers, **sent)).status_code


BOTH = pytest.mark.parametrize("name", ["fastapi", "litestar"])
BODY = {"username": "alice", "password": "pw", "device": "phone", "remember": True}
HANDED_ON = ("log_in", "user alice", {"amr": ("otp",), "device": "phone", "remember": True})


@BOTH
@pytest.mark.parametrize("throttle", [True, False])
async def test_a_login_is_counted_and_hands_on_all(
    name: str, throttle: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(name, monkeypatch, throttle=throttle)
    assert await site.post("/login", json=BODY) == 200
    counted = [("count_attempt", "alice")] if throttle else []
    assert site.asked == [*counted, HANDED_ON]
    site.asked.clear()
    assert await site.post("/login", json={**BODY, "password": "x"}) == 401
    assert site.asked == [*counted, ("login_failed", "alice", "invalid_credentials")]


@BOTH
async def test_too_many_attempts_end_before_the_password_is_checked(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(name, monkeypatch, throttle=True)
    site.failure = TooManyAttempts(retry_after=7)
    assert await site.post("/login", json=BODY) == 429
    assert site.asked == [("count_attempt", "alice")]


async def test_the_form_of_the_authorize_button_gets_tokens_in_the_body(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site("fastapi", monkeypatch, throttle=True)
    form = {"grant_type": "password", "username": "alice", "password": "pw"}
    assert await site.post("/token", data=form) == 200
    options = {"amr": ("otp",), "to_browser": False}
    assert site.asked == [("count_attempt", "alice"), ("log_in", "user alice", options)]


@BOTH
async def test_a_login_that_says_no_more_is_of_no_device_and_ends_with_the_browser(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(name, monkeypatch, throttle=False)
    assert await site.post("/login", json={"username": "alice", "password": "pw"}) == 200
    assert site.asked == [
        ("log_in", "user alice", {"amr": ("otp",), "device": None, "remember": False})
    ]


@BOTH
def test_the_description_of_the_routes_has_what_they_answer(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Site(name, monkeypatch, throttle=False).app
    document = app.openapi() if name == "fastapi" else app.openapi_schema.to_schema()
    found = {
        f"{method} {path}": next(code for code in operation["responses"] if code < "300")
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if path.startswith("/a/")
    }
    own = {"post /a/token": "200"} if name == "fastapi" else {}
    assert found == own | {
        "post /a/login": "200",
        "post /a/refresh": "200",
        "post /a/logout": "204",
        "post /a/logout-all": "200",
        "get /a/devices": "200",
        "delete /a/devices/{session_id}": "200",
    }


def test_the_middleware_of_an_application_is_behind_ours() -> None:
    """So it sees the session, and what it does to a response comes first."""
    own: Any = object()
    cp = litestar.ClusterPass(AsyncSessions(Sessions()), cookie_secure=False)
    ours, behind = cp.on_app_init(AppConfig(middleware=[own])).middleware
    assert ours.func is with_visits
    assert behind is own
