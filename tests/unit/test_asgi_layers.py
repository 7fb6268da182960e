"""The ASGI layers of the service: body limits, HEAD, lifespan, logs and security headers."""

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clusterpass import StoreFailed, TokenMissing
from clusterpass.service.asgi.body_limits import BodyLimits
from clusterpass.service.asgi.head_as_get import HeadAsGet
from clusterpass.service.asgi.lifespan import run_lifespan
from clusterpass.service.asgi.log_lines import GatheredLines, make_logger
from clusterpass.service.asgi.request_body import MOST_BODY_BYTES, BodyReader
from clusterpass.service.asgi.request_log import (
    LOG_FIELDS,
    RequestLog,
    describe_exception,
    note_error,
    request_id,
)
from clusterpass.service.asgi.security_headers import SecurityHeaders

JSON, FORM = b"application/json", b"application/x-www-form-urlencoded"


class Behind:
    """The application behind a layer: what it was asked, and what it read."""

    def __init__(self, *, headers: tuple[tuple[bytes, bytes], ...] = (), status: int = 200) -> None:
        self.headers, self.status = headers, status
        self.scopes: list[Any] = []
        self.bodies: list[bytes] = []
        self.raises: Exception | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if scope["type"] != "http":
            return
        if scope["method"] == "POST":
            message = await receive()
            assert message["type"] == "http.request"
            assert message["more_body"] is False
            self.bodies.append(message["body"])
            assert (await receive())["type"] == "http.disconnect"
        if self.raises is not None and self.status != 200:
            raise self.raises
        start = {"type": "http.response.start", "status": self.status}
        await send(start | {"headers": list(self.headers)})
        await send({"type": "http.response.body", "body": b"answer"})
        if self.raises is not None:
            raise self.raises


def ask(
    layer: Any,
    method: str = "GET",
    path: str = "/x",
    *,
    body: tuple[bytes, ...] = (),
    headers: tuple[tuple[bytes, bytes], ...] = (),
    kind: str = "http",
    query: bytes = b"",
) -> Any:
    """The status, the headers and the body of the answer; None when there is none."""
    sent: list[Any] = []
    left = [
        {"type": "http.request", "body": part, "more_body": number < len(body)}
        for number, part in enumerate(body, 1)
    ]

    async def receive() -> Any:
        return left.pop(0) if left else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": kind, "method": method, "path": path, "headers": list(headers)}
    asyncio.run(layer(scope | {"query_string": query}, receive, send))
    if not sent:
        return None
    start, *parts = sent
    got = {name.lower().decode(): value.decode() for name, value in start["headers"]}
    return start["status"], got, b"".join(part["body"] for part in parts)


def typed(kind: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"content-type", kind),)


@pytest.mark.parametrize("parts", [(b"{}",), (b"{", b"}"), (b"",), (b"x" * MOST_BODY_BYTES,)])
def test_a_body_is_passed_on_as_one(parts: tuple[bytes, ...]) -> None:
    assert MOST_BODY_BYTES == 65_536
    behind = Behind()
    assert ask(BodyLimits(behind), "POST", body=parts, headers=typed(JSON))[0] == 200
    assert behind.bodies == [b"".join(parts)]


@pytest.mark.parametrize(
    ("parts", "length"),
    [
        ((b"x" * 65_537,), b""),
        ((b"x" * 65_536, b"x"), b""),
        ((b"{}",), b"65537"),
        ((b"{}",), b"9" * 18),
        ((b"{}",), b"9" * 19),
        ((b"{}",), b"9" * 5000),
    ],
)
def test_a_body_that_is_too_large_is_not_passed_on(parts: tuple[bytes, ...], length: bytes) -> None:
    behind = Behind()
    headers = (*typed(JSON), (b"content-length", length))
    status, got, body = ask(BodyLimits(behind), "POST", body=parts, headers=headers)
    assert (status, got["connection"]) == (413, "close")
    assert json.loads(body)["detail"] == "The body may have at most 65536 bytes."
    assert behind.scopes == []


@pytest.mark.parametrize("length", [b"65536", b"-1", b"x", "²".encode("latin-1")])
def test_a_length_that_is_no_number_is_for_the_server_to_refuse(length: bytes) -> None:
    headers = (*typed(JSON), (b"content-length", length))
    assert ask(BodyLimits(Behind()), "POST", body=(b"{}",), headers=headers)[0] == 200


