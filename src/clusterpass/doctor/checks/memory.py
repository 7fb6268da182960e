"""Eviction and free memory."""

from collections.abc import Iterator
from typing import Final

from clusterpass.doctor.findings import Finding, Severity, about, check, names, shown
from clusterpass.doctor.snapshot import NodeSnapshot, Snapshot

_KEEPS_ALL: Final = "noeviction"
_FULL, _ALMOST_FULL = 0.75, 0.9
_LISTPACK_ENTRIES: Final = 128
_LISTPACK_VALUE: Final = 64


@check("eviction", "Whether the servers may evict sessions when memory is full")
def eviction(seen: Snapshot) -> Iterator[Finding]:
    """Every key of ClusterPass has a time to live, so every policy except `noeviction` may evict
    sessions, tombstones and bans. An acknowledged login is lost, or, worse, a revocation. With
    `noeviction`, a full server refuses logins (503 `full`) and keeps its data."""
    told = [
        (node, node.setting("maxmemory-policy") or (node.info or {}).get("maxmemory_policy"))
        for node in seen.answering
    ]
    wrong = {node: policy for node, policy in told if policy and policy != _KEEPS_ALL}
    evicting = [node for node in wrong if _limit(node)]
    idle = [node for node in wrong if not _limit(node)]
    grades: tuple[tuple[list[NodeSnapshot], Severity, str], ...] = (
        (evicting, "problem", ": when memory is full, sessions are evicted."),
        (idle, "warning", ", which evicts sessions as soon as maxmemory is set."),
    )
    for nodes, severity, consequence in grades:
        policies = ", ".join(sorted({wrong[node] for node in nodes}))
        yield from about(
            nodes,
            severity,
            found=f"maxmemory-policy is {policies}{consequence}",
            remedy="Run CONFIG SET maxmemory-policy noeviction, and change the configuration file.",
        )
    lost = [node for node in seen.primaries if node.number("evicted_keys")]
    if lost:
        count = sum(node.number("evicted_keys") or 0 for node in lost)
        yield Finding(
            severity="problem",
            found=f"The servers have evicted {shown(count, 'key')}, possibly sessions or"
            " revocations.",
            remedy="Set maxmemory-policy to noeviction. If a revocation may be lost, run"
            " clusterpass sessions revoke-before, which revokes every session opened until now.",
            nodes=names(lost),
        )


@check("memory", "Whether there is memory for more sessions")
def memory(seen: Snapshot) -> Iterator[Finding]:
    """A full server refuses logins and refreshes; verification and logout still work. A server
    without a limit is killed by the kernel instead."""
    for node in seen.answering:
        used = node.number("used_memory")
        limit = _limit(node)
        room = limit or node.number("total_system_memory")
        if used is None or not room or used < _FULL * room:
            continue
        yield Finding(
            severity="problem" if used >= _ALMOST_FULL * room else "warning",
            found=f"{used / room:.0%} of {'maxmemory' if limit else 'the memory of the machine'} is"
            f" in use ({used / 2**20:,.0f} of {room / 2**20:,.0f} MiB).",
            remedy="Raise maxmemory, or add a shard and move slots to it.",
            nodes=(str(node.address),),
        )
    unlimited = [node for node in seen.answering if node.info is not None and not _limit(node)]
    if unlimited and not seen.is_local:
        yield Finding(
            severity="warning",
            found="maxmemory is not set: when memory runs out, the kernel kills the server instead"
            " of the server refusing logins.",
            remedy="Set maxmemory to what the machine can spare (with snapshots or AOF rewrites at"
            " most three quarters of its memory), and keep maxmemory-policy noeviction.",
            nodes=names(unlimited),
        )


@check("compact-hashes", "Whether the sessions of a subject use the compact hash encoding")
def compact_hashes(seen: Snapshot) -> Iterator[Finding]:
    """A session record is at most 64 bytes, so that the hash of a subject stays a listpack (about
    200 bytes with one session). With lower limits, each subject takes about twice the memory."""
    wide = [
        node
        for node in seen.answering
        if (node.setting_number("hash-max-listpack-value") or _LISTPACK_VALUE) < _LISTPACK_VALUE
        or (node.setting_number("hash-max-listpack-entries") or _LISTPACK_ENTRIES)
        < _LISTPACK_ENTRIES
    ]
    if wide:
        yield Finding(
            severity="note",
            found="hash-max-listpack-entries or hash-max-listpack-value is below the default, so"
            " sessions take about twice the memory.",
            remedy=f"Set them to at least {_LISTPACK_ENTRIES} and {_LISTPACK_VALUE}.",
            nodes=names(wide),
        )


def _limit(node: NodeSnapshot) -> int:
    """The memory limit of the server in bytes; 0 if there is none or it was not told."""
    return node.setting_number("maxmemory") or node.number("maxmemory") or 0
