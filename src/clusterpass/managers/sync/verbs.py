# Generated from managers/aio/verbs.py by scripts/generate_sync.py; do not edit.
"""What all verbs of a manager work with."""

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
