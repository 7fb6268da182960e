"""Requirements of streams and views in each framework: all are passed on to the gate."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from quart import Quart

from clusterpass.integrations import (
    aiohttp,
    async_base,
    flask,
    jobs,
    litestar,
    litestar_requests,
    quart,
    starlette,
)
from clusterpass.integrations.django import decorators
from clusterpass.web.gate import Needs

from .gate_scene import SESSION
from .web_apps import AsyncSessions, Sessions

OPTIONS: Any = {"scopes": ["orders:read"], "not_banned": "comments", "in_outage": "close"}
NEEDS = Needs(scopes=("orders:read",), not_banned="comments")


class Asked:
    """Stands for what makes a live stream: what it was given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given: list[tuple[str, Any, dict[str, Any]]] = []
        for module, name in (
            (async_base, "while_live"),
            (async_base, "event_bytes"),
            (async_base, "attached"),
            (litestar, "while_live"),
        ):
            monkeypatch.setattr(module, name, self._taking(name))

    def _taking(self, name: str) -> Any:
        def take(sessions: Any, session: Any, third: Any, **named: Any) -> Any:
            assert (type(sessions), session) == (AsyncSessions, SESSION)
            self.given.append((name, third, named))
            return events()

        return take


async def events() -> AsyncIterator[Any]:
    yield b"x"


def made(module: Any) -> Any:
    return module.ClusterPass(AsyncSessions(Sessions()), cookie_secure=False)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


@pytest.fixture
def in_quart(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Quart's extension in a request."""
    app = Quart("shop")
    cp = quart.ClusterPass(cookie_secure=False)
    cp.init_app(app, AsyncSessions(Sessions()))  # type: ignore[arg-type]
    extension = app.extensions["clusterpass"]
    visit = SimpleNamespace(session=SESSION, request=SimpleNamespace(method="GET"))
    monkeypatch.setattr(quart, "extension_here", lambda: extension)
    monkeypatch.setattr(quart, "current_visit", lambda: visit)
    return cp


FRAMEWORKS = pytest.mark.parametrize("module", [starlette, aiohttp, litestar])


@FRAMEWORKS
def test_a_stream_of_any_kind(module: Any, asked: Asked) -> None:
    source, last = events(), str
    made(module).while_live(SESSION, source, **OPTIONS, last=last)
    made(module).while_live(SESSION, source)
    assert asked.given == [
        ("while_live", source, {"needs": NEEDS, "in_outage": "close", "last": last}),
        ("while_live", source, {"needs": Needs(), "in_outage": "stay", "last": None}),
    ]


def test_a_stream_of_any_kind_in_quart(asked: Asked, in_quart: Any) -> None:
    source, last = events(), str
    in_quart.while_live(source, **OPTIONS, last=last)
    told = {"needs": NEEDS, "in_outage": "close", "last": last}
    assert asked.given == [("while_live", source, told)]


def test_server_sent_events_of_starlette(asked: Asked) -> None:
    source = events()
    made(starlette).event_stream(SESSION, source, **OPTIONS, keep_alive=5)
    told = {"needs": NEEDS, "in_outage": "close", "keep_alive": 5}
    assert asked.given == [("event_bytes", source, told)]


async def test_server_sent_events_of_aiohttp(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []

    async def prepare(*_: Any) -> None:
        """Nobody listens."""

    async def write(_: Any, chunk: bytes) -> None:
        sent.append(chunk)

    monkeypatch.setattr(aiohttp.web.StreamResponse, "prepare", prepare)
    monkeypatch.setattr(aiohttp.web.StreamResponse, "write", write)
    source, request = events(), SimpleNamespace(method="GET")
    answer = await made(aiohttp).event_stream(request, SESSION, source, **OPTIONS, keep_alive=5)
    told = {"needs": NEEDS, "in_outage": "close", "keep_alive": 5}
    assert asked.given == [("event_bytes", source, told)]
    assert (sent, answer.headers["Content-Type"]) == ([b"x"], "text/event-stream")
    head = SimpleNamespace(method="HEAD")
    await made(aiohttp).event_stream(head, SESSION, source, **OPTIONS)
    assert len(asked.given) == len(sent) == 1


async def test_server_sent_events_of_quart(asked: Asked, in_quart: Any) -> None:
    source = events()
    answer = in_quart.event_stream(source, **OPTIONS, keep_alive=5)
    told = {"needs": NEEDS, "in_outage": "close", "keep_alive": 5}
    assert asked.given == [("event_bytes", source, told)]
    assert (answer.timeout, answer.mimetype) == (None, "text/event-stream")


def test_server_sent_events_of_litestar(asked: Asked) -> None:
    source = events()
    made(litestar).event_stream(SESSION, source, **OPTIONS, keep_alive=5)
    ((_, third, told),) = asked.given
    assert (third, told["needs"], told["in_outage"]) == (source, NEEDS, "close")
    seconds, comment = told["idle"]
    assert (seconds, comment.data, bool(comment.comment)) == (5, None, True)
    fields = {"event": "forbidden", "data": "{}", "retry": 7}
    last = told["last"](SimpleNamespace(fields=lambda: fields))
    assert (last.event, last.data, last.retry) == ("forbidden", "{}", 7)


class Socket:
    """A WebSocket that keeps with what it is closed."""

    def __init__(self) -> None:
        self.closed: list[Any] = []

    async def close(self, *positional: Any, **named: Any) -> None:
        self.closed.append((*positional, *named.values()))


@pytest.mark.parametrize(
    ("module", "closed"),
    [
        (starlette, (4401, "why")),
        (aiohttp, (4401, b"why")),
        (litestar, (4401, "why")),
    ],
)
async def test_an_attached_socket(module: Any, closed: Any, asked: Asked) -> None:
    socket = Socket()
    made(module).attached(socket, SESSION, **OPTIONS)
    ((name, close, told),) = asked.given
    assert (name, told) == ("attached", {"needs": NEEDS, "in_outage": "close"})
    await close(4401, "why")
    assert socket.closed == [closed]


EVERYTHING: dict[str, Any] = {
    "level": "1",
    "max_auth_age": 5,
    "not_banned": "comments",
    "strict": True,
}


@pytest.mark.parametrize(
    ("module", "require"),
    [
        (flask, lambda: flask.session_required(scope="orders:read", **EVERYTHING)),
        (quart, lambda: quart.session_required(scope="orders:read", **EVERYTHING)),
        (aiohttp, lambda: aiohttp.session_required(scope="orders:read", **EVERYTHING)),
        (starlette, lambda: made(starlette).requires("orders:read", **EVERYTHING)),
        (litestar_requests, lambda: litestar.requires("orders:read", **EVERYTHING)),
        (decorators, lambda: decorators.session_required(scope="orders:read", **EVERYTHING)),
    ],
)
def test_each_requirement_of_a_view(
    module: Any, require: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Needs] = []

    def needs(**named: Any) -> Needs:
        given.append(Needs(**named))
        return given[-1]

    monkeypatch.setattr(module, "Needs", needs)
    require()
    assert given == [Needs(scopes=("orders:read",), **EVERYTHING)]


def test_each_requirement_of_a_job() -> None:
    found = jobs.needs_of("orders:read", "1", 5, "comments")
    everything = {name: value for name, value in EVERYTHING.items() if name != "strict"}
    assert found == Needs(scopes=("orders:read",), **everything)