@pytest.mark.parametrize(
    ("path", "kind", "status"),
    [
        ("/x", JSON, 200),
        ("/x", b" Application/JSON ; charset=utf-8", 200),
        ("/x", FORM, 415),
        ("/x", b"", 415),
        ("/form", FORM, 200),
        ("/form", JSON, 415),
    ],
)
def test_a_body_has_the_type_that_its_path_expects(path: str, kind: bytes, status: int) -> None:
    layer = BodyLimits(Behind(), form_paths={"/form"})
    got, _, body = ask(layer, "POST", path, body=(b"a=1",), headers=typed(kind))
    assert got == status
    if status == 415:
        expected = (FORM if path == "/form" else JSON).decode()
        assert json.loads(body)["detail"] == f"Send the body as {expected}."
    assert ask(layer, "POST", path, body=(b"",), headers=typed(b"text/plain"))[0] == 200


def test_chunks_that_the_server_cannot_read_are_refused() -> None:
    chunked = (*typed(JSON), (b"transfer-encoding", b"chunked"))
    behind = Behind()
    status, got, body = ask(BodyLimits(behind), "POST", headers=chunked)
    assert (status, got["connection"]) == (400, "close")
    assert json.loads(body)["error"] == "invalid_request"
    assert behind.scopes == []
    assert ask(BodyLimits(behind), "POST", headers=typed(JSON)) is None, "the client has left"


async def read_slowly(reader: BodyReader, client: str, given: asyncio.Future[Any]) -> Any:
    async def receive() -> Any:
        return await given

    scope = {"client": (client, 1), "headers": [*typed(JSON)]}
    return await reader.read(scope, receive, JSON.decode())


def test_a_body_has_to_arrive_in_time() -> None:
    async def read() -> Any:
        reader = BodyReader(seconds=0.05)
        found = [await read_slowly(reader, "a", asyncio.Future()) for _ in range(3)]
        assert not reader._slow.by_client
        return found

    for problem in asyncio.run(read()):
        assert (problem.status, problem.error) == (408, "request_timeout")
        assert problem.headers == {"Connection": "close"}


def test_a_client_has_so_many_slow_bodies_and_others_are_read() -> None:
    async def read() -> None:
        loop = asyncio.get_running_loop()
        reader = BodyReader(seconds=2, most_slow=3, client_of=lambda scope: scope["client"][0])
        slow = [loop.create_future() for _ in range(5)]
        reads = [asyncio.ensure_future(read_slowly(reader, "a", each)) for each in slow]
        other = loop.create_future()
        of_another = asyncio.ensure_future(read_slowly(reader, "b", other))
        await asyncio.wait(reads, return_when=asyncio.FIRST_COMPLETED)
        while len([each for each in reads if each.done()]) < 2:
            await asyncio.sleep(0)
        assert reader._slow.by_client == {"a": 3, "b": 1}
        refused = [each.result() for each in reads if each.done()]
        assert {(each.status, each.error) for each in refused} == {(429, "too_many_requests")}
        assert {each.headers["Retry-After"] for each in refused} == {"1"}
        quick = loop.create_future()
        quick.set_result({"type": "http.request", "body": b"{}"})
        assert await read_slowly(reader, "a", quick) == b"{}", "what is there is not waited for"
        for each in (*slow, other):
            if not each.done():
                each.set_result({"type": "http.request", "body": b"[]"})
        assert sorted(map(str, await asyncio.gather(*reads))).count("b'[]'") == 3
        assert await of_another == b"[]"
        assert not reader._slow.by_client

    asyncio.run(read())


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_where_there_is_no_body_none_is_judged(method: str) -> None:
    headers = (*typed(b"text/plain"), (b"content-length", b"99999999"))
    assert ask(BodyLimits(Behind()), method, headers=headers)[0] == 200


def test_a_client_that_leaves_before_its_body_is_read_gets_no_answer() -> None:
    behind = Behind()
    assert ask(BodyLimits(behind), "POST") is None
    assert behind.scopes == []


LAYERS: list[Any] = [
    BodyLimits,
    HeadAsGet,
    SecurityHeaders,
    lambda app: RequestLog(app, logger=None),
]


@pytest.mark.parametrize("make", LAYERS)
def test_what_is_no_request_is_passed_on_as_it_is(make: Any) -> None:
    behind = Behind()
    assert ask(make(behind), "POST", "/verify", kind="lifespan") is None
    (scope,) = behind.scopes
    assert scope["type"] == "lifespan"
    assert LOG_FIELDS not in scope


