"""Server-sent events (WHATWG HTML, section 9.2), for frameworks that have no class for them."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from clusterpass.integrations.attached import InOutage
from clusterpass.integrations.streams import Event, StreamEnd, while_live
from clusterpass.managers.aio.manager import AsyncSessionManager
from clusterpass.model.errors import InvalidInput
from clusterpass.model.values import Session
from clusterpass.web.gate import Needs

MEDIA_TYPE: Final = "text/event-stream"
HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""No copy in a cache, and no buffer in nginx."""
KEEP_ALIVE: Final = 15.0
"""Seconds."""
KEEP_ALIVE_COMMENT: Final = "keep-alive"
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_BREAKS_A_FIELD: Final = re.compile(r"[\r\n\0]")


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """An event, or a comment; what is None is not sent."""

    data: str | None = None
    """The data, of one line or several. A client ignores an event without."""
    event: str | None = None
    """The name of the event; None: ``message``."""
    id: str | None = None
    """What a client that connects again sends as ``Last-Event-ID``."""
    retry: int | None = None
    """Milliseconds after which a client that was disconnected connects again, from now on; an event
    may have this alone."""
    comment: str | None = None
    """What clients ignore."""

    def __post_init__(self) -> None:
        """Raises InvalidInput for a line break in ``event`` or ``id``, and a ``retry`` that clients
        would ignore: a negative number, or none that is whole."""
        for name, value in (("event", self.event), ("id", self.id)):
            if value is not None and _BREAKS_A_FIELD.search(value):
                raise InvalidInput(f"{name} of an event must be one line")
        retry: object = self.retry
        if retry is not None and (
            not isinstance(retry, int) or isinstance(retry, bool) or retry < 0
        ):
            raise InvalidInput("retry of an event must be a whole number of milliseconds")

    def encode(self) -> bytes:
        """Return the event as it is sent, with the empty line that ends it."""
        lines = [f": {line}" for line in _lines(self.comment)]
        for name, value in (("event", self.event), ("id", self.id), ("retry", self.retry)):
            if value is not None:
                lines.append(f"{name}: {value}")
        lines += [f"data: {line}" for line in _lines(self.data)]
        return "\n".join([*lines, "", ""]).encode()


def event_bytes(
    sessions: AsyncSessionManager,
    session: Session,
    events: AsyncIterator[ServerSentEvent | str],
    *,
    needs: Needs,
    in_outage: InOutage,
    keep_alive: float | None,
) -> AsyncGenerator[bytes]:
    """Return the bytes of ``events`` until they or ``session`` end; then one event that says why.

    ``keep_alive``: seconds without an event after which a comment is sent; None: never. The first
    bytes are a comment, as some servers send no headers before. Raises InvalidInput for a
    ``keep_alive`` that is not positive.
    """
    comment = ServerSentEvent(comment=KEEP_ALIVE_COMMENT)
    live = while_live(
        sessions,
        session,
        events,
        needs=needs,
        in_outage=in_outage,
        last=last_event,
        idle=idle_of(keep_alive, comment),
    )
    return _encoded(comment, live)


async def _encoded(
    first: ServerSentEvent, events: AsyncGenerator[ServerSentEvent | str]
) -> AsyncGenerator[bytes]:
    async with aclosing(events):
        yield first.encode()
        async for event in events:
            whole = ServerSentEvent(event) if isinstance(event, str) else event
            yield whole.encode()


def idle_of(keep_alive: float | None, comment: Event) -> tuple[float, Event] | None:
    """Return what fills silence: ``comment`` every ``keep_alive`` seconds; None: nothing does.

    Raises InvalidInput for a time that is not positive.
    """
    if keep_alive is None:
        return None
    if not keep_alive > 0:
        raise InvalidInput("keep_alive must be more than 0 seconds, or None")
    return keep_alive, comment


def last_event(end: StreamEnd) -> ServerSentEvent:
    """Return the event that tells a client why its stream ends."""
    return ServerSentEvent(**end.fields())


def _lines(text: str | None) -> list[str]:
    return [] if text is None else _LINE_END.split(text)


__all__ = [
    "HEADERS",
    "KEEP_ALIVE",
    "KEEP_ALIVE_COMMENT",
    "MEDIA_TYPE",
    "ServerSentEvent",
    "event_bytes",
    "idle_of",
    "last_event",
]
