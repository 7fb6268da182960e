"""Helpers that wait for an answer from memory and tell it from one of the store."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from clusterpass.service.authz.handler import FrontDoor

from ..conftest import Service


@contextmanager
def only_memory() -> Iterator[None]:
    """Whatever memory is not enough for is a fault meanwhile."""

    async def unexpected(*_: Any) -> None:
        raise RuntimeError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FrontDoor, "judge", unexpected)
        yield


async def remembered(door: Service, asking: Callable[[], Any]) -> Any:
    """Ask until the answer comes from memory, and is not logged; return it."""
    async with asyncio.timeout(20):
        while True:
            before = len(door.lines())
            answer = await asking()
            if len(door.lines()) == before:
                return answer
            await asyncio.sleep(0.01)


async def kept(asking: Callable[[], Any]) -> httpx.Response:
    """The answer from memory, which is not served for a moment after the machine has stalled."""
    async with asyncio.timeout(20):
        while (answer := await asking()).status_code == 500:
            await asyncio.sleep(0.01)
        return answer


async def equals(asking: Callable[[], Any], wanted: Any) -> bool:
    """Whether the answer from memory is what is wanted; see :func:`kept`."""
    async with asyncio.timeout(20):
        while await asking() != wanted:
            await asyncio.sleep(0.01)
        return True


async def becomes(asking: Callable[[], Any], status: int) -> httpx.Response:
    """Ask until the status is another one, which it has to stay."""
    async with asyncio.timeout(20):
        while (answer := await asking()).status_code != status:
            assert answer.status_code == 200
            await asyncio.sleep(0.01)
    again = await asking()
    assert again.status_code == status
    return answer


def same(answer: httpx.Response) -> list[tuple[str, str]]:
    """The headers but the request id, of which each answer has its own."""
    assert answer.status_code == 200
    assert answer.headers["x-request-id"]
    return [pair for pair in answer.headers.multi_items() if pair[0] != "x-request-id"]


async def becomes_ok(asking: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while (await asking()).status_code != 200:
            await asyncio.sleep(0.01)
