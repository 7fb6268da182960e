"""Connections, buffers and invalidation messages."""

from collections.abc import Iterator
from typing import Final

from clusterpass.doctor.findings import Finding, about, check, names
from clusterpass.doctor.snapshot import NodeSnapshot, Snapshot, whole

_FEW_CLIENTS: Final = 1000
_CROWDED: Final = 0.8
_SHORT_TIMEOUT: Final = 60
_MB: Final = 1024 * 1024
_SMALL: Final = {"normal": _MB, "pubsub": _MB, "slave": 16 * _MB}
"""Limits of output buffers that are too low, by the class of client."""
_DEFAULTS: Final = {"normal": "0 0 0", "pubsub": "32mb 8mb 60", "slave": "256mb 64mb 60"}
_SHORT_SCRIPT: Final = 100
_CLASSES: Final = {"slave": "replica"}


@check("pushes", "Whether the nodes send invalidation messages")
def pushes(seen: Snapshot) -> Iterator[Finding]:
    """Verification from memory relies on CLIENT TRACKING over RESP3: the servers notify every
    process of each change. Behind a node or a proxy that does not support it, or refuses HELLO 3,
    every verification queries the store. `--write` tests whether a message arrives."""
    for node in seen.answering:
        if node.tracking:
            yield Finding(
                severity="warning",
                found=f"The node refuses CLIENT TRACKING: {node.tracking}.",
                remedy="Grant the user +client|tracking, and connect without a proxy. Otherwise set"
                ' verification="strict", which costs a store query per verification.',
                nodes=(str(node.address),),
            )
        elif node.trial is not None and node.trial.was_pushed is False:
            yield Finding(
                severity="problem",
                found="The node accepts CLIENT TRACKING, but sent no message for the trial write.",
                remedy="Connect to the node directly, without a proxy. Until then set"
                ' verification="strict".',
                nodes=(str(node.address),),
            )


@check("tracked-keys", "Whether the servers remember who has read what")
def tracked_keys(seen: Snapshot) -> Iterator[Finding]:
    """A server remembers which process has read which key, to notify those that hold it in memory.
    When there are more keys than tracking-table-max-keys, it forgets some and notifies their
    readers, which then query the store again although nothing has changed."""
    full = [
        node
        for node in seen.primaries
        if (most := node.setting_number("tracking-table-max-keys"))
        and (node.number("tracking_total_keys") or 0) >= _CROWDED * most
    ]
    yield from about(
        full,
        "warning",
        found="Nearly as many keys are tracked as tracking-table-max-keys allows.",
        remedy="Raise tracking-table-max-keys: a key takes about 150 bytes, and 70 for each further"
        " process that has read it. Or lower cache_entries of the applications.",
    )


@check("output-buffers", "Whether the servers disconnect clients that read slowly")
def output_buffers(seen: Snapshot) -> Iterator[Finding]:
    """The class `pubsub` of client-output-buffer-limit applies to the connections on which
    invalidation messages arrive, and the class `normal` to the others. If these limits are low, a
    burst of changes disconnects the applications: they drop everything they hold in memory and
    query the store at the same moment. Without a limit for `pubsub`, the messages to an application
    that is suspended fill the memory of the servers, until logins fail. If the limit for replicas
    is low, a burst disconnects the replicas, which may then have to copy all data again."""
    for name, least in _SMALL.items():
        small = [n for n in seen.answering if 0 < min(_limits(n, name), default=0) < least]
        if small:
            lowest = min(min(_limits(node, name)) for node in small)
            yield Finding(
                severity="warning",
                found=f"client-output-buffer-limit for {_CLASSES.get(name, name)} is"
                f" only {lowest:,} bytes.",
                remedy="Run CONFIG SET client-output-buffer-limit"
                f" '{_CLASSES.get(name, name)} {_DEFAULTS[name]}'"
                ", or allow at least a few megabytes.",
                nodes=names(small),
            )
    endless = [
        node
        for node in seen.answering
        if "pubsub" in (node.setting("client-output-buffer-limit") or "").split()
        and not _limits(node, "pubsub")
    ]
    yield from about(
        endless,
        "warning",
        found="client-output-buffer-limit for pubsub is 0: a suspended application can fill the"
        " memory of the servers with unread invalidation messages.",
        remedy=f"Run CONFIG SET client-output-buffer-limit 'pubsub {_DEFAULTS['pubsub']}'.",
    )
    evicting = [
        node
        for node in seen.answering
        if node.setting("maxmemory-clients") not in {None, "0", "0%"}
    ]
    yield from about(
        evicting,
        "note",
        found="maxmemory-clients is set: when all connections together use more memory, the servers"
        " disconnect some of them.",
        remedy="Set maxmemory-clients to 0, or well above what a burst of invalidation messages"
        " needs.",
    )
    cut = [n for n in seen.answering if n.number("client_output_buffer_limit_disconnections")]
    yield from about(
        cut,
        "warning",
        found="The servers have disconnected clients whose output buffers were full.",
        remedy="Raise client-output-buffer-limit, or find the client that reads too slowly. The"
        " counter starts anew when the server restarts.",
    )


