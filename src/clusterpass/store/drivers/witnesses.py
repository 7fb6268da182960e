"""Asks the Sentinels of a watched store whether they still name the primary that is in use.

They are asked as often as heartbeats are sent. The answers keep the primary credible, and reveal a
failover without a subscription to `+switch-master`: there, a single Sentinel announces what counts
only once a majority says so.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from clusterpass.model.errors import ClusterPassError
from clusterpass.store.drivers.base import StoreBase
from clusterpass.store.drivers.cache_observer import Observer
from clusterpass.store.drivers.nodes import Nodes

_NOBODY: Final = "no majority of the Sentinels names a primary"


class Witnesses:
    """The inquiries of one watch, one at a time."""

    def __init__(
        self,
        store: StoreBase,
        observer: Observer,
        *,
        changed: Callable[[], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        """``changed``: called when another primary is named; ``fail``: with what an inquiry raised
        that is no fault of the store."""
        self._store = store
        self._observer = observer
        self._changed = changed
        self._fail = fail
        self._task: asyncio.Task[bool | None] | None = None
        self._refusal = ""
        """What the observer was told; empty: nothing, or that it is over."""

    def ask(self, nodes: Nodes) -> None:
        """Begin an inquiry, where there are Sentinels and none is under way."""
        if self._task is None and self._store.location.service is not None:
            steps = self._store.confirm_primary(self._observer)
            self._task = nodes.background.begin(nodes.drive(steps, self._store.search))
            self._task.add_done_callback(self._answered)

    def cancel(self) -> None:
        """Cancel the inquiry that is under way, if any."""
        if self._task is not None:
            self._task.cancel()

    def _answered(self, task: "asyncio.Task[bool | None]") -> None:
        self._task = None
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, ClusterPassError):
            self._tell(str(error))
        elif error is not None:
            self._fail(error)
        elif task.result() is None:
            self._tell(_NOBODY)
        elif self._refusal and self._observer.refusal == self._refusal:
            self._tell("")
        if error is None and task.result() is False:
            self._changed()

    def _tell(self, refusal: str) -> None:
        self._refusal = self._observer.refusal = refusal
