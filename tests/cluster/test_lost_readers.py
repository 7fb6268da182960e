"""Entries read over a connection that was lost: they leave the cache within the bound.

A node remembers who has read a key as a connection, also where it pushes to another one.
"""

import asyncio
import threading
import time
from typing import Any

import pytest

from clusterpass import AsyncSessionManager, EmbeddedCluster, SessionManager
from tests.cluster.stored import eventually

pytestmark = pytest.mark.timeout(120)


def end_readers(cluster: EmbeddedCluster) -> None:
    """End every connection that is not the one of a watch: nodes do so with those that idle."""
    for node in cluster.nodes:
        with cluster.client(node) as client:
            own = str(client.client_id())
            for each in client.client_list():
                if each["sub"] == "0" and each["id"] != own and each["flags"] not in {"S", "M"}:
                    client.client_kill_filter(_id=each["id"])


def is_gone_within_the_bound(manager: Any, token: str) -> bool:
    ends = time.monotonic() + manager.stats().staleness_bound
    while time.monotonic() < ends:
        time.sleep(0.01)
    return manager.recall(token) is None


def test_threads_whose_connection_was_lost(config, subject):
    with (
        EmbeddedCluster(nodes=3) as cluster,
        SessionManager.from_url(cluster.url, config) as manager,
    ):
        pair = manager.login(subject)
        eventually(lambda: manager.verify(pair.access_token) and manager.recall(pair.access_token))
        end_readers(cluster)
        with SessionManager.from_url(cluster.url, config) as other:
            other.revoke(subject, pair.session_id)
        assert is_gone_within_the_bound(manager, pair.access_token)


def test_an_event_loop_that_has_ended(cluster, config, subject):
    manager = AsyncSessionManager.from_url(cluster.url, config)
    watches, is_over = threading.Event(), threading.Event()
    tokens: list[Any] = []

    async def watch() -> None:
        await manager.login(f"{subject}-beside")
        watches.set()
        await asyncio.to_thread(is_over.wait, 60)

    async def read() -> None:
        pair = await manager.login(subject)
        tokens.append(pair)
        async with asyncio.timeout(20):
            while manager.recall(pair.access_token) is None:
                await manager.verify(pair.access_token)
                await asyncio.sleep(0.02)

    watching = threading.Thread(target=asyncio.run, args=(watch(),))
    watching.start()
    assert watches.wait(20)
    reading = threading.Thread(target=asyncio.run, args=(read(),))
    reading.start()
    reading.join(60)
    with SessionManager.from_url(cluster.url, config) as other:
        other.revoke(subject, tokens[0].session_id)
    try:
        assert is_gone_within_the_bound(manager, tokens[0].access_token)
    finally:
        is_over.set()
        watching.join(20)
        asyncio.run(manager.close())
