"""A recorder of the order in which threads take locks.

A cycle in that order is a potential deadlock.
"""

import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

_NEW: Final[dict[str, Callable[[], Any]]] = {"Lock": threading.Lock, "RLock": threading.RLock}


class Order:
    """The locks that any thread took while it held others."""

    def __init__(self) -> None:
        self.later: defaultdict[str, set[str]] = defaultdict(set)
        """For each lock, the locks that were taken while it was held."""
        self._held = threading.local()
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._guard = _NEW["Lock"]()

    def name_of(self, place: str) -> str:
        """A name for one more lock that was created at ``place``."""
        with self._guard:
            self._counts[place] += 1
            return f"{place}#{self._counts[place]}"

    def taken(self, name: str) -> None:
        held = self._held.__dict__.setdefault("names", [])
        with self._guard:
            for other in held:
                if name not in held:  # a reentrant lock that is held already waits for nobody
                    self.later[other].add(name)
        held.append(name)

    def let_go(self, name: str) -> None:
        held = self._held.__dict__.get("names", [])
        if name in held:
            held.reverse()
            held.remove(name)
            held.reverse()

    def circle(self) -> list[str]:
        """Names of locks each of which was taken while the one before was held; empty: none."""
        done: set[str] = set()
        for start in list(self.later):
            found = self._walk(start, [], done)
            if found:
                return found
        return []

    def _walk(self, name: str, path: list[str], done: set[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for other in sorted(self.later.get(name, ())):
            found = self._walk(other, [*path, name], done)
            if found:
                return found
        done.add(name)
        return []


class RecordedLock:
    """A lock whose order among the others is recorded."""

    def __init__(self, kind: str, place: str, order: Order) -> None:
        self._lock = _NEW[kind]()
        self._order = order
        self._name = order.name_of(place)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        is_taken = self._lock.acquire(blocking, timeout)
        if is_taken:
            self._order.taken(self._name)
        return bool(is_taken)

    def release(self) -> None:
        self._order.let_go(self._name)
        self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock, name)


@contextmanager
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Order]:
    """Record the locks that modules of this library create within the block."""
    order = Order()

    def new(kind: str) -> Callable[[], Any]:
        def create() -> Any:
            frame = sys._getframe(1)
            while frame is not None:
                name = frame.f_globals.get("__name__", "")
                if name.startswith("clusterpass."):
                    return RecordedLock(kind, f"{name}:{frame.f_lineno}", order)
                if name == "threading":  # of an Event or a Condition: nobody else takes it
                    return _NEW[kind]()
                frame = frame.f_back
            return _NEW[kind]()

        return create

    with monkeypatch.context() as patched:
        for kind in _NEW:
            patched.setattr(threading, kind, new(kind))
        yield order
