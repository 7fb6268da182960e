"""Failover settings, versions, clocks and latency."""

from collections.abc import Iterable, Iterator
from typing import Final

from clusterpass.doctor.findings import Finding, about, check, names
from clusterpass.doctor.snapshot import NodeSnapshot, Snapshot
from clusterpass.limits import CLOCK_TOLERANCE, MOST_CLOCKS_APART

_SLOW_FAILOVER, _HASTY_FAILOVER = 5_000, 500
_LEAST_VALIDITY: Final = 4
_SET_VALIDITY: Final = (
    "Run CONFIG SET cluster-replica-validity-factor 10, the default of the servers, and change the"
    " configuration file. A higher value lets replicas take over after a longer interruption."
)
_OLDEST: Final = (7, 0)
_CLOCKS_APART: Final = 1.0
_CLOCK_AND_OURS: Final = 5.0
_LONG_WAY: Final = 0.1


@check("node-timeout", "How long a failover takes")
def node_timeout(seen: Snapshot) -> Iterator[Finding]:
    """A replica takes over about one and a half node timeouts plus one second after its primary
    stopped answering. Until then, the users of that shard get 503. If the timeout is too short, a
    brief pause of the primary triggers a needless failover."""
    nodes = seen.answering if seen.is_cluster else ()
    told = {node: node.setting_number("cluster-node-timeout") for node in nodes}
    known = {node: timeout for node, timeout in told.items() if timeout is not None}
    slow = [node for node, timeout in known.items() if timeout > _SLOW_FAILOVER]
    hasty = [node for node, timeout in known.items() if timeout < _HASTY_FAILOVER]
    if slow:
        longest = max(known.values())
        yield Finding(
            severity="warning",
            found=f"cluster-node-timeout is {longest:,} ms: a failover takes about"
            f" {1.5 * longest / 1000 + 1:.0f} s.",
            remedy="Run CONFIG SET cluster-node-timeout 2000 (up to 5000 in a slow network).",
            nodes=names(slow),
        )
    if hasty:
        yield Finding(
            severity="warning",
            found=f"cluster-node-timeout is only {min(known.values())} ms: a short pause, such as a"
            " fork for a snapshot, may trigger a failover.",
            remedy="Run CONFIG SET cluster-node-timeout 1000, or set a higher value.",
            nodes=names(hasty),
        )
    if len(set(known.values())) > 1:
        values = ", ".join(f"{value} ms" for value in sorted(set(known.values())))
        yield Finding(
            severity="warning",
            found=f"The nodes have different node timeouts: {values}.",
            remedy="Set the same cluster-node-timeout on every node.",
        )


@check("full-coverage", "Whether the failure of one shard stops the others")
def full_coverage(seen: Snapshot) -> Iterator[Finding]:
    """With cluster-require-full-coverage, the default of the servers, every node refuses every call
    while any slot has no owner: the loss of one shard shuts out the users of all shards."""
    strict = _with(seen, "cluster-require-full-coverage", "yes")
    yield from about(
        strict,
        "problem",
        found="cluster-require-full-coverage is yes: if one shard fails, all shards refuse calls.",
        remedy="Run CONFIG SET cluster-require-full-coverage no, and change the configuration"
        " file.",
    )


@check("reads-when-down", "Whether a partitioned node keeps answering reads")
def reads_when_down(seen: Snapshot) -> Iterator[Finding]:
    """With cluster-allow-reads-when-down, a primary on the minority side of a network partition
    keeps answering reads. It accepts sessions that were revoked on the primary that replaced it."""
    lax = _with(seen, "cluster-allow-reads-when-down", "yes")
    yield from about(
        lax,
        "problem",
        found="cluster-allow-reads-when-down is yes: a partitioned node accepts revoked sessions.",
        remedy="Run CONFIG SET cluster-allow-reads-when-down no, and change the configuration"
        " file.",
    )


@check("failover", "Whether the replicas can take over, and only with data that may be trusted")
def failover(seen: Snapshot) -> Iterator[Finding]:
    """If a replica may not be promoted, or only when its link failed a moment ago, its shard stays
    down until the old primary is back. A cluster-replica-validity-factor of 0 is the opposite
    mistake: a replica that restarts with old data, or with none, while its primary is down is then
    promoted before it has synced. It had confirmed writes that it no longer has, so sessions whose
    revocation was acknowledged are accepted again, and acknowledged logins are lost. With any other
    value, a replica has to sync at least once after each start before it may take over."""
    off = _with(seen, "cluster-replica-no-failover", "yes")
    yield from about(
        off,
        "problem",
        found="cluster-replica-no-failover is yes: these nodes never take over automatically.",
        remedy="Run CONFIG SET cluster-replica-no-failover no, and change the configuration file.",
    )
    nodes = seen.answering if seen.is_cluster else ()
    factors = {n: n.setting_number("cluster-replica-validity-factor") for n in nodes}
    yield from about(
        [node for node, factor in factors.items() if factor == 0],
        "warning",
        found="cluster-replica-validity-factor is 0: a replica that restarts with old data may take"
        " over before it has synced, which undoes revocations that it had confirmed.",
        remedy=_SET_VALIDITY,
    )
    yield from about(
        [node for node, factor in factors.items() if factor and factor < _LEAST_VALIDITY],
        "warning",
        found=f"cluster-replica-validity-factor is below {_LEAST_VALIDITY}: a replica does not take"
        " over if its link failed shortly before its primary did.",
        remedy=_SET_VALIDITY,
    )
    writable = _with(seen, "replica-read-only", "no")
    yield from about(
        writable,
        "warning",
        found="replica-read-only is no: a stray write makes a replica differ from its primary, and"
        " takes effect when it is promoted.",
        remedy="Run CONFIG SET replica-read-only yes, and change the configuration file.",
    )


