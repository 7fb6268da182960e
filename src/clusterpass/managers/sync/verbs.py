# Generated from managers/aio/verbs.py by scripts/generate_sync.py; do not edit.
"""The base class for the verbs of a manager, which holds the store, the flows and their runner."""

from typing import Final

from clusterpass.managers.sync.running import Running
from clusterpass.sessions.flows import Flows
from clusterpass.store.protocol import Store


class Verbs:
    """The verbs of a manager, each of which runs its flow against the store."""

    def __init__(self, store: Store, flows: Flows) -> None:
        self.store: Final = store
        self._running: Final = Running(store)
        self._running.trail = flows.trail
        self._flows = flows
