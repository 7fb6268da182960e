"""Asks a deployment everything that checks may want to know. I/O only; nothing is judged here.

- The nodes are asked side by side, each over a connection of its own.
- What a node refuses to tell is None in what was seen, never an error.
- The settings are asked for by name: CONFIG GET * would answer passwords.
"""

import ssl
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

from clusterpass.config import Durability
from clusterpass.doctor.node_connection import REFUSALS, Line, why
from clusterpass.doctor.snapshot import Clock, NodeSeen, Snapshot
from clusterpass.doctor.trial_write import try_a_write
from clusterpass.model.errors import ConfigurationError, StoreDenied, StoreUnavailable
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.store.acl import ALWAYS, FOR_FSYNC, FOR_USERS, TOO_WIDE
from clusterpass.store.location import Address, StoreLocation
from clusterpass.store.outcomes import ServerError
from clusterpass.store.topology.members import Member, parse_members
from clusterpass.store.topology.slots import named_host
from clusterpass.store.wire.handshake import tracking
from clusterpass.store.wire.tls import tls_context

SETTINGS: Final = (
    *("maxmemory", "maxmemory-policy", "maxmemory-clients", "maxclients", "timeout"),
    *("tcp-keepalive", "client-output-buffer-limit", "busy-reply-threshold", "lua-time-limit"),
    *("appendonly", "appendfsync", "save"),
    *("min-replicas-to-write", "repl-backlog-size", "replica-read-only"),
    *("cluster-node-timeout", "cluster-require-full-coverage", "cluster-replica-no-failover"),
    *("cluster-allow-reads-when-down", "cluster-replica-validity-factor"),
    *("hash-max-listpack-entries", "hash-max-listpack-value"),
    *("tls-replication", "tls-cluster"),
)
"""None of them is a secret."""
_SAMPLES: Final = 5
_AT_ONCE: Final = 16
_JUDGE_RIGHTS: Final = b"""
local allowed = {}
for index, call in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(call, '%S+') do words[#words + 1] = word end
  local known, answer = pcall(redis.acl_check_cmd, unpack(words))
  allowed[index] = (known and answer) and 1 or 0
end
return allowed
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is asked for beyond looking."""

    durability: Durability = "replicated"
    """What the application's writes wait for."""
    write: bool = False
    """Whether to write a key on each primary, which expires after ten seconds."""
    user: str | None = None
    """Whose rights are looked at, if not those of the store URL's user."""


def look_at(location: StoreLocation, wishes: Wishes) -> Snapshot:
    """All that can be seen from here.

    Raises StoreUnavailable when no node answers, StoreDenied when they let us not in, and
    ConfigurationError for ``embedded://``, which is not there to be looked at.
    """
    if location.is_embedded:
        raise ConfigurationError(
            "embedded:// starts a cluster of its own; give the URL of the one to look at"
        )
    context = tls_context(location)
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
        looks = [pool.submit(_look, location, context, wishes, each) for each in places]
        nodes = tuple(look.result() for look in looks)
    by_address = {address: identifier for identifier, address in addresses.items()}
    return Snapshot(
        nodes=tuple(replace(node, id=by_address.get(node.address, "")) for node in nodes),
        members=members,
        addresses=addresses,
        asked_for_cluster=location.is_cluster,
        is_cluster=bool(members),
        has_tls=location.tls_files is not None,
        has_password=location.password is not None,
        user=wishes.user or location.username or "default",
        namespace=location.keyspace.namespace,
        durability=wishes.durability,
        patience=location.patience,
        has_tried=wishes.write,
        taken_at=time.time(),
    )


def _first_answer(
    location: StoreLocation, context: ssl.SSLContext | None
) -> tuple[Address, tuple[Member, ...], Mapping[str, Address]]:
    """Who answered, the members of its cluster, and where the cluster says that they are."""
    failures: list[tuple[Address, Exception]] = []
    for seed in location.seeds:
        try:
            with Line(location, seed, context) as line:
                text = line.text("CLUSTER", "NODES")
                slots = line.ask("CLUSTER", "SLOTS")
        except REFUSALS as error:
            failures.append((seed, error))
            continue
        members = parse_members(text) if text is not None else ()
        if text is None and isinstance(slots, ServerError) and slots.code == "NOPERM":
            raise StoreDenied(
                "The session store's user may not use CLUSTER NODES and CLUSTER SLOTS: there is"
                " nothing to be seen without them"
            )
        return seed, members, _addresses(slots, seed)
    told = "; ".join(f"{address}: {why(failure)}" for address, failure in failures)
    for _, failure in failures:
        if isinstance(failure, StoreDenied):
            raise StoreDenied(told, reason=failure.reason)
    raise StoreUnavailable(f"no node of the store URL can be asked: {told}")


def _addresses(slots: Any, asked: Address) -> dict[str, Address]:
    found = {}
    for _, _, *nodes in slots if isinstance(slots, list) else ():
        for host, port, identifier, *_ in nodes:
            name = host.decode() if isinstance(host, bytes) else ""
            found[identifier.decode()] = Address(named_host(name, asked), port)
    return found


