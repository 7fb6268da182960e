"""Does an acknowledged write outlive a node? Replication, files, and the trial write."""

from collections.abc import Iterator
from typing import Final

from clusterpass.doctor.findings import Finding, about, check, names, shown
from clusterpass.doctor.snapshot import NodeSeen, Snapshot, whole

_LAG_SECONDS: Final = 2
_LAG_BYTES: Final = 1_000_000
_SMALL_BACKLOG: Final = 1_000_000
_AFTER_RESTART: Final = {
    "none": "There is neither an append-only file nor a snapshot: restarted at once, it comes back"
    " empty.",
    "some": "There is no append-only file, only snapshots: restarted at once, it comes back as it"
    " was at the last one.",
    "unseen": "There is no append-only file; whether there are snapshots could not be seen."
    " Restarted at once, it comes back empty, or as it was at the last one.",
}
_DEFAULT_NODE_TIMEOUT: Final = 15_000


@check("replication", "Whether the replicas keep up")
def replication(seen: Snapshot) -> Iterator[Finding]:
    """A write is durable once a replica has it. A replica whose link is down confirms nothing, and
    one that lags confirms late: logins say `durable: false`, endings are pending."""
    for node in seen.replicas:
        info = node.info or {}
        if info.get("master_link_status") == "down":
            yield Finding(
                severity="problem",
                found="The link of this replica to its primary is down"
                + (" (it is copying all data)." * (info.get("master_sync_in_progress") == "1")),
                remedy="Look at its log: masterauth, TLS for replication, and limits of the"
                " primary's output buffer for replicas are common causes.",
                nodes=(str(node.address),),
            )
    for node in seen.primaries:
        yield from _late_replicas(node)
    small = [n for n in seen.primaries if (n.number("repl_backlog_size") or 2**40) < _SMALL_BACKLOG]
    yield from about(
        small,
        "note",
        found="repl-backlog-size is below 1 MB: after a short cut a replica copies all data"
        " again, and confirms nothing meanwhile.",
        remedy="CONFIG SET repl-backlog-size 64mb.",
    )


def _late_replicas(node: NodeSeen) -> Iterator[Finding]:
    offset = node.number("master_repl_offset") or 0
    for name, text in (node.info or {}).items():
        if not (name.startswith("slave") and name[5:].isdigit()):
            continue
        said = dict(part.partition("=")[::2] for part in text.split(","))
        behind = offset - (whole(said.get("offset")) or offset)
        lag = whole(said.get("lag")) or 0
        replica = f"{said.get('ip')}:{said.get('port')}"
        if said.get("state") != "online":
            problem = f"is not in step yet ({said.get('state')})"
        elif lag >= _LAG_SECONDS or behind > _LAG_BYTES:
            problem = f"is {shown(behind, 'byte')} behind, and was heard of {lag} s ago"
        else:
            continue
        yield Finding(
            severity="warning",
            found=f"Its replica {replica} {problem}.",
            remedy="Give it the processor and the network of its primary, or put another in its"
            " place.",
            nodes=(str(node.address),),
        )


@check("confirmation", "Whether a write is really confirmed by a replica (with --write)")
def confirmation(seen: Snapshot) -> Iterator[Finding]:
    """The trial writes as a session does: a script, and WAIT on the same connection. Where no
    replica confirms in time, no login is durable and no ending is acknowledged."""
    for node in seen.nodes:
        trial = node.trial
        if trial is None:
            continue
        member = node.myself
        has_replicas = (
            bool(seen.replicas_of(member))
            if member is not None
            else bool(node.number("connected_slaves"))
        )
        if trial.refusal:
            found = f"The trial write failed: {trial.refusal}"
        elif trial.replicas == 0 and has_replicas:
            found = f"No replica confirmed the trial within {seen.patience.replica_wait:g} s."
        else:
            continue
        yield Finding(
            severity="problem",
            found=found,
            remedy="Look at the replica's link and load; where the network is slow, raise"
            " replica_wait in the store URL.",
            nodes=(str(node.address),),
        )


