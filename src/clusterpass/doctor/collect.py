"""Query every node of a deployment for what the checks need. I/O only; nothing is judged here.

- The nodes are queried in parallel, each over a connection of its own.
- Whatever a node refuses to tell is None in the snapshot, never an error.
- Settings are requested by name, because CONFIG GET * returns passwords.
"""

import ssl
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

from clusterpass.config import Durability
from clusterpass.doctor.behind_sentinels import find_servers
from clusterpass.doctor.node_connection import CONNECTION_FAILURES, NodeConnection, describe_failure
from clusterpass.doctor.see_rights import needed_commands, see_rights
from clusterpass.doctor.snapshot import Clock, NodeSnapshot, Snapshot
from clusterpass.doctor.stored_secrets import SecretSettings, StoredSecret, describe_secrets
from clusterpass.doctor.trial_write import write_on_trial
from clusterpass.model.errors import ConfigurationError, StoreDenied, StoreUnavailable
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace
from clusterpass.store.acl import TOO_WIDE
from clusterpass.store.address import Address
from clusterpass.store.location import StoreLocation
from clusterpass.store.outcomes import ServerError
from clusterpass.store.topology.cluster_nodes import Member, parse_members
from clusterpass.store.topology.slots import named_host
from clusterpass.store.wire.tls import tls_context

SETTINGS: Final = (
    *("maxmemory", "maxmemory-policy", "maxmemory-clients", "maxclients", "timeout"),
    *(
        "tcp-keepalive",
        "client-output-buffer-limit",
        "tracking-table-max-keys",
        "busy-reply-threshold",
        "lua-time-limit",
    ),
    *("appendonly", "appendfsync", "save"),
    *("min-replicas-to-write", "repl-backlog-size", "replica-read-only"),
    *("cluster-node-timeout", "cluster-require-full-coverage", "cluster-replica-no-failover"),
    *("cluster-allow-reads-when-down", "cluster-replica-validity-factor"),
    *("hash-max-listpack-entries", "hash-max-listpack-value"),
    *("tls-replication", "tls-cluster"),
)
"""The settings that are requested; none of them is a secret."""
_SAMPLES: Final = 5
_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorOptions:
    """Options of an examination: expected durability, trial write, secrets, and user."""

    durability: Durability = "replicated"
    """The durability that the application is configured with."""
    write: bool = False
    """Whether to write a key on each primary; it expires after ten seconds."""
    secrets: SecretSettings | None = None
    """What is configured of the keys and secrets in the store; None: these are not read."""
    user: str | None = None
    """The ACL user whose permissions are checked; None for the user of the store URL."""


def collect_snapshot(location: StoreLocation, options: DoctorOptions) -> Snapshot:
    """Query the deployment at ``location`` and return everything that its nodes told.

    Raises StoreUnavailable if no node answers, StoreDenied if the servers refuse the user, and
    ConfigurationError for ``embedded://``, which names no existing deployment.
    """
    if location.is_embedded:
        raise ConfigurationError(
            "embedded:// starts a cluster of its own; give the URL of the cluster to inspect"
        )
    context = tls_context(location)
    location, sentinels = find_servers(location, context)
    asked, members, slots = _first_answer(location, context)
    addresses = {
        member.id: slots.get(member.id, Address(named_host(member.host, asked), member.port))
        for member in members
    }
    nowhere = {member.id for member in members if "noaddr" in member.flags}
    places = sorted({address for each, address in addresses.items() if each not in nowhere})
    if not members:
        places = sorted(location.seeds)
    if not places:
        places = [asked]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        queries = [pool.submit(_query_node, location, context, options, each) for each in places]
        nodes = tuple(query.result() for query in queries)
    by_address = {address: identifier for identifier, address in addresses.items()}
    return Snapshot(
        nodes=tuple(replace(node, id=by_address.get(node.address, "")) for node in nodes),
        members=members,
        addresses=addresses,
        asked_for_cluster=location.is_cluster,
        is_cluster=bool(members),
        sentinels=sentinels,
        has_tls=location.tls_files is not None,
        has_password=location.has_password,
        user=options.user or location.username or "default",
        namespace=location.keyspace.namespace,
        durability=options.durability,
        patience=location.patience,
        has_tried=options.write,
        secret_settings=options.secrets,
        taken_at=time.time(),
    )


def _first_answer(
    location: StoreLocation, context: ssl.SSLContext | None
) -> tuple[Address, tuple[Member, ...], Mapping[str, Address]]:
    """The seed that answered, the members of its cluster, and the address of each by node id."""
    failures: list[tuple[Address, Exception]] = []
    for seed in location.seeds:
        try:
            with NodeConnection(location, seed, context) as node:
                text = node.text("CLUSTER", "NODES")
                slots = node.ask("CLUSTER", "SLOTS")
        except CONNECTION_FAILURES as error:
            failures.append((seed, error))
            continue
        members = parse_members(text) if text is not None else ()
        if text is None and isinstance(slots, ServerError) and slots.code == "NOPERM":
            raise StoreDenied(
                "the user of the session store may not run CLUSTER NODES and CLUSTER SLOTS, without"
                " which the doctor cannot find the nodes; grant +cluster|nodes +cluster|slots"
            )
        return seed, members, _addresses(slots, seed)
    reasons = "; ".join(f"{address}: {describe_failure(failure)}" for address, failure in failures)
    for _, failure in failures:
        if isinstance(failure, StoreDenied):
            raise StoreDenied(reasons, reason=failure.reason)
    raise StoreUnavailable(f"no node of the store URL can be inspected: {reasons}")


