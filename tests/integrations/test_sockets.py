"""A WebSocket and a stream end with their session, and not before."""

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI, Security, WebSocket
from starlette.responses import StreamingResponse
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from clusterpass import Config, EmbeddedCluster, Session, SessionManager
from clusterpass.integrations.fastapi import ClusterPass

from .conftest import HANGING, asgi_server


class Sockets:
    """An application with a WebSocket and a stream."""

    def __init__(self, cp: ClusterPass) -> None:
        self.app = FastAPI(lifespan=cp.lifespan)
        self.left: list[str] = []
        self.port = 0
        cp.install(self.app)

        @self.app.websocket("/echo")
        async def echo(websocket: WebSocket) -> None:
            session = await cp.admit(websocket)
            await websocket.accept()
            async with cp.attached(websocket, session, scopes=["chat"]) as attached:
                while True:
                    text = await websocket.receive_text()
                    await websocket.send_text(f"{text} {attached.session.claims['role']}")
            self.left.append(session.subject)

        @self.app.get("/stream")
        async def stream(session: Annotated[Session, Security(cp.session)]) -> StreamingResponse:
            async def numbers() -> AsyncIterator[str]:
                yield "data: begun\n\n"
                await cp.sessions.ping()
                while True:
                    await forever()
                    yield "data: never\n\n"

            return StreamingResponse(
                cp.while_live(session, numbers()), media_type="text/event-stream"
            )


async def forever() -> None:
    import asyncio

    await asyncio.Event().wait()


@pytest.fixture(scope="module")
def sockets(cluster: EmbeddedCluster, config: Config) -> Iterator[Sockets]:
    cp = ClusterPass(
        store_url=cluster.url,
        issuer=config.issuer,
        audience=config.audience,
        keys=config.keys,
        access_lifetime=10,
        cookie_secure=False,
    )
    made = Sockets(cp)
    with asgi_server(made.app) as port:
        made.port = port
        yield made


@pytest.fixture
def manager(cluster: EmbeddedCluster, config: Config) -> Iterator[SessionManager]:
    """Of another process, as far as what is remembered goes."""
    with SessionManager.from_url(cluster.url, config) as opened:
        yield opened


@pytest.fixture
def pair(manager: SessionManager, subject: str) -> Any:
    return manager.login(subject, claims={"scope": "chat", "role": "guest"})


def open_socket(sockets: Sockets, **headers: str) -> ClientConnection:
    return connect(
        f"ws://127.0.0.1:{sockets.port}/echo",
        additional_headers={name.replace("_", "-"): value for name, value in headers.items()},
        open_timeout=HANGING,
    )


def by_token(pair: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {pair.access_token}"}


def asked(socket: ClientConnection, text: str) -> str:
    socket.send(text)
    answer = socket.recv(HANGING)
    assert isinstance(answer, str)
    return answer


def closed(socket: ClientConnection) -> tuple[int, str]:
    """The code and the reason with which the server closes."""
    with pytest.raises(ConnectionClosed) as caught:
        socket.recv(HANGING)
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


def test_a_socket_is_closed_with_the_reason_when_its_session_ends(sockets, manager, pair):
    with open_socket(sockets, **by_token(pair)) as socket:
        assert asked(socket, "hello") == "hello guest"
        manager.revoke_all(pair.subject, reason="stolen")
        assert closed(socket) == (4401, "session_revoked: revoked")
    assert sockets.left == [pair.subject], "the handler went on after the context"
    sockets.left.clear()


def test_a_socket_stays_open_across_refreshes_and_follows_claims(sockets, manager, pair):
    with open_socket(sockets, **by_token(pair)) as socket:
        assert asked(socket, "a") == "a guest"
        renewed = manager.refresh(pair.refresh_token)
        manager.claims.set(pair.subject, {"role": "editor"})
        while asked(socket, "b") != "b editor":
            pass
        manager.logout(renewed.access_token)
        assert closed(socket) == (4401, "session_revoked: logged_out")
    sockets.left.clear()


def test_a_socket_is_closed_when_its_scope_goes(sockets, manager, pair):
    with open_socket(sockets, **by_token(pair)) as socket:
        assert asked(socket, "a") == "a guest"
        manager.claims.set(pair.subject, {"scope": "mail"})
        code, reason = closed(socket)
        assert (code, reason.partition(":")[0]) == (4403, "scope_missing")
    sockets.left.clear()


def test_a_browser_connects_with_its_cookie_from_its_own_site_only(sockets, manager, pair):
    cookie = f"clusterpass-access={pair.access_token}"
    own = f"http://127.0.0.1:{sockets.port}"
    with open_socket(sockets, Cookie=cookie, Origin=own) as socket:
        assert asked(socket, "a") == "a guest"
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {}):
        with pytest.raises(InvalidStatus) as caught:
            open_socket(sockets, Cookie=cookie, **headers)
        assert caught.value.response.status_code == 403


def test_a_socket_without_a_session_is_refused(sockets, manager, pair):
    manager.logout(pair.access_token)
    for headers in ({}, by_token(pair)):
        with pytest.raises(InvalidStatus) as caught:
            open_socket(sockets, **headers)
        assert caught.value.response.status_code == 401


def test_a_stream_ends_with_its_session(sockets, manager, pair):
    url = f"http://127.0.0.1:{sockets.port}/stream"
    with httpx.stream("GET", url, headers=by_token(pair), timeout=HANGING) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "data: begun"
        threading.Timer(0.2, manager.revoke_all, (pair.subject,)).start()
        assert [line for line in lines if line] == []
