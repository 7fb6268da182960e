"""How the cluster behaves in a fault: failover, versions, clocks, and the way to it."""

from collections.abc import Iterable, Iterator
from typing import Final

from clusterpass.doctor.findings import Finding, about, check, names
from clusterpass.doctor.snapshot import NodeSeen, Snapshot

_SLOW_FAILOVER, _HASTY_FAILOVER = 5_000, 500
_LEAST_VALIDITY: Final = 4
_OLDEST: Final = (7, 0)
_CLOCKS_APART: Final = 1.0
_CLOCK_AND_OURS: Final = 5.0
_LONG_WAY: Final = 0.1


@check("node-timeout", "How long it takes until a dead primary is replaced")
def node_timeout(seen: Snapshot) -> Iterator[Finding]:
    """A replica takes over about one and a half node timeouts and a second after its primary fell
    silent. For so long the shard's users get 503. Too short a timeout takes a slow moment for a
    death."""
    nodes = seen.answering if seen.is_cluster else ()
    told = {node: node.setting_number("cluster-node-timeout") for node in nodes}
    known = {node: timeout for node, timeout in told.items() if timeout is not None}
    slow = [node for node, timeout in known.items() if timeout > _SLOW_FAILOVER]
    hasty = [node for node, timeout in known.items() if timeout < _HASTY_FAILOVER]
    if slow:
        longest = max(known.values())
        yield Finding(
            severity="warning",
            found=f"cluster-node-timeout is {longest:,} ms: after the death of a primary its users"
            f" wait about {1.5 * longest / 1000 + 1:.0f} s.",
            remedy="CONFIG SET cluster-node-timeout 2000 (to 5000 in a network that is slow).",
            nodes=names(slow),
        )
    if hasty:
        yield Finding(
            severity="warning",
            found=f"cluster-node-timeout is {min(known.values())} ms: a pause for a copy to disk"
            " may be taken for a death.",
            remedy="CONFIG SET cluster-node-timeout 1000, or more.",
            nodes=names(hasty),
        )
    if len(set(known.values())) > 1:
        values = ", ".join(f"{value} ms" for value in sorted(set(known.values())))
        yield Finding(
            severity="warning",
            found=f"The nodes have different node timeouts: {values}.",
            remedy="Set the same on all of them.",
        )


@check("full-coverage", "Whether a shard's fault stops the other shards")
def full_coverage(seen: Snapshot) -> Iterator[Finding]:
    """With cluster-require-full-coverage, which is the servers' default, all nodes refuse all calls
    while any slot has no owner: one lost shard shuts out the users of all."""
    strict = _with(seen, "cluster-require-full-coverage", "yes")
    yield from about(
        strict,
        "problem",
        found="cluster-require-full-coverage is yes: while one shard is away, all refuse.",
        remedy="CONFIG SET cluster-require-full-coverage no, and in the configuration file.",
    )


@check("reads-when-down", "Whether a node that was cut off goes on to answer reads")
def reads_when_down(seen: Snapshot) -> Iterator[Finding]:
    """With cluster-allow-reads-when-down a primary that is parted from the others goes on to
    answer: it shows sessions alive that have ended at its successor."""
    lax = _with(seen, "cluster-allow-reads-when-down", "yes")
    yield from about(
        lax,
        "problem",
        found="cluster-allow-reads-when-down is yes: a node that was cut off shows ended"
        " sessions as alive.",
        remedy="CONFIG SET cluster-allow-reads-when-down no.",
    )


@check("failover", "Whether the replicas may take over")
def failover(seen: Snapshot) -> Iterator[Finding]:
    """A replica that may not be promoted, or only if its link broke a moment ago, is a copy that
    nobody can use: the shard stays away until its old primary is back."""
    off = _with(seen, "cluster-replica-no-failover", "yes")
    yield from about(
        off,
        "problem",
        found="cluster-replica-no-failover is yes: these never take over by themselves.",
        remedy="CONFIG SET cluster-replica-no-failover no.",
    )
    nodes = seen.answering if seen.is_cluster else ()
    factors = {n: n.setting_number("cluster-replica-validity-factor") for n in nodes}
    strict = [node for node, factor in factors.items() if factor and factor < _LEAST_VALIDITY]
    if strict:
        yield Finding(
            severity="warning",
            found=f"cluster-replica-validity-factor is below {_LEAST_VALIDITY}: a replica whose"
            " link broke a little earlier than its primary does not take over.",
            remedy="Set it to 10 (the default), or to 0 to take over in any case.",
            nodes=names(strict),
        )
    writable = _with(seen, "replica-read-only", "no")
    yield from about(
        writable,
        "warning",
        found="replica-read-only is no: what is written there by mistake differs from its"
        " primary, and takes effect when it takes over.",
        remedy="CONFIG SET replica-read-only yes.",
    )