def test_a_head_is_a_get_without_its_body() -> None:
    behind = Behind(headers=((b"content-length", b"6"),))
    assert ask(HeadAsGet(behind), "HEAD") == (200, {"content-length": "6"}, b"")
    assert behind.scopes[0]["method"] == "GET"
    assert ask(HeadAsGet(behind), "GET")[2] == b"answer"


def test_headers_are_added_where_a_route_has_set_none() -> None:
    own = ((b"cache-control", b"public"), (b"server", b"other"))
    _, got, body = ask(SecurityHeaders(Behind(headers=own)))
    assert body == b"answer"
    assert got == {
        "cache-control": "public",
        "server": "other",
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), display-capture=(), fullscreen=(), geolocation=(),"
        " microphone=(), payment=(), publickey-credentials-get=(), usb=()",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }
    _, got, _ = ask(SecurityHeaders(Behind()))
    assert (got["cache-control"], got["server"]) == ("no-store", "clusterpass")


class Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append(("info", event, fields))

    def error(self, event: str, **fields: Any) -> None:
        self.lines.append(("error", event, fields))


def test_a_request_is_one_line_with_its_id() -> None:
    log = Log()
    headers = ((b"x-request-id", b"given-1"), (b"x-request-id", b"given-2"))
    status, got, _ = ask(RequestLog(Behind(), logger=log), "GET", "/a b", headers=headers)
    assert (status, got["x-request-id"]) == (200, "given-1")
    ((level, event, fields),) = log.lines
    assert (level, event) == ("info", "request")
    assert 0 <= fields.pop("milliseconds") < 60_000
    assert fields == {"method": "GET", "path": "/a%20b", "status": 200, "request_id": "given-1"}


def test_a_route_adds_to_its_line() -> None:
    log = Log()

    async def route(scope: Any, receive: Any, send: Any) -> None:
        scope[LOG_FIELDS]["subject"] = "alice"
        await Behind()(scope, receive, send)

    ask(RequestLog(route, logger=log))
    ask(RequestLog(Behind(), logger=log))
    assert [line[2].get("subject") for line in log.lines] == ["alice", None]


@pytest.mark.parametrize("began", [False, True])
def test_an_exception_is_logged_without_its_message(began: bool) -> None:
    log, behind = Log(), Behind(status=200 if began else 0)
    behind.raises = ValueError("a secret")
    status, got, body = ask(RequestLog(behind, logger=log))
    ((level, _, fields),) = log.lines
    assert (level, fields["status"], status) == ("error", *[200 if began else 500] * 2)
    assert fields["fault"] == "builtins.ValueError"
    assert fields["request_id"] == got["x-request-id"]
    assert "a secret" not in repr(fields)
    if not began:
        assert json.loads(body)["detail"] == "The request could not be processed."


def test_a_path_is_cut_and_escaped() -> None:
    log = Log()
    layer = RequestLog(Behind(), logger=log)
    for path in ("/" + "x" * 40, "/" + "x" * 41 + "/y", "/xy" * 100, "/\n\ud800"):
        ask(layer, path=path)
    assert [line[2]["path"] for line in log.lines] == [
        "/" + "x" * 40,
        "/[cut]/y",
        ("/xy" * 100)[:200],
        "/%0A%3F",
    ]


@pytest.mark.parametrize("given", [b"a", b"A-z_0.9", b"x" * 64])
def test_a_good_id_of_a_client_is_kept(given: bytes) -> None:
    assert request_id(given) == given


@pytest.mark.parametrize("given", [None, b"", b"x" * 65, b"a b", b"a\n", b"\xff", b"a/b"])
def test_other_ids_are_replaced_each_by_its_own(given: bytes | None) -> None:
    first, second = request_id(given), request_id(given)
    assert first != second
    assert len(first) == len(second) == 32
    assert request_id(first) == first


def test_a_fault_of_the_store_is_logged_with_its_frames_and_a_refusal_is_not() -> None:
    fields: dict[str, Any] = {}
    assert note_error(fields, StoreFailed("a secret")).status == 500
    assert fields["error"] == "store_failed"
    assert fields["fault"].endswith(".StoreFailed")
    assert "a secret" not in repr(fields)
    refused: dict[str, Any] = {}
    assert note_error(refused, TokenMissing()).status == 401
    assert refused == {"error": "token_missing", "reason": "missing"}


