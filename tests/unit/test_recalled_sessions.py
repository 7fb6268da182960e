"""A session that is admitted from memory, without a verify, is known to all who ask for it."""

from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI, Request, Security
from flask import Flask

from clusterpass import Session
from clusterpass.integrations import fastapi as for_fastapi, flask as for_flask
from clusterpass.web.gate import Gate

from .gate_scene import SESSION
from .web_apps import AsyncSessions, Sessions

BEARER = [("authorization", "Bearer good")]


class Remembering(Sessions):
    """A manager that has one session in memory."""

    def recall(self, token: str) -> Session | None:  # type: ignore[override]
        self.asked.append(("recall", token))
        return SESSION if token == "good" else None


@pytest.fixture
def admitted(monkeypatch: pytest.MonkeyPatch) -> list[Session]:
    """The sessions that were admitted."""
    found: list[Session] = []
    monkeypatch.setattr(Gate, "on_admitted", staticmethod(found.append))
    return found


def flask_app(sessions: Any, asks_before: bool, scope: str = "") -> Any:
    app, cp = Flask("shop"), for_flask.ClusterPass(cookie_secure=False)
    cp.init_app(app, sessions)
    if asks_before:
        app.before_request(lambda: ("known", 500) if for_flask.current_user else None)

    @app.get("/plain")
    @for_flask.session_required()
    def plain() -> str:
        return for_flask.current_session.subject

    @app.get("/known")
    @for_flask.session_required(scope=scope or ())
    def known() -> str:
        return f"{for_flask.current_session.subject} {for_flask.current_user.session_id}"

    async def ask(path: str, headers: Any) -> tuple[int, str, str]:
        with app.test_client(use_cookies=False) as client:
            answer = client.get(path, headers=headers, base_url="http://shop.example")
            return answer.status_code, answer.text, answer.headers["Vary"]

    return ask


def fastapi_app(sessions: Any, asks_before: bool, scope: str = "") -> Any:
    app, cp = FastAPI(), for_fastapi.ClusterPass(AsyncSessions(sessions), cookie_secure=False)  # type: ignore[arg-type]
    cp.install(app)

    async def before(request: Request) -> None:
        if asks_before:
            assert cp.csrf_token(request) == ""

    Before = Annotated[None, Security(before)]
    Plain = Annotated[Session, Security(cp.session)]
    Scoped = Annotated[Session, Security(cp.session, scopes=[scope] if scope else [])]

    @app.get("/plain")
    async def plain(_: Before, session: Plain) -> str:
        return session.subject

    @app.get("/known")
    async def known(request: Request, _: Before, session: Scoped) -> str:
        assert cp.csrf_token(request) != ""
        return f"{session.subject} {session.session_id}"

    async def ask(path: str, headers: Any) -> tuple[int, str, str]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as client:
            answer = await client.get(path, headers=headers)
            return answer.status_code, answer.text.strip('"'), answer.headers["Vary"]

    return ask


BOTH = pytest.mark.parametrize("make", [flask_app, fastapi_app])
VARY = "Cookie, Authorization"


@BOTH
@pytest.mark.parametrize("asks_before", [False, True])
async def test_a_session_from_memory_is_that_of_the_request(
    make: Any, asks_before: bool, admitted: list[Session]
) -> None:
    sessions = Remembering()
    ask = make(sessions, asks_before)
    assert await ask("/plain", BEARER) == (200, SESSION.subject, VARY)
    told = f"{SESSION.subject} {SESSION.session_id}"
    assert await ask("/known", BEARER) == (200, told, VARY)
    assert sessions.asked == [("recall", "good")] * 2, "no verify"
    assert admitted == [SESSION, SESSION]


@BOTH
async def test_a_session_from_memory_needs_the_scope_too(make: Any) -> None:
    assert (await make(Remembering(), False, "orders:read")("/known", BEARER))[0] == 200
    assert (await make(Remembering(), False, "billing:read")("/known", BEARER))[0] == 403


@BOTH
async def test_what_is_not_in_memory_is_verified(make: Any) -> None:
    sessions = Remembering()
    ask = make(sessions, False)
    assert (await ask("/plain", [("authorization", "Bearer other")]))[0] == 401
    assert (await ask("/plain", [("authorization", "Basic good")]))[0] == 401
    assert (await ask("/plain", [*BEARER, *BEARER]))[0] in {400, 401}
    assert (await ask("/plain", []))[0] == 401
    assert "good" not in sessions.of("recall")
