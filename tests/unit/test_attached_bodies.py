"""Cancellation of the body of a connection that is attached to a session."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from clusterpass import AsyncSessionManager
from clusterpass.integrations.attached import attached
from clusterpass.web.needs import Needs

from .manager_scene import CONFIG
from .test_watch_iteration import GONE, LONG, SESSION, Reading, readings


@pytest.fixture
async def sessions() -> AsyncIterator[AsyncSessionManager]:
    async with asyncio.timeout(LONG), AsyncSessionManager(Reading(), CONFIG) as manager:
        yield manager


class Connection:
    """A connection that takes a while to be closed."""

    def __init__(self) -> None:
        self.closing, self.may_close = asyncio.Event(), asyncio.Event()
        self.closed_with: list[tuple[int, str]] = []

    async def close(self, code: int, reason: str) -> None:
        self.closing.set()
        await self.may_close.wait()
        self.closed_with.append((code, reason))


def cancellations() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


async def test_a_body_that_ends_while_its_connection_is_closed_is_not_cancelled_later(
    sessions: AsyncSessionManager,
) -> None:
    readings(sessions, [GONE])
    connection = Connection()
    async with attached(sessions, SESSION, connection.close):
        await connection.closing.wait()
        asyncio.get_running_loop().call_later(0.01, connection.may_close.set)
    assert connection.closed_with == [(4401, "session_revoked: revoked")]
    await asyncio.sleep(0)
    assert cancellations() == 0


async def test_a_body_that_waits_is_left_once_its_connection_is_closed(
    sessions: AsyncSessionManager,
) -> None:
    readings(sessions, [GONE])
    connection, is_left = Connection(), True
    connection.may_close.set()
    async with attached(sessions, SESSION, connection.close) as found:
        await asyncio.sleep(LONG)
        is_left = False
    assert is_left
    assert (found.is_left, found.is_cancelled) == (True, True)
    assert found.closed_with == connection.closed_with[0] == (4401, "session_revoked: revoked")
    assert cancellations() == 0


async def test_a_body_that_ends_first_leaves_its_connection_open(
    sessions: AsyncSessionManager,
) -> None:
    readings(sessions, [SESSION])
    connection = Connection()
    async with attached(sessions, SESSION, connection.close) as found:
        await asyncio.sleep(0)
    assert (found.is_left, found.closed_with, connection.closed_with) == (True, None, [])
    assert len(sessions._flows.memory.near.followers) == 0


@pytest.mark.parametrize("fails", [False, True])
async def test_a_body_that_waits_for_nothing_is_not_cancelled_after_its_refusal(
    sessions: AsyncSessionManager, fails: bool
) -> None:
    connection = Connection()
    connection.may_close.set()
    needs = Needs(scopes=("orders:write",))
    async with attached(sessions, SESSION, connection.close, needs=needs) as found:
        if fails:
            raise OSError("the connection is closed")
    assert found.is_left
    assert [code for code, _ in connection.closed_with] == [4403]
    await asyncio.sleep(0)
    assert cancellations() == 0
