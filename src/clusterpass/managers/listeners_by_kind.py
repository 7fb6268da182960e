"""The listeners of a manager, registered by kind of event, and the functions that call them.

An exception in a listener is logged, with the name of the listener and the type of the error. The
remaining listeners are still called.
"""

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, cast, get_args

from clusterpass.model.errors import InvalidInput
from clusterpass.model.events import EventKind, ListenerScope, SessionEvent
from clusterpass.sessions.event_of_line import TOLD_BY_HISTORY

Listener = Callable[[SessionEvent], None] | Callable[[SessionEvent], Awaitable[None]]
AnyListener = TypeVar("AnyListener", bound=Callable[[SessionEvent], Any])
_NEVER_TOLD: Final = frozenset({"expired", "idle"})
"""Kinds that only the history has: sessions that expire cause no event."""
logger: Final = logging.getLogger("clusterpass.listeners")


class Subscriptions:
    """The listeners of a manager, by the kind of event that they subscribe to."""

    def __init__(self) -> None:
        self.by_kind: dict[str, tuple[Listener, ...]] = {}
        """The listeners of each kind. Read without a lock, so it is replaced and never mutated."""
        self._lock = threading.Lock()
        self.dropped = 0
        """The number of events that were dropped because listeners were too slow."""

    def add(self, kinds: tuple[str, ...], listener: AnyListener) -> AnyListener:
        """Call ``listener`` for events of ``kinds`` (none: of all kinds); return ``listener``.

        Raises InvalidInput when ``listener`` is not callable.
        """
        if not callable(listener):
            raise InvalidInput("a listener must be callable")
        with self._lock:
            changed = dict(self.by_kind)
            for kind in kinds or get_args(EventKind):
                changed[kind] = (*changed.get(kind, ()), listener)
            self.by_kind = changed
        return listener

    def remove(self, listener: Callable[[SessionEvent], Any]) -> None:
        """Stop calling ``listener``; do nothing if it was never added."""
        with self._lock:
            self.by_kind = {
                kind: tuple(each for each in listeners if each is not listener)
                for kind, listeners in self.by_kind.items()
            }

    @property
    def is_empty(self) -> bool:
        """Whether there is no listener."""
        return not any(self.by_kind.values())

    def of(self, event: SessionEvent) -> tuple[Listener, ...]:
        """Return the listeners that subscribe to the kind of ``event``."""
        return self.by_kind.get(event.kind, ())

    def note_dropped(self) -> None:
        """Count a dropped event; log the first and every thousandth."""
        self.dropped += 1
        if self.dropped == 1 or self.dropped % 1000 == 0:
            logger.warning("listeners are too slow: %d events dropped", self.dropped)

    def note_left(self, count: int) -> None:
        """Count the events that were dropped when the manager was closed, and log their number."""
        if count:
            self.dropped += count
            logger.warning("closed before listeners were told of %d events", count)


def check_kinds(kinds: tuple[EventKind, ...], scope: object) -> tuple[EventKind, ...]:
    """Return the kinds that a listener of ``scope`` hears of: ``kinds``, or without any all.

    Raises InvalidInput unless listeners of ``scope`` can subscribe to each of ``kinds``.
    """
    scopes = get_args(ListenerScope)
    if scope not in scopes:
        raise InvalidInput(f"scope must be one of {', '.join(scopes)}")
    if scope == "process":
        told = [kind for kind in get_args(EventKind) if kind not in _NEVER_TOLD]
    else:
        told = [kind for kind in get_args(EventKind) if kind in TOLD_BY_HISTORY]
    for kind in kinds:
        if kind not in told:
            of = "" if scope == "process" else " of other processes"
            raise InvalidInput(f"there is no event {kind!r}{of}; use one of {', '.join(told)}")
    return kinds or (() if scope == "process" else tuple(told))


def call_listener(listener: Listener, event: SessionEvent) -> None:
    """Call ``listener`` with ``event``; a coroutine function runs in its own event loop."""
    try:
        answer = cast("object", listener(event))
        if inspect.isawaitable(answer):
            asyncio.run(_finish(answer))
    except BaseException as error:  # noqa: BLE001 (not even SystemExit may escape)
        _log_failure(listener, error)


async def call_listener_async(listener: Listener, event: SessionEvent) -> None:
    """Call ``listener`` with ``event``; a plain function runs on a thread, off the event loop."""
    try:
        await _call(listener, event)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        _log_failure(listener, error)  # raised by the listener itself
    except BaseException as error:  # noqa: BLE001 (not even SystemExit may escape)
        _log_failure(listener, error)


async def _call(listener: Listener, event: SessionEvent) -> None:
    target = listener if inspect.isroutine(listener) else getattr(listener, "__call__", listener)  # noqa: B004
    if inspect.iscoroutinefunction(target):
        await cast("Awaitable[None]", listener(event))
        return
    answer = cast("object", await asyncio.to_thread(listener, event))
    if inspect.isawaitable(answer):
        await answer


async def _finish(answer: Awaitable[Any]) -> None:
    await answer


def _log_failure(listener: Listener, error: BaseException) -> None:
    # The error's message is left out, as it may quote data of the event.
    name = getattr(listener, "__qualname__", type(listener).__name__)
    logger.error("listener %s failed: %s", name, type(error).__name__)
