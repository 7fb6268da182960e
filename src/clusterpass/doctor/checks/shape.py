"""Members, slots and primaries.

- Nodes that are unreachable, have failed, or disagree.
- Slots that are uncovered, moving, or unevenly used.
- Whether enough primaries are left to fail over, and whether the store URL fits the deployment.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from clusterpass.doctor.findings import Finding, about, check, names, shown
from clusterpass.doctor.snapshot import Snapshot, whole
from clusterpass.store.topology.cluster_nodes import Member
from clusterpass.store.topology.slots import SLOTS

_FEWEST_PRIMARIES: Final = 3
_FEWEST_SENTINELS: Final = 3
_SKEW: Final = 2.0
_FEW_KEYS: Final = 10_000


@check("kind-of-deployment", "Whether the store URL fits the servers, and they form a cluster")
def kind_of_deployment(seen: Snapshot) -> Iterator[Finding]:
    """A store URL for a single server reaches only some of the slots of a cluster, and a store URL
    for a cluster finds no slots on a single server. A single server is a single point of failure:
    while it is down, nobody can log in, and if its data is lost, everybody is logged out. Sentinels
    let a replica take over, as long as a majority of them is there."""
    if seen.asked_for_cluster and not seen.is_cluster:
        yield Finding(
            severity="problem",
            found="The store URL is for a cluster, but this is a single server.",
            remedy="Use redis:// or rediss:// in the store URL, or enable cluster mode on the"
            " server.",
            nodes=names(seen.nodes),
        )
    elif seen.is_cluster and not seen.asked_for_cluster:
        yield Finding(
            severity="problem",
            found="The store URL is for a single server, but the server belongs to a cluster: most"
            " subjects are on other nodes.",
            remedy="Use redis+cluster:// or rediss+cluster:// in the store URL.",
        )
    elif seen.sentinels:
        yield from _behind_sentinels(seen)
    elif not seen.is_cluster:
        replicas = seen.nodes[0].number("connected_slaves") or 0
        copies = f"with {shown(replicas, 'replica')}" if replicas else "without replicas"
        yield Finding(
            severity="warning",
            found=f"This is a single server {copies}. If it fails, nothing takes over, and nobody"
            " can log in until it is back.",
            remedy="Run a cluster of three primaries with a replica each, or Sentinels. A single"
            " server is fine for development.",
            nodes=names(seen.nodes),
        )


def _behind_sentinels(seen: Snapshot) -> Iterator[Finding]:
    if seen.sentinels < _FEWEST_SENTINELS:
        yield Finding(
            severity="warning",
            found=f"The servers have no more than {shown(seen.sentinels, 'Sentinel')}: when one"
            " fails, no primary is believed, and none is replaced.",
            remedy="Run three Sentinels, on hosts of their own.",
        )
    if len(seen.nodes) == 1:
        yield Finding(
            severity="warning",
            found="Sentinels look after a primary without replicas: nothing can take over.",
            remedy="Run two replicas: then writes stay durable while one of them is down.",
            nodes=names(seen.nodes),
        )


@check("node-unreachable", "Whether every node can be reached at the address it announces")
def node_unreachable(seen: Snapshot) -> Iterator[Finding]:
    """Clients connect to the address that the cluster announces for a slot. If they cannot (because
    of address translation, or a certificate for another name), they lose that shard. An unreachable
    replica goes unnoticed until it is promoted."""
    for node in seen.nodes:
        member = next((each for each in seen.members if each.id == node.id), None)
        if not node.answered and not (member is not None and member.has_failed):
            yield Finding(
                severity="problem",
                found=f"The node cannot be queried from here: {node.refusal}.",
                remedy="Allow connections to the node. If it announces an address that is valid"
                " only inside the cluster, set cluster-announce-ip or cluster-announce-hostname.",
                nodes=(str(node.address),),
            )


@check("node-failed", "Whether every node is up, as the others see it")
def node_failed(seen: Snapshot) -> Iterator[Finding]:
    """While a node is down, its shard has one copy less, and the next failure can lose the sessions
    of the shard. A replica that has failed may come back and be promoted, so revocations wait for
    it until the cluster has forgotten it: they are slow or stay pending, however many other
    replicas the shard has."""
    failed = {m.id: m for n in seen.answering for m in n.members if m.has_failed}
    failed |= {m.id: m for m in seen.members if m.has_failed}
    suspected = Counter(m.id for n in seen.answering for m in n.members if "fail?" in m.flags)
    strangers = [m for m in seen.members if m.flags & {"handshake", "noaddr"}]
    for member in failed.values():
        yield _failure(seen, member)
    for member in seen.members:
        if suspected[member.id] and member.id not in failed:
            yield Finding(
                severity="warning",
                found=f"{shown(suspected[member.id], 'node')} of {len(seen.answering)} cannot reach"
                f" this {_role(member)} on the cluster bus.",
                remedy="Check the network between the nodes, including the bus port (cluster-port;"
                " by default the client port plus 10000).",
                nodes=(seen.name_of(member),),
            )
    for member in strangers:
        yield Finding(
            severity="warning",
            found="The cluster has heard of this node, but has never reached it.",
            remedy="Allow connections to its cluster bus port, or remove it with CLUSTER FORGET.",
            nodes=(seen.name_of(member),),
        )


@check("slots-uncovered", "Whether every slot is served")
def slots_uncovered(seen: Snapshot) -> Iterator[Finding]:
    """Users whose slot has no owner can neither log in nor be verified."""
    if not seen.is_cluster:
        return
    covered = sum(member.slot_count for member in seen.owners() if not member.has_failed)
    if covered < SLOTS:
        yield Finding(
            severity="problem",
            found=f"{shown(SLOTS - covered, 'slot')} of {SLOTS:,} have no working owner.",
            remedy="Restart the owner, or assign the slots to a primary (CLUSTER ADDSLOTSRANGE, or"
            " valkey-cli --cluster fix).",
        )
    down = [n for n in seen.answering if n.cluster_info.get("cluster_state", "ok") != "ok"]
    yield from about(
        down,
        "problem",
        found="These nodes consider the cluster to be down, and refuse calls.",
        remedy="Run CLUSTER NODES and CLUSTER INFO on them. Usually they cannot reach a majority of"
        " the primaries, or slots have no owner.",
    )


@check("majority", "Whether a majority of primaries survives the loss of a host")
def majority(seen: Snapshot) -> Iterator[Finding]:
    """A replica is promoted by the votes of a majority of the primaries that own slots. With fewer
    than three such primaries, or if one host takes the majority with it, no replica can be
    promoted, and a shard that has lost its primary stays down."""
    owners = seen.owners()
    if not owners:
        return
    if len(owners) < _FEWEST_PRIMARIES:
        yield Finding(
            severity="problem",
            found=f"Only {len(owners)} of the required 3 primaries own slots: if one fails, the"
            " others are no majority, and no replica takes over.",
            remedy="Distribute the slots over at least three primaries.",
        )
        return
    by_host = Counter(seen.host_of(member) for member in owners)
    host, most = by_host.most_common(1)[0]
    if 2 * most >= len(owners) and not seen.is_local:
        yield Finding(
            severity="problem",
            found=f"{most} of {len(owners)} primaries are on the host {host}: if it fails, the"
            " others are no majority, and no replica takes over.",
            remedy="Distribute the primaries so that every host has fewer than half of them."
            " CLUSTER FAILOVER on a replica moves the primary to the host of that replica.",
            nodes=tuple(seen.name_of(m) for m in owners if seen.host_of(m) == host),
        )


@check("views", "Whether the nodes agree on the owner of every slot")
def views(seen: Snapshot) -> Iterator[Finding]:
    """Nodes that disagree redirect clients back and forth, and a node with an outdated view may
    accept writes that are lost later. A brief disagreement after a change is normal. Two primaries
    with the same configuration epoch cannot resolve a conflict over a slot."""
    told: dict[frozenset[tuple[str, str | None, tuple[tuple[int, int], ...]]], list[str]] = {}
    for node in seen.answering:
        if node.members:
            view = frozenset((m.id, m.primary_id, m.slots) for m in node.members)
            told.setdefault(view, []).append(str(node.address))
    if len(told) > 1:
        fewest = sorted(told.values(), key=len)[:-1]
        yield Finding(
            severity="warning",
            found=f"There are {len(told)} different views of the cluster; these nodes disagree with"
            " the majority.",
            remedy="Run the doctor again in a minute. If they still disagree, check the cluster bus"
            " between the nodes, and whether CLUSTER FORGET was run on some nodes only.",
            nodes=tuple(sorted(address for group in fewest for address in group)),
        )
    epochs = Counter(member.epoch for member in seen.owners())
    twice = [member for member in seen.owners() if epochs[member.epoch] > 1]
    if twice:
        yield Finding(
            severity="warning",
            found="These primaries have the same configuration epoch.",
            remedy="Nodes resolve this automatically once they can reach each other. If it"
            " persists, run CLUSTER BUMPEPOCH on one of them.",
            nodes=tuple(seen.name_of(member) for member in twice),
        )


@check("slots-moving", "Whether slot migrations were left unfinished")
def slots_moving(seen: Snapshot) -> Iterator[Finding]:
    """While a slot migrates, calls to it take an extra redirection. If the tool that moves it was
    interrupted, the subjects of the slot stay split between two nodes."""
    for node in seen.primaries:  # replicas of Valkey report it as well
        moving = [] if node.myself is None else node.myself.moving
        if moving:
            yield Finding(
                severity="warning",
                found=f"{shown(len(moving), 'slot')} being migrated: {' '.join(moving[:4])}"
                f"{' ...' * (len(moving) > 4)}",
                remedy="If no migration is running, finish it with valkey-cli --cluster fix, or"
                " cancel it with CLUSTER SETSLOT <slot> STABLE on both nodes.",
                nodes=(str(node.address),),
            )


@check("skew", "Whether slots and keys are distributed evenly")
def skew(seen: Snapshot) -> Iterator[Finding]:
    """The node with the most sessions is the first to run out of memory and the first to become
    slow, and its failure affects more users than necessary."""
    owners = seen.owners()
    for member in owners:
        if len(owners) > 1 and member.slot_count > _SKEW * SLOTS / len(owners):
            yield Finding(
                severity="warning",
                found=f"The node owns {member.slot_count:,} of {SLOTS:,} slots; an even share would"
                f" be {SLOTS // len(owners):,}.",
                remedy="Move slots to the other primaries (valkey-cli --cluster rebalance).",
                nodes=(seen.name_of(member),),
            )
    keys = {node.address: _keys(node.info or {}) for node in seen.primaries}
    total = sum(keys.values())
    for address, count in keys.items():
        if total > _FEW_KEYS and count > _SKEW * total / len(keys):
            yield Finding(
                severity="warning",
                found=f"The node holds {count:,} of {total:,} keys.",
                remedy="Move slots to the other primaries if the node owns too many. Another cause"
                " is an application that puts many keys under one hash tag.",
                nodes=(str(address),),
            )


def _keys(info: Mapping[str, str]) -> int:
    named = dict(part.partition("=")[::2] for part in info.get("db0", "").split(","))
    return whole(named.get("keys")) or 0


def _failure(seen: Snapshot, member: Member) -> Finding:
    effect = ""
    if member.is_replica:
        primary = next((each for each in seen.members if each.id == member.primary_id), None)
        of = "its primary" if primary is None else seen.name_of(primary)
        effect = (
            f" Revocations in the shard of {of} wait for it, and are slow or pending until it is"
            " back or removed."
        )
    return Finding(
        severity="problem",
        found=f"The cluster has marked this {_role(member)} as failed.{effect}",
        remedy="Restart the node. If it will not come back, remove it: run CLUSTER FORGET"
        f" {member.id} on every other node within a minute.",
        nodes=(seen.name_of(member),),
    )


def _role(member: Member) -> str:
    return "primary" if member.is_primary else "replica"
