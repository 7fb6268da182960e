"""Queries to single nodes: slots, replicas, PING. No I/O.

A request is sent again if its connection turns out to have been closed while idle, as that says
nothing about the node.
"""

from collections.abc import Callable
from typing import Any

from clusterpass.model.errors import ClusterPassError, StoreFailed, StoreUnavailable
from clusterpass.store.address import Address
from clusterpass.store.exchanges.server_errors import judge, not_a_single_server
from clusterpass.store.exchanges.steps import Drop, Exchange, Send
from clusterpass.store.exchanges.unavailable import unavailable
from clusterpass.store.missing_commands import REPLICAS_UNKNOWN, Missing
from clusterpass.store.outcomes import (
    Command,
    Fault,
    Replies,
    ServerError,
    read_attached,
    read_connected,
)
from clusterpass.store.topology.epoch import read_size
from clusterpass.store.topology.slots import SlotMap


def look_up(
    candidates: list[Address],
    suspect: Address | None,
    version: int,
    clock: Callable[[], float],
    until: float,
    *,
    unanswered: Callable[[Address, Fault], None] = lambda *_: None,
) -> Exchange[SlotMap | None]:
    """Ask ``candidates`` for the slots, one after the other and ``suspect`` last.

    ``version``: the version of the new map; ``until``: the time, in seconds of ``clock``, after
    which no further node is asked; ``unanswered``: called with each that does not tell, and why.
    The exchange returns None when no node has answered with slots. It raises StoreFailed where a
    server has no cluster support, and what :func:`judge` raises, unless another node answers: an
    address of before may belong to somebody else by now.
    """
    failure: ClusterPassError | None = None
    for address in sorted(candidates, key=lambda candidate: candidate == suspect):
        if clock() >= until:
            break
        asked_at = clock()
        outcome = yield from ask(address, ((b"CLUSTER", b"SLOTS"), (b"CLUSTER", b"NODES")))
        if isinstance(outcome, Fault):
            unanswered(address, outcome)
            continue
        slots, nodes = outcome.values
        reply = next((v for v in outcome.values if isinstance(v, ServerError)), None)
        if reply is None and slots:
            return SlotMap.parse(slots, nodes, address, version, clock(), asked_at=asked_at)
        try:
            unanswered(address, _told_no_slots(reply, address))
        except ClusterPassError as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return None


def _told_no_slots(reply: ServerError | None, address: Address) -> Fault:
    """The fault of a node that knows of no slots, or answers ``reply``; raises as the caller."""
    if reply is None:
        return Fault("cluster_down")
    if "cluster support disabled" in reply.message:
        raise StoreFailed(f"{address} is a single server: use redis:// or rediss://")
    return _judged(reply, address)


def count_replicas(
    address: Address, slots: SlotMap, clock: Callable[[], float], missing: Missing
) -> Exchange[SlotMap | None]:
    """The map of a single server with the replicas that ROLE reports; None for no reply.

    Where the server refuses ROLE, INFO reports them. One that refuses both counts as one without
    replicas, which ``missing`` takes note of. Raises StoreFailed where the server is one of several
    shards of a cluster: it would redirect most calls, and a single server is watched and believed
    by other rules.
    """
    outcome = yield from ask(address, ((b"ROLE",), (b"CLUSTER", b"INFO")))
    if isinstance(outcome, Fault):
        return None
    role, info = outcome.values
    if read_size(info) > 1:
        raise StoreFailed(not_a_single_server(address))
    if not isinstance(role, ServerError):
        missing.settle(address, "ROLE", "INFO")
        return slots.with_replicas(len(read_attached(role) or ()), clock())
    outcome = yield from ask(address, ((b"INFO", b"replication"),))
    if isinstance(outcome, Fault):
        return None
    counted = read_connected(outcome.values[0])
    if counted is None:
        missing.tell(address, "INFO", REPLICAS_UNKNOWN)
    else:
        missing.note(address, role)
        missing.settle(address, "INFO")
    return slots.with_replicas(counted or 0, clock())


def reach_primary(
    addresses: list[Address], clock: Callable[[], float], until: float
) -> Exchange[None]:
    """Ask one address after the other until one answers as a primary.

    A replica answers a PING, but no call can be carried out there: the connections to it are
    closed, as a name may lead to the new primary by now. A server that refuses to tell its role
    counts as a primary. ``until``: the time, in seconds of ``clock``, after which no further
    address is asked. Raises StoreUnavailable when there is no primary, StoreDenied and StoreFailed
    at once.
    """
    failure = unavailable(Fault("connection"), None)
    for address in addresses:
        outcome = yield from ask(address, ((b"PING",), (b"ROLE",)))
        if isinstance(outcome, Replies):
            pong, role = outcome.values
            if isinstance(pong, ServerError):
                outcome = _judged(pong, address)
            elif isinstance(role, list) and role[:1] != [b"master"]:
                yield Drop(address)
                failure = unavailable(Fault("cluster_down", cause="read_only"), address)
            else:
                return
        if isinstance(outcome, Fault):
            failure = unavailable(outcome, address)
        if clock() >= until:
            break
    raise failure


def ask_one(address: Address, command: Command) -> Exchange[Any]:
    """The reply of one node to ``command``.

    Raises StoreUnavailable when the node does not answer or answers with a passing error,
    StoreDenied and StoreFailed for other errors.
    """
    outcome = yield from ask(address, (command,))
    if isinstance(outcome, Replies):
        reply = outcome.values[0]
        if not isinstance(reply, ServerError):
            return reply
        outcome = _judged(reply, address)
    raise unavailable(outcome, address)


def _judged(error: ServerError, address: Address) -> Fault:
    """As :func:`judge`, of a reply of ``address``."""
    try:
        return judge(error)
    except StoreUnavailable as refusal:
        refusal.node = str(address)
        raise


def ask(
    address: Address, commands: tuple[Command, ...], *, fresh: bool = False
) -> Exchange[Replies | Fault]:
    """Send ``commands``, and send them again while the connection was found closed after idling.

    ``fresh``: over a new connection, as idle ones may be dead.
    """
    while True:
        outcome = yield Send(address, commands, fresh=fresh)
        if isinstance(outcome, Replies) or (isinstance(outcome, Fault) and not outcome.stale):
            return outcome
