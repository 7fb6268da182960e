"""Tells listeners what happened, on a thread of its own: no listener can slow or break a verb.

- What waits is bounded; when listeners cannot keep up, events are dropped, counted and logged.
- A listener that raises is logged, by its name and the error's type; the others are still told.
- After a fork the child has its own thread, and nothing of the parent's queue.
"""

import asyncio
import inspect
import logging
import os
import queue
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, get_args

from clusterpass.model.errors import InvalidInput
from clusterpass.model.values import EventKind, SessionEvent

Listener = Callable[[SessionEvent], None] | Callable[[SessionEvent], Awaitable[None]]
AnyListener = TypeVar("AnyListener", bound=Callable[[SessionEvent], Any])
MOST_WAITING: Final = 10_000
_NEVER_TOLD: Final = frozenset({"expired", "idle"})
"""Nobody does what happens by itself; the history has it."""
_CLOSING_SECONDS: Final = 5.0
logger: Final = logging.getLogger("clusterpass.listeners")


class Subscriptions:
    """Who wants to know what. Replaced as a whole, so that threads need no lock to read it."""

    def __init__(self) -> None:
        self._by_kind: dict[str, tuple[Listener, ...]] = {}
        self._lock = threading.Lock()
        self.dropped = 0
        """Events that nobody was told, as too many were waiting."""

    def add(self, kinds: tuple[str, ...], listener: AnyListener) -> AnyListener:
        """``listener`` itself, which from now on is told events of ``kinds`` (none: all)."""
        if not callable(listener):
            raise InvalidInput("a listener must be callable")
        with self._lock:
            changed = dict(self._by_kind)
            for kind in kinds or get_args(EventKind):
                changed[kind] = (*changed.get(kind, ()), listener)
            self._by_kind = changed
        return listener

    def remove(self, listener: Callable[[SessionEvent], Any]) -> None:
        """``listener`` is told nothing more; no error when it never was."""
        with self._lock:
            self._by_kind = {
                kind: tuple(each for each in listeners if each is not listener)
                for kind, listeners in self._by_kind.items()
            }

    def of(self, event: SessionEvent) -> tuple[Listener, ...]:
        """Who wants to know of ``event``."""
        return self._by_kind.get(event.kind, ())

    def note_dropped(self) -> None:
        """Count an event that is told nobody."""
        self.dropped += 1
        if self.dropped == 1 or self.dropped % 1000 == 0:
            logger.warning("listeners are too slow: %d events dropped", self.dropped)


def check_kinds(kinds: tuple[object, ...]) -> None:
    """Raises InvalidInput unless each of ``kinds`` is the kind of an event."""
    told = [kind for kind in get_args(EventKind) if kind not in _NEVER_TOLD]
    for kind in kinds:
        if kind not in told:
            raise InvalidInput(f"there is no event {kind!r}; there are {', '.join(told)}")


def log_failure(listener: Listener, error: BaseException) -> None:
    """Say that a listener failed, without what the error may hold of the event."""
    name = getattr(listener, "__qualname__", type(listener).__name__)
    logger.error("listener %s failed: %s", name, type(error).__name__)


class ThreadListeners:
    """For the synchronous manager."""

    def __init__(self) -> None:
        self.subscriptions: Final = Subscriptions()
        self.begin_anew()
        _all_listeners.add(self)

    def begin_anew(self) -> None:
        """Forget the thread and what waits; for the child of a fork."""
        self._lock = threading.Lock()
        self._waiting: queue.Queue[SessionEvent | None] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None

    def tell(self, event: SessionEvent) -> None:
        """Hand ``event`` over; returns at once and never raises."""
        if not self.subscriptions.of(event):
            return
        try:
            if self._thread is None:
                self._start()
            self._waiting.put_nowait(event)
        except (queue.Full, RuntimeError):
            # RuntimeError: no thread can be started, as at the end of the interpreter.
            self.subscriptions.note_dropped()

    def close(self) -> None:
        """Tell what still waits, for at most five seconds."""
        thread = self._thread
        if thread is None:
            return
        try:
            self._waiting.put(None, timeout=_CLOSING_SECONDS)
        except queue.Full:
            self.subscriptions.note_dropped()
            return
        if thread is not threading.current_thread():
            thread.join(_CLOSING_SECONDS)
        self._thread = None

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="clusterpass-listeners", daemon=True
                )
                self._thread.start()

    def _work(self) -> None:
        while (event := self._waiting.get()) is not None:
            for listener in self.subscriptions.of(event):
                try:
                    answer = listener(event)
                    if inspect.isawaitable(answer):
                        asyncio.run(_finish(answer))
                except BaseException as error:  # noqa: BLE001 (also SystemExit: it is not theirs to end this)
                    log_failure(listener, error)


_all_listeners: Final[weakref.WeakSet[ThreadListeners]] = weakref.WeakSet()


def _begin_anew_after_fork() -> None:
    # The queue's locks may be held by threads that are only in the parent.
    for each in list(_all_listeners):
        each.begin_anew()


os.register_at_fork(after_in_child=_begin_anew_after_fork)


async def _finish(answer: Awaitable[None]) -> None:
    await answer
