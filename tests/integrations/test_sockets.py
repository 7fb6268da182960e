"""A WebSocket and a stream end with their session, and not before."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from clusterpass import Config, EmbeddedCluster, SessionManager

from .conftest import HANGING
from .socket_apps import APPS


class Sockets:
    """An application with a WebSocket and a stream, on a port."""

    def __init__(self, left: list[str], port: int) -> None:
        self.left = left
        self.port = port


@pytest.fixture(scope="module", params=APPS)
def sockets(
    request: pytest.FixtureRequest, cluster: EmbeddedCluster, config: Config
) -> Iterator[Sockets]:
    settings = {
        "store_url": cluster.url,
        "issuer": config.issuer,
        "audience": config.audience,
        "keys": config.keys,
        "access_lifetime": 10,
        "cookie_secure": False,
    }
    left: list[str] = []
    app, serve = APPS[request.param](left, settings)
    with serve(app) as port:
        yield Sockets(left, port)


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
    sockets.left.clear()
    with open_socket(sockets, **by_token(pair)) as socket:
        assert asked(socket, "hello") == "hello guest"
        manager.revoke_all(pair.subject, reason="stolen")
        assert closed(socket) == (4401, "session_revoked: revoked")
    deadline = time.monotonic() + HANGING
    while sockets.left != [pair.subject]:
        assert time.monotonic() < deadline, "the handler does not go on after the context"
        time.sleep(0.01)
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


def test_a_socket_is_closed_when_its_scope_goes(sockets, manager, pair):
    with open_socket(sockets, **by_token(pair)) as socket:
        assert asked(socket, "a") == "a guest"
        manager.claims.set(pair.subject, {"scope": "mail"})
        code, reason = closed(socket)
        assert (code, reason.partition(":")[0]) == (4403, "scope_missing")


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
