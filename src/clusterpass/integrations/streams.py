"""Streams of events that end with their session, and can say why in a last event."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from clusterpass.integrations.attached import (
    FORBIDDEN,
    UNAUTHORIZED,
    UNAVAILABLE,
    InOutage,
    attached,
)
from clusterpass.managers.aio.manager import AsyncSessionManager
from clusterpass.model.values import Session
from clusterpass.web.gate import NO_NEEDS, Needs

Event = TypeVar("Event")
_NAMES: Final = {UNAUTHORIZED: "session_ended", FORBIDDEN: "forbidden", UNAVAILABLE: "unavailable"}
_RETRY: Final = (5_000, 10_000)
"""Milliseconds; drawn at random, so that clients do not come back all at once."""


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """The reason why a stream ends before its events do."""

    code: int
    """4401: the session has ended. 4403: it has lost a scope, or is banned from one. 4503: the
    store is unavailable."""
    reason: str
    """The reason, in the words with which a WebSocket is closed: ``session_revoked: revoked``."""

    @property
    def event(self) -> str:
        """The name of the last event: ``session_ended``, ``forbidden`` or ``unavailable``."""
        return _NAMES[self.code]

    @property
    def data(self) -> str:
        """The data of the last event: the code and the reason in JSON."""
        return json.dumps({"code": self.code, "reason": self.reason})

    @property
    def retry(self) -> int | None:
        """Milliseconds after which a client may come back; None: the session is not admitted."""
        return random.randrange(*_RETRY) if self.code == UNAVAILABLE else None  # noqa: S311

    def fields(self) -> dict[str, Any]:
        """Return event, data and retry as a dictionary, for the event class of a framework."""
        return {"event": self.event, "data": self.data, "retry": self.retry}


class _Over:
    """The mark behind the last event, with the reason if the stream ends early."""

    def __init__(self, end: StreamEnd | None = None) -> None:
        self.end: Final = end


async def while_live(
    sessions: AsyncSessionManager,
    session: Session,
    events: AsyncIterator[Event],
    *,
    needs: Needs = NO_NEEDS,
    in_outage: InOutage = "stay",
    last: Callable[[StreamEnd], Event] | None = None,
    idle: tuple[float, Event] | None = None,
) -> AsyncGenerator[Event]:
    """Yield ``events`` until they or ``session`` end, for a stream of server-sent events.

    ``needs`` and ``in_outage``: as for :func:`clusterpass.integrations.attached.attached`.
    ``last``: makes the event that is yielded last if the stream ends before ``events`` do.
    ``idle``: seconds, and what to yield whenever so many have passed without an event. ``events``
    is closed and the session no longer watched when the iteration ends or is closed.
    """
    queue: asyncio.Queue[Event | _Over] = asyncio.Queue()

    async def end(code: int, reason: str) -> None:
        """End the stream at once, and not when the source has been left."""
        queue.put_nowait(_Over(StreamEnd(code, reason)))

    async def read() -> None:
        try:
            async with attached(sessions, session, end, needs=needs, in_outage=in_outage) as found:
                async for event in events:
                    if found.closed_with is not None:  # it was cancelled, and went on
                        break
                    queue.put_nowait(event)
                    await queue.join()
        finally:
            await leave(events)

    reading = asyncio.create_task(read())
    reading.add_done_callback(lambda _: queue.put_nowait(_Over()))
    is_leaving = False
    try:
        while True:
            try:
                async with asyncio.timeout(None if idle is None else idle[0]):
                    item = await queue.get()
            except TimeoutError:
                assert idle is not None
                yield idle[1]
                continue
            if isinstance(item, _Over):
                break
            yield item
            queue.task_done()
        is_leaving = True
        if item.end is None:
            reading.result()
        elif last is not None:
            yield last(item.end)
    finally:
        if not is_leaving:  # else it was cancelled, and must not be again while it cleans up
            reading.cancel()
        if not reading.done():
            await asyncio.wait((reading,))


async def leave(events: AsyncIterator[Any]) -> None:
    """Close ``events``, if they can be closed."""
    close = getattr(events, "aclose", None)
    if close is not None:  # not generators alone have one
        await close()


async def nothing_of(events: AsyncIterator[Any]) -> AsyncGenerator[Any]:
    """Close ``events`` and yield nothing: the body of the answer to a HEAD request."""
    await leave(events)
    nothing: tuple[Any, ...] = ()
    for event in nothing:
        yield event
