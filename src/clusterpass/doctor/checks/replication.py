"""Replication, persistence and durability."""

from collections.abc import Iterator
from typing import Final

from clusterpass.doctor.findings import Finding, about, check, names, shown
from clusterpass.doctor.snapshot import NodeSnapshot, Snapshot, whole

_LAG_SECONDS: Final = 2
_LAG_BYTES: Final = 1_000_000
_SMALL_BACKLOG: Final = 1_000_000
_SECONDS_BETWEEN_FSYNCS: Final = 1.0
_AFTER_RESTART: Final = {
    "none": "There is neither an append-only file nor a snapshot. After a restart, the server comes"
    " back empty",
    "some": "There is no append-only file, only a snapshot. After a restart, the server comes back"
    " with the data of the last snapshot",
    "unseen": "There is no append-only file, and whether there are snapshots is unknown. After a"
    " restart, the server comes back empty or with old data",
}
_DEFAULT_NODE_TIMEOUT: Final = 15_000


@check("replication", "Whether the replicas keep up")
def replication(seen: Snapshot) -> Iterator[Finding]:
    """A write is durable once every replica of its shard has it, as any of them may be promoted. A
    replica whose link is down confirms nothing, and a replica that lags confirms late. Logins then
    answer `durable: false`, and revocations are slow or stay pending, even if the shard has another
    replica that is up to date."""
    for node in seen.replicas:
        info = node.info or {}
        if info.get("master_link_status") == "down":
            yield Finding(
                severity="problem",
                found="The link from this replica to its primary is down"
                + " during a full synchronisation" * (info.get("master_sync_in_progress") == "1")
                + ".",
                remedy="Read the log of the replica. Common causes are masterauth, TLS for"
                " replication, and the output buffer limit for replicas on the primary.",
                nodes=(str(node.address),),
            )
    for node in seen.primaries:
        yield from _late_replicas(node)
    small = [n for n in seen.primaries if (n.number("repl_backlog_size") or 2**40) < _SMALL_BACKLOG]
    yield from about(
        small,
        "note",
        found="repl-backlog-size is below 1 MB: after a short disconnection a replica copies all"
        " data again, and confirms nothing in the meantime.",
        remedy="Run CONFIG SET repl-backlog-size 64mb, and change the configuration file.",
    )


def _late_replicas(node: NodeSnapshot) -> Iterator[Finding]:
    offset = node.number("master_repl_offset") or 0
    for name, text in (node.info or {}).items():
        if not (name.startswith("slave") and name[5:].isdigit()):
            continue
        said = dict(part.partition("=")[::2] for part in text.split(","))
        behind = offset - (whole(said.get("offset")) or offset)
        lag = whole(said.get("lag")) or 0
        replica = f"{said.get('ip')}:{said.get('port')}"
        if said.get("state") != "online":
            problem = f"is still synchronising (state {said.get('state')}): it confirms nothing"
        elif lag >= _LAG_SECONDS or behind > _LAG_BYTES:
            problem = f"is {shown(behind, 'byte')} behind and last reported {lag} s ago"
        else:
            continue
        yield Finding(
            severity="warning",
            found=f"The replica {replica} of this primary {problem}.",
            remedy="Check the load and the network of the replica. Give it the resources of its"
            " primary, or replace it. If the shard has another replica, it is better off without"
            " one that lags, as revocations wait for all.",
            nodes=(str(node.address),),
        )


@check("confirmation", "Whether all replicas confirm the trial write of --write")
def confirmation(seen: Snapshot) -> Iterator[Finding]:
    """The trial write works like that of a session: a script, then WAIT on the same connection for
    every replica of the shard that has not failed. Where one of them does not confirm in time, no
    login is durable and no revocation is acknowledged, whatever the others confirm."""
    wait = seen.patience.confirmation_wait("replicated")
    for node in seen.nodes:
        trial = node.trial
        if trial is None:
            continue
        if trial.refusal:
            found = f"The trial write failed: {trial.refusal}"
        elif trial.replicas is not None and trial.replicas < trial.asked:
            confirmed = (
                f"Only {trial.replicas} of {trial.asked} replicas"
                if trial.replicas
                else "No replica"
            )
            found = f"{confirmed} confirmed the trial write within {wait:g} s."
        else:
            continue
        yield Finding(
            severity="problem",
            found=found,
            remedy="Check the link and the load of each replica of this primary; INFO replication"
            " on the primary shows which one is behind. If the network is slow, raise replica_wait"
            " in the store URL.",
            nodes=(str(node.address),),
        )