@check("versions", "Whether the servers are recent enough and run the same version")
def versions(seen: Snapshot) -> Iterator[Finding]:
    """The scripts of ClusterPass need Redis 7.0 or later, or any version of Valkey. A replica that
    is older than its primary may not understand the replication stream."""
    old = [node for node in seen.answering if _compatible_with(node) < _OLDEST]
    yield from about(
        old,
        "problem",
        found=f"These servers are older than Redis 7.0: {', '.join(_releases(old))}.",
        remedy="Upgrade to Valkey, or to Redis 7.0 or later.",
    )
    different = _releases(seen.answering)
    if len(different) > 1:
        yield Finding(
            severity="warning",
            found=f"The servers run different versions: {', '.join(different)}.",
            remedy="Finish the upgrade: replicas first, then CLUSTER FAILOVER, then the old"
            " primaries.",
        )


def _releases(nodes: Iterable[NodeSnapshot]) -> list[str]:
    return sorted({node.version for node in nodes if node.version is not None})


def _compatible_with(node: NodeSnapshot) -> tuple[int, ...]:
    """The Redis version that the server is compatible with; the oldest supported if not told."""
    told = (node.info or {}).get("redis_version", "")
    parts = told.split(".")[:2]
    return tuple(map(int, parts)) if all(map(str.isdecimal, parts)) else _OLDEST


@check("clocks", "Whether the clocks agree")
def clocks(seen: Snapshot) -> Iterator[Finding]:
    """Sessions are judged by the clock of the primary that owns the slot, within 5 s of the time
    that most clocks agree on: the primaries' and the application's. A clock further away is not
    used and reported in the log. A process that knows no agreement, as with a single server,
    refuses calls (503, reason `clock`) when a server's clock is more than 600 s from its own. A
    server also deletes keys by its own clock: one that is ahead loses sessions with less time left
    than that. Tokens are verified by the clocks of the applications, with a tolerance of
    `clock_leeway` (30 s)."""
    known = [(node, node.clock) for node in seen.answering if node.clock is not None]
    if not known:
        return
    first = min(known, key=lambda each: each[1].ahead)
    last = max(known, key=lambda each: each[1].ahead)
    apart = last[1].ahead - first[1].ahead - (first[1].uncertainty + last[1].uncertainty)
    if apart > _CLOCKS_APART:
        yield Finding(
            severity="problem",
            found=f"The clocks of these nodes are at least {apart:.1f} s apart{_judge(apart)}.",
            remedy="Synchronise the clocks of their hosts by NTP, for example with chrony.",
            nodes=names((first[0], last[0])),
        )
    nearest = min((each for _, each in known), key=lambda each: abs(each.ahead))
    if abs(nearest.ahead) - nearest.uncertainty > _CLOCK_AND_OURS:
        direction = "behind" if nearest.ahead > 0 else "ahead of"
        yield Finding(
            severity="warning",
            found=f"This machine's clock is {abs(nearest.ahead):.1f} s {direction} the clocks of"
            f" the servers{_judge_ours(abs(nearest.ahead))}.",
            remedy="Synchronise the clock of this machine by NTP, for example with chrony.",
        )


def _judge(apart: float) -> str:
    """What follows from clocks of nodes that are ``apart`` seconds apart."""
    if apart <= CLOCK_TOLERANCE:
        return ""
    return f": a clock more than {CLOCK_TOLERANCE} s from what most clocks agree on is not used"


def _judge_ours(apart: float) -> str:
    """What follows from a clock of this machine that is ``apart`` seconds from the servers'."""
    if apart <= MOST_CLOCKS_APART:
        return ""
    return (
        f": that is more than {MOST_CLOCKS_APART} s, so processes that begin here refuse calls"
        " until most primaries agree on the time"
    )


@check("round-trip", "Whether the round trip to the nodes is short enough")
def round_trip(seen: Snapshot) -> Iterator[Finding]:
    """A call must be answered within the `timeout` of the store URL (0.5 s), and the leases for
    verification from memory are renewed several times per `staleness_bound` (0.5 s). If the round
    trip is long, calls fail although nothing is broken, and nothing is verified from memory."""
    far = [
        node
        for node in seen.answering
        if (node.round_trip or 0) > min(_LONG_WAY, seen.patience.timeout / 4)
    ]
    if far:
        longest = max(node.round_trip or 0 for node in far)
        yield Finding(
            severity="warning",
            found=f"The fastest reply took up to {longest * 1000:.0f} ms, but a call must be"
            f" answered within {seen.patience.timeout * 1000:.0f} ms.",
            remedy="Run the application closer to the cluster, or raise timeout and deadline in the"
            " store URL, and staleness_bound.",
            nodes=names(far),
        )


def _with(seen: Snapshot, setting: str, value: str) -> list[NodeSnapshot]:
    """The nodes where ``setting`` has ``value``; cluster settings count only in a cluster."""
    if setting.startswith("cluster-") and not seen.is_cluster:
        return []
    return [node for node in seen.answering if node.setting(setting) == value]
