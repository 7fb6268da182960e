# Generated from managers/aio/hearing.py by scripts/generate_sync.py; do not edit.
"""Delivers events of other processes to listeners with ``scope="cluster"``.

The nodes push the names of changed keys. When a subject has changed, its history is read, once for
all changes up to then, and listeners get the entries that are new. Without such listeners nothing
is read.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from clusterpass.managers.history_read_queue import ChangedSubjects
from clusterpass.managers.listeners_by_kind import AnyListener
from clusterpass.managers.sync.listener_queue import Listeners
from clusterpass.managers.workers.sync import Jobs, Worker, require_workers
from clusterpass.model.errors import ClusterPassError, ConfigurationError, StoreUnavailable
from clusterpass.model.events import EventKind, SessionEvent
from clusterpass.model.forks import renew_in_child
from clusterpass.model.statistics import ListenerStats
from clusterpass.sessions.event_deduplication import Heard
from clusterpass.sessions.flows import Flows
from clusterpass.sessions.read_cutoff import read_cutoff
from clusterpass.sessions.read_history import read_history
from clusterpass.store.protocol import Store

_NAME: Final = "clusterpass-hearing"
MOST_READS: Final = 8
"""The most histories that are read at once."""
_CLOSING_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 1.0
logger: Final = logging.getLogger("clusterpass.listeners")


class Hearing:
    """Events of other processes, for the cluster listeners of one manager."""

    def __init__(self, store: Store, flows: Flows, listeners: Listeners) -> None:
        self._store: Final = store
        self._context: Final = flows.context
        self._near: Final = flows.memory.near
        self._listeners: Final = listeners
        self._heard: Final = Heard(flows.context.clock.steady, threading.Lock)
        self._changed: Final = ChangedSubjects(flows.context.clock.steady)
        self._worker: Final = Worker(self._work, name=_NAME)
        self._jobs: Final = Jobs(name=_NAME, on_end=self._worker.wake)
        self.begin_anew()
        renew_in_child(self)
        self._reads = 0
        self._gaps = 0
        self._is_sure = False
        """Whether it is known that all nodes push changes, or logged why they do not."""
        listeners.is_news = self._is_news
        self._near.on_pushed = self._pushed
        self._near.on_gap = self._note_gap

    def begin_anew(self) -> None:
        """Replace the lock, which may be held forever in a forked child; called there."""
        self._lock = threading.Lock()
        self._is_working = False

    def check(self) -> None:
        """Raise ConfigurationError where no listener can hear of other processes."""
        if not self._context.config.history_entries:
            raise ConfigurationError(
                'scope="cluster" reads the history of subjects, which history_entries=0 turns off'
            )
        require_workers('scope="cluster"')

    def add(self, kinds: tuple[EventKind, ...], listener: AnyListener) -> AnyListener:
        """Call ``listener`` from now on; where no event loop runs, from the first call on.

        Raises InvalidInput when ``listener`` is not callable.
        """
        with self._lock:
            self._heard.begin()
            try:
                self._listeners.cluster.add(kinds, listener)
            finally:
                self._end_if_unheard()
        self._is_sure = False
        self._near.want_all_pushes()
        self._worker.wake_soon()
        return listener

    def remove(self, listener: Callable[[SessionEvent], Any]) -> None:
        """Stop calling ``listener``; without any listener nothing is read any more."""
        with self._lock:
            self._listeners.cluster.remove(listener)
            self._end_if_unheard()

    def resume(self) -> None:
        """Listen in this event loop, if there is a listener and its event loop has ended, or if
        none ran when it came."""
        if self._heard.is_listening:
            self._worker.resume()

    def _end_if_unheard(self) -> None:
        if self._heard.is_listening and self._listeners.cluster.is_empty:
            self._heard.end()
            self._changed.clear()
            self._worker.wake_soon()

    def close(self) -> None:
        """Stop; what was not read yet is not told."""
        self._worker.stop(_CLOSING_SECONDS)
        self._jobs.leave_other_loops(_CLOSING_SECONDS / 2)
        self._jobs.stop(_CLOSING_SECONDS)
        self._heard.end()
        self._changed.clear()

    def stats(self) -> ListenerStats:
        """Return what the listeners have heard and missed."""
        return ListenerStats(
            waiting=self._listeners.waiting,
            dropped=self._listeners.subscriptions.dropped,
            reads=self._reads,
            unread=self._changed.dropped,
            overrun=self._heard.overrun,
            gaps=self._gaps,
        )

    def _is_news(self, event: SessionEvent) -> bool:
        if not self._is_working:
            self._worker.wake_soon()
        return self._heard.told(event)

    def _pushed(self, keys: Iterable[bytes]) -> None:
        if not self._heard.is_listening or self._worker.is_stopping:
            return
        for key in keys:
            subject = self._context.keyspace.subject_of(key)
            if subject is not None:
                self._changed.add(subject)
        self._worker.wake()

    def _note_gap(self) -> None:
        if self._heard.is_listening:
            self._gaps += 1

    def _work(self) -> None:
        self._is_working = True
        try:
            self._listen()
        finally:
            self._is_working = False

    def _listen(self) -> None:
        self._changed.take_over(self._jobs.running())
        self._begin_watch()
        while self._heard.is_listening and not self._worker.is_stopping:
            while len(self._jobs.running()) < MOST_READS:
                subject = self._changed.take()
                if subject is None:
                    break
                self._jobs.start(subject, partial(self._read, subject))
            is_full = len(self._jobs.running()) >= MOST_READS
            seconds = None if is_full else self._changed.seconds_until_due()
            if not self._is_sure:
                self._look_at_nodes()
                seconds = _LOOK_SECONDS if seconds is None else min(seconds, _LOOK_SECONDS)
            self._worker.wait(seconds)

    def _begin_watch(self) -> None:
        """Make a call: with the first one, a store begins to watch its nodes."""
        try:
            context = self._context
            cutoff = context.memory.cutoff
            self._store.run(read_cutoff(context.keyspace, cutoff, context.deadline))
        except ClusterPassError as error:
            logger.warning("listeners hear of this process only, as yet: %s", error.code)

    def _look_at_nodes(self) -> None:
        nodes = self._near.node_stats()
        if nodes and all(node.is_connected for node in nodes):
            self._is_sure = True
        elif self._near.refusal:
            self._is_sure = True
            logger.warning("listeners hear of this process only: %s", self._near.refusal)

    def _read(self, subject: str) -> None:
        """Read the history of ``subject``, and tell what is new."""
        try:
            listed = self._store.run(read_history(self._context, subject))
            self._reads += 1
            for event in self._heard.read(subject, listed):
                self._listeners.hear(event)
        except StoreUnavailable:
            self._changed.put_off(subject)
        except Exception as error:  # noqa: BLE001 (only one history was not read)
            name = error.code if isinstance(error, ClusterPassError) else type(error).__name__
            self._changed.fail(subject, name)
        else:
            self._changed.done(subject)
