"""Bursts of verifies: all are answered, and callers share a load where they can.

How long that takes depends on the machine, so the time limits here are generous.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from clusterpass import AsyncSessionManager, Config, EmbeddedCluster, Session, SessionManager
from clusterpass.model.clock import steady_seconds
from clusterpass.store.drivers.base import StoreBase

pytestmark = pytest.mark.timeout(240)
PATIENT = "?timeout=5&deadline=60"


@pytest.fixture
def config(config: Config) -> Config:
    """One whose refresh tokens may be used again for longer than the store's deadline."""
    return replace(config, refresh_grace=90)


modes = pytest.mark.parametrize("mode", ["cached", "strict"])


ALL = {"accepted": 5000}


async def outcomes_of(verifies: Iterable[Awaitable[Session]]) -> Counter[str]:
    """Return the number of each outcome of concurrent ``verifies``."""
    found = await asyncio.gather(*verifies, return_exceptions=True)
    return Counter("accepted" if isinstance(each, Session) else repr(each) for each in found)


@pytest.fixture
def questions() -> Iterator[Counter[Any]]:
    """Count how often other nodes are asked about each node."""
    asked: Counter[Any] = Counter()
    agree = StoreBase.agree

    def counted(self: StoreBase, wanted: Any) -> Any:
        age = steady_seconds() - wanted.made_at
        observer = self._observer
        if observer and observer.doubts(wanted.node, age=age, is_durable=wanted.is_durable):
            asked[wanted.node] += 1
        return (yield from agree(self, wanted))

    StoreBase.agree = counted  # type: ignore[method-assign]
    yield asked
    StoreBase.agree = agree  # type: ignore[method-assign]


@pytest.fixture
def tokens(cluster: EmbeddedCluster, config: Config, subject: str) -> list[str]:
    """Access tokens of 5,000 sessions, of a service that writes without waiting."""

    async def log_in() -> list[str]:
        found: list[str] = []
        quick = replace(config, durability="primary")
        async with AsyncSessionManager.from_url(cluster.url + PATIENT, quick) as opens:
            for first in range(0, 5000, 500):
                logins = (opens.login(f"{subject}-{first + each}") for each in range(500))
                found += [pair.access_token for pair in await asyncio.gather(*logins)]
        return found

    return asyncio.run(log_in())


@pytest.mark.sampled(1)
@modes
def test_five_thousand_cold_verifies_at_once(cluster, config, tokens, questions, mode):
    """None is refused, and others are not asked about a node for each of them."""

    async def verify_all() -> None:
        config_ = replace(config, verification=mode)
        async with AsyncSessionManager.from_url(cluster.url + PATIENT, config_) as manager:
            assert await outcomes_of(manager.verify(token) for token in tokens) == ALL
            questions.clear()
            time.sleep(0.7)  # the loop stands still: all beats are old
            verifies = (manager.verify(token, verification="strict") for token in tokens)
            assert await outcomes_of(verifies) == ALL

    asyncio.run(verify_all())
    assert all(count < 20 for count in questions.values()), questions


@pytest.mark.sampled(1)
@modes
def test_a_burst_of_threads(cluster, config, tokens, mode):
    config = replace(config, verification=mode)
    opened = SessionManager.from_url(cluster.url + PATIENT, config)
    with contextlib.closing(opened) as manager, ThreadPoolExecutor(200) as threads:
        assert len(list(threads.map(manager.verify, tokens))) == 5000


# A load can be shared while the leases run, and a machine under load may delay heartbeats. So these
# tests go on to another token then; without sharing, each verify of every token is a load.


def test_five_thousand_verifies_of_one_token_share_a_load(cluster, config, tokens):
    async def loads_of(manager: AsyncSessionManager, token: str) -> int:
        ends = time.monotonic() + 20
        while manager.recall(tokens[0]) is None:
            assert time.monotonic() < ends, "it is never served from memory"
            await asyncio.sleep(0.01)
            await manager.verify(tokens[0])
        before = manager.stats().cache.misses
        verifies = (manager.verify(token) for _ in range(5000))
        assert await outcomes_of(verifies) == ALL
        return manager.stats().cache.misses - before

    async def verify_all() -> None:
        async with AsyncSessionManager.from_url(cluster.url + PATIENT, config) as manager:
            fewest = 5000
            for token in tokens[1:10]:
                fewest = min(fewest, await loads_of(manager, token))
                if fewest < 50:
                    return
        raise AssertionError(f"{fewest} loads of one token")

    asyncio.run(verify_all())


def test_threads_share_a_load(cluster, config, tokens):
    opened = SessionManager.from_url(cluster.url + PATIENT, config)
    with contextlib.closing(opened) as manager, ThreadPoolExecutor(50) as threads:
        fewest = 1000
        for token in tokens[1:10]:
            ends = time.monotonic() + 20
            while manager.recall(tokens[0]) is None:
                assert time.monotonic() < ends, "it is never served from memory"
                manager.verify(tokens[0])
            before = manager.stats().cache.misses
            assert len(list(threads.map(manager.verify, [token] * 1000))) == 1000
            fewest = min(fewest, manager.stats().cache.misses - before)
            if fewest < 100:
                return
    raise AssertionError(f"{fewest} loads of one token")
