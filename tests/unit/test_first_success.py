"""The first success among several concurrent attempts."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from clusterpass import StoreDenied, StoreUnavailable
from clusterpass.store.drivers.first_success import first_success

NEVER, AT_ONCE = 3600.0, 0.0


class Attempts:
    """Attempts that do what a test says, and which of them have begun and were cancelled."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.cancelled: list[str] = []

    def __call__(
        self, name: str, outcome: Exception | None = None, *, hangs: bool = False
    ) -> Callable[[], Awaitable[None]]:
        async def attempt() -> None:
            self.begun.append(name)
            if hangs:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    self.cancelled.append(name)
                    raise
            await asyncio.sleep(0)
            if outcome is not None:
                raise outcome

        return attempt


@pytest.fixture
def attempts() -> Attempts:
    return Attempts()


async def test_where_all_is_well_one_is_made(attempts):
    await first_success([attempts("a"), attempts("b")], NEVER)
    assert attempts.begun == ["a"]


async def test_who_hangs_holds_up_nobody(attempts):
    given = [attempts("a", hangs=True), attempts("b", hangs=True), attempts("c")]
    await first_success(given, AT_ONCE)
    assert attempts.begun == ["a", "b", "c"]
    assert attempts.cancelled == ["a", "b"]


async def test_a_failure_is_no_reason_to_wait(attempts):
    await first_success([attempts("a", StoreUnavailable()), attempts("b")], NEVER)
    assert attempts.begun == ["a", "b"]


async def test_all_have_to_fail(attempts):
    last = StoreUnavailable(node="b:1")
    with pytest.raises(StoreUnavailable) as raised:
        await first_success([attempts("a", StoreUnavailable()), attempts("b", last)], AT_ONCE)
    assert raised.value is last
    denied = StoreDenied("no")
    with pytest.raises(StoreDenied):
        await first_success([attempts("a", denied), attempts("b", last)], AT_ONCE)


async def test_who_asks_may_leave(attempts):
    given = [attempts("a", hangs=True), attempts("b", hangs=True)]
    asking = asyncio.create_task(first_success(given, AT_ONCE))
    async with asyncio.timeout(20):
        while attempts.begun != ["a", "b"]:
            await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert attempts.cancelled == ["a", "b"]