@check("persistence", "What a primary that is restarted comes back with")
def persistence(seen: Snapshot) -> Iterator[Finding]:
    """A primary that is restarted before it was replaced keeps its slots. Without a file it comes
    back empty, and its replica copies the emptiness: all sessions of the shard are gone. With a
    snapshot it comes back as it was then, and what ended since is alive again for whoever did not
    see it end. It is safe with `appendonly yes`, or when whatever restarts it waits until its
    replica has taken over."""
    owners = [node for node in seen.primaries if node.myself is None or node.myself.slots]
    unsafe = [node for node in owners if (node.info or {}).get("aof_enabled") == "0"]
    for what, comes_back in _AFTER_RESTART.items():
        group = [node for node in unsafe if _snapshots(node) == what]
        if group:
            yield _unsafe_restart(seen, group, comes_back)
    failing = [node for node in seen.answering if _fails_to_write(node)]
    yield from about(
        failing,
        "problem",
        found="The last attempt to write its file failed. Where stop-writes-on-bgsave-error"
        " is on, it refuses all writes.",
        remedy="Look at its log, and at the space and the rights on its disk.",
    )


def _unsafe_restart(seen: Snapshot, group: list[NodeSeen], comes_back: str) -> Finding:
    timeouts = [node.setting_number("cluster-node-timeout") for node in group]
    known = [timeout for timeout in timeouts if timeout]
    delay = 2 * max(known, default=_DEFAULT_NODE_TIMEOUT) / 1000
    if seen.is_cluster:
        remedy = (
            f"CONFIG SET appendonly yes; or let what restarts it wait for {delay:g} s (twice the"
            " node timeout; RestartSec= of systemd). How long it waits cannot be seen from here."
        )
    else:
        remedy = "CONFIG SET appendonly yes."
    return Finding(
        severity="warning" if seen.is_cluster else "problem",
        found=comes_back,
        remedy=remedy,
        nodes=names(group),
    )


def _snapshots(node: NodeSeen) -> str:
    saves = node.setting("save")
    return "unseen" if saves is None else "some" if saves else "none"


def _fails_to_write(node: NodeSeen) -> bool:
    info = node.info or {}
    has_files = info.get("aof_enabled") == "1"
    return (has_files and info.get("aof_last_write_status", "ok") != "ok") or (
        info.get("rdb_last_bgsave_status", "ok") != "ok"
    )


@check("fsync", 'Whether `durability="fsync"` can be kept')
def fsync(seen: Snapshot) -> Iterator[Finding]:
    """With that level a write waits until it is on disk (WAITAOF). Servers that cannot do it
    answer an error, and no login succeeds."""
    if seen.durability != "fsync":
        return
    without = [node for node in seen.answering if (node.info or {}).get("aof_enabled") == "0"]
    lax = [node for node in seen.answering if node.setting("appendfsync") == "no"]
    old = [node for node in seen.primaries if node.denied is not None and "waitaof" in node.denied]
    for nodes, found, remedy in (
        (without, "There is no append-only file.", "CONFIG SET appendonly yes."),
        (
            lax,
            "appendfsync is no: nobody knows when the disk has it, and WAITAOF waits in vain.",
            "CONFIG SET appendfsync everysec.",
        ),
        (
            old,
            "WAITAOF is missing or not allowed.",
            "Use Redis 7.2 or Valkey, and give the user +waitaof.",
        ),
    ):
        if nodes:
            yield Finding(severity="problem", found=found, remedy=remedy, nodes=names(nodes))


@check("min-replicas", "Whether the loss of a replica stops logins")
def min_replicas(seen: Snapshot) -> Iterator[Finding]:
    """With min-replicas-to-write a primary refuses every write while it counts fewer replicas. It
    does not keep acknowledged writes from being lost (WAIT does), but it turns the loss of a
    replica into an outage for logins."""
    for node in seen.primaries:
        wanted = node.setting_number("min-replicas-to-write") or 0
        there = node.number("connected_slaves")
        if wanted and (there is None or there <= wanted):
            yield Finding(
                severity="problem",
                found=f"min-replicas-to-write is {wanted} and it has"
                f" {'an unknown number of' if there is None else there} replicas: when one dies,"
                " nobody can log in there.",
                remedy="CONFIG SET min-replicas-to-write 0; durability is asked for with each"
                " write.",
                nodes=(str(node.address),),
            )
