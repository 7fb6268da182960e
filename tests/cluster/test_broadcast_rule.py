"""The broadcast rule on a real cluster: nodes switch to broadcast tracking and back."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from clusterpass import AsyncSessionManager, EmbeddedCluster, SessionManager
from clusterpass.store.drivers import broadcast_rule, pushing
from tests.cluster.stored import eventually
from tests.cluster.test_acl import QUOTED, documented_rights
from tests.cluster.test_without_resp3 import add_user

pytestmark = pytest.mark.timeout(120)
HELD = 40


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    """One on which nobody else tracks."""
    with EmbeddedCluster(nodes=3) as running:
        yield running


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few sessions are many, and the rule is applied at each turn."""
    monkeypatch.setattr(broadcast_rule, "_MANY_HELD", HELD)
    monkeypatch.setattr(pushing, "SECONDS_BETWEEN_QUESTIONS", 0.0)


def flags_of_watches(cluster: EmbeddedCluster) -> set[bool]:
    """Whether the connections that get pushes get those of all changes."""
    found = set()
    for node in cluster.nodes:
        with cluster.client(node) as client:
            found |= {"B" in each["flags"] for each in client.client_list() if each["sub"] == "1"}
    return found


def hold(manager: SessionManager, tokens: list[str]) -> None:
    eventually(lambda: None not in [manager.verify(t) and manager.recall(t) for t in tokens])


async def hold_all(manager: AsyncSessionManager, tokens: list[str]) -> None:
    """Verify all until all are served from memory."""
    while None in [manager.recall(token) for token in tokens]:
        for token in tokens:
            assert await manager.verify(token)
        await asyncio.sleep(0)


def test_the_rule_is_applied_to_open_connections(cluster, config, subject, monkeypatch):
    with SessionManager.from_url(cluster.url, config) as manager:
        pairs = [manager.login(f"{subject}-{number}") for number in range(HELD)]
        hold(manager, [pairs[0].access_token])
        assert flags_of_watches(cluster) == {False}
        tokens = [pair.access_token for pair in pairs]
        hold(manager, tokens)
        eventually(lambda: manager.verify(tokens[0]) and flags_of_watches(cluster) == {True})
        hold(manager, tokens)
        with SessionManager.from_url(cluster.url, config) as other:
            other.revoke(pairs[1].subject, pairs[1].session_id)
        eventually(lambda: manager.recall(tokens[1]) is None)
        monkeypatch.setattr(broadcast_rule, "_MANY_HELD", 100 * HELD)
        eventually(lambda: manager.verify(tokens[0]) and flags_of_watches(cluster) == {False})
        hold(manager, [tokens[0], *tokens[2:]])


@pytest.mark.alternating
async def test_while_it_is_applied_nothing_is_refused(cluster, config, subject):
    async with AsyncSessionManager.from_url(cluster.url, config) as manager:
        pairs: list[Any] = [await manager.login(f"{subject}-{number}") for number in range(HELD)]
        ends = time.monotonic() + 3
        while time.monotonic() < ends:
            for pair in pairs:
                assert await manager.verify(pair.access_token)
        assert flags_of_watches(cluster) == {True}


async def test_what_is_held_stays_when_all_changes_are_pushed(
    cluster, config, subject, monkeypatch
):
    monkeypatch.setattr(broadcast_rule, "_MANY_HELD", 100 * HELD)
    async with AsyncSessionManager.from_url(cluster.url, config) as manager:
        pairs: list[Any] = [await manager.login(f"{subject}-{number}") for number in range(HELD)]
        tokens = [pair.access_token for pair in pairs]
        await hold_all(manager, tokens)
        assert await asyncio.to_thread(flags_of_watches, cluster) == {False}
        monkeypatch.setattr(broadcast_rule, "_MANY_HELD", HELD)
        while await asyncio.to_thread(flags_of_watches, cluster) != {True}:
            manager.recall(tokens[0])  # the heartbeats go on
        # Nobody verifies any more, so what was void would not come back.
        while None in [manager.recall(token) for token in tokens]:
            await asyncio.sleep(0)
        async with AsyncSessionManager.from_url(cluster.url, config) as other:
            await other.revoke(pairs[1].subject, pairs[1].session_id)
        while manager.recall(tokens[1]) is not None:
            await asyncio.sleep(0)
        assert manager.recall(tokens[0]) is not None


async def test_a_user_who_may_not_end_a_transaction_is_not_taken_for_one_that_hears_of_all(
    cluster, config, subject
):
    """What another event loop has read is announced to the watch only once all changes are."""
    add_user(cluster, "half", *[each for each in documented_rights() if each != "+exec"])
    url = cluster.url.replace("://", f"://half:{QUOTED}@")
    async with AsyncSessionManager.from_url(url, config) as manager:
        pairs: list[Any] = [await manager.login(f"{subject}-{number}") for number in range(HELD)]
        tokens = [pair.access_token for pair in pairs]
        while await asyncio.to_thread(flags_of_watches, cluster) != {True}:
            await hold_all(manager, tokens)
        await hold_all(manager, tokens)
        async with AsyncSessionManager.from_url(cluster.url, config) as other:
            await other.revoke(pairs[1].subject, pairs[1].session_id)
        while manager.recall(tokens[1]) is not None:
            await asyncio.sleep(0)
