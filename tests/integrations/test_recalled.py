"""A session that is admitted from memory, which makes no visit, is known to all who ask for it."""

from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI, Request, Security
from flask import Flask

from clusterpass import AsyncSessionManager, Session, SessionManager
from clusterpass.integrations import fastapi as for_fastapi, flask as for_flask


@pytest.mark.parametrize("asks_before", [False, True])
def test_flask(cp_sessions: SessionManager, asks_before: bool) -> None:
    app, cp = Flask(__name__), for_flask.ClusterPass()
    cp.init_app(app, cp_sessions)
    if asks_before:
        app.before_request(lambda: ("known", 500) if for_flask.current_user else None)

    @app.post("/kick/<name>")
    @for_flask.session_required()
    def kick(name: str) -> dict[str, Any]:
        with cp.acting():
            cp.sessions.revoke_all(name)
        return {"by": for_flask.current_user.subject}

    pair, client = cp_sessions.login("alice"), app.test_client()
    sent = {"Authorization": f"Bearer {pair.access_token}"}
    for number in range(3):
        cp_sessions.login(f"user-{number}")
        assert client.post(f"/kick/user-{number}", headers=sent).json == {"by": "alice"}
        assert cp_sessions.history(f"user-{number}")[0].by == "alice"
        while cp_sessions.recall(pair.access_token) is None:
            cp_sessions.verify(pair.access_token)


@pytest.mark.parametrize("asks_before", [False, True])
async def test_fastapi(cp_async_sessions: AsyncSessionManager, asks_before: bool) -> None:
    sessions, cp = cp_async_sessions, for_fastapi.ClusterPass(cp_async_sessions)
    app = FastAPI()
    cp.install(app)

    async def before(request: Request) -> None:
        if asks_before:
            assert cp.csrf_token(request) == ""

    Before = Annotated[None, Security(before)]
    Current = Annotated[Session, Security(cp.session)]

    @app.post("/kick/{name}")
    async def kick(name: str, request: Request, _: Before, session: Current) -> dict[str, str]:
        with cp.acting(request):
            await cp.sessions.revoke_all(name)
        return {"by": session.subject}

    pair = await sessions.login("alice")
    sent = {"Authorization": f"Bearer {pair.access_token}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://shop") as client:
        for number in range(3):
            await sessions.login(f"user-{number}")
            answer = await client.post(f"/kick/user-{number}", headers=sent)
            assert answer.json() == {"by": "alice"}
            assert answer.headers["vary"] == "Cookie, Authorization"
            assert (await sessions.history(f"user-{number}"))[0].by == "alice"
            while sessions.recall(pair.access_token) is None:
                await sessions.verify(pair.access_token)