def test_an_exception_is_described_by_its_last_frames() -> None:
    def deep(left: int) -> None:
        if left:
            deep(left - 1)
        raise KeyError("a secret")

    with pytest.raises(KeyError) as raised:
        deep(20)
    told = describe_exception(raised.value)
    assert told["fault"] == "builtins.KeyError"
    assert len(told["frames"]) == 12
    assert all(frame.endswith(" deep") for frame in told["frames"])


@pytest.mark.parametrize("kind", ["json", "console"])
def test_a_logger_writes_a_line(kind: Any) -> None:
    stream = io.StringIO()
    make_logger(kind, stream).info("request", status=200)
    (line,) = stream.getvalue().splitlines()
    if kind == "console":
        assert "\x1b" not in line
        assert "status=200" in line
        return
    told = json.loads(line)
    assert (told["event"], told["level"], told["status"]) == ("request", "info", 200)
    assert told["timestamp"].endswith("Z")


@pytest.mark.parametrize("name", ["alice", "Änne", "\ud800", 'a"b\\\n'])
def test_a_line_is_ascii_whatever_is_logged(name: str) -> None:
    stream = io.StringIO()
    make_logger("json", stream).error("request", subject=name, odd=b"bytes", frames=["a", "b"])
    text = stream.getvalue()
    assert text.isascii()
    assert text.count("\n") == 1
    told = json.loads(text)
    assert (told["subject"], told["level"], told["frames"]) == (name, "error", ["a", "b"])
    assert abs(datetime.fromisoformat(told["timestamp"]) - datetime.now(UTC)) < timedelta(hours=1)


class Stream(io.StringIO):
    """Counts what is written to it."""

    writes = flushes = 0

    def write(self, text: str, /) -> int:
        self.writes += 1
        return super().write(text)

    def flush(self) -> None:
        self.flushes += 1


def test_lines_of_one_turn_of_the_event_loop_are_written_in_one_go() -> None:
    stream = Stream()
    lines = GatheredLines(stream)

    async def log() -> None:
        for text in "ab":
            lines.write(text)
            lines.flush()
        assert stream.getvalue() == ""
        await asyncio.sleep(0)
        assert (stream.getvalue(), stream.writes, stream.flushes) == ("ab", 1, 1)
        lines.write("c")
        await asyncio.sleep(0)

    asyncio.run(log())
    assert (stream.getvalue(), stream.writes) == ("abc", 2)
    lines.write("d")
    assert stream.getvalue() == "abcd", "without an event loop at once"


def test_standard_output_is_written_to_where_no_stream_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_logger("json").info("request", status=200)
    assert json.loads(capsys.readouterr().out)["status"] == 200


class Lifespan:
    """What a context sees of the lifespan of a server, and the server of it."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.seen: list[str] = []
        self.sent: list[Any] = []

    @asynccontextmanager
    async def context(self) -> AsyncIterator[None]:
        self.seen.append("began")
        if self.fails == "startup":
            raise ValueError(self.fails)
        yield
        self.seen.append("ended")
        if self.fails == "shutdown":
            raise ValueError(self.fails)

    async def run(self) -> None:
        async def receive() -> Any:
            self.seen.append("asked")
            return {}

        async def send(message: Any) -> None:
            self.sent.append(message)

        await run_lifespan(self.context(), receive, send)


def test_what_is_open_is_closed_when_the_server_stops() -> None:
    lifespan = Lifespan()
    asyncio.run(lifespan.run())
    assert lifespan.seen == ["asked", "began", "asked", "ended"]
    assert [message["type"] for message in lifespan.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


@pytest.mark.parametrize("moment", ["startup", "shutdown"])
def test_a_server_is_told_what_fails(moment: str) -> None:
    lifespan = Lifespan(moment)
    with pytest.raises(ValueError, match=moment):
        asyncio.run(lifespan.run())
    last = lifespan.sent[-1]
    assert last["type"] == f"lifespan.{moment}.failed"
    assert "ValueError" in last["message"]


def test_the_application_of_a_worker_is_imported_without_the_framework() -> None:
    code = "import sys, clusterpass.service.app; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "clusterpass" in loaded
    assert not loaded & {"fastapi", "starlette", "structlog", "jinja2"}
