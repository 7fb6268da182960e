"""Every metric: its name, type, labels and meaning; the reference is made from here.

Names follow the conventions of Prometheus: base units, ``_total`` for what only grows.
"""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from clusterpass.model.counters import Durations

__all__ = ["FAMILIES", "Durations", "Family", "Kind", "Merge", "Sample"]

Kind = Literal["counter", "gauge", "histogram"]
Merge = Literal["livesum", "livemax", "livemin"]


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """A metric, of which there is one value for each combination of its labels."""

    name: str
    """The name of the metric in Prometheus; that of a counter ends in ``_total``."""
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    """``seconds``, ``bytes``, or empty for a number of things."""
    merge: Merge = "livesum"
    """What a gauge is made of where several processes have one. Counters and histograms are added,
    those of processes that have ended too."""
    in_service: bool = False
    """Whether the service alone has the metric."""


class Sample(NamedTuple):
    """One value of a metric."""

    family: Family
    labels: tuple[str, ...]
    value: float | Durations


VERIFIES: Final = Family(
    "clusterpass_verifies_total",
    "counter",
    "Verifies of access tokens. `result`: `ok`, or the code of the error. `source`: what decided:"
    " `memory`, `store`, `token` (the token alone), or `grace` (memory, as the store was away).",
    ("result", "source"),
)
EVENTS: Final = Family(
    "clusterpass_events_total",
    "counter",
    "What this process did to sessions. `kind`: `login`, `refresh`, `logged_out`, `revoked`,"
    " `replaced`, `reused` (an alarm: a refresh token was presented twice), `refused` (a login),"
    " `banned`, `unbanned`, `elevated`, `impersonated` or `claims_changed`.",
    ("kind",),
)
ENDINGS: Final = Family(
    "clusterpass_endings_total",
    "counter",
    "Logouts and revocations. `outcome`: `confirmed` by the shard of the subject, `journaled` by"
    " two other primaries, or `pending` (the caller was told so).",
    ("outcome",),
)
PENDING: Final = Family(
    "clusterpass_pending_revocations",
    "gauge",
    "Revocations that are being retried. `state`: `waiting`, or `journaled` where they are durable"
    " already.",
    ("state",),
)
PENDING_OLDEST: Final = Family(
    "clusterpass_pending_oldest_seconds",
    "gauge",
    "For how long the oldest pending revocation has waited; 0: none is pending.",
    unit="seconds",
    merge="livemax",
)
RETRIED: Final = Family(
    "clusterpass_retried_revocations_total",
    "counter",
    "What became of pending revocations. `outcome`: `settled`, `refused` (too many were pending, or"
    " the manager was closed) or `rejected` (a ban, as the subject had the maximum).",
    ("outcome",),
)
SIGHTS: Final = Family(
    "clusterpass_revocation_sight_seconds",
    "histogram",
    "From sending an ending until the node has pushed the change, to this process as to all others"
    " that hold the session. Measured where the process that ends a session has it in memory.",
    unit="seconds",
)
ROLLBACKS: Final = Family(
    "clusterpass_rollbacks_total",
    "counter",
    "How often the store reported a session as live that this process had seen end.",
)
CACHE_ENTRIES: Final = Family(
    "clusterpass_cache_entries", "gauge", "Access tokens in the near cache."
)
CACHE_BYTES: Final = Family(
    "clusterpass_cache_bytes", "gauge", "Estimated memory of the near cache.", unit="bytes"
)
CACHE_HITS: Final = Family(
    "clusterpass_cache_hits_total", "counter", "Verifies answered from the near cache."
)
CACHE_MISSES: Final = Family(
    "clusterpass_cache_misses_total", "counter", "Cached verifies that had to ask the store."
)
CACHE_EVICTIONS: Final = Family(
    "clusterpass_cache_evictions_total",
    "counter",
    "Entries that left the near cache to make room for others.",
)
CACHE_INVALIDATIONS: Final = Family(
    "clusterpass_cache_invalidations_total", "counter", "Changes that the nodes pushed."
)
NODE_UP: Final = Family(
    "clusterpass_store_node_up",
    "gauge",
    "Whether the primary of a shard answered the latest call to it: 1 or 0, the worst of all"
    " processes.",
    ("node",),
    merge="livemin",
)
NODE_LEASES: Final = Family(
    "clusterpass_node_leases",
    "gauge",
    "Processes that may serve the sessions of a primary from memory now. A process that has been"
    " idle for long has no lease.",
    ("node",),
)
NODE_CONNECTIONS: Final = Family(
    "clusterpass_node_push_connections",
    "gauge",
    "Processes to which a primary pushes changes.",
    ("node",),
)
NODE_BEAT_AGE: Final = Family(
    "clusterpass_node_beat_age_seconds",
    "gauge",
    "Seconds since the latest heartbeat was sent that a primary has answered, in the process where"
    " that is least. Idle processes send none.",
    ("node",),
    unit="seconds",
    merge="livemin",
)
STORE_CALLS: Final = Family(
    "clusterpass_store_call_duration_seconds",
    "histogram",
    "Duration of answered calls of the store, retries and the wait for replicas included."
    " `script`: the Lua script.",
    ("script",),
    unit="seconds",
)
NODE_CALLS: Final = Family(
    "clusterpass_store_node_call_duration_seconds",
    "histogram",
    "Duration of the same calls. `node`: the primary that answered.",
    ("node",),
    unit="seconds",
)
STORE_ERRORS: Final = Family(
    "clusterpass_store_errors_total",
    "counter",
    "Calls of the store that failed. `cause`: as for StoreUnavailable, or the code of the error.",
    ("cause",),
)
THROTTLED: Final = Family(
    "clusterpass_login_throttled_total",
    "counter",
    "Login attempts that were refused. `limit`: the one that was exceeded: `account`, `address`,"
    " `network`, `total` or `known`.",
    ("limit",),
)
HASHING_WAITING: Final = Family(
    "clusterpass_hashing_waiting", "gauge", "Passwords that wait to be hashed."
)
HASHING_RUNNING: Final = Family(
    "clusterpass_hashing_running", "gauge", "Passwords that are being hashed."
)
HASHING_WAIT: Final = Family(
    "clusterpass_hashing_wait_seconds",
    "histogram",
    "How long passwords waited for their turn.",
    unit="seconds",
)
HASHING_DURATION: Final = Family(
    "clusterpass_hashing_duration_seconds",
    "histogram",
    "How long hashing or checking a password took, without the wait.",
    unit="seconds",
)
HASHING_REFUSED: Final = Family(
    "clusterpass_hashing_refused_total",
    "counter",
    "Logins that were refused, as too many passwords were waiting.",
)
LISTENER_LOSSES: Final = Family(
    "clusterpass_listener_losses_total",
    "counter",
    "Events that listeners were not told at once or at all. `cause`: `dropped` (too slow a"
    " listener), `unread`, `overrun` or `gap`, as in ListenerStats.",
    ("cause",),
)
AUDIT_ENTRIES: Final = Family(
    "clusterpass_audit_entries_total",
    "counter",
    "Entries of the audit trail. `outcome`: `written`; `logged`: the log has them, as the store did"
    " not take them; `failed`: tries to write that are repeated.",
    ("outcome",),
)
AUDIT_WAITING: Final = Family(
    "clusterpass_audit_waiting", "gauge", "Entries of the audit trail that are still to be written."
)
INFO: Final = Family(
    "clusterpass_info",
    "gauge",
    "Always 1. The labels say how sessions are verified and what a write waits for.",
    ("version", "verification", "durability"),
    merge="livemax",
)
HTTP_REQUESTS: Final = Family(
    "clusterpass_http_requests_total",
    "counter",
    "Requests to the service. `route`: the path as a pattern; `(rejected)`: refused before any"
    " route; `(none)`: there is no such route. `status` 0: the client had left.",
    ("route", "method", "status"),
    in_service=True,
)
HTTP_DURATIONS: Final = Family(
    "clusterpass_http_request_duration_seconds",
    "histogram",
    "Duration of requests. Those that /verify and /authz/... answer from memory, in microseconds,"
    " are not timed.",
    ("route", "status"),
    unit="seconds",
    in_service=True,
)
PROCESSES: Final = Family(
    "clusterpass_processes", "gauge", "Worker processes of the service.", in_service=True
)
FAMILIES: Final = tuple(each for each in list(globals().values()) if isinstance(each, Family))
"""All metrics, in the order of the reference."""
