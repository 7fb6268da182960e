"""The interceptor for gRPC servers on an event loop.

A call with a stream has two further tasks: one runs the application's function and writes its
responses, the other watches the session. When the session ends during a write, the status is sent
after that response, as gRPC sends no status before it.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, Never

import grpc
import grpc.aio

from clusterpass.integrations.attached import InOutage
from clusterpass.integrations.grpc_calls import (
    Call,
    Rules,
    admit,
    current_call,
    function_of,
    refusal_of,
    unwatched,
    with_function,
)
from clusterpass.managers.aio.manager import AsyncSessionManager
from clusterpass.model.errors import ClusterPassError, ConfigurationError
from clusterpass.web.flow import run_async
from clusterpass.web.gate import Needs

_Context = grpc.aio.ServicerContext[Any, Any]
_Function = Callable[[Any, Any], Awaitable[Any]]


class AsyncSessionInterceptor(grpc.aio.ServerInterceptor):
    """Requires a live session for every method that is not public, on a ``grpc.aio`` server."""

    def __init__(
        self,
        sessions: AsyncSessionManager,
        *,
        needs: Mapping[str, Needs] | None = None,
        public: Iterable[str] = (),
        in_outage: InOutage = "stay",
    ) -> None:
        """``sessions``: the application's manager, which it also closes, after the server.

        ``needs``: what methods require beside a session: ``/package.Service/Method`` or
        ``/package.Service/*``, or ``/*`` for all, to what :func:`requires` returns; the most
        specific line alone counts. ``public``: the methods that need no session, named alike.
        ``in_outage``: whether streams stay open while the store is unavailable, or ``close`` with
        UNAVAILABLE. Raises ConfigurationError for a name that is none or is in both lists.
        """
        self._sessions: Final = sessions
        self._rules: Final = Rules(needs or {}, public, in_outage, sessions.config.levels)
        self._leaving: Final[set[asyncio.Task[Any]]] = set()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the handler of a method with the check before it; None: there is no such method.

        A method that needs a session and is no ``async def`` is answered with INTERNAL.
        """
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        needs = self._rules.of(handler_call_details.method)
        found = function_of(handler)
        is_async = inspect.iscoroutinefunction(found) or inspect.isasyncgenfunction(found)
        if needs is None and not is_async:
            return handler  # the server runs it on a thread
        function = _written(found) if handler.response_streaming else found
        if needs is None:
            return with_function(handler, _open(function))
        if not is_async:
            return with_function(handler, _open(_no_coroutine))
        if handler.request_streaming or handler.response_streaming:
            return with_function(handler, self._stream(function, needs))
        return with_function(handler, self._single(function, needs))

    async def _admit(self, context: _Context, needs: Needs) -> Call:
        flow = admit(context.invocation_metadata(), needs)
        call = Call(await run_async(self._sessions, flow))
        current_call.set(call)  # for the task of the call, and those that it starts
        return call

    def _single(self, function: _Function, needs: Needs) -> _Function:
        async def respond(request: Any, context: _Context) -> Any:
            async with _answering(context):
                await self._admit(context, needs)
                return await function(request, context)

        return respond

    def _stream(self, function: _Function, needs: Needs) -> _Function:
        async def respond(argument: Any, context: _Context) -> Any:
            async with _answering(context):
                call, own = await self._admit(context, needs), _StreamContext(context)
                return await self._while_live(call, needs, own, function(argument, own))

        return respond

    async def _while_live(
        self, call: Call, needs: Needs, context: "_StreamContext", work: Awaitable[Any]
    ) -> Any:
        """Return the result of ``work``; when the session ends, cancel it and raise the reason."""
        working = asyncio.ensure_future(work)
        watching = asyncio.create_task(self._follow(call, needs))
        tasks = (working, watching)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            self._leave(working)  # what it does when cancelled must not hold up the status
            await context.finish()
            return watching.result()
        except asyncio.CancelledError:
            working.cancel()
            await asyncio.wait((working,))
            raise
        finally:
            watching.cancel()
            await asyncio.wait((watching,))
            for task in tasks:
                if task.done():
                    _retrieve(task)

    def _leave(self, task: "asyncio.Future[Any]") -> None:
        assert isinstance(task, asyncio.Task)
        self._leaving.add(task)
        task.add_done_callback(self._left)
        task.cancel()

    def _left(self, task: asyncio.Task[Any]) -> None:
        self._leaving.discard(task)
        _retrieve(task)

    async def _follow(self, call: Call, needs: Needs) -> Never:
        async with aclosing(self._sessions.watch(call.session)) as changes:
            async for change in changes:
                error = call.judge(change, needs, self._rules.in_outage)
                if error is not None:
                    raise error
        raise unwatched()


class _StreamContext:
    """The context of a call with a stream, which keeps track of the response being written."""

    def __init__(self, context: _Context) -> None:
        self._context: Final = context
        self._writing: asyncio.Task[None] | None = None
        self._is_over = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def write(self, message: Any) -> None:
        """Send a response. Who is cancelled meanwhile does not stop it. Raises UsageError later."""
        if self._is_over:
            raise grpc.aio.UsageError("the session of this call has ended")
        self._writing = asyncio.create_task(self._context.write(message))
        self._writing.add_done_callback(_retrieve)  # a client that has left is no error
        await asyncio.shield(self._writing)

    async def finish(self) -> None:
        """Let nothing more be written, and wait for the response that is being sent."""
        self._is_over = True
        if self._writing is not None:
            await asyncio.wait((self._writing,))


def _retrieve(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


@asynccontextmanager
async def _answering(context: _Context) -> AsyncIterator[None]:
    """Turn errors of the library into the status of the call."""
    try:
        yield
    except ClusterPassError as error:
        refusal = refusal_of(error)
        metadata = refusal.after(context.trailing_metadata())
        await context.abort(refusal.code, refusal.details, metadata)


def _open(function: _Function) -> _Function:
    async def respond(argument: Any, context: _Context) -> Any:
        async with _answering(context):
            return await function(argument, context)

    return respond


def _written(function: Callable[[Any, Any], Any]) -> _Function:
    """Return a coroutine function that writes the responses of a function."""
    if inspect.iscoroutinefunction(function):
        return function

    async def write(argument: Any, context: _Context) -> None:
        async with aclosing(function(argument, context)) as responses:
            async for response in responses:
                await context.write(response)

    return write


async def _no_coroutine(_: Any, __: _Context) -> Never:
    raise ConfigurationError("a method that needs a session must be `async def` on this server")


__all__ = ["AsyncSessionInterceptor"]
