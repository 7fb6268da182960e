"""Do the applications keep their connections, and hear what changes?"""

from collections.abc import Iterator
from typing import Final

from clusterpass.doctor.findings import Finding, about, check, names
from clusterpass.doctor.snapshot import NodeSeen, Snapshot, whole

_FEW_CLIENTS: Final = 1000
_CROWDED: Final = 0.8
_SHORT_TIMEOUT: Final = 60
_SMALL_BUFFER: Final = 1024 * 1024
_SMALL_REPLICA_BUFFER: Final = 16 * 1024 * 1024
_SHORT_SCRIPT: Final = 100
_CLASSES: Final = {"slave": "replica"}


@check("pushes", "Whether the nodes push what changes")
def pushes(seen: Snapshot) -> Iterator[Finding]:
    """Verifying from memory needs CLIENT TRACKING with RESP3: the cluster tells every process of
    each change. Where a node, or a proxy before it, does not, each verify asks the store. With
    `--write` it is tried."""
    for node in seen.answering:
        if node.tracking:
            yield Finding(
                severity="warning",
                found=f"It does not push: {node.tracking}.",
                remedy="Give the user +client|tracking and connect without a proxy; or set"
                ' verification="strict" and know what it costs.',
                nodes=(str(node.address),),
            )
        elif node.trial is not None and node.trial.was_pushed is False:
            yield Finding(
                severity="problem",
                found="It accepts CLIENT TRACKING, but did not tell of the trial write.",
                remedy="Connect without the proxy in between; until then set"
                ' verification="strict".',
                nodes=(str(node.address),),
            )


@check("output-buffers", "Whether the servers cut connections that are slow to read")
def output_buffers(seen: Snapshot) -> Iterator[Finding]:
    """Changes are pushed on ordinary connections, so the class `normal` of
    client-output-buffer-limit is theirs. A low limit cuts them when much changes at once: all that
    was remembered is dropped, and every process asks the store in the same moment. A low limit for
    replicas cuts these instead, and they copy all data again."""
    for name, least in (("normal", _SMALL_BUFFER), ("slave", _SMALL_REPLICA_BUFFER)):
        small = [n for n in seen.answering if 0 < min(_limits(n, name), default=0) < least]
        if small:
            lowest = min(min(_limits(node, name)) for node in small)
            yield Finding(
                severity="warning",
                found=f"client-output-buffer-limit for {_CLASSES.get(name, name)} is"
                f" {lowest:,} bytes.",
                remedy="CONFIG SET client-output-buffer-limit"
                f" '{_CLASSES.get(name, name)} {'0 0 0' if name == 'normal' else '256mb 64mb 60'}'"
                ", or some megabytes at least.",
                nodes=names(small),
            )
    evicting = [
        node
        for node in seen.answering
        if node.setting("maxmemory-clients") not in {None, "0", "0%"}
    ]
    yield from about(
        evicting,
        "note",
        found="maxmemory-clients is set: when all connections together take more, some are cut.",
        remedy="Set it well above what pushes take when much changes at once, or to 0.",
    )
    cut = [n for n in seen.answering if n.number("client_output_buffer_limit_disconnections")]
    yield from about(
        cut,
        "warning",
        found="Connections were cut for their output buffers since the servers started.",
        remedy="Raise client-output-buffer-limit, or find the client that reads too slowly.",
    )


def _limits(node: NodeSeen, name: str) -> list[int]:
    """The hard and the soft limit of a class in bytes, those that are set."""
    words = (node.setting("client-output-buffer-limit") or "").split()
    for kind, hard, soft, _ in zip(*[iter(words)] * 4, strict=False):
        if kind == name or _CLASSES.get(name) == kind:
            return [limit for limit in map(whole, (hard, soft)) if limit]
    return []


@check("connections", "Whether there is room for the applications' connections")
def connections(seen: Snapshot) -> Iterator[Finding]:
    """Each process holds up to `max_connections` (64) to each node with threads, and three with an
    event loop. A server that has no room refuses new ones: processes that restart find no store.
    Connections of processes that are gone count until keep-alives find them out."""
    for node in seen.answering:
        most = node.number("maxclients") or node.setting_number("maxclients")
        # The links of the cluster bus take places, too.
        used = (node.number("connected_clients") or 0) + (node.number("cluster_connections") or 0)
        if most and used > _CROWDED * most:
            yield Finding(
                severity="problem",
                found=f"{used:,} of {most:,} connections are in use.",
                remedy="Raise maxclients (and the limit of open files); lower max_connections in"
                " the store URL.",
                nodes=(str(node.address),),
            )
        elif most and most < _FEW_CLIENTS:
            yield Finding(
                severity="warning",
                found=f"maxclients is {most}: {most // 64} processes with threads may fill it.",
                remedy="Set it to 10000 (the default).",
                nodes=(str(node.address),),
            )
    refusing = [node for node in seen.answering if node.number("rejected_connections")]
    yield from about(
        refusing,
        "warning",
        found="Connections were refused since the servers started, as there were too many.",
        remedy="Raise maxclients.",
    )
    blind = [node for node in seen.answering if node.setting("tcp-keepalive") == "0"]
    yield from about(
        blind,
        "note",
        found="tcp-keepalive is 0: connections of machines that vanished count for ever.",
        remedy="CONFIG SET tcp-keepalive 300 (the default).",
    )
    hasty = [n for n in seen.answering if 0 < (n.setting_number("timeout") or 0) < _SHORT_TIMEOUT]
    yield from about(
        hasty,
        "note",
        found="timeout is below a minute: idle connections are closed and opened again.",
        remedy="CONFIG SET timeout 0 (the default).",
    )


@check("scripts", "Whether the servers let scripts come to their end")
def scripts(seen: Snapshot) -> Iterator[Finding]:
    """A call takes a tenth of a millisecond, one for a user with 500 large sessions some ten. A
    server that calls itself busy after less answers BUSY to everybody meanwhile."""
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
            remedy="CONFIG SET busy-reply-threshold 5000 (the default).",
            nodes=names(hasty),
        )
