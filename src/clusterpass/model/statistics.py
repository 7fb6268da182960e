"""What a manager counts: its cache, its leases, its pending revocations."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """What the near cache of a manager holds, and what it did since the manager was made."""

    entries: int
    """Access tokens that are remembered."""
    bytes: int
    """About how much memory they take."""
    hits: int
    """Verifies that were answered from memory. Threads that meet may count one for two."""
    misses: int
    """Verifies that asked the store and could have been answered from memory."""
    evictions: int
    """Entries that left because others needed the room."""
    invalidations: int
    """Changes of keys that the cluster pushed, of sessions that are remembered or not."""
    invalidations_per_second: float
    """The same, over the last ten seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStats:
    """What may be served from memory of one primary's sessions, and why."""

    address: str
    is_connected: bool
    """Whether it pushes what changes."""
    has_lease: bool
    """Whether its sessions may be served from memory now."""
    lease_seconds: float
    """For how long, if no heartbeat is answered any more."""
    beat_age: float | None
    """Seconds since the latest heartbeat that it answered had been sent; None: none yet."""
    epoch: int | None
    """The cluster's epoch as it told it last."""
    is_outdated: bool
    """Whether others tell a higher epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingStats:
    """The endings that no replica has confirmed yet, of one manager."""

    waiting: int
    oldest_seconds: float
    """How long the oldest of them has waited; 0 without one."""
    confirmed: int
    """Those that were confirmed later, or had come to nothing."""
    refused: int
    """Those that nobody retries, as too many were waiting."""


NOTHING_PENDING: Final = PendingStats(waiting=0, oldest_seconds=0.0, confirmed=0, refused=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerStats:
    """How a manager verifies, and how its near cache does."""

    verification: str
    """``cached``, ``strict`` or ``stateless``."""
    staleness_bound: float
    """Seconds."""
    cache: CacheStats
    nodes: tuple[NodeStats, ...]
    """The primaries; empty until the first verify, and where nothing is served from memory."""
    refusal: str
    """Why nothing can be served from memory although it is wanted; empty otherwise."""
    durability: str = ""
    """What a write waits for: ``replicated``, ``fsync`` or ``primary``. Where there are no replicas
    to ask, ``replicated`` is as much as ``primary``, and this says so."""
    pending: PendingStats = NOTHING_PENDING
    rollbacks: int = 0
    """How many times the store showed a session alive that this process had seen end."""
    grace_accepted: int = 0
    """Verifies that were answered although the store could not be asked."""
    silent_nodes: tuple[str, ...] = ()
    """Nodes that did not answer when they were asked last."""
