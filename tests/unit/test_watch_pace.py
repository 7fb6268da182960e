"""When a watch rests, and what ends its rest."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from clusterpass.store.drivers import watch_pace as module
from clusterpass.store.drivers.watch_pace import Pace

BOUND = 2.0


class Observer:
    """A cache from which nothing has been read yet."""

    def __init__(self) -> None:
        self.activity, self.is_followed = 0, False
        self.on_use: Callable[[], None] | None = None

    def rested(self) -> None:
        """Nothing is noted."""


def pace_for(observer: Observer) -> Pace:
    return Pace(cast("Any", observer), BOUND)


def links() -> Any:
    return SimpleNamespace(loop=asyncio.get_running_loop())


def test_who_has_read_nothing_for_three_seconds_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    observer = Observer()
    pace = pace_for(observer)
    assert not pace.is_idle()
    clock.now += 2.9
    assert not pace.is_idle()
    clock.now += 0.1
    assert pace.is_idle()
    observer.activity += 1
    assert not pace.is_idle()
    clock.now += 3.0
    observer.is_followed = True
    assert not pace.is_idle(), "somebody waits for news"


async def test_a_rest_ends_when_the_store_is_asked() -> None:
    observer = Observer()
    pace = pace_for(observer)
    pace.is_idle()
    resting = asyncio.create_task(pace.rest(links()))
    await asyncio.sleep(0)
    assert not resting.done()
    assert observer.on_use is not None
    observer.activity += 1
    observer.on_use()
    async with asyncio.timeout(5):
        await resting
    assert observer.on_use is None
    assert pace.is_urgent.is_set(), "a lease needs two heartbeats"
    assert not pace.is_idle()


async def test_what_is_read_as_a_rest_begins_ends_it_with_two_heartbeats() -> None:
    observer = Observer()
    pace = pace_for(observer)
    pace.is_idle()
    observer.activity += 1  # by another thread
    async with asyncio.timeout(5):
        await pace.rest(links())
    assert pace.is_urgent.is_set()
