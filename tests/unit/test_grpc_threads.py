"""The threaded gRPC interceptor: the watch of a stream, and how calls are refused."""

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from clusterpass import SessionManager, SessionRevoked, StoreUnavailable
from clusterpass.integrations.grpc_calls import Call
from clusterpass.integrations.grpc_threads import SessionInterceptor, _Watch
from clusterpass.web.gate import NO_NEEDS

from .manager_scene import CONFIG
from .test_watch_iteration import GONE, LONG, SESSION, BlockingReading, readings


class Watching:
    """A watch that has begun, and what it tells."""

    def __init__(self, manager: SessionManager) -> None:
        self.told: list[BaseException] = []
        self.followers = manager._flows.memory.near.followers
        self.watch = _Watch(manager, Call(SESSION), NO_NEEDS, "stay", tell=self.told.append)
        self.watch.start()

    def wait_until_it_waits(self) -> None:
        while not any(not each.is_due for each in self.followers._all.copy()):
            threading.Event().wait(0.001)

    def ended(self) -> list[Any]:
        for thread in threading.enumerate():
            if thread.name == "clusterpass-grpc-watch":
                thread.join(LONG)
                assert not thread.is_alive()
        assert len(self.followers) == 0
        return self.told


@pytest.fixture
def manager() -> Any:
    with SessionManager(BlockingReading(), CONFIG) as opened:
        readings(opened, [SESSION])
        yield opened


def test_a_stream_that_is_over_ends_it_at_once_and_is_told_nothing(manager) -> None:
    watching = Watching(manager)
    watching.wait_until_it_waits()
    watching.watch.leave()
    assert watching.ended() == []


def test_the_end_of_the_session_is_told(manager) -> None:
    readings(manager, [GONE])
    (error,) = Watching(manager).ended()
    assert isinstance(error, SessionRevoked)


def test_a_stream_that_nobody_watches_any_more_is_told(manager) -> None:
    watching = Watching(manager)
    watching.wait_until_it_waits()
    manager.close()
    (error,) = watching.ended()
    assert isinstance(error, StoreUnavailable)
    assert error.reason == "closed"


class Aborted(Exception):
    """Ends a call."""


class Context:
    """A call: what the client has sent, and what it is told."""

    def __init__(self, token: str = "good") -> None:
        self.token, self.aborted, self.told = token, None, (("of", "the handler"),)
        self.callbacks: list[Callable[[], None]] = []
        self.is_active = True

    def invocation_metadata(self) -> Any:
        return (("authorization", f"Bearer {self.token}"),)

    def trailing_metadata(self) -> Any:
        return self.told

    def set_trailing_metadata(self, metadata: Any) -> None:
        self.told = metadata

    def abort(self, code: Any, details: str) -> None:
        self.aborted = (code, details)
        raise Aborted

    def add_callback(self, callback: Callable[[], None]) -> bool:
        self.callbacks.append(callback)
        return self.is_active


def served(manager: Any, handler: Any) -> Any:
    """The method handler that the interceptor makes of another one."""

    def verify(token: str, **_: Any) -> Any:
        if token != "good":
            raise SessionRevoked(reason="revoked", ended_at=9)
        return SESSION

    manager.verify = verify
    details: Any = SimpleNamespace(method="/shop.Orders/Follow")
    return SessionInterceptor(manager).intercept_service(lambda _: handler, details)


class Orders:
    """A function that streams, and notes what becomes of it."""

    def __init__(self) -> None:
        self.begun, self.ended = threading.Event(), threading.Event()

    def __call__(self, request: Any, _: Any) -> Iterator[str]:
        self.begun.set()
        try:
            yield from (f"{request} {number}" for number in range(3))
        finally:
            self.ended.set()


def test_a_stream_that_is_over_or_left_ends_its_function(manager) -> None:
    for most in (1, 3):
        orders, context = Orders(), Context()
        handler = served(manager, grpc.unary_stream_rpc_method_handler(orders))
        responses = handler.unary_stream("order", context)
        assert [next(responses) for _ in range(most)] == ["order 0", "order 1", "order 2"][:most]
        assert not orders.ended.is_set()
        responses.close()
        assert orders.ended.wait(5)
        assert len(context.callbacks) == 1


def test_a_stream_that_is_over_is_watched_by_no_thread(manager) -> None:
    def watching() -> set[threading.Thread]:
        return {each for each in threading.enumerate() if each.name == "clusterpass-grpc-watch"}

    before = watching()
    handler = served(manager, grpc.unary_stream_rpc_method_handler(Orders()))
    responses = handler.unary_stream("order", Context())
    next(responses)
    (thread,) = watching() - before
    assert len(list(responses)) == 2
    thread.join(5)
    assert not thread.is_alive()


def test_a_client_that_has_gone_ends_the_function_without_the_pool(manager) -> None:
    orders, context = Orders(), Context()
    handler = served(manager, grpc.unary_stream_rpc_method_handler(orders))
    responses = handler.unary_stream("order", context)
    next(responses)
    context.callbacks[0]()
    assert orders.ended.wait(5)
    assert list(responses) == []


def test_a_client_that_had_gone_before_gets_nothing(manager) -> None:
    orders, context = Orders(), Context()
    context.is_active = False
    handler = served(manager, grpc.unary_stream_rpc_method_handler(orders))
    assert list(handler.unary_stream("order", context)) == []
    assert not orders.begun.is_set()


@pytest.mark.parametrize("kind", ["unary", "stream"])
def test_a_refused_call_tells_why_beside_what_its_handler_has_told(manager, kind: str) -> None:
    orders, context = Orders(), Context("revoked")
    make = getattr(grpc, f"unary_{kind}_rpc_method_handler")
    answer = getattr(served(manager, make(orders)), f"unary_{kind}")
    with pytest.raises(Aborted):
        list(answer("order", context))
    assert context.aborted is not None
    assert context.aborted[0] is grpc.StatusCode.UNAUTHENTICATED
    told = dict(context.told)
    assert (told["of"], told["clusterpass-error"]) == ("the handler", "session_revoked")
    assert told["clusterpass-reason"] == "revoked"
    assert not orders.begun.is_set()