def _limits(node: NodeSnapshot, name: str) -> list[int]:
    """The hard and the soft limit of a client class in bytes, as far as they are set."""
    words = (node.setting("client-output-buffer-limit") or "").split()
    for kind, hard, soft, _ in zip(*[iter(words)] * 4, strict=False):
        if kind == name or _CLASSES.get(name) == kind:
            return [limit for limit in map(whole, (hard, soft)) if limit]
    return []


@check("connections", "Whether the servers can accept the connections of all applications")
def connections(seen: Snapshot) -> Iterator[Finding]:
    """A process with threads opens up to `max_connections` (64) connections to each node; one with
    an event loop opens three. A server at its limit refuses new connections, so a process that
    restarts cannot reach the store. Connections of a vanished machine count until TCP keepalive
    detects that it is gone."""
    for node in seen.answering:
        most = node.number("maxclients") or node.setting_number("maxclients")
        # The links of the cluster bus count towards maxclients as well.
        used = (node.number("connected_clients") or 0) + (node.number("cluster_connections") or 0)
        if most and used > _CROWDED * most:
            yield Finding(
                severity="problem",
                found=f"{used:,} of {most:,} connections are in use.",
                remedy="Raise maxclients and the limit on open files, or lower max_connections in"
                " the store URL.",
                nodes=(str(node.address),),
            )
        elif most and most < _FEW_CLIENTS:
            yield Finding(
                severity="warning",
                found=f"maxclients is only {most}; {most // 64} processes with threads can exhaust"
                " it.",
                remedy="Set maxclients to 10000, the default.",
                nodes=(str(node.address),),
            )
    refusing = [node for node in seen.answering if node.number("rejected_connections")]
    yield from about(
        refusing,
        "warning",
        found="The servers have refused connections because maxclients was reached.",
        remedy="Raise maxclients. The counter starts anew when the server restarts.",
    )
    blind = [node for node in seen.answering if node.setting("tcp-keepalive") == "0"]
    yield from about(
        blind,
        "note",
        found="tcp-keepalive is 0: connections of machines that vanished are never closed.",
        remedy="Run CONFIG SET tcp-keepalive 300, the default.",
    )
    hasty = [n for n in seen.answering if 0 < (n.setting_number("timeout") or 0) < _SHORT_TIMEOUT]
    yield from about(
        hasty,
        "note",
        found="timeout is below one minute: idle connections are closed and reopened constantly.",
        remedy="Run CONFIG SET timeout 0, the default.",
    )


@check("scripts", "Whether the servers give scripts enough time")
def scripts(seen: Snapshot) -> Iterator[Finding]:
    """A script usually runs for a tenth of a millisecond, and for a subject with 500 large sessions
    for about ten. Once a script exceeds the threshold, the server answers BUSY to everyone until
    the script ends."""
    hasty = []
    for node in seen.answering:
        limit = node.setting_number("busy-reply-threshold")
        if limit is None:
            limit = node.setting_number("lua-time-limit")
        if limit is not None and 0 < limit < _SHORT_SCRIPT:
            hasty.append(node)
    if hasty:
        yield Finding(
            severity="warning",
            found=f"busy-reply-threshold is below {_SHORT_SCRIPT} ms.",
            remedy="Run CONFIG SET busy-reply-threshold 5000, the default.",
            nodes=names(hasty),
        )
