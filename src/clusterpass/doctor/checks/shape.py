"""Is it a cluster that can lose a node? Its members, slots, copies and hosts."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from clusterpass.doctor.findings import Finding, about, check, names, shown
from clusterpass.doctor.snapshot import Snapshot, is_loopback, whole
from clusterpass.store.topology.members import Member
from clusterpass.store.topology.slots import SLOTS

_FEWEST_PRIMARIES: Final = 3
_SKEW: Final = 2.0
_FEW_KEYS: Final = 10_000


@check("kind-of-deployment", "Whether the store URL and the servers agree on what they are")
def kind_of_deployment(seen: Snapshot) -> Iterator[Finding]:
    """A store URL for one server finds a fraction of the slots in a cluster, and one for a cluster
    finds none on a single server. One server is a single point of failure: where it dies, everybody
    is logged out unless its disk is kept, and nobody can log in meanwhile."""
    if seen.asked_for_cluster and not seen.is_cluster:
        yield Finding(
            severity="problem",
            found="The store URL says that this is a cluster, but the server is a single one.",
            remedy="Use redis:// or rediss:// for one server, or enable cluster mode.",
            nodes=names(seen.nodes),
        )
    elif seen.is_cluster and not seen.asked_for_cluster:
        yield Finding(
            severity="problem",
            found="The store URL says that this is one server, but it is part of a cluster: most"
            " subjects belong to other nodes.",
            remedy="Use redis+cluster:// or rediss+cluster://.",
        )
    elif not seen.is_cluster:
        replicas = seen.nodes[0].number("connected_slaves") or 0
        copies = f"with {shown(replicas, 'replica')}" if replicas else "without a replica"
        yield Finding(
            severity="warning",
            found=f"It is one server {copies}: when it dies nobody takes over, and until it is back"
            " nobody can log in.",
            remedy="Run a cluster of three primaries with a replica each; for development this"
            " is enough.",
            nodes=names(seen.nodes),
        )


@check("node-unreachable", "Whether every node can be reached from here, under its announced name")
def node_unreachable(seen: Snapshot) -> Iterator[Finding]:
    """Clients go where the cluster says that a slot is. A node that they cannot reach under that
    address (behind an address translation, with a certificate for another name) takes its shard
    away from them, and a replica that cannot be reached does so when it is promoted."""
    for node in seen.nodes:
        member = next((each for each in seen.members if each.id == node.id), None)
        if not node.answered and not (member is not None and member.has_failed):
            yield Finding(
                severity="problem",
                found=f"It cannot be asked from here: {node.refusal}.",
                remedy="Open the way to it; if it announces an address that is good within the"
                " cluster only, set cluster-announce-ip or cluster-announce-hostname.",
                nodes=(str(node.address),),
            )


@check("node-failed", "Whether the nodes hold all others for alive")
def node_failed(seen: Snapshot) -> Iterator[Finding]:
    """While a node is down its shard has a copy less: the next loss there takes its sessions, and
    endings are answered as pending."""
    failed = {m.id: m for n in seen.answering for m in n.members if m.has_failed}
    failed |= {m.id: m for m in seen.members if m.has_failed}
    suspected = Counter(m.id for n in seen.answering for m in n.members if "fail?" in m.flags)
    strangers = [m for m in seen.members if m.flags & {"handshake", "noaddr"}]
    for member in failed.values():
        yield Finding(
            severity="problem",
            found=f"The cluster holds this {_role(member)} for failed.",
            remedy="Bring it back, or take it out with CLUSTER FORGET on every other node.",
            nodes=(seen.name_of(member),),
        )
    for member in seen.members:
        if suspected[member.id] and member.id not in failed:
            yield Finding(
                severity="warning",
                found=f"{shown(suspected[member.id], 'node')} of {len(seen.answering)} cannot reach"
                f" this {_role(member)} on the cluster bus.",
                remedy="Look at the network between the nodes, also at the bus port (the client"
                " port + 10000 unless cluster-port says another).",
                nodes=(seen.name_of(member),),
            )
    for member in strangers:
        yield Finding(
            severity="warning",
            found="The cluster knows of this node without knowing it: it never answered.",
            remedy="Let it answer on the cluster bus, or remove it with CLUSTER FORGET.",
            nodes=(seen.name_of(member),),
        )


@check("slots-uncovered", "Whether every slot has an owner that serves it")
def slots_uncovered(seen: Snapshot) -> Iterator[Finding]:
    """Who belongs to a slot without an owner can neither log in nor be verified."""
    if not seen.is_cluster:
        return
    covered = sum(member.slot_count for member in seen.owners() if not member.has_failed)
    if covered < SLOTS:
        yield Finding(
            severity="problem",
            found=f"{shown(SLOTS - covered, 'slot')} of {SLOTS:,} have no owner that is alive.",
            remedy="Give them to a primary (CLUSTER ADDSLOTSRANGE, or the cluster tool's fix), or"
            " bring the owner back.",
        )
    down = [n for n in seen.answering if n.cluster_info.get("cluster_state", "ok") != "ok"]
    yield from about(
        down,
        "problem",
        found="These nodes say that the cluster is down for them, and refuse calls.",
        remedy="Look at their view with CLUSTER NODES and CLUSTER INFO: most often a majority"
        " of the primaries is out of their reach, or slots are uncovered.",
    )


@check("majority", "Whether the primaries can still agree on a failover")
def majority(seen: Snapshot) -> Iterator[Finding]:
    """A replica is promoted by the votes of most primaries that own slots. With fewer than three,
    or where the loss of one host takes the majority, nobody can be promoted any more: a shard that
    has lost its primary stays away."""
    owners = seen.owners()
    if not owners:
        return
    if len(owners) < _FEWEST_PRIMARIES:
        yield Finding(
            severity="problem",
            found=f"Slots are spread over {len(owners)} of the three primaries that it takes at"
            " least: when one dies, the others are no majority and nobody takes over.",
            remedy="Spread the slots over three primaries at least.",
        )
        return
    by_host = Counter(seen.host_of(member) for member in owners)
    host, most = by_host.most_common(1)[0]
    if 2 * most >= len(owners) and not seen.is_local:
        yield Finding(
            severity="problem",
            found=f"{most} of {len(owners)} primaries are on the host {host}: when it dies, the"
            " others are no majority and nobody takes over.",
            remedy="Spread the primaries over hosts, so that each has fewer than half of them;"
            " CLUSTER FAILOVER on a replica elsewhere moves one at once.",
            nodes=tuple(seen.name_of(m) for m in owners if seen.host_of(m) == host),
        )


@check("replicas", "Whether each primary has a replica that is alive")
def replicas(seen: Snapshot) -> Iterator[Finding]:
    """A shard without a replica loses its sessions with its only node. Logins there say
    `durable: false`, and endings are answered 503 `revocation_pending` where the cluster has
    replicas otherwise."""
    for member in seen.owners():
        alive = [each for each in seen.replicas_of(member) if not each.failing]
        if not alive:
            yield Finding(
                severity="problem",
                found=f"This primary ({shown(member.slot_count, 'slot')}) has no replica that is"
                " alive.",
                remedy="Add one with CLUSTER REPLICATE; a spare replica elsewhere comes by itself"
                " where cluster-allow-replica-migration is on.",
                nodes=(seen.name_of(member),),
            )


@check("hosts", "Whether the copies of a shard are on different hosts")
def hosts(seen: Snapshot) -> Iterator[Finding]:
    """A primary and its replica on one host die together, and the sessions with them: that is the
    loss of all copies of a slot, which no protocol mends."""
    if seen.is_local and seen.is_cluster:
        yield Finding(
            severity="note",
            found="All nodes are on this machine, so it is the single point of failure.",
            remedy="Well enough for development and tests; in production use three hosts or more.",
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
                found=f"{'All' if all_on_one else 'Several'} copies of this shard are on the host"
                f" {', '.join(shared)}.",
                remedy="Let the replica follow a primary of another host (CLUSTER REPLICATE)."
                + (" Loopback names of several hosts look alike." * is_loopback(shared[0])),
                nodes=tuple(seen.name_of(each) for each in copies),
            )


@check("views", "Whether the nodes agree on who owns what")
def views(seen: Snapshot) -> Iterator[Finding]:
    """Nodes that disagree send clients to and fro; a node with an old view may still take writes
    that are lost later. It is normal for a moment after a change. Two primaries with one
    configuration epoch cannot settle a conflict over a slot."""
    told: dict[frozenset[tuple[str, str | None, tuple[tuple[int, int], ...]]], list[str]] = {}
    for node in seen.answering:
        if node.members:
            view = frozenset((m.id, m.primary_id, m.slots) for m in node.members)
            told.setdefault(view, []).append(str(node.address))
    if len(told) > 1:
        fewest = sorted(told.values(), key=len)[:-1]
        yield Finding(
            severity="warning",
            found=f"The nodes have {len(told)} different views of the cluster; these differ from"
            " most.",
            remedy="Look again in a minute. If it stays so, the cluster bus between them is"
            " broken, or a node was forgotten by some only.",
            nodes=tuple(sorted(address for group in fewest for address in group)),
        )
    epochs = Counter(member.epoch for member in seen.owners())
    twice = [member for member in seen.owners() if epochs[member.epoch] > 1]
    if twice:
        yield Finding(
            severity="warning",
            found="These primaries have the same configuration epoch.",
            remedy="Nodes settle that by themselves once they hear each other; if it stays so, one"
            " of them can be given a new one by CLUSTER BUMPEPOCH.",
            nodes=tuple(seen.name_of(member) for member in twice),
        )


@check("slots-moving", "Whether slots were left half way between two nodes")
def slots_moving(seen: Snapshot) -> Iterator[Finding]:
    """While a slot moves its calls take a redirection more. One that was left so, by a tool that
    was interrupted, keeps its subjects in two places."""
    for node in seen.primaries:  # Valkey's replicas know it too
        moving = [] if node.myself is None else node.myself.moving
        if moving:
            yield Finding(
                severity="warning",
                found=f"{shown(len(moving), 'slot')} on the way: {' '.join(moving[:4])}"
                f"{' ...' * (len(moving) > 4)}",
                remedy="If nobody is moving slots now, end it: CLUSTER SETSLOT <slot> STABLE, or"
                " the cluster tool's fix.",
                nodes=(str(node.address),),
            )


@check("skew", "Whether slots and keys are spread evenly")
def skew(seen: Snapshot) -> Iterator[Finding]:
    """The node with most of the sessions is the first to be full and to be slow, and its loss
    touches more users than it has to."""
    owners = seen.owners()
    for member in owners:
        if len(owners) > 1 and member.slot_count > _SKEW * SLOTS / len(owners):
            yield Finding(
                severity="warning",
                found=f"It owns {member.slot_count:,} of {SLOTS:,} slots; a fair share of"
                f" {len(owners)} is {SLOTS // len(owners):,}.",
                remedy="Move slots to the others (the cluster tool's rebalance).",
                nodes=(seen.name_of(member),),
            )
    keys = {node.address: _keys(node.info or {}) for node in seen.primaries}
    total = sum(keys.values())
    for address, count in keys.items():
        if total > _FEW_KEYS and count > _SKEW * total / len(keys):
            yield Finding(
                severity="warning",
                found=f"It holds {count:,} of {total:,} keys.",
                remedy="If that follows from its slots, move some; other applications' keys with"
                " one hash tag are another cause.",
                nodes=(str(address),),
            )


def _keys(info: Mapping[str, str]) -> int:
    named = dict(part.partition("=")[::2] for part in info.get("db0", "").split(","))
    return whole(named.get("keys")) or 0


def _role(member: Member) -> str:
    return "primary" if member.is_primary else "replica"
