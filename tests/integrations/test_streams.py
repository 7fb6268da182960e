"""A stream ends with its session, tells its reader why, and leaves nothing behind."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from clusterpass import AsyncSessionManager, Config, EmbeddedCluster, Session
from clusterpass.integrations.streams import StreamEnd, while_live


@pytest.fixture
async def sessions(cluster: EmbeddedCluster, config: Config) -> AsyncIterator[AsyncSessionManager]:
    async with AsyncSessionManager.from_url(cluster.url, config) as opened:
        yield opened


@pytest.fixture
async def session(sessions: AsyncSessionManager, subject: str) -> Session:
    return await sessions.verify((await sessions.login(subject)).access_token)


class Source:
    """Events that can be counted, and that may take long to leave."""

    def __init__(self) -> None:
        self.begun = 0
        self.is_closed = False
        self.may_close = asyncio.Event()
        self.may_close.set()

    async def events(self, most: int = 1_000) -> AsyncIterator[str]:
        try:
            for number in range(most):
                self.begun += 1
                yield str(number)
        finally:
            await self.may_close.wait()
            self.is_closed = True


def name_of(end: StreamEnd) -> str:
    return end.event


def watched(sessions: AsyncSessionManager) -> int:
    return len(sessions._flows.memory.near.followers)


async def test_a_stream_that_its_reader_closes_is_closed_to_the_end(sessions, session) -> None:
    source = Source()
    live = while_live(sessions, session, source.events())
    assert [await anext(live), await anext(live)] == ["0", "1"]
    assert watched(sessions) == 1
    await live.aclose()
    assert source.is_closed
    assert watched(sessions) == 0


async def test_a_reader_that_is_cancelled_leaves_nothing(sessions, session) -> None:
    source = Source()

    async def read() -> None:
        async for _ in while_live(sessions, session, waiting(source)):
            reading.set()

    async def waiting(source: Source) -> AsyncIterator[str]:
        async for event in source.events(1):
            yield event
            await asyncio.Event().wait()

    reading = asyncio.Event()
    reader = asyncio.create_task(read())
    await reading.wait()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert watched(sessions) == 0


async def test_a_source_is_read_no_faster_than_its_reader(sessions, session) -> None:
    source = Source()
    live = while_live(sessions, session, source.events(3))
    assert await anext(live) == "0"
    for _ in range(10):
        await asyncio.sleep(0)
    assert source.begun == 1
    assert [each async for each in live] == ["1", "2"]
    assert source.is_closed
    assert watched(sessions) == 0


async def test_nothing_comes_between_the_end_and_the_last_event(sessions, session) -> None:
    source = Source()
    source.may_close.clear()
    live = while_live(sessions, session, source.events(), last=name_of)
    assert await anext(live) == "0"
    await sessions.revoke_all(session.subject)
    # The session ends while the reader is busy with an event.
    while (event := await anext(live)) != "session_ended":
        assert event.isdigit()
    assert not source.is_closed, "the reader is told before the source has been closed"
    source.may_close.set()
    assert [each async for each in live] == []
    assert source.is_closed


async def test_a_session_that_has_ended_before_has_one_event(sessions, session) -> None:
    await sessions.revoke_all(session.subject)

    async def silent() -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield "never"

    live = while_live(sessions, session, silent(), last=lambda end: end.data)
    (last,) = [each async for each in live]
    assert json.loads(last) == {"code": 4401, "reason": "session_revoked: revoked"}


async def test_a_source_that_goes_on_when_cancelled_is_not_heard(sessions, session) -> None:
    waiting = asyncio.Event()

    async def stubborn() -> AsyncIterator[str]:
        try:
            yield "0"
            waiting.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            yield "after the end"

    async def read() -> list[str]:
        return [each async for each in while_live(sessions, session, stubborn(), last=name_of)]

    reader = asyncio.create_task(read())
    await waiting.wait()
    await sessions.revoke_all(session.subject)
    assert await reader == ["0", "session_ended"]
    assert watched(sessions) == 0


async def test_an_error_of_the_source_is_that_of_the_stream(sessions, session) -> None:
    async def failing() -> AsyncIterator[str]:
        yield "0"
        raise LookupError("of the application")

    live = while_live(sessions, session, failing(), last=name_of)
    assert await anext(live) == "0"
    with pytest.raises(LookupError, match="of the application"):
        await anext(live)
    assert watched(sessions) == 0


async def test_what_fills_silence_comes_again_and_loses_no_event(sessions, session) -> None:
    go_on = asyncio.Event()

    async def pausing() -> AsyncIterator[str]:
        await go_on.wait()
        yield "0"

    live = while_live(sessions, session, pausing(), idle=(0.01, "silence"))
    assert [await anext(live), await anext(live)] == ["silence", "silence"]
    go_on.set()
    assert [each async for each in live if each != "silence"] == ["0"]
