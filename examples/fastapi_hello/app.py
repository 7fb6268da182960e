"""The program flask_hello for FastAPI, async: log in on any server, be known on every other."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

from clusterpass import (
    AsyncSessionManager,
    AsyncUserDirectory,
    ClusterPassError,
    Config,
    KeyRing,
    Session,
)

config = Config(issuer="https://hello.example", keys=KeyRing.load(os.environ["KEYS_FILE"]))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with (
        AsyncSessionManager.from_url(os.environ["STORE_URL"], config) as sessions,
        AsyncUserDirectory(sessions) as users,
    ):
        app.state.sessions, app.state.users = sessions, users
        yield


app = FastAPI(lifespan=lifespan)
Bearer = Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]


class Credentials(BaseModel):
    username: str
    password: str
    device: str | None = None


async def current_session(request: Request, bearer: Bearer) -> Session:
    return await request.app.state.sessions.verify(bearer.credentials)


@app.exception_handler(ClusterPassError)
async def refuse(_: Request, error: ClusterPassError) -> JSONResponse:
    body = {"error": error.code, "reason": error.reason, "message": error.message}
    return JSONResponse(body, error.status)


@app.post("/login")
async def login(request: Request, form: Credentials) -> dict[str, str]:
    pair = await request.app.state.users.login(form.username, form.password, device=form.device)
    return {"access_token": pair.access_token, "refresh_token": pair.refresh_token}


@app.get("/hello")
async def hello(session: Annotated[Session, Depends(current_session)]) -> str:
    return f"Hello, {session.subject}!"


@app.post("/logout")
async def logout(request: Request, bearer: Bearer) -> str:
    await request.app.state.sessions.logout(bearer.credentials)
    return "Bye!"