@check("versions", "Whether the servers are new enough, and alike")
def versions(seen: Snapshot) -> Iterator[Finding]:
    """The scripts need Redis 7.0 or any Valkey. A replica that is older than its primary may not
    understand what it is sent."""
    old = [node for node in seen.answering if _compatible_with(node) < _OLDEST]
    yield from about(
        old,
        "problem",
        found=f"These are older than Redis 7.0: {', '.join(_releases(old))}.",
        remedy="Use Valkey, or Redis 7.0 or later.",
    )
    different = _releases(seen.answering)
    if len(different) > 1:
        yield Finding(
            severity="warning",
            found=f"The servers differ: {', '.join(different)}.",
            remedy="Well enough during an upgrade (replicas first, then CLUSTER FAILOVER); end it.",
        )


def _releases(nodes: Iterable[NodeSeen]) -> list[str]:
    return sorted({node.version for node in nodes if node.version is not None})


def _compatible_with(node: NodeSeen) -> tuple[int, ...]:
    """The Redis version, which Valkey tells too; new enough where it is not told."""
    told = (node.info or {}).get("redis_version", "")
    parts = told.split(".")[:2]
    return tuple(map(int, parts)) if all(map(str.isdecimal, parts)) else _OLDEST


@check("clocks", "Whether the clocks agree")
def clocks(seen: Snapshot) -> Iterator[Finding]:
    """A session's times are judged by the clock of the primary that has its slot: after a failover
    to a clock that differs, sessions end earlier or later by the difference, and `revoke_before`
    spares sessions of a clock that runs ahead. Tokens are issued and judged by the clocks of the
    applications, with `clock_leeway` (30 s) between them."""
    known = [(node, node.clock) for node in seen.answering if node.clock is not None]
    if not known:
        return
    first = min(known, key=lambda each: each[1].ahead)
    last = max(known, key=lambda each: each[1].ahead)
    apart = last[1].ahead - first[1].ahead - (first[1].uncertainty + last[1].uncertainty)
    if apart > _CLOCKS_APART:
        yield Finding(
            severity="problem",
            found=f"Their clocks are at least {apart:.1f} s apart.",
            remedy="Let the hosts set their clocks by NTP (chrony).",
            nodes=names((first[0], last[0])),
        )
    nearest = min((each for _, each in known), key=lambda each: abs(each.ahead))
    if abs(nearest.ahead) - nearest.uncertainty > _CLOCK_AND_OURS:
        direction = "behind" if nearest.ahead > 0 else "ahead of"
        yield Finding(
            severity="warning",
            found=f"This machine's clock is {abs(nearest.ahead):.1f} s {direction} the servers'.",
            remedy="Let this host set its clock by NTP (chrony).",
        )


@check("round-trip", "Whether the nodes are near enough")
def round_trip(seen: Snapshot) -> Iterator[Finding]:
    """Each call has `timeout` seconds of the store URL (0.5), and the leases of what is verified
    from memory are renewed several times in `staleness_bound` (0.5 s): on a long way calls fail
    without a fault, and nothing comes from memory."""
    far = [
        node
        for node in seen.answering
        if (node.round_trip or 0) > min(_LONG_WAY, seen.patience.timeout / 4)
    ]
    if far:
        longest = max(node.round_trip or 0 for node in far)
        yield Finding(
            severity="warning",
            found=f"An answer takes up to {longest * 1000:.0f} ms at best, a call may take"
            f" {seen.patience.timeout * 1000:.0f} ms.",
            remedy="Put the application near the cluster; or raise timeout and deadline in the"
            " store URL, and staleness_bound.",
            nodes=names(far),
        )


def _with(seen: Snapshot, setting: str, value: str) -> list[NodeSeen]:
    """The nodes that have it so; a single server has settings for clusters that mean nothing."""
    if setting.startswith("cluster-") and not seen.is_cluster:
        return []
    return [node for node in seen.answering if node.setting(setting) == value]