def _look(
    location: StoreLocation, context: ssl.SSLContext | None, wishes: Wishes, address: Address
) -> NodeSeen:
    try:
        with Line(location, address, context) as line:
            seen = _ask_all(line, location, wishes, address)
        if wishes.write and seen.role != "replica":
            trial = try_a_write(location, address, context, seen)
            seen = replace(seen, trial=trial)
        if location.password is not None:
            seen = replace(seen, is_open=_is_open(location, context, address))
    except REFUSALS as error:
        return NodeSeen(address=address, refusal=why(error))
    return seen


def _ask_all(line: Line, location: StoreLocation, wishes: Wishes, address: Address) -> NodeSeen:
    clock, round_trip = _clock(line)
    nodes, standing = line.text("CLUSTER", "NODES"), line.text("CLUSTER", "INFO")
    info = line.text("INFO")
    allowed = _rights(line, location.keyspace, wishes)
    return NodeSeen(
        address=address,
        info=None if info is None else _pairs(info),
        settings=_settings(line),
        members=() if nodes is None else parse_members(nodes),
        cluster_info={} if standing is None else _pairs(standing),
        clock=clock,
        round_trip=round_trip,
        denied=None if allowed is None else tuple(sorted(_needed(wishes).keys() - allowed)),
        allowed_beyond=tuple(sorted(TOO_WIDE.keys() & (allowed or ()))),
        certificate_expires_at=_expiry(line),
        tracking=_tracking(line, location.keyspace),
    )


def _pairs(text: str) -> dict[str, str]:
    """The lines ``name:value`` of INFO."""
    lines = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, colon, value in lines if colon}


def _settings(line: Line) -> dict[str, str] | None:
    # One by one: servers before 7.0 take one name only.
    replies = line.ask_together(*(("CONFIG", "GET", name) for name in SETTINGS))
    if all(isinstance(reply, ServerError) for reply in replies):
        return None
    found: dict[str, str] = {}
    for reply in replies:
        if isinstance(reply, dict):
            found |= {_text(name): _text(value) for name, value in reply.items()}
    return found


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def _clock(line: Line) -> tuple[Clock | None, float | None]:
    """By the quickest of a few answers, in whose middle the server is taken to have looked."""
    best: tuple[float, float] | None = None
    for _ in range(_SAMPLES):
        sent_at, begun = time.time(), time.monotonic()
        reply = line.ask("TIME")
        took = time.monotonic() - begun
        if isinstance(reply, ServerError):
            return None, None
        seconds, microseconds = reply
        ahead = int(seconds) + int(microseconds) / 1e6 - (sent_at + took / 2)
        if best is None or took < best[0]:
            best = took, ahead
    assert best is not None
    return Clock(best[1], best[0] / 2), best[0]


def _needed(wishes: Wishes) -> dict[str, str]:
    needed = {**ALWAYS, **FOR_USERS}
    return {**needed, **FOR_FSYNC} if wishes.durability == "fsync" else needed


def _rights(line: Line, keyspace: Keyspace, wishes: Wishes) -> set[str] | None:
    """The commands that the user may use, among those that matter; None: it cannot be asked."""
    commands = {**_needed(wishes), **TOO_WIDE}
    calls = [call.format(key=_key(keyspace, name)) for name, call in commands.items()]
    if wishes.user is not None:
        replies = line.ask_together(
            *(("ACL", "DRYRUN", wishes.user, *call.split()) for call in calls)
        )
        if isinstance(replies[0], ServerError):
            # A user that does not exist may do nothing.
            return set() if "not found" in replies[0].message else None
        return {each for each, reply in zip(commands, replies, strict=True) if reply == b"OK"}
    answers = line.ask("EVAL", _JUDGE_RIGHTS, 0, *calls)
    if isinstance(answers, ServerError):
        # Who may not use EVAL has at least that right missing.
        return _needed(wishes).keys() - {"eval"} if answers.code == "NOPERM" else None
    return {each for each, allowed in zip(commands, answers, strict=True) if allowed}


def _key(keyspace: Keyspace, command: str) -> str:
    """A key of ours on which the command is used."""
    if command.startswith("z"):
        return keyspace.online(0).decode()
    if command in {"get", "set"}:
        return keyspace.not_before(0).decode()
    if command in {"incr", "ttl", "expire"}:
        return keyspace.attempts_by_account("doctor").decode()
    return keyspace.sessions("doctor").decode()


def _expiry(line: Line) -> float | None:
    """Of the node's certificate."""
    shown = None if line.tls is None else line.tls.getpeercert()
    return None if not shown else float(ssl.cert_time_to_seconds(str(shown["notAfter"])))


def _is_open(location: StoreLocation, context: ssl.SSLContext | None, address: Address) -> bool:
    """Whether somebody without a password is answered."""
    nobody = replace(location, username=None, password=None)
    try:
        with Line(nobody, address, context) as line:
            return not isinstance(line.ask("PING"), ServerError)
    except REFUSALS:
        return False


def _tracking(line: Line, keyspace: Keyspace) -> str:
    reply = line.ask(*tracking([keyspace.sessions_prefix()]))
    return f"{reply.code} {reply.message}" if isinstance(reply, ServerError) else ""
