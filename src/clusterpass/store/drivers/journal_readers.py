"""The asyncio tasks of a watch that read the journals of nodes, and fill those with gaps."""

import asyncio
from collections.abc import Callable
from functools import partial

from clusterpass.model.errors import ClusterPassError
from clusterpass.store.address import Address
from clusterpass.store.drivers.base import StoreBase
from clusterpass.store.drivers.cache_observer import Observer
from clusterpass.store.drivers.nodes import Nodes
from clusterpass.store.exchanges.steps import Exchange


class JournalReaders:
    """The readers of one watch, at most one for each node."""

    def __init__(
        self, store: StoreBase, observer: Observer, fail: Callable[[BaseException], None]
    ) -> None:
        """``fail``: called with what a task raised that is no fault of the store."""
        self._store = store
        self._observer = observer
        self._fail = fail
        self._tasks: dict[Address | None, asyncio.Task[None]] = {}
        """The tasks that read the journal of a node; under None, the one that fills journals."""

    def read(self, nodes: Nodes, address: Address) -> None:
        """Read the journal of a node, and fill those that may have lost entries."""
        if address not in self._tasks:
            steps = self._store.read_journal(self._observer, address)
            self._drive(nodes, address, steps)

    def cancel(self) -> None:
        """Cancel the tasks that are under way."""
        for task in self._tasks.values():
            task.cancel()

    def _drive(self, nodes: Nodes, key: Address | None, steps: Exchange[None]) -> None:
        task = nodes.background.begin(nodes.drive(steps, self._store.search))
        self._tasks[key] = task
        task.add_done_callback(partial(self._have_read, nodes, key))

    def _have_read(self, nodes: Nodes, key: Address | None, task: "asyncio.Task[None]") -> None:
        del self._tasks[key]
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ClusterPassError):
            self._observer.refusal = str(error)
        elif error is not None:
            self._fail(error)
        elif key is None or task.cancelled() or None in self._tasks:
            return
        elif self._observer.has_gaps():
            self._drive(nodes, None, self._store.fill_journals(self._observer))
