"""The base class for the verbs of a manager, which holds the store, the flows and their runner."""

from typing import Final

from clusterpass.managers.aio.running import AsyncRunning
from clusterpass.sessions.flows import Flows
from clusterpass.store.protocol import AwaitableStore


class AsyncVerbs:
    """The verbs of a manager, each of which runs its flow against the store."""

    def __init__(self, store: AwaitableStore, flows: Flows) -> None:
        self.store: Final = store
        self._running: Final = AsyncRunning(store)
        self._running.trail = flows.trail
        self._flows = flows
