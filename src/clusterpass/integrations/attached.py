"""Connections that stay open no longer than their session.

The connection is closed when the session ends, no matter which process ends it. It stays open
across refreshes, and after the access token has expired.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from typing import Final, Literal

from clusterpass.managers.aio.manager import AsyncSessionManager
from clusterpass.managers.aio.session_watch import AsyncSessionWatch
from clusterpass.model.errors import ClusterPassError, StoreUnavailable
from clusterpass.model.values import Session, SessionChange
from clusterpass.web.gate import NO_NEEDS, Needs

logger: Final = logging.getLogger("clusterpass.web")
UNAUTHORIZED: Final = 4401
"""The close code of a WebSocket whose session has ended."""
FORBIDDEN: Final = 4403
"""The close code of a WebSocket whose session has lost a scope, or is banned from one."""
UNAVAILABLE: Final = 4503
"""The close code of a WebSocket in a store outage, where that is wanted, and of one whose session
is not watched any more."""
_LONGEST_REASON: Final = 123
"""Bytes (RFC 6455 section 5.5)."""
InOutage = Literal["stay", "close"]


class Attached:
    """A connection that is attached to a session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        """The session as it is now; its claims and bans follow changes."""
        self.closed_with: tuple[int, str] | None = None
        """The code and the reason by which the connection was closed from here; None: it was not.
        """
        self.is_left = False
        """Whether the body has been left."""
        self.is_cancelled = False
        """Whether the body was left from here."""


@asynccontextmanager
async def attached(
    sessions: AsyncSessionManager,
    session: Session,
    close: Callable[[int, str], Awaitable[None]],
    *,
    needs: Needs = NO_NEEDS,
    in_outage: InOutage = "stay",
    leaves: bool = True,
) -> AsyncIterator[Attached]:
    """Run the body until it returns, or until ``session`` ends: then close, and leave the body.

    ``close``: closes the connection with a code and a reason: 4401 when the session has ended, 4403
    when it is no more as ``needs`` say, 4503 in a store outage with ``in_outage="close"``
    (``stay``: the connection stays open, and is closed later if its session has ended meanwhile).
    The body is left like a cancelled task, and nothing is raised after it; without ``leaves`` it
    goes on, and finds by itself that the connection is closed. For a session that has never been as
    ``needs`` say, the connection is closed before the body runs.
    """
    found = Attached(session)
    body = asyncio.current_task()
    assert body is not None
    judge = partial(_verdict, needs=needs, in_outage=in_outage)
    left = body if leaves else None
    refusal = judge(SessionChange("changed", session))
    if refusal is not None:
        async with _refused(found, refusal, close, left):
            yield found
        return
    changes = sessions.watch(session)
    watching = asyncio.create_task(_follow(changes, found, judge, close, left))
    try:
        yield found
    except asyncio.CancelledError:
        if not found.is_cancelled or body.uncancel() > 0:
            raise
    except Exception:
        if found.closed_with is None or found.is_cancelled:
            raise
        # It was not left yet, but can do nothing with a connection that is being closed.
        logger.info("a handler failed once its connection was being closed", exc_info=True)
    finally:
        found.is_left = True
        if found.closed_with is None:  # otherwise the client is being told the reason
            watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


@asynccontextmanager
async def _refused(
    found: Attached,
    verdict: tuple[int, str],
    close: Callable[[int, str], Awaitable[None]],
    body: "asyncio.Task[object] | None",
) -> AsyncIterator[None]:
    """Close the connection, and have the body left as soon as it waits for something."""
    found.closed_with = verdict
    await _tell(close, verdict)
    if body is None:
        yield
        return
    found.is_cancelled = body.cancel()
    try:
        yield
        await asyncio.sleep(0)  # a body that has waited for nothing is left here
    except asyncio.CancelledError:
        if body.uncancel() > 0:
            raise
    except Exception:
        # Mostly what cannot be done with a connection that is closed; it may be a fault of its own.
        logger.info("a handler failed once its connection was refused", exc_info=True)
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        body.uncancel()
    finally:
        found.is_left = True


async def _follow(
    changes: AsyncSessionWatch,
    found: Attached,
    judge: Callable[[SessionChange], tuple[int, str] | None],
    close: Callable[[int, str], Awaitable[None]],
    body: "asyncio.Task[object] | None",
) -> None:
    verdict = await _judged(changes, found, judge)
    found.closed_with = verdict
    try:
        await _tell(close, verdict)
    finally:
        if body is not None and not found.is_left:
            found.is_cancelled = body.cancel()


async def _tell(close: Callable[[int, str], Awaitable[None]], verdict: tuple[int, str]) -> None:
    """Close the connection. That a client has left, or a handler has closed it, is no error."""
    try:
        await close(*verdict)
    except Exception as error:  # noqa: BLE001 - each framework and server has its own
        kind = type(error).__name__
        logger.info("a connection was not closed with %s %s, but gone: %s", *verdict, kind)


async def _judged(
    changes: AsyncSessionWatch,
    found: Attached,
    judge: Callable[[SessionChange], tuple[int, str] | None],
) -> tuple[int, str]:
    """Return the code and the reason to close with, when it is time to.

    A connection that nobody watches any more is closed too: its session could end unheard.
    """
    try:
        async with aclosing(changes):
            async for change in changes:
                found.session = change.session
                verdict = judge(change)
                if verdict is not None:
                    return verdict
    except Exception as error:
        logger.exception("a session is not watched any more, and its connection is closed")
        return UNAVAILABLE, reason_of(error if isinstance(error, ClusterPassError) else None)
    return UNAVAILABLE, reason_of(StoreUnavailable(reason="closed"))


def _verdict(change: SessionChange, needs: Needs, in_outage: InOutage) -> tuple[int, str] | None:
    """Return the code and the reason to close with; None: the connection stays open."""
    if change.kind == "ended":
        return UNAUTHORIZED, reason_of(change.error)
    if change.kind == "unavailable":
        return (UNAVAILABLE, reason_of(change.error)) if in_outage == "close" else None
    try:
        needs.check(change.session)
    except ClusterPassError as error:
        return FORBIDDEN, reason_of(error)
    return None


def reason_of(error: ClusterPassError | None) -> str:
    """Return what a client is told about ``error`` when its WebSocket is closed."""
    if error is None:
        return ""
    text = error.code if error.reason is None else f"{error.code}: {error.reason}"
    return text.encode()[:_LONGEST_REASON].decode(errors="ignore")
