"""The tasks of a watch that read journals: one for each node, and one that fills the journals."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from clusterpass.model.errors import StoreDenied
from clusterpass.store.address import Address
from clusterpass.store.drivers.base import StoreBase
from clusterpass.store.drivers.cache_observer import Observer
from clusterpass.store.drivers.journal_readers import JournalReaders
from clusterpass.store.drivers.nodes import Nodes
from clusterpass.store.wire.background import BackgroundTasks

A, B = Address("a", 1), Address("b", 2)


class Scene:
    """Readers whose tasks end when the test says so. It is the store, the observer, the nodes."""

    def __init__(self) -> None:
        self.background = BackgroundTasks()
        self.refusal = ""
        self.gaps = False
        self.begun: list[Any] = []
        self.ends: dict[Any, asyncio.Future[None]] = {}
        self.failures: list[BaseException] = []
        self.search = object()
        self.readers = JournalReaders(
            cast("StoreBase", self), cast("Observer", self), self.failures.append
        )

    def has_gaps(self) -> bool:
        return self.gaps

    def read_journal(self, observer: Any, address: Address) -> Any:
        assert observer is self
        return address

    def fill_journals(self, observer: Any) -> Any:
        assert observer is self
        return "all"

    async def drive(self, steps: Any, search: Any) -> None:
        assert search is self.search
        self.begun.append(steps)
        end = self.ends[steps] = asyncio.get_running_loop().create_future()
        await end

    async def read(self, address: Address) -> None:
        self.readers.read(cast("Nodes", self), address)
        await settle()

    async def end(self, key: Any, error: Exception | None = None) -> None:
        if error is None:
            self.ends[key].set_result(None)
        else:
            self.ends[key].set_exception(error)
        await settle()


async def settle() -> None:
    """Let the tasks run that are ready."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    yield made
    made.readers.cancel()
    await settle()


async def test_a_node_has_one_reader_at_a_time(scene: Scene) -> None:
    await scene.read(A)
    await scene.read(A)
    await scene.read(B)
    assert scene.begun == [A, B]
    await scene.end(A)
    await scene.read(A)
    assert scene.begun == [A, B, A]
    assert (scene.failures, scene.refusal) == ([], "")


async def test_what_may_lack_entries_is_filled_once_at_a_time(scene: Scene) -> None:
    scene.gaps = True
    await scene.read(A)
    await scene.read(B)
    await scene.end(A)
    assert scene.begun == [A, B, "all"]
    await scene.end(B)
    assert scene.begun == [A, B, "all"], "it is being filled"
    await scene.end("all")
    assert scene.begun == [A, B, "all"], "that has read nothing new"
    await scene.read(A)
    await scene.end(A)
    assert scene.begun == [A, B, "all", A, "all"]


async def test_what_lacks_nothing_is_not_filled(scene: Scene) -> None:
    await scene.read(A)
    await scene.end(A)
    assert scene.begun == [A]


async def test_a_fault_of_the_store_says_why_nothing_is_served(scene: Scene) -> None:
    scene.gaps = True
    error = StoreDenied(reason="acl")
    await scene.read(A)
    await scene.end(A, error)
    assert scene.refusal == str(error)
    assert (scene.failures, scene.begun) == ([], [A])


async def test_another_failure_is_one_of_the_watch(scene: Scene) -> None:
    scene.gaps = True
    error = ZeroDivisionError()
    await scene.read(A)
    await scene.end(A, error)
    assert scene.failures == [error]
    assert (scene.refusal, scene.begun) == ("", [A])


async def test_cancelled_readers_end_and_fill_nothing(scene: Scene) -> None:
    scene.gaps = True
    await scene.read(A)
    await scene.read(B)
    scene.readers.cancel()
    await settle()
    assert all(end.cancelled() for end in scene.ends.values())
    assert (scene.begun, scene.failures, scene.refusal) == ([A, B], [], "")
    await scene.read(A)
    assert scene.begun == [A, B, A], "and another may begin"
