"""Look-ups of the slot map for a watch: when one is due, and the task that runs it."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from clusterpass.model.errors import ClusterPassError
from clusterpass.store.drivers.base import StoreBase
from clusterpass.store.drivers.cache_observer import Observer
from clusterpass.store.drivers.nodes import Nodes
from clusterpass.store.exchanges.steps import LookUp

_SECONDS_BETWEEN_LOOK_UPS: Final = 0.2
_SECONDS_UNTIL_LOOK_UP: Final = 30.0


class SlotLookUps:
    """The look-ups of one watch, one at a time."""

    def __init__(
        self,
        store: StoreBase,
        observer: Observer,
        *,
        taken: Callable[[Nodes], None],
        take_end: Callable[["asyncio.Task[None]"], None],
    ) -> None:
        """``taken``: called once there is a new map; ``take_end``: called with a task that has
        ended."""
        self.is_wanted = True
        """Whether the slots may have changed."""
        self._store = store
        self._observer = observer
        self._taken = taken
        self._take_end = take_end
        self._task: asyncio.Task[None] | None = None
        self._looked_up_at = -_SECONDS_UNTIL_LOOK_UP

    def begin_if_due(self, nodes: Nodes, now: float) -> None:
        """Begin a look-up when one is wanted, or the latest was long ago."""
        seconds = now - self._looked_up_at
        if not self.is_wanted and seconds <= _SECONDS_UNTIL_LOOK_UP:
            return
        if self._task is not None or seconds < _SECONDS_BETWEEN_LOOK_UPS:
            return
        self._looked_up_at = now
        self.is_wanted = False
        self._task = nodes.background.begin(self._search(nodes))
        self._task.add_done_callback(partial(self._looked_up, nodes))
        self._task.add_done_callback(self._take_end)

    def cancel(self) -> None:
        """Cancel the look-up that is under way, if any."""
        if self._task is not None:
            self._task.cancel()

    async def _search(self, nodes: Nodes) -> None:
        store = self._store
        until = time.monotonic() + store.location.patience.deadline
        wanted = LookUp(store.slots.version, None, until)
        try:
            await nodes.look_up(wanted, store.search)
        except ClusterPassError as error:
            self._observer.refusal = str(error)
            self.is_wanted = True

    def _looked_up(self, nodes: Nodes, task: "asyncio.Task[None]") -> None:
        self._task = None
        slots = self._store.slots
        is_older = self._store.location.looks_up and slots.asked_at < self._looked_up_at
        if is_older or not slots.version:
            # No node has answered, or the map is that of another caller, who had asked before.
            self.is_wanted = True
        elif not task.cancelled():
            self._taken(nodes)
