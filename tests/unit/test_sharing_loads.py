"""Single flight of verify: the time spent waiting, and the time left afterwards."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass.managers.aio.verifying import AsyncVerifying
from clusterpass.managers.sync.verifying import Verifying
from clusterpass.model.errors import StoreUnavailable

DEADLINE = 2.5


class Scene:
    """What two kinds of :class:`Verifying` need; a load takes until the test ends it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.session: object | None = None
        near = SimpleNamespace(now=lambda: self.now, shared=lambda *_: self.session)
        self.flows: Any = SimpleNamespace(memory=SimpleNamespace(near=near))
        self.begun: list[bool] = []

    def begin(self, *, is_late: bool) -> Any:
        self.begun.append(is_late)
        return is_late


@pytest.mark.parametrize("waited", [0.1, DEADLINE / 2 - 0.01, DEADLINE / 2, DEADLINE])
def test_tasks_that_waited_in_vain(waited: float) -> None:
    """For half of the deadline: they ask with a part of it, and wait for nobody else."""
    scene = Scene()

    async def run() -> None:
        ended = asyncio.Event()

        class Store:
            deadline = DEADLINE

            async def run(self, is_late: bool) -> None:
                if len(scene.begun) == 1:
                    await ended.wait()
                raise StoreUnavailable(reason="timeout")

        loads = AsyncVerifying(Store(), scene.flows, deadline=DEADLINE)  # type: ignore[arg-type]
        verifies = [
            asyncio.create_task(loads.share("token", scene.begin, is_late=False)) for _ in range(4)
        ]
        while not scene.begun:
            await asyncio.sleep(0)
        scene.now += waited
        ended.set()
        async with asyncio.timeout(60):
            told = await asyncio.gather(*verifies, return_exceptions=True)
        assert all(isinstance(each, StoreUnavailable) for each in told)

    asyncio.run(run())
    assert scene.begun == [False] + [waited >= DEADLINE / 2] * 3


def test_threads_that_waited_in_vain() -> None:
    scene, ended = Scene(), threading.Event()

    class Store:
        deadline = DEADLINE

        def run(self, is_late: bool) -> None:
            if len(scene.begun) == 1:
                assert ended.wait(60)
            raise StoreUnavailable(reason="timeout")

    loads = Verifying(Store(), scene.flows, deadline=DEADLINE)  # type: ignore[arg-type]
    failed: list[StoreUnavailable] = []

    def verify() -> None:
        try:
            loads.share("token", scene.begin, is_late=False)
        except StoreUnavailable as error:
            failed.append(error)

    threads = [threading.Thread(target=verify, daemon=True) for _ in range(4)]
    threads[0].start()
    while not scene.begun:
        threading.Event().wait(0.001)
    for thread in threads[1:]:
        thread.start()
    scene.now += DEADLINE
    ended.set()
    for thread in threads:
        thread.join(60)
    assert len(failed) == 4
    assert scene.begun[0] is False


def test_who_is_late_waits_for_nobody() -> None:
    scene = Scene()

    async def run() -> None:
        class Store:
            deadline = DEADLINE

            async def run(self, is_late: bool) -> str:
                return "answer"

        loads = AsyncVerifying(Store(), scene.flows, deadline=DEADLINE)  # type: ignore[arg-type]
        assert await loads._loads.join("token", 0) is False  # somebody loads
        assert await loads.share("token", scene.begin, is_late=True) == "answer"

    asyncio.run(run())
    assert scene.begun == [True]
