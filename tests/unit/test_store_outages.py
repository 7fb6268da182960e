"""The log of store outages: the store is back once every part of it answers."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass import StoreUnavailable
from clusterpass.service import store_outages
from clusterpass.service.store_outages import StoreOutageLog


class Sessions:
    """A manager whose store is asked one thing after the other."""

    def __init__(self) -> None:
        self.store = SimpleNamespace()
        self.down = {"ping", "sessions", "nodes"}
        self.asked: asyncio.Queue[str] = asyncio.Queue()

    async def ping(self) -> None:
        self.ask("ping")

    async def sessions(self, _: str) -> None:
        self.ask("sessions")

    def stats(self) -> Any:
        return SimpleNamespace(silent_nodes=("10.0.0.1:7000",) if "nodes" in self.down else ())

    def ask(self, verb: str) -> None:
        self.asked.put_nowait(verb)
        if verb in self.down:
            error = StoreUnavailable(cause="refused")
            self.store.on_unavailable(error)
            raise error


@pytest.mark.parametrize("last", ["ping", "sessions", "nodes"])
async def test_the_store_is_back_when_all_of_it_answers(
    monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    monkeypatch.setattr(store_outages, "_SECONDS", 0.001)
    sessions: Any = Sessions()
    told: list[str] = []
    is_back = asyncio.Event()

    def available(event: str) -> None:
        told.append(event)
        is_back.set()

    logger = SimpleNamespace(error=lambda event, **_: told.append(event), info=available)
    watching = asyncio.create_task(StoreOutageLog(sessions, logger).watch())
    async with asyncio.timeout(20):
        for down in ({"ping", "sessions", "nodes"}, {last}):
            sessions.down = down
            for _ in range(40):
                await sessions.asked.get()
            assert told == ["store_unavailable"]
        sessions.down = set()
        await is_back.wait()
    watching.cancel()
    assert told == ["store_unavailable", "store_available"]
