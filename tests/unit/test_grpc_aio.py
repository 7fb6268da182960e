"""The asyncio gRPC interceptor: unary calls, streams and their end with the session."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
import pytest

from clusterpass import Session, SessionChange, StoreUnavailable
from clusterpass.integrations.grpc import current_session, requires
from clusterpass.integrations.grpc_aio import AsyncSessionInterceptor

from .manager_scene import CONFIG
from .test_watch_iteration import CHANGED, GONE, LONG, SESSION, SILENT

METHOD = "/shop.Orders/Follow"


class Aborted(Exception):
    """Ends a call."""


class Context:
    """A call: what the client has sent, and what it is told."""

    def __init__(self, token: str = "good") -> None:
        self.token = token
        self.aborted: list[tuple[Any, str, dict[str, Any]]] = []
        self.written: list[Any] = []
        self.may_write = asyncio.Event()
        self.may_write.set()

    def invocation_metadata(self) -> Any:
        return (("authorization", f"Bearer {self.token}"),)

    def trailing_metadata(self) -> Any:
        return (("of", "the handler"),)

    async def abort(self, code: Any, details: str, metadata: Any) -> None:
        self.aborted.append((code, details, dict(metadata)))
        raise Aborted

    async def write(self, message: Any) -> None:
        await self.may_write.wait()
        self.written.append(message)


class Sessions:
    """A manager that knows one session, whose changes are told as the test says."""

    config = CONFIG

    def __init__(self) -> None:
        self.changes: asyncio.Queue[Any] = asyncio.Queue()
        self.asked: list[dict[str, Any]] = []
        self.watched = 0

    async def verify(self, token: str, **options: Any) -> Session:
        self.asked.append(options)
        if token != "good":
            raise GONE
        return SESSION

    async def watch(self, session: Session) -> AsyncIterator[SessionChange]:
        assert session == SESSION
        self.watched += 1
        try:
            while (change := await self.changes.get()) is not None:
                yield change
        finally:
            self.watched -= 1


async def served(function: Any, sessions: Any, *, kind: str = "stream", **options: Any) -> Any:
    """What the interceptor makes of a function that answers with one message, or with a stream."""
    handler = getattr(grpc, f"unary_{kind}_rpc_method_handler")(function)

    async def continuation(_: Any) -> Any:
        return handler

    details: Any = SimpleNamespace(method=METHOD)
    guard = AsyncSessionInterceptor(sessions, **options)
    return getattr(await guard.intercept_service(continuation, details), f"unary_{kind}")


class Orders:
    """A function that streams until it may end, and notes what becomes of it."""

    def __init__(self) -> None:
        self.may_end, self.has_ended = asyncio.Event(), asyncio.Event()
        self.whose: list[Any] = []

    async def follow(self, request: Any, _: Any) -> AsyncIterator[str]:
        try:
            yield f"{request} 0"
            await self.may_end.wait()
            self.whose.append(current_session().claims)
            yield f"{request} 1"
        finally:
            for _ in range(5):  # it puts things in order
                await asyncio.sleep(0)
            self.has_ended.set()


async def until(condition: Any) -> None:
    async with asyncio.timeout(LONG):
        while not condition():
            await asyncio.sleep(0)


async def test_a_call_is_answered_for_the_session_of_its_token() -> None:
    async def whose(request: Any, _: Any) -> tuple[Any, str]:
        return request, current_session().subject

    sessions = Sessions()
    needs = {METHOD: requires(strict=True, max_auth_age=60, level="2")}
    respond = await served(whose, sessions, kind="unary", needs=needs)
    assert await asyncio.create_task(respond("order", Context())) == ("order", "alice")
    assert sessions.asked == [requires(strict=True, max_auth_age=60, level="2").options]


@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_a_refused_call_tells_why_beside_what_its_handler_has_told(kind: str) -> None:
    orders, sessions, context = Orders(), Sessions(), Context("revoked")

    async def one(_: Any, __: Any) -> Any:
        raise AssertionError("it was not admitted")

    respond = await served({"unary": one, "stream": orders.follow}[kind], sessions, kind=kind)
    with pytest.raises(Aborted):
        await respond("order", context)
    ((code, _, told),) = context.aborted
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert (told["of"], told["clusterpass-reason"]) == ("the handler", "revoked")
    assert (context.written, sessions.watched) == ([], 0)


async def test_a_stream_that_is_over_is_watched_no_more() -> None:
    orders, sessions, context = Orders(), Sessions(), Context()
    respond = await served(orders.follow, sessions)
    call = asyncio.create_task(respond("order", context))
    await until(lambda: context.written and sessions.watched)
    sessions.changes.put_nowait(SessionChange("changed", CHANGED))
    await until(sessions.changes.empty)
    assert not call.done()
    orders.may_end.set()
    async with asyncio.timeout(LONG):
        await call
    assert (context.written, context.aborted) == (["order 0", "order 1"], [])
    assert orders.whose == [CHANGED.claims]
    assert sessions.watched == 0


async def test_the_error_of_a_function_is_raised_as_it_is() -> None:
    error = KeyError("of the application")

    async def broken(_: Any, __: Any) -> AsyncIterator[str]:
        yield "first"
        raise error

    sessions, context = Sessions(), Context()
    respond = await served(broken, sessions)
    with pytest.raises(KeyError) as raised:
        await respond("order", context)
    assert raised.value is error
    assert (context.aborted, sessions.watched) == ([], 0)


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        (SessionChange("ended", SESSION, GONE), grpc.StatusCode.UNAUTHENTICATED, "revoked"),
        (None, grpc.StatusCode.UNAVAILABLE, "closed"),
        (SessionChange("unavailable", SESSION, SILENT), grpc.StatusCode.UNAVAILABLE, None),
    ],
)
async def test_a_stream_ends_with_its_session_though_its_function_takes_its_time(
    change: Any, code: Any, reason: str | None
) -> None:
    may_leave, has_left = asyncio.Event(), asyncio.Event()

    async def stubborn(request: Any, _: Any) -> AsyncIterator[str]:
        yield f"{request} 0"
        try:
            await asyncio.Event().wait()
        finally:
            await may_leave.wait()
            has_left.set()

    sessions, context = Sessions(), Context()
    respond = await served(stubborn, sessions, in_outage="close")
    call = asyncio.create_task(respond("order", context))
    await until(lambda: context.written and sessions.watched)
    sessions.changes.put_nowait(change)
    with pytest.raises(Aborted):
        async with asyncio.timeout(LONG):
            await call
    assert not has_left.is_set()
    ((told, _, metadata),) = context.aborted
    assert (told, metadata.get("clusterpass-reason")) == (code, reason)
    assert sessions.watched == 0
    may_leave.set()
    async with asyncio.timeout(LONG):
        await has_left.wait()


async def test_an_outage_ends_no_stream_that_is_to_stay() -> None:
    orders, sessions, context = Orders(), Sessions(), Context()
    respond = await served(orders.follow, sessions)
    call = asyncio.create_task(respond("order", context))
    await until(lambda: context.written and sessions.watched)
    sessions.changes.put_nowait(SessionChange("unavailable", SESSION, StoreUnavailable()))
    orders.may_end.set()
    async with asyncio.timeout(LONG):
        await call
    assert context.written == ["order 0", "order 1"]


async def test_the_response_that_is_being_sent_is_sent_before_the_end_and_none_after() -> None:
    own: list[Any] = []

    async def follow(_: Any, context: Any) -> None:
        own.append(context)
        await context.write("first")

    sessions, context = Sessions(), Context()
    context.may_write.clear()
    respond = await served(follow, sessions)
    call = asyncio.create_task(respond("order", context))
    await until(lambda: own and sessions.watched)
    sessions.changes.put_nowait(SessionChange("ended", SESSION, GONE))
    await until(lambda: own[0]._is_over)
    assert own[0].token == "good", "all else is that of the server's context"
    with pytest.raises(grpc.aio.UsageError, match="has ended"):
        await own[0].write("second")
    for _ in range(5):
        await asyncio.sleep(0)
    assert (context.aborted, call.done()) == ([], False)
    context.may_write.set()
    with pytest.raises(Aborted):
        await call
    assert context.written == ["first"]


async def test_a_client_that_leaves_ends_the_function_and_the_watch() -> None:
    orders, sessions, context = Orders(), Sessions(), Context()
    respond = await served(orders.follow, sessions)
    call = asyncio.create_task(respond("order", context))
    await until(lambda: context.written and sessions.watched)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert orders.has_ended.is_set()
    assert sessions.watched == 0


async def test_a_public_method_is_served_without_a_session() -> None:
    async def hello(request: Any, _: Any) -> str:
        return f"{request}!"

    def on_a_thread(request: Any, _: Any) -> str:
        return f"{request}?"

    sessions = Sessions()
    for function, answer in ((hello, "x!"), (on_a_thread, "x?")):
        respond = await served(function, sessions, kind="unary", public=[METHOD])
        found = respond("x", Context("none"))
        assert (await found if function is hello else found) == answer
    assert sessions.asked == []
    refused = await served(on_a_thread, sessions, kind="unary")
    context = Context()
    with pytest.raises(Aborted):
        await refused("x", context)
    assert context.aborted[0][0] is grpc.StatusCode.INTERNAL
