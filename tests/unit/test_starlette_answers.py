"""The Starlette middleware: headers of responses, errors, and forms that are read twice."""

import asyncio
from typing import Any

import pytest
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response

from clusterpass import ClusterPassError, TokenMissing
from clusterpass.integrations.starlette import ClusterPass
from clusterpass.integrations.starlette_requests import (
    SessionHeaders,
    form_field,
    note_recalled,
    visit_of,
)

from .gate_scene import SESSION
from .web_apps import AsyncSessions, Sessions

OWN = (b"x-own", b"kept")
REFUSED = b"refused: token_missing"


async def refuse(_: HTTPConnection, error: ClusterPassError) -> Response:
    return PlainTextResponse(f"refused: {error.code}", 401)


async def nothing() -> Any:
    raise AssertionError


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": [OWN, *headers]}


def body(content: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": more}


async def sent(app: Any, *, refusing: Any = refuse, raises: Any = None) -> list[Any]:
    """Return the messages that ``app`` sends for a request."""
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    middleware = SessionHeaders(SessionHeaders(app, refusing), refusing)
    if raises is None:
        await middleware(scope, nothing, send)
    else:
        with pytest.raises(raises):
            await middleware(scope, nothing, send)
    return messages


def answering(*messages: dict[str, Any], prepare: Any = None, error: Any = None) -> Any:
    async def app(scope: Any, _: Any, send: Any) -> None:
        if prepare is not None:
            prepare(HTTPConnection(scope))
        for message in messages:
            await send(message)
        if error is not None:
            raise error

    return app


async def test_an_answer_that_no_session_has_to_do_with_is_passed_on() -> None:
    messages = start(), body(b"page")
    first, second = await sent(answering(*messages))
    assert first is messages[0]
    assert second is messages[1]


@pytest.mark.parametrize(
    ("varies", "vary"),
    [
        ((), [b"Cookie, Authorization"]),
        ((b"Accept",), [b"Accept, Cookie, Authorization"]),
        ((b"Accept", b"cookie"), [b"Accept, cookie, Authorization"]),
        ((b"*",), [b"*"]),
    ],
)
async def test_the_answer_to_a_session_from_memory_is_only_for_its_browser(
    varies: tuple[bytes, ...], vary: list[bytes]
) -> None:
    def recall(connection: HTTPConnection) -> None:
        note_recalled(connection, SESSION, "token")

    said = start(200, *((b"vary", each) for each in varies))
    first, second = await sent(answering(said, body(b"page"), prepare=recall))
    assert OWN in first["headers"]
    assert [value for name, value in first["headers"] if name == b"vary"] == vary
    assert said["headers"] == [OWN, *((b"vary", each) for each in varies)], "a cache may keep it"
    assert second == body(b"page")


async def test_the_headers_of_a_visit_come_after_those_of_the_application() -> None:
    def renew(connection: HTTPConnection) -> None:
        visit_of(connection).headers.extend([("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])

    said = start(200, (b"cache-control", b"public"), (b"cdn-cache-control", b"public"))
    first, _ = await sent(answering(said, body(b"page"), prepare=renew))
    assert first["headers"] == [
        OWN,
        (b"cache-control", b"no-store"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
    ]
    assert len(said["headers"]) == 3


@pytest.mark.parametrize("has_begun", [False, True])
async def test_an_error_that_nothing_has_answered_is_answered_before_the_response_begins(
    has_begun: bool,
) -> None:
    if has_begun:
        begun = start(), body(b"half", more=True)
        app = answering(*begun, error=TokenMissing())
        assert await sent(app, raises=TokenMissing) == list(begun)
        return
    first, second = await sent(answering(error=TokenMissing()))
    assert (first["status"], second["body"]) == (401, REFUSED)
    assert await sent(answering(error=TokenMissing()), refusing=None, raises=TokenMissing) == []
    assert await sent(answering(error=LookupError()), raises=LookupError) == []


async def failing(scope: Any, receive: Any, send: Any, *, size: int = 5) -> None:
    """Answer with status 500 while the error is handled, and raise it, as Starlette does."""
    try:
        raise TokenMissing
    except TokenMissing:
        await send(start(500))
        await send(body(b"x" * size))
        raise


async def test_a_failure_that_is_a_refusal_is_answered_as_one() -> None:
    first, second = await sent(failing)
    assert (first["status"], second["body"]) == (401, REFUSED)
    assert OWN not in first["headers"]


async def test_a_refusal_is_known_also_where_another_task_answers_it_with_a_failure() -> None:
    """As behind BaseHTTPMiddleware of Starlette: the error is not being handled there."""
    cp = ClusterPass(AsyncSessions(Sessions()), cookie_secure=False)  # type: ignore[arg-type]

    async def app(scope: Any, _: Any, send: Any) -> None:
        (refusal,) = await asyncio.gather(cp.admit(HTTPConnection(scope)), return_exceptions=True)
        await send(start(500))
        await send(body(b"failed"))
        assert isinstance(refusal, TokenMissing)
        raise refusal

    first, second = await sent(app)
    assert (first["status"], second["body"]) == (401, REFUSED)


@pytest.mark.parametrize(("size", "is_refusal"), [(65_536, True), (65_537, False)])
async def test_a_long_answer_is_not_held_back(size: int, is_refusal: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await failing(scope, receive, send, size=size)

    messages = await sent(app, raises=None if is_refusal else TokenMissing)
    assert [each.get("status") for each in messages] == [401 if is_refusal else 500, None]
    assert messages[1]["body"] == (REFUSED if is_refusal else b"x" * size)


async def test_a_failure_of_the_application_s_own_is_sent_in_whole() -> None:
    def refused(connection: HTTPConnection) -> None:
        visit_of(connection).is_refused = True

    whole = start(500), body(b"half", more=True), body(b"rest")
    messages = await sent(answering(*whole, prepare=refused))
    assert [each["type"] for each in messages] == [each["type"] for each in whole]
    assert [each.get("body") for each in messages] == [None, b"half", b"rest"]
    app = answering(*whole, prepare=refused, error=LookupError())
    assert len(await sent(app, raises=LookupError)) == 3


async def test_a_failure_that_is_no_refusal_is_not_held_back() -> None:
    said: list[int] = []

    async def app(scope: Any, _: Any, send: Any) -> None:
        await send(start(500))
        said.append(len(messages))

    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    await SessionHeaders(app, refuse)({"type": "http"}, nothing, send)
    assert said == [1]


async def test_the_cause_of_an_error_is_answered_where_starlette_has_replaced_it() -> None:
    async def app(*_: Any) -> None:
        raise LookupError from TokenMissing()

    assert await sent(app, raises=LookupError) == [], "the application means it"


FORM = b"csrf_token=secret&a=1"


@pytest.mark.parametrize(
    ("length", "is_kept"),
    [(str(len(FORM)), True), (str(1 << 20), True), (str((1 << 20) + 1), False), ("x", False)],
)
async def test_a_short_form_can_be_read_again_in_every_way(length: str, is_kept: bool) -> None:
    parts = [body(FORM) | {"type": "http.request"}]

    async def receive() -> Any:
        return parts.pop()

    headers = [
        (b"content-type", b"application/x-www-form-urlencoded"),
        (b"content-length", length.encode()),
    ]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    assert await form_field(request, "csrf_token") == "secret"
    assert await form_field(request, "missing") == ""
    if is_kept:
        assert await request.body() == FORM
    else:
        with pytest.raises(RuntimeError):
            await request.body()
    assert (await request.form())["a"] == "1"
    assert parts == []
