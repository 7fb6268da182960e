"""Replicas of the shards, their hosts, and the copies of the cutoff."""

from collections import Counter
from collections.abc import Iterator

from clusterpass.doctor.findings import Finding, check, shown
from clusterpass.doctor.snapshot import Snapshot, is_loopback
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF
from clusterpass.store.topology.cluster_nodes import Member


@check("replicas", "Whether every primary has a working replica")
def replicas(seen: Snapshot) -> Iterator[Finding]:
    """A shard without a replica loses its sessions together with its only node. If other shards
    have replicas, ClusterPass insists on a confirmation that this shard cannot give: logins there
    answer `durable: false`, and a revocation is retried until the `deadline` of the store URL
    (2.5 s) and then answers 503 `revocation_pending`. If no shard has a replica, nothing is waited
    for, and every write is as fragile as its node. A second replica lets a shard survive the loss
    of two nodes; revocations then wait for both, as either may be promoted."""
    owners = seen.owners()
    bare = [member for member in owners if not _working(seen, member)]
    if bare and not any(each.is_replica for each in seen.members) and not _replaced(seen):
        yield Finding(
            severity="problem",
            found="No primary has a replica: if a node fails, nothing takes over, and its sessions"
            " may be lost. Writes wait for no confirmation.",
            remedy="Add a replica for each primary (valkey-cli --cluster add-node --cluster-slave,"
            " or CLUSTER MEET and CLUSTER REPLICATE).",
            nodes=tuple(seen.name_of(member) for member in bare),
        )
        return
    for member in bare:
        yield Finding(
            severity="problem",
            found=f"This primary ({shown(member.slot_count, 'slot')}) has no working replica:"
            " revocations there stay pending, logins are not durable, and if it fails, nothing"
            " takes over.",
            remedy=_new_replica(seen, member),
            nodes=(seen.name_of(member),),
        )


def _replaced(seen: Snapshot) -> tuple[Member, ...]:
    """The failed primaries that a replica has replaced; each returns as a replica."""
    return tuple(m for m in seen.members if m.is_primary and m.has_failed and not m.slots)


def _working(seen: Snapshot, primary: Member) -> list[Member]:
    return [each for each in seen.replicas_of(primary) if not each.failing]


def _new_replica(seen: Snapshot, bare: Member) -> str:
    """How ``bare`` gets a replica: the failed one, one of a shard that has two, or a new one."""
    failed = seen.replicas_of(bare) or _replaced(seen)
    if failed:
        listed = ", ".join(map(seen.name_of, failed))
        return (
            f"Restart {listed}, or add another replica and remove the failed node with CLUSTER"
            " FORGET on every other node."
        )
    for owner in seen.owners():
        working = _working(seen, owner)
        if len(working) > 1:
            return (
                f"Run CLUSTER REPLICATE {bare.id} on {seen.name_of(working[-1])}, one of the"
                f" {len(working)} replicas of {seen.name_of(owner)}; or add a node. A spare replica"
                " moves by itself only to a primary that has lost all its replicas, not to one that"
                " never had any."
            )
    return (
        f"Add a node (valkey-cli --cluster add-node --cluster-slave --cluster-master-id {bare.id})."
    )


@check("hosts", "Whether the nodes of each shard are on different hosts")
def hosts(seen: Snapshot) -> Iterator[Finding]:
    """A primary and its replica on the same host fail together, and the sessions of the shard are
    lost with them. No protocol can make up for the loss of every copy."""
    if seen.is_local and seen.is_cluster:
        yield Finding(
            severity="note",
            found="All nodes are on this machine, which is a single point of failure.",
            remedy="Use at least three hosts in production. One machine is fine for development.",
        )
        return
    for member in seen.owners():
        copies = [member, *(each for each in seen.replicas_of(member) if not each.failing)]
        by_host = Counter(seen.host_of(each) for each in copies)
        shared = sorted(host for host, count in by_host.items() if count > 1)
        if len(copies) > 1 and shared:
            all_on_one = len(by_host) == 1
            yield Finding(
                severity="problem" if all_on_one else "warning",
                found=f"{'All' if all_on_one else 'Several'} nodes of this shard are on the same"
                f" host: {', '.join(shared)}.",
                remedy="Assign the replica to a primary on another host (CLUSTER REPLICATE)."
                + (" Loopback addresses do not tell hosts apart." * is_loopback(shared[0])),
                nodes=tuple(seen.name_of(each) for each in copies),
            )


@check("cutoff-copies", "Whether the copies of the cutoff are on three primaries")
def cutoff_copies(seen: Snapshot) -> Iterator[Finding]:
    """The cutoff, which is the time of `revoke_before`, has three copies, in slots 2730, 8192 and
    13653. If two of them are on one primary, the loss of that shard takes both, and what two of
    three primaries have to confirm depends on it alone: a revocation that its own shard cannot
    confirm cannot be recorded on the others. Slots that are divided evenly put the copies on three
    primaries; a rebalancing by weights, or slots that were moved by hand, may not."""
    owners = seen.owners()
    if len(owners) < len(SLOTS_WITH_CUTOFF):
        return  # said by the check of the majority
    held = {owner: [s for s in SLOTS_WITH_CUTOFF if owner.owns(s)] for owner in owners}
    without = sorted((each for each in owners if not held[each]), key=lambda m: m.slot_count)
    targets = iter(without)
    for owner, slots in held.items():
        moves = list(zip(slots[1:], targets, strict=False))
        if moves:
            yield Finding(
                severity="warning",
                found=f"This primary holds {len(slots)} of the three copies of the cutoff (slots"
                f" {', '.join(map(str, slots))}): its loss takes them together, and revocations"
                " that a shard cannot confirm cannot be recorded on other primaries.",
                remedy=" ".join(_move(seen, slot, target) for slot, target in moves),
                nodes=(seen.name_of(owner),),
            )


def _move(seen: Snapshot, slot: int, target: Member) -> str:
    return (
        f"Move slot {slot} to {seen.name_of(target)}: run CLUSTER MIGRATESLOTS SLOTSRANGE {slot}"
        f" {slot} NODE {target.id} on this primary (Valkey 9), or CLUSTER SETSLOT and MIGRATE."
    )
