"""The dependencies of the verbs. Each verb takes the ones it needs when it is created."""

from collections.abc import Callable
from dataclasses import dataclass

from clusterpass.config import Config
from clusterpass.model.clock import Clock
from clusterpass.model.counters import Counters
from clusterpass.model.events import SessionEvent
from clusterpass.protocol.calls.subject_change import Housekeeping
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.sessions.issue_tokens import Minting
from clusterpass.sessions.memory.memory import Memory
from clusterpass.sessions.public_values import pack_address, reduce_address
from clusterpass.sessions.read_secrets import RefreshSecrets
from clusterpass.sessions.signing_keys import SigningKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The dependencies that all verbs of one manager share."""

    config: Config
    keyspace: Keyspace
    clock: Clock
    random_bytes: Callable[[int], bytes]
    """Returns n unpredictable bytes."""
    tell: Callable[[SessionEvent], None]
    """Reports an event to the listeners."""
    deadline: float
    """Seconds after which the store gives up on a call."""
    memory: Memory
    minting: Minting
    secrets: RefreshSecrets
    signing: SigningKeys | None = None
    """The signing keys, where the store has them; None: the configuration has them."""
    counters: Counters

    def stored_address(self, address: object) -> bytes:
        """Return what the history keeps of an IP address; raise InvalidInput if it is no string."""
        return reduce_address(pack_address(address), self.config.stored_addresses)

    @property
    def tombstone_seconds(self) -> int:
        """Seconds for which the store keeps the tombstone of an ended session.

        The tombstone outlives every access token of the session by a minute.
        """
        return self.config.access_lifetime + self.config.expiry_leeway + 60

    def keeping(self) -> Housekeeping:
        """Return the current retention settings, which each call that changes a subject carries."""
        config = self.config
        return Housekeeping(
            config.access_lifetime + config.expiry_leeway + 60,
            config.history_entries,
            config.history_lifetime,
            self.memory.cutoff.milliseconds,
            config.index_online,
            self.memory.clocks.call_time(),
            generation_seconds=config.generation_lifetime,
        )
