"""Statistics of a manager: its near cache, its leases, pending revocations and listeners."""

from dataclasses import dataclass
from typing import Final

from clusterpass.model.audit import AuditStats
from clusterpass.model.json_form import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats(Value):
    """The contents of a manager's near cache, and its counters since the manager was created."""

    entries: int
    """The number of access tokens in the cache."""
    bytes: int
    """The estimated memory of all entries, in bytes."""
    hits: int
    """Verifies answered from memory. Concurrent threads may lose a count."""
    misses: int
    """Cached verifies that had to ask the store."""
    evictions: int
    """Entries removed to make room for others."""
    invalidations: int
    """Invalidations that the cluster pushed, whether or not their key was in the cache."""
    invalidations_per_second: float
    """The rate of invalidations over the last ten seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStats(Value):
    """The lease of one primary: whether its sessions may be served from memory, and why."""

    address: str
    is_connected: bool
    """Whether the connection on which the node pushes invalidations is up."""
    has_lease: bool
    """Whether the node's sessions may be served from memory now."""
    lease_seconds: float
    """Seconds until the lease expires, if no further heartbeat is answered."""
    beat_age: float | None
    """Seconds since the latest answered heartbeat was sent; None: none was answered yet."""
    epoch: int | None
    """The cluster epoch that the node reported last; None: none yet."""
    is_outdated: bool
    """Whether other nodes report a higher epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingStats(Value):
    """The revocations of one manager that are not confirmed yet."""

    waiting: int
    """The number of pending revocations, apart from those in journals."""
    oldest_seconds: float
    """Seconds for which the oldest pending revocation has waited; 0 when none is pending."""
    confirmed: int
    """Revocations that were settled by a retry: confirmed, or found to be void."""
    refused: int
    """Revocations that are not retried: too many were pending, or the manager was being closed."""
    journaled: int = 0
    """Revocations that journals hold, and that this manager tries to carry out for good."""
    rejected: int = 0
    """Bans that were acknowledged or pending while their shard was away, and are not carried out:
    the subject had the maximum number. The log names the subjects."""


NOTHING_PENDING: Final = PendingStats(waiting=0, oldest_seconds=0.0, confirmed=0, refused=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerStats(Value):
    """Counts of the events that the listeners of one manager have received or missed.

    All but the first two figures concern listeners with ``scope="cluster"``.
    """

    waiting: int
    """Events that wait for the listeners now."""
    dropped: int
    """Events that no listener was called with, as the listeners were too slow."""
    reads: int
    """Histories that were read because a node pushed a change."""
    unread: int
    """Changes whose history was not read: too many were waiting, or the store did not answer. Their
    events arrive with the next change to the same subject."""
    overrun: int
    """Events that are lost, as newer ones had replaced them in the history before it was read."""
    gaps: int
    """How often a node may have changed something unheard: the connection on which it pushes was
    lost, or it took over slots. Events of that time arrive with the next change to the same
    subject."""


NOBODY_LISTENS: Final = ListenerStats(waiting=0, dropped=0, reads=0, unread=0, overrun=0, gaps=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerStats(Value):
    """The state of a manager: its verification mode, cache, nodes, revocations and listeners."""

    verification: str
    """``cached``, ``strict`` or ``stateless``."""
    staleness_bound: float
    """``Config.staleness_bound``, in seconds."""
    cache: CacheStats
    nodes: tuple[NodeStats, ...]
    """The primaries; empty before the first verify, and when nothing is served from memory."""
    refusal: str
    """Why sessions cannot be served from memory in ``cached`` mode; empty when they can."""
    durability: str = ""
    """What a write waits for: ``replicated``, ``fsync`` or ``primary``. Without replicas
    ``replicated`` means no more than ``primary``, and this text says so."""
    pending: PendingStats = NOTHING_PENDING
    rollbacks: int = 0
    """How many times the store reported a session as live that this process had seen end."""
    grace_accepted: int = 0
    """Verifies answered from memory under ``outage_grace`` while the store was unavailable."""
    silent_nodes: tuple[str, ...] = ()
    """Nodes that did not answer the latest call to them."""
    missing_commands: tuple[str, ...] = ()
    """What the servers lack, or the user may not run, as ``COMMAND: what is left undone``. The log
    told of each once."""
    listeners: ListenerStats = NOBODY_LISTENS
    audit: AuditStats | None = None
    """What became of the entries of the audit trail; None: nothing is noted."""
