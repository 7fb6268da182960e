"""Time limits of the calls to a store, and limits of its connections and queues."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from clusterpass.config import Durability
from clusterpass.model.errors import ConfigurationError
from clusterpass.store.url_parts import read_number

_REPLICA_WAIT: Final = 0.25
_DISK_WAIT: Final = 1.5
NUMBERS: Final = {"timeout", "deadline", "replica_wait", "max_connections", "max_pending"} | {
    "max_waiting"
}
"""The options of a store URL that :func:`read_patience` reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Time limits in seconds, and limits of calls and connections for one node.

    The defaults last through the failover of a stopped node without blocking callers for long.
    """

    timeout: float = 0.5
    """Seconds for one attempt at one node."""
    deadline: float = 2.5
    """Seconds for a call with all its retries."""
    replica_wait: float | None = None
    """Seconds that a write waits for its confirmation; 0: no confirmation is asked for; None: as
    the durability needs, see :meth:`confirmation_wait`."""
    max_connections: int = 64
    """Connections to each node, in one process with threads."""
    max_pending: int = 10_000
    """Calls to one node that may be in flight or queued, in one event loop."""
    max_waiting: int = 256
    """Calls that may wait for one node that does not answer; further calls are refused at once."""

    def confirmation_wait(self, durability: Durability) -> float:
        """Seconds that a write waits for its confirmation: ``replica_wait``, or else 0.25 for a
        replica and 1.5 for a disk, as ``appendfsync everysec`` writes once a second."""
        if self.replica_wait is not None:
            return self.replica_wait
        return _DISK_WAIT if durability == "fsync" else _REPLICA_WAIT

    def write_timeout(self, durability: Durability) -> float:
        """Seconds for one attempt at a write that waits for its confirmation: ``timeout``, or more
        where the wait alone may take as long."""
        wait = self.confirmation_wait(durability)
        return self.timeout if wait < self.timeout else wait + self.timeout / 2

    def check(self, durability: Durability) -> None:
        """Raise ConfigurationError where an attempt at a write cannot end before ``deadline``."""
        needed = self.write_timeout(durability)
        if needed > self.deadline:
            raise ConfigurationError(
                f"durability={durability!r} waits up to {self.confirmation_wait(durability):g} s"
                f" for a disk, so deadline={self.deadline:g} in the store URL is too short: set it"
                f" to {needed:g} or more; where the servers run with appendfsync always, you may"
                " set a shorter replica_wait instead"
            )


DEFAULT_PATIENCE: Final = Patience()
"""The limits of a store URL that sets none."""


def read_patience(texts: Mapping[str, str]) -> Patience:
    """Return the limits that options of a store URL set, by name.

    Raises ConfigurationError for a value that is no number, and for limits that do not fit.
    """
    default = DEFAULT_PATIENCE
    numbers = {name: read_number(name, text) for name, text in texts.items()}
    patience = Patience(
        timeout=numbers.get("timeout", default.timeout),
        deadline=numbers.get("deadline", default.deadline),
        replica_wait=numbers.get("replica_wait"),
        max_connections=int(numbers.get("max_connections", default.max_connections)),
        max_pending=int(numbers.get("max_pending", default.max_pending)),
        max_waiting=int(numbers.get("max_waiting", default.max_waiting)),
    )
    if not (
        0.01 <= patience.timeout <= patience.deadline <= 300
        and 0 <= patience.confirmation_wait("replicated") < patience.timeout
        and 1 <= patience.max_connections <= 10_000
        and 1 <= patience.max_pending <= 1_000_000
        and 0 <= patience.max_waiting <= 1_000_000
    ):
        raise ConfigurationError(
            "the store URL needs 0 <= replica_wait < timeout <= deadline <= 300 (seconds)"
            ", max_connections from 1 to 10000, max_pending from 1 to 1000000 and max_waiting"
            " from 0 to 1000000"
        )
    return patience
