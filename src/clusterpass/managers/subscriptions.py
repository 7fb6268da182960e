"""Which listeners want to know of which events, and how one of them is called.

A listener that raises is logged, by its name and the error's type; the others are still told.
"""

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, cast, get_args

from clusterpass.model.errors import InvalidInput
from clusterpass.model.values import EventKind, SessionEvent

Listener = Callable[[SessionEvent], None] | Callable[[SessionEvent], Awaitable[None]]
AnyListener = TypeVar("AnyListener", bound=Callable[[SessionEvent], Any])
_NEVER_TOLD: Final = frozenset({"expired", "idle"})
"""Nobody does what happens by itself; the history has it."""
logger: Final = logging.getLogger("clusterpass.listeners")


class Subscriptions:
    """The listeners of a manager, by the kind of event that they want to know of."""

    def __init__(self) -> None:
        self.by_kind: dict[str, tuple[Listener, ...]] = {}
        """Read without a lock; replaced, never changed."""
        self._lock = threading.Lock()
        self.dropped = 0
        """Events that nobody was told, as too many were waiting."""

    def add(self, kinds: tuple[str, ...], listener: AnyListener) -> AnyListener:
        """``listener`` itself, which from now on is told events of ``kinds`` (none: all)."""
        if not callable(listener):
            raise InvalidInput("a listener must be callable")
        with self._lock:
            changed = dict(self.by_kind)
            for kind in kinds or get_args(EventKind):
                changed[kind] = (*changed.get(kind, ()), listener)
            self.by_kind = changed
        return listener

    def remove(self, listener: Callable[[SessionEvent], Any]) -> None:
        """Tell ``listener`` nothing more; no error when it was never told anything."""
        with self._lock:
            self.by_kind = {
                kind: tuple(each for each in listeners if each is not listener)
                for kind, listeners in self.by_kind.items()
            }

    def of(self, event: SessionEvent) -> tuple[Listener, ...]:
        """The listeners that want to know of ``event``."""
        return self.by_kind.get(event.kind, ())

    def note_dropped(self) -> None:
        """Count an event that is told nobody."""
        self.dropped += 1
        if self.dropped == 1 or self.dropped % 1000 == 0:
            logger.warning("listeners are too slow: %d events dropped", self.dropped)


def check_kinds(kinds: tuple[object, ...]) -> None:
    """Raises InvalidInput unless each of ``kinds`` is a kind of event that listeners are told."""
    told = [kind for kind in get_args(EventKind) if kind not in _NEVER_TOLD]
    for kind in kinds:
        if kind not in told:
            raise InvalidInput(f"there is no event {kind!r}; there are {', '.join(told)}")


def call_listener(listener: Listener, event: SessionEvent) -> None:
    """Tell ``listener`` of ``event``; a coroutine function runs in an event loop of its own."""
    try:
        answer = cast("object", listener(event))
        if inspect.isawaitable(answer):
            asyncio.run(_finish(answer))
    except BaseException as error:  # noqa: BLE001 (also SystemExit: a listener must not end us)
        _log_failure(listener, error)


async def call_listener_async(listener: Listener, event: SessionEvent) -> None:
    """Tell ``listener`` of ``event``; a plain function runs on a thread, beside the event loop."""
    try:
        await _call(listener, event)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        _log_failure(listener, error)  # raised by the listener itself
    except BaseException as error:  # noqa: BLE001 (also SystemExit: a listener must not end us)
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
    # Without the error's own message, which may hold what the event holds.
    name = getattr(listener, "__qualname__", type(listener).__name__)
    logger.error("listener %s failed: %s", name, type(error).__name__)
