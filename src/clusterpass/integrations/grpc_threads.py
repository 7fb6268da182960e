"""Interceptor for threaded gRPC servers.

- The server asks for responses on a thread of its pool, which cannot be woken while the
  application's function blocks it. So a streaming call uses two more threads, one for the function
  and one to watch the session. The first to produce something wakes the pool's thread.
- The function is asked for a response when the server wants one, as without the interceptor.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, Final

import grpc

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
from clusterpass.managers.sync.manager import SessionManager
from clusterpass.model.errors import ClusterPassError
from clusterpass.web.flow import run
from clusterpass.web.gate import Needs

_Function = Callable[[Any, grpc.ServicerContext], Any]
_END: Final = object()


class SessionInterceptor(grpc.ServerInterceptor):
    """Requires a live session for every method that is not public, on a server with threads."""

    def __init__(
        self,
        sessions: SessionManager,
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

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Any],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the handler of a method with the check before it; None: there is no such method.

        The server calls this on its only other thread, so nothing is verified here.
        """
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        needs = self._rules.of(handler_call_details.method)
        function = function_of(handler)
        if needs is None:
            guarded = _open_stream if handler.response_streaming else _open
            return with_function(handler, guarded(function))
        if handler.response_streaming:
            return with_function(handler, self._stream(function, needs))
        if handler.request_streaming:
            return with_function(handler, self._collecting(function, needs))
        return with_function(handler, self._single(function, needs))

    def _admit(self, context: grpc.ServicerContext, needs: Needs) -> Call:
        return Call(run(self._sessions, admit(context.invocation_metadata(), needs)))

    def _single(self, function: _Function, needs: Needs) -> _Function:
        def respond(request: Any, context: grpc.ServicerContext) -> Any:
            with _answering(context):
                token = current_call.set(self._admit(context, needs))
                try:
                    return function(request, context)
                finally:
                    current_call.reset(token)

        return respond

    def _stream(self, function: _Function, needs: Needs) -> _Function:
        def respond(argument: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with _answering(context):
                call = self._admit(context, needs)
                with self._live(call, needs, context, lambda: function(argument, context)) as found:
                    yield from found

        return respond

    def _collecting(self, function: _Function, needs: Needs) -> _Function:
        def respond(requests: Any, context: grpc.ServicerContext) -> Any:
            def only() -> Iterator[Any]:
                yield function(requests, context)

            with _answering(context):
                call = self._admit(context, needs)
                with self._live(call, needs, context, only) as responses:
                    return next(responses, None)

        return respond

    @contextmanager
    def _live(
        self,
        call: Call,
        needs: Needs,
        context: grpc.ServicerContext,
        begin: Callable[[], Iterable[Any]],
    ) -> Iterator[Iterator[Any]]:
        """Give the responses, which raise when the session ends; free the threads afterwards."""
        function = _FunctionThread(call, begin)
        watch = _Watch(
            self._sessions, call, needs, self._rules.in_outage, tell=function.responses.refuse
        )

        def leave() -> None:
            function.leave()
            watch.leave()

        try:
            function.start()
            watch.start()
            if not context.add_callback(leave):  # the client has gone already
                leave()
            yield function.responses
        finally:
            leave()


class _Responses(Iterator[Any]):
    """The responses of a function on another thread, for the thread of the server's pool."""

    def __init__(self) -> None:
        self._lock: Final = threading.Lock()
        self._refusal: BaseException | None = None
        self._turn: Future[Any] = Future()
        self._is_left = False
        self.turns: Final[SimpleQueue[Future[Any] | None]] = SimpleQueue()
        """The responses that are asked for, one at a time; None: there will be no more."""

    def __next__(self) -> Any:
        with self._lock:
            if self._refusal is not None:
                raise self._refusal
            if self._is_left:
                raise StopIteration
            turn = self._turn = Future()
            self.turns.put(turn)
        found = turn.result()
        if found is _END:
            raise StopIteration
        return found

    def settle(self, turn: Future[Any], result: Any, error: BaseException | None = None) -> None:
        """Answer ``turn``, unless the stream was refused meanwhile."""
        with self._lock:
            if not turn.done():
                if error is None:
                    turn.set_result(result)
                else:
                    turn.set_exception(error)

    def refuse(self, error: BaseException) -> None:
        """Raise ``error`` where a response is waited for, or will be asked for next."""
        with self._lock:
            self._refusal = error
            if not self._turn.done():
                self._turn.set_exception(error)

    def leave(self) -> None:
        """Ask for nothing more."""
        with self._lock:
            self._is_left = True
            self.turns.put(None)


class _FunctionThread:
    """Runs the application's function."""

    def __init__(self, call: Call, begin: Callable[[], Iterable[Any]]) -> None:
        self.responses: Final = _Responses()
        self._begin: Final = begin
        self._context: Final = copy_context()
        self._context.run(current_call.set, call)

    def start(self) -> None:
        """Start the thread. The function is called when its first response is asked for."""
        threading.Thread(
            target=self._context.run, args=(self._work,), name="clusterpass-grpc-call", daemon=True
        ).start()

    def leave(self) -> None:
        """End the thread, once the function gives its next response or ends."""
        self.responses.leave()

    def _work(self) -> None:
        iterator: Iterator[Any] | None = None
        while (turn := self.responses.turns.get()) is not None:
            try:
                if iterator is None:
                    iterator = iter(self._begin())
                response = next(iterator, _END)
            except BaseException as error:  # noqa: BLE001 - raised on the thread of the pool
                self.responses.settle(turn, None, error)
                return
            self.responses.settle(turn, response)
        if isinstance(iterator, Generator):
            iterator.close()


class _Watch:
    """Watches the session of a stream."""

    def __init__(
        self,
        sessions: SessionManager,
        call: Call,
        needs: Needs,
        in_outage: InOutage,
        *,
        tell: Callable[[BaseException], None],
    ) -> None:
        """``tell``: called with the reason why the stream has to end, unless it is left before."""
        self._call, self._needs, self._in_outage, self._tell = call, needs, in_outage, tell
        self._changes: Final = sessions.watch(call.session)
        self._is_left = False

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._follow, name="clusterpass-grpc-watch", daemon=True).start()

    def leave(self) -> None:
        """End the thread, and say nothing more."""
        self._is_left = True
        self._changes.close()

    def _follow(self) -> None:
        try:
            for change in self._changes:
                error = self._call.judge(change, self._needs, self._in_outage)
                if error is not None:
                    self._tell(error)
                    return
            if not self._is_left:
                self._tell(unwatched())
        except Exception as error:  # noqa: BLE001 - what is not watched must not go on
            self._tell(error)
        finally:
            self._changes.close()


@contextmanager
def _answering(context: grpc.ServicerContext) -> Iterator[None]:
    """Turn errors of the library into the status of the call."""
    try:
        yield
    except ClusterPassError as error:
        refusal = refusal_of(error)
        context.set_trailing_metadata(refusal.after(context.trailing_metadata()))
        context.abort(refusal.code, refusal.details)


def _open(function: _Function) -> _Function:
    def respond(argument: Any, context: grpc.ServicerContext) -> Any:
        with _answering(context):
            return function(argument, context)

    return respond


def _open_stream(function: _Function) -> _Function:
    def respond(argument: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        with _answering(context):
            yield from function(argument, context)

    return respond


__all__ = ["SessionInterceptor"]
