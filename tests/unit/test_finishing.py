"""``users.finishing``: a call that has begun is completed although its caller is cancelled."""

import asyncio

import pytest

from clusterpass.users import finishing


def under_way() -> int:
    return len(finishing._UNDER_WAY)


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_it_goes_on_to_its_end_and_is_kept_until_then(is_cancelled: bool) -> None:
    may_end, ended = asyncio.Event(), asyncio.Event()

    async def act() -> str:
        await may_end.wait()
        ended.set()
        return "done"

    caller = asyncio.create_task(finishing.finish_async(act))
    await asyncio.sleep(0)
    assert under_way() == 1
    if is_cancelled:
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert under_way() == 1
    may_end.set()
    await ended.wait()
    if not is_cancelled:
        assert await caller == "done"
    await asyncio.sleep(0)
    assert under_way() == 0


async def test_what_it_raises_is_raised() -> None:
    async def act() -> None:
        raise LookupError("of the act")

    for _ in range(2):
        with pytest.raises(LookupError, match="of the act"):
            await finishing.finish_async(act)
    await asyncio.sleep(0)
    assert under_way() == 0