@check("persistence", "What data a primary has after a restart")
def persistence(seen: Snapshot) -> Iterator[Finding]:
    """A primary that restarts before a replica has taken over keeps its slots. Without a file it
    comes back empty, and its replicas discard their data as well: all sessions of the shard are
    lost. With a snapshot it comes back with old data, and sessions revoked since then are accepted
    again by every process that did not see the revocation. A restart is safe with `appendonly yes`,
    or if the process manager waits until a replica has taken over."""
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
        found="The last attempt to save data to disk failed. With stop-writes-on-bgsave-error the"
        " server refuses all writes.",
        remedy="Read the log of the server. Check free space and file permissions on its disk.",
    )


def _unsafe_restart(seen: Snapshot, group: list[NodeSnapshot], comes_back: str) -> Finding:
    timeouts = [node.setting_number("cluster-node-timeout") for node in group]
    known = [timeout for timeout in timeouts if timeout]
    delay = 2 * max(known, default=_DEFAULT_NODE_TIMEOUT) / 1000
    if seen.is_cluster:
        remedy = (
            f"Run CONFIG SET appendonly yes, and change the configuration file. Or let the process"
            f" manager wait {delay:g} s, twice the node timeout, before it restarts the server"
            " (RestartSec= of systemd); the doctor cannot see whether it does."
        )
    else:
        remedy = "Run CONFIG SET appendonly yes, and change the configuration file."
    return Finding(
        severity="warning" if seen.is_cluster else "problem",
        found=comes_back + (", unless a replica takes over first." if seen.is_cluster else "."),
        remedy=remedy,
        nodes=names(group),
    )


def _snapshots(node: NodeSnapshot) -> str:
    saves = node.setting("save")
    return "unseen" if saves is None else "some" if saves else "none"


def _fails_to_write(node: NodeSnapshot) -> bool:
    info = node.info or {}
    has_files = info.get("aof_enabled") == "1"
    return (has_files and info.get("aof_last_write_status", "ok") != "ok") or (
        info.get("rdb_last_bgsave_status", "ok") != "ok"
    )


@check("fsync", 'Whether the servers support `durability="fsync"`')
def fsync(seen: Snapshot) -> Iterator[Finding]:
    """With `durability="fsync"`, a write waits until it is on disk (WAITAOF). A server that does
    not support it answers with an error, and no login succeeds. With `appendfsync everysec` the
    wait takes up to a second: if `replica_wait` is shorter, no write is durable and no revocation
    is acknowledged."""
    if seen.durability != "fsync":
        return
    without = [node for node in seen.answering if (node.info or {}).get("aof_enabled") == "0"]
    lax = [node for node in seen.answering if node.setting("appendfsync") == "no"]
    old = [node for node in seen.primaries if node.denied is not None and "waitaof" in node.denied]
    wait = seen.patience.confirmation_wait("fsync")
    hasty = [node for node in seen.answering if node.setting("appendfsync") == "everysec"]
    for nodes, found, remedy in (
        (
            hasty if wait < _SECONDS_BETWEEN_FSYNCS else (),
            f"appendfsync is everysec, and writes wait only {wait:g} s for it (replica_wait in the"
            " store URL).",
            "Leave replica_wait out of the store URL, or set appendfsync always.",
        ),
        (without, "There is no append-only file.", "Run CONFIG SET appendonly yes."),
        (
            lax,
            "appendfsync is no: writes reach the disk at an unknown time, and WAITAOF times out.",
            "Run CONFIG SET appendfsync everysec.",
        ),
        (
            old,
            "WAITAOF is not supported, or not permitted.",
            "Use Redis 7.2 or later, or Valkey, and grant the user +waitaof.",
        ),
    ):
        if nodes:
            yield Finding(severity="problem", found=found, remedy=remedy, nodes=names(nodes))


@check("min-replicas", "Whether the failure of a replica stops logins")
def min_replicas(seen: Snapshot) -> Iterator[Finding]:
    """With min-replicas-to-write, a primary refuses every write while it has fewer replicas than
    that. The setting does not protect acknowledged writes (WAIT does), but it turns the failure of
    a replica into an outage for logins."""
    for node in seen.primaries:
        wanted = node.setting_number("min-replicas-to-write") or 0
        there = node.number("connected_slaves")
        if wanted and (there is None or there <= wanted):
            yield Finding(
                severity="problem",
                found=f"min-replicas-to-write is {wanted}, and the primary has"
                f" {'an unknown number of replicas' if there is None else shown(there, 'replica')}:"
                " if one fails, the shard refuses logins.",
                remedy="Run CONFIG SET min-replicas-to-write 0. ClusterPass waits for the"
                " replicas with every write that needs them.",
                nodes=(str(node.address),),
            )
