"""The parts that verbs are made of. Each verb takes those it needs, by name, when it is made."""

from collections.abc import Callable
from dataclasses import dataclass

from clusterpass.config import Config
from clusterpass.model.clock import Clock
from clusterpass.model.values import SessionEvent
from clusterpass.protocol.calls.housekeeping import Housekeeping
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.sessions.issue_tokens import Minting
from clusterpass.sessions.memory.memory import Memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The parts of one manager."""

    config: Config
    keyspace: Keyspace
    clock: Clock
    random_bytes: Callable[[int], bytes]
    """n unpredictable bytes."""
    tell: Callable[[SessionEvent], None]
    """Hands an event to the listeners."""
    deadline: float
    """Seconds after which the store gives up a call."""
    memory: Memory
    minting: Minting

    @property
    def tombstone_seconds(self) -> int:
        """How long an ended session is remembered: until its access tokens have expired."""
        return self.config.access_lifetime + self.config.expiry_leeway + 60

    def keeping(self) -> Housekeeping:
        """How long the traces of a subject are kept, by what is known now."""
        config = self.config
        return Housekeeping(
            config.access_lifetime + config.expiry_leeway + 60,
            config.history_entries,
            config.history_lifetime,
            self.memory.cutoff.milliseconds,
            config.index_online,
        )
