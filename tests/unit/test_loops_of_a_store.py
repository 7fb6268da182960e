"""The watch of an ``AsyncStore`` that several event loops use: one of them runs it."""

import asyncio
import contextlib
import threading
from types import SimpleNamespace
from typing import Any, cast

from clusterpass.protocol.calls import session
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.store.address import Address
from clusterpass.store.drivers.aio import AsyncStore
from clusterpass.store.drivers.nodes import Nodes
from clusterpass.store.drivers.watch import Watch
from clusterpass.store.outcomes import Replies

NOWHERE = "redis+cluster://127.0.0.1:1"


class Observer:
    """Is told of nothing here, as no node is reached."""

    prefixes: tuple[bytes, ...] = ()
    journal = None
    refusal = ""
    activity, is_followed, held, wants_all = 0, True, 0, False

    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: None


def observed(kind: type[AsyncStore] = AsyncStore) -> AsyncStore:
    store = kind.from_url(NOWHERE)
    store.observe(cast("Any", Observer()), 0.5)
    return store


class Slow(AsyncStore):
    """Makes its watch so slowly that another event loop may begin meanwhile, unless it waits."""

    together = threading.Barrier(2)

    def _new_watch(self) -> Watch | None:
        watch = super()._new_watch()
        with contextlib.suppress(threading.BrokenBarrierError):
            self.together.wait(0.5)
        return watch


def test_of_loops_that_begin_at_once_one_watches():
    store = observed(Slow)
    entered: list[Nodes] = []
    both = threading.Barrier(2)

    async def enter() -> None:
        entered.append(store._nodes())
        await asyncio.to_thread(both.wait, 20)

    threads = [threading.Thread(target=asyncio.run, args=(enter(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(nodes.watch is not None for nodes in entered) == [False, True]


def test_a_watch_that_was_cancelled_leaves_the_one_of_another_loop_alone():
    store = observed()
    here, there = asyncio.new_event_loop(), asyncio.new_event_loop()

    async def nodes() -> Nodes:
        await asyncio.sleep(0)
        return store._nodes()

    async def cancel_all() -> None:
        others = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    assert here.run_until_complete(nodes()).watch is not None
    here.run_until_complete(cancel_all())
    taken_over = there.run_until_complete(nodes())
    assert taken_over.watch is not None
    assert here.run_until_complete(nodes()).watch is None
    for loop in (here, there):
        loop.run_until_complete(cancel_all())
        loop.close()


async def test_what_another_loop_reads_is_announced_unless_its_node_pushes_all_changes():
    """No node pushes what becomes of it."""

    class Connection:
        async def ask(self, packed: bytes, count: int) -> Replies:
            return Replies([packed] * count)

    store, connection, node = observed(), Connection(), Address("a", 1)
    announced: list[bytes] = []
    observer = SimpleNamespace(unheard=announced.append)
    call = session.verify(Keyspace(), "alice", session_id=b"i" * 16)
    call.packed, call.follows = b"packed", True

    async def read() -> Any:
        return await store._read_elsewhere(cast("Any", observer), connection, node, call)  # type: ignore[arg-type]

    assert await read() == Replies([b"packed"])
    assert announced == [call.keys[0]]
    assert store.reads_elsewhere, "nodes push all changes from now on"
    store.pushing_all.add(node)
    await read()
    assert announced == [call.keys[0]]
