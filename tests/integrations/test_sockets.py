"""A WebSocket and a stream end with their session, and not before."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from clusterpass import Config, EmbeddedCluster, SessionManager

from .conftest import HANGING
from .socket_apps import APPS, Seen


class Sockets:
    """An application with a WebSocket and a stream, on a port."""

    def __init__(self, seen: Seen, port: int) -> None:
        self.seen = seen
        self.port = port


@pytest.fixture(scope="module", params=APPS)
def sockets(
    request: pytest.FixtureRequest, cluster: EmbeddedCluster, config: Config
) -> Iterator[Sockets]:
    with served(request.param, cluster.url, config) as found:
        yield found


@contextlib.contextmanager
def served(name: str, store_url: str, config: Config) -> Iterator[Sockets]:
    settings = {
        "store_url": store_url,
        "issuer": config.issuer,
        "audience": config.audience,
        "keys": config.keys,
        "access_lifetime": 10,
        "cookie_secure": False,
    }
    seen = Seen()
    app, serve = APPS[name](seen, settings)
    with serve(app) as port:
        yield Sockets(seen, port)


@pytest.fixture
def manager(cluster: EmbeddedCluster, config: Config) -> Iterator[SessionManager]:
    """A second manager that shares no memory with the applications, as in another process."""
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


def comes_true(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + HANGING
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def closed(socket: ClientConnection) -> tuple[int, str]:
    """The code and the reason with which the server closes."""
    with pytest.raises(ConnectionClosed) as caught:
        socket.recv(HANGING)
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


def test_a_socket_is_closed_with_the_reason_when_its_session_ends(sockets, manager, pair):
    sockets.seen.left.clear()
    with open_socket(sockets, **by_token(pair)) as socket:
        assert asked(socket, "hello") == "hello guest"
        manager.revoke_all(pair.subject, reason="stolen")
        assert closed(socket) == (4401, "session_revoked: revoked")
    assert comes_true(lambda: sockets.seen.left == [pair.subject]), "the handler does not go on"
    sockets.seen.left.clear()


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


def test_a_socket_is_closed_when_its_subject_is_banned(sockets, manager, pair):
    with open_socket(sockets, **by_token(pair)) as socket:
        manager.bans.add(pair.subject, scope="mail")
        manager.claims.set(pair.subject, {"role": "editor"})
        while asked(socket, "a") != "a editor":  # by then it has heard of the ban as well
            pass
        manager.bans.add(pair.subject, scope="chat")
        code, reason = closed(socket)
        assert (code, reason.partition(":")[0]) == (4403, "subject_banned")


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


Received = dict[str, list[str]]


def received(lines: Iterator[str]) -> Iterator[Received]:
    """The fields of each event; those of a comment have no name."""
    fields: Received = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields.setdefault(name, []).append(value)
        elif fields:
            yield fields
            fields = {}


def without_comments(events: Iterator[Received]) -> Iterator[Received]:
    """The events that a client is shown."""
    for event in events:
        event.pop("", None)
        if event:
            yield event


@contextlib.contextmanager
def open_events(sockets: Sockets, pair: Any, path: str = "/events") -> Iterator[Any]:
    url = f"http://127.0.0.1:{sockets.port}{path}"
    with httpx.stream("GET", url, headers=by_token(pair), timeout=HANGING) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield received(answer.iter_lines())


def test_events_say_at_last_that_the_session_has_ended(sockets, manager, pair):
    with open_events(sockets, pair) as events:
        shown = without_comments(events)
        assert next(shown) == {"data": ["a", "b"]}
        manager.revoke_all(pair.subject, reason="stolen")
        (last,) = shown
    assert last.keys() == {"event", "data"}
    assert last["event"] == ["session_ended"]
    assert json.loads(last["data"][0]) == {"code": 4401, "reason": "session_revoked: revoked"}
    assert comes_true(lambda: sockets.seen.watched() == 0), "the session is still watched"
    url = f"http://127.0.0.1:{sockets.port}/events"
    assert httpx.get(url, headers=by_token(pair)).status_code == 401, "no client comes back"


def test_events_go_on_across_refreshes_until_a_scope_goes(sockets, manager, pair):
    with open_events(sockets, pair) as events:
        manager.refresh(pair.refresh_token)
        manager.claims.set(pair.subject, {"role": "editor"})
        shown = without_comments(events)
        assert next(shown) == {"data": ["a", "b"]}
        manager.claims.set(pair.subject, {"scope": "mail"})
        (last,) = shown
    assert last["event"] == ["forbidden"]
    assert json.loads(last["data"][0])["code"] == 4403


def test_events_end_when_the_subject_is_banned(sockets, manager, pair):
    with open_events(sockets, pair) as events:
        shown = without_comments(events)
        assert next(shown) == {"data": ["a", "b"]}
        manager.bans.add(pair.subject, scope="chat")
        (last,) = shown
    assert last["event"] == ["forbidden"]
    told = json.loads(last["data"][0])
    assert (told["code"], told["reason"].partition(":")[0]) == (4403, "subject_banned")


def test_comments_keep_idle_events_alive(sockets, pair):
    with open_events(sockets, pair) as events:
        first = next(events)
        assert first.pop("") == ["keep-alive"], "sent at once"
        assert (first or next(events)) == {"data": ["a", "b"]}
        assert [next(events), next(events)] == [{"": ["keep-alive"]}] * 2


def test_nothing_is_left_of_events_whose_client_has_left(sockets, pair):
    assert comes_true(lambda: sockets.seen.watched() == 0), "a test before has left something"
    before = sockets.seen.closed
    with open_events(sockets, pair) as events:
        assert next(without_comments(events)) == {"data": ["a", "b"]}
        assert sockets.seen.watched() == 1
    assert comes_true(lambda: sockets.seen.closed == before + 1), "the source is not closed"
    assert comes_true(lambda: sockets.seen.watched() == 0), "the session is still watched"


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", APPS)
def test_events_end_in_an_outage_and_say_when_to_come_back(name, config, subject):
    with EmbeddedCluster(nodes=1) as lonely, SessionManager.from_url(lonely.url, config) as own:
        pair = own.login(subject, claims={"scope": "chat"})
        with served(name, lonely.url, config) as sockets, open_events(sockets, pair) as events:
            shown = without_comments(events)
            assert next(shown) == {"data": ["a", "b"]}
            lonely.kill(lonely.nodes[0])
            (last,) = shown
            assert last["event"] == ["unavailable"]
            assert json.loads(last["data"][0])["code"] == 4503
            assert 5_000 <= int(last["retry"][0]) < 10_000


@pytest.mark.parametrize("sockets", ["fastapi"], indirect=True)
def test_events_that_fastapi_formats_end_alike(sockets, manager, pair):
    assert comes_true(lambda: sockets.seen.watched() == 0), "a test before has left something"
    before = sockets.seen.closed
    with open_events(sockets, pair, "/yielded") as events:
        assert next(events) == {"data": ["a", "b"]}
        manager.revoke_all(pair.subject)
        (last,) = events
    assert (last["event"], json.loads(last["data"][0])["code"]) == (["session_ended"], 4401)
    assert comes_true(lambda: sockets.seen.closed == before + 1)
