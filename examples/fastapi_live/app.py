"""A page with a WebSocket and a stream of events, which close when you log out elsewhere.

export CLUSTERPASS_STORE_URL='embedded://?data=live'
uvicorn --app-dir examples/fastapi_live --timeout-graceful-shutdown 3 app:app

Open http://localhost:8000 in two browsers, log in to both as alice, and log out in one of them.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Security, WebSocket
from fastapi.responses import FileResponse, StreamingResponse

from clusterpass import Session
from clusterpass.integrations.fastapi import ClusterPass

cp = ClusterPass.from_env(cookie_secure=False)  # on localhost
app = FastAPI(lifespan=cp.lifespan)
cp.install(app)
Current = Annotated[Session, Security(cp.session)]


def check(username: str, password: str) -> str | None:
    return username if password == "pw" else None  # check your table of users here


app.include_router(cp.router(authenticate=check))  # /login, /logout-all, ...


@app.get("/", response_class=FileResponse)
async def page() -> Path:
    return Path(__file__).with_name("page.html")


@app.websocket("/echo")
async def echo(websocket: WebSocket, session: Current) -> None:
    await websocket.accept()
    async with cp.attached(websocket, session):
        async for text in websocket.iter_text():
            await websocket.send_text(f"{session.subject} says {text}")


async def ticks() -> AsyncIterator[str]:
    for number in itertools.count():
        yield f"tick {number}"
        await asyncio.sleep(1)


@app.get("/ticks")
async def follow(session: Current) -> StreamingResponse:
    return cp.event_stream(session, ticks())
