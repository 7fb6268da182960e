"""Does every session that was acknowledged stay in memory?"""

from collections.abc import Iterator
from typing import Final

from clusterpass.doctor.findings import Finding, Severity, about, check, names, shown
from clusterpass.doctor.snapshot import NodeSeen, Snapshot

_KEEPS_ALL: Final = "noeviction"
_FULL, _ALMOST_FULL = 0.75, 0.9
_LISTPACK_ENTRIES: Final = 128
_LISTPACK_VALUE: Final = 64


@check("eviction", "Whether the servers may throw sessions away to make room")
def eviction(seen: Snapshot) -> Iterator[Finding]:
    """Every key of ours has a time to live, so each policy but `noeviction` may take sessions,
    tombstones and bans: an acknowledged login is lost, and, worse, an ended session's tombstone.
    With `noeviction` a full server refuses logins (503 `full`) and keeps what it has."""
    told = [
        (node, node.setting("maxmemory-policy") or (node.info or {}).get("maxmemory_policy"))
        for node in seen.answering
    ]
    wrong = {node: policy for node, policy in told if policy and policy != _KEEPS_ALL}
    evicting = [node for node in wrong if _limit(node)]
    idle = [node for node in wrong if not _limit(node)]
    grades: tuple[tuple[list[NodeSeen], Severity, str], ...] = (
        (evicting, "problem", ": when memory is full, sessions vanish."),
        (idle, "warning", ", which takes effect as soon as maxmemory is set."),
    )
    for nodes, severity, consequence in grades:
        policies = ", ".join(sorted({wrong[node] for node in nodes}))
        yield from about(
            nodes,
            severity,
            found=f"maxmemory-policy is {policies}{consequence}",
            remedy="CONFIG SET maxmemory-policy noeviction, and in the configuration file.",
        )
    lost = [node for node in seen.primaries if node.number("evicted_keys")]
    if lost:
        count = sum(node.number("evicted_keys") or 0 for node in lost)
        yield Finding(
            severity="problem",
            found=f"{shown(count, 'key')} evicted since the servers started: sessions may be among"
            " them.",
            remedy="Use noeviction. If revocations were among what is lost, revoke_before() ends"
            " all that was opened before now.",
            nodes=names(lost),
        )


@check("memory", "Whether there is room for more sessions")
def memory(seen: Snapshot) -> Iterator[Finding]:
    """A full server refuses every write: nobody can log in or refresh there, while verifying and
    logging out go on. A server without a limit is ended by the kernel instead."""
    for node in seen.answering:
        used = node.number("used_memory")
        limit = _limit(node)
        room = limit or node.number("total_system_memory")
        if used is None or not room or used < _FULL * room:
            continue
        yield Finding(
            severity="problem" if used >= _ALMOST_FULL * room else "warning",
            found=f"{used / room:.0%} of {'maxmemory' if limit else 'the machine'} is used"
            f" ({used / 2**20:,.0f} of {room / 2**20:,.0f} MiB).",
            remedy="Raise maxmemory, or add a shard and move slots to it.",
            nodes=(str(node.address),),
        )
    unlimited = [node for node in seen.answering if node.info is not None and not _limit(node)]
    if unlimited and not seen.is_local:
        yield Finding(
            severity="warning",
            found="There is no maxmemory: instead of refusing logins when it is full, the kernel"
            " ends the server.",
            remedy="Set maxmemory to what the machine can spare (three quarters of it, where"
            " copies are written to disk) and keep noeviction.",
            nodes=names(unlimited),
        )


@check("compact-hashes", "Whether a user's sessions are kept in the compact encoding")
def compact_hashes(seen: Snapshot) -> Iterator[Finding]:
    """A record is at most 64 bytes so that a user's hash stays compact (about 200 bytes for one
    session). With lower limits each user takes about twice the memory."""
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
            found="hash-max-listpack-entries or hash-max-listpack-value is below the default.",
            remedy=f"Set them to {_LISTPACK_ENTRIES} and {_LISTPACK_VALUE} at least.",
            nodes=names(wide),
        )


def _limit(node: NodeSeen) -> int:
    """Of the memory, in bytes; 0: none, or not told."""
    return node.setting_number("maxmemory") or node.number("maxmemory") or 0
