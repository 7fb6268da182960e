"""A closed store raises an error, also for a call that is in progress."""

import asyncio

import pytest

from clusterpass import AsyncSessionManager, Config, SessionManager
from clusterpass.model.errors import StoreUnavailable

from .conftest import Opener


def test_a_closed_store_says_so(open_url: Opener, cluster_url: str, config: Config) -> None:
    manager = SessionManager.from_url(cluster_url, config)
    pair = manager.login("closed")
    manager.close()
    manager.close()
    for verb in (lambda: manager.verify(pair.access_token), manager.ping):
        with pytest.raises(StoreUnavailable) as refusal:
            verb()
        assert refusal.value.reason == "closed"


async def test_a_closed_asynchronous_store_says_so(cluster_url: str, config: Config) -> None:
    manager = AsyncSessionManager.from_url(cluster_url, config)
    pair = await manager.login("closed")
    await manager.close()
    await manager.close()
    for verb in (lambda: manager.verify(pair.access_token), manager.ping):
        with pytest.raises(StoreUnavailable) as refusal:
            await verb()
        assert refusal.value.reason == "closed"


async def test_a_store_that_is_closed_under_its_callers(cluster_url: str, config: Config) -> None:
    manager = AsyncSessionManager.from_url(cluster_url, config)
    pair = await manager.login("closing")
    tasks = [asyncio.create_task(manager.verify(pair.access_token)) for _ in range(50)]
    await asyncio.sleep(0)
    await manager.close()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, BaseException):
            assert isinstance(outcome, StoreUnavailable)
        else:
            assert outcome.subject == "closing"
