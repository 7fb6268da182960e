"""The thread of a watch: its end, and its restart after a failure."""

import asyncio
import concurrent.futures
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass.model.errors import ConfigurationError
from clusterpass.protocol.calls import session
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.store.address import Address
from clusterpass.store.drivers import sync, watch_thread
from clusterpass.store.drivers.base import StoreBase
from clusterpass.store.drivers.sync import SyncStore
from clusterpass.store.drivers.watch_thread import (
    WatchThread,
    has_green_threads,
    refuse_green_threads,
)
from clusterpass.store.exchanges.steps import Send
from clusterpass.store.outcomes import Fault, Replies
from clusterpass.store.store_url import parse_store_url


class Observer:
    refusal = ""


class Watches:
    """Stands in for the class of watches: each of them fails or runs, as the test says."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures = list(failures)
        self.begun: list[tuple[Any, ...]] = []
        self.is_running = threading.Event()
        self.nodes: list[Any] = []
        self.ended = 0

    def __call__(self, *arguments: Any) -> "Watches":
        self.begun.append(arguments)
        return self

    async def run(self, nodes: Any) -> None:
        self.nodes.append(nodes)
        if self.failures:
            raise self.failures.pop(0)
        self.is_running.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.ended += 1


def begin(monkeypatch: pytest.MonkeyPatch, watches: Watches) -> tuple[WatchThread, Any, Any]:
    monkeypatch.setattr(watch_thread, "Watch", watches)
    store, observer = StoreBase(parse_store_url("redis://127.0.0.1:1")), Observer()
    return WatchThread(store, observer, 0.5), store, observer  # type: ignore[arg-type]


READ = Send(Address("127.0.0.1", 1), ((b"GET", b"k"),))


def test_without_an_open_connection_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    watches = Watches()
    thread, *_ = begin(monkeypatch, watches)
    assert watches.is_running.wait(10)
    assert thread.read(READ) is None, "no connection is open"
    asked: list[Any] = []
    assert thread._loop is not None
    thread._loop.call_soon_threadsafe(lambda: asked.append(thread.read(READ)))
    assert thread.read(READ) is None
    assert asked == [None], "a thread does not wait for itself"
    thread.stop()
    assert thread.read(READ) is None, "it has ended"


async def test_what_is_read_is_the_reply_of_the_connection() -> None:
    class Open:
        def __init__(self) -> None:
            self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def ask(self, packed: bytes, count: int, *, urgent: bool) -> asyncio.Future[Any]:
            assert (b"GET" in packed, count, urgent) == (True, 1, False)
            return self.answer

    for outcome in (Replies([b"v"]), Fault("timeout"), None):
        connection, waiting = Open(), concurrent.futures.Future()
        nodes = SimpleNamespace(connection=lambda _, found=connection: found)
        watch_thread._ask(nodes, READ, waiting)  # type: ignore[arg-type]
        if outcome is None:
            connection.answer.cancel()
        else:
            connection.answer.set_result(outcome)
        await asyncio.sleep(0)
        assert waiting.result(0) == (outcome or Fault("connection"))
    waiting = concurrent.futures.Future()
    watch_thread._ask(SimpleNamespace(connection=lambda _: None), READ, waiting)  # type: ignore[arg-type]
    assert waiting.result(0) is None, "no connection is open, which is told at once"


def test_a_thread_runs_a_watch_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    watches = Watches()
    thread, store, observer = begin(monkeypatch, watches)
    assert watches.is_running.wait(10)
    assert watches.begun == [(store, observer, 0.5)]
    assert thread._thread.daemon
    assert thread._thread.name == "clusterpass-watch"
    thread.stop()
    assert not thread._thread.is_alive()
    assert watches.ended == 1
    assert watches.nodes[0]._closed
    assert observer.refusal == ""
    thread.stop()


@pytest.mark.parametrize("failure", [ValueError("x"), asyncio.CancelledError()])
def test_a_watch_that_breaks_begins_again_over_new_connections(
    monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    watches = Watches(failure)
    thread, _, observer = begin(monkeypatch, watches)
    assert watches.is_running.wait(10)
    says = "x" if isinstance(failure, ValueError) else "the task was cancelled"
    assert observer.refusal.startswith("the watch of the store failed: ")
    assert observer.refusal.endswith(says)
    assert len(watches.begun) == 2
    assert watches.nodes[0] is not watches.nodes[1]
    assert watches.nodes[0]._closed
    thread.stop()
    assert not thread._thread.is_alive()


@pytest.mark.parametrize(
    ("module", "asked", "thread"),
    [
        ("gevent.monkey", "is_module_patched", "threading"),
        ("eventlet.patcher", "is_monkey_patched", "thread"),
    ],
)
def test_green_threads_are_refused(
    monkeypatch: pytest.MonkeyPatch, module: str, asked: str, thread: str
) -> None:
    for name in ("gevent.monkey", "eventlet.patcher"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert not has_green_threads()
    refuse_green_threads()
    patched = {thread}
    monkeypatch.setitem(
        sys.modules, module, SimpleNamespace(**{asked: lambda name: name in patched})
    )
    assert has_green_threads()
    with pytest.raises(ConfigurationError, match="verification='cached' needs a real thread"):
        refuse_green_threads()
    patched.clear()
    assert not has_green_threads()


def test_green_threads_that_come_with_a_fork_are_refused_by_the_first_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a watch, each call would go on to the store: slowly, and without a word."""
    store = SyncStore(parse_store_url("redis://127.0.0.1:1"))
    store.observe(SimpleNamespace(prefixes=(b"cp:",), journal=None, doubts=None), 0.5)  # type: ignore[arg-type]
    for module in (sync, watch_thread):
        monkeypatch.setattr(module, "has_green_threads", lambda: True)

    def asking() -> Any:
        yield session.verify(Keyspace(), "alice", session_id=b"i" * 16)

    for _ in range(2):
        with pytest.raises(ConfigurationError, match="verification='cached' needs a real thread"):
            store.run(asking())
    store.close()