def _addresses(slots: Any, asked: Address) -> dict[str, Address]:
    found = {}
    for _, _, *nodes in slots if isinstance(slots, list) else ():
        for host, port, identifier, *_ in nodes:
            name = host.decode() if isinstance(host, bytes) else ""
            found[identifier.decode()] = Address(named_host(name, asked), port)
    return found


def _query_node(
    location: StoreLocation,
    context: ssl.SSLContext | None,
    options: DoctorOptions,
    address: Address,
) -> NodeSnapshot:
    try:
        with NodeConnection(location, address, context) as node:
            seen = _query_all(node, location, options, address)
        if options.write and seen.role != "replica":
            trial = write_on_trial(location, address, context, seen)
            seen = replace(seen, trial=trial)
        if location.has_password:
            seen = replace(seen, is_open=_is_open(location, context, address))
    except CONNECTION_FAILURES as error:
        return NodeSnapshot(address=address, refusal=describe_failure(error))
    return seen


def _query_all(
    node: NodeConnection, location: StoreLocation, options: DoctorOptions, address: Address
) -> NodeSnapshot:
    clock, round_trip = _clock(node)
    nodes, standing = node.text("CLUSTER", "NODES"), node.text("CLUSTER", "INFO")
    info = node.text("INFO")
    needed = needed_commands(options.durability)
    allowed = see_rights(node, location.keyspace, needed, options.user)
    return NodeSnapshot(
        address=address,
        info=None if info is None else _pairs(info),
        settings=_settings(node),
        members=() if nodes is None else parse_members(nodes),
        cluster_info={} if standing is None else _pairs(standing),
        clock=clock,
        round_trip=round_trip,
        denied=None if allowed is None else tuple(sorted(needed.keys() - allowed)),
        allowed_beyond=tuple(sorted(TOO_WIDE.keys() & (allowed or ()))),
        certificate_expires_at=_expiry(node),
        tracking=_tracking(node, location.keyspace),
        secrets=_secrets(node, location.keyspace, options.secrets),
    )


def _pairs(text: str) -> dict[str, str]:
    """The lines ``name:value`` in the reply to INFO, as a mapping."""
    lines = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, colon, value in lines if colon}


def _settings(node: NodeConnection) -> dict[str, str] | None:
    # One command per name: servers before 7.0 accept only one.
    replies = node.ask_together(*(("CONFIG", "GET", name) for name in SETTINGS))
    if all(isinstance(reply, ServerError) for reply in replies):
        return None
    found: dict[str, str] = {}
    for reply in replies:
        if isinstance(reply, list):  # RESP2
            reply = dict(zip(reply[::2], reply[1::2], strict=True))  # noqa: PLW2901
        if isinstance(reply, dict):
            found |= {_text(name): _text(value) for name, value in reply.items()}
    return found


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def _clock(node: NodeConnection) -> tuple[Clock | None, float | None]:
    """The clock of the node and the shortest round trip in seconds, by the fastest of a few
    replies.

    The node is assumed to have read its clock in the middle of that round trip.
    """
    best: tuple[float, float] | None = None
    for _ in range(_SAMPLES):
        sent_at, begun = time.time(), time.monotonic()
        reply = node.ask("TIME")
        took = time.monotonic() - begun
        if isinstance(reply, ServerError):
            return None, None
        seconds, microseconds = reply
        ahead = int(seconds) + int(microseconds) / 1e6 - (sent_at + took / 2)
        if best is None or took < best[0]:
            best = took, ahead
    assert best is not None
    return Clock(best[1], best[0] / 2), best[0]


def _expiry(node: NodeConnection) -> float | None:
    """When the certificate of the node expires, as a Unix time; None without TLS."""
    shown = None if node.tls is None else node.tls.getpeercert()
    return None if not shown else float(ssl.cert_time_to_seconds(str(shown["notAfter"])))


def _is_open(location: StoreLocation, context: ssl.SSLContext | None, address: Address) -> bool:
    """Whether the node also serves clients that give no password."""
    nobody = replace(location, username=None, password=None, credential_source=None)
    try:
        with NodeConnection(nobody, address, context) as node:
            return not isinstance(node.ask("PING"), ServerError)
    except CONNECTION_FAILURES:
        return False


def _secrets(
    node: NodeConnection, keyspace: Keyspace, settings: SecretSettings | None
) -> tuple[StoredSecret, ...] | None:
    """What the copies hold that the node serves; None where it serves none, or does not tell."""
    if settings is None:
        return None
    keys = [keyspace.secrets(slot) for slot in SLOTS_WITH_CUTOFF]
    replies = node.ask_together(*(("HGETALL", key) for key in keys))
    found: list[StoredSecret] = []
    for reply in replies:
        if isinstance(reply, list):  # RESP2
            reply = dict(zip(reply[::2], reply[1::2], strict=True))  # noqa: PLW2901
        if isinstance(reply, dict):
            values = {_text(name): value for name, value in reply.items()}
            found += describe_secrets(values, keyspace.namespace, settings)
    return None if all(isinstance(each, ServerError) for each in replies) else tuple(found)


def _tracking(node: NodeConnection, keyspace: Keyspace) -> str:
    refusal = node.track(keyspace.sessions_prefix())
    return "" if refusal is None else f"{refusal.code} {refusal.message}"
