"""Making one cluster out of servers that were started empty.

Rules of this module
- Every step waits for exactly what the next one needs, by asking until a deadline.
- Replicas are dealt out to the primaries in turn: node ``primaries + k`` copies primary
  ``k % primaries``.
"""

import time
from collections.abc import Callable, Sequence

import redis

from clusterpass.model.errors import EmbeddedClusterError

from .options import Node, Options
from .topology import SLOTS, Client, view, why_unhealthy

POLL_SECONDS = 0.02
Members = Sequence[tuple[Node, Client]]


def await_condition(missing: Callable[[], str | None], deadline: float, goal: str) -> None:
    """Call ``missing`` until it returns None; it says what is missing.

    ``deadline`` is a time of the monotonic clock. Raises EmbeddedClusterError with the last answer.
    """
    while (lack := missing()) is not None:
        if time.monotonic() >= deadline:
            raise EmbeddedClusterError(f"The cluster did not become {goal} in time: {lack}.")
        time.sleep(POLL_SECONDS)


def form_cluster(members: Members, options: Options, deadline: float) -> None:
    """Give out slots and replicas and wait until the cluster is healthy.

    Raises EmbeddedClusterError if that does not succeed before ``deadline`` (monotonic clock).
    """
    try:
        _give_out_slots(members, options.primaries)
        _introduce(members)
        await_condition(lambda: _strangers(members), deadline, "acquainted")
        _attach_replicas(members, options.primaries)
    except redis.RedisError as error:
        raise EmbeddedClusterError(f"The cluster cannot be formed: {error}.") from error
    await_healthy(members, options, deadline)


def await_healthy(members: Members, options: Options, deadline: float) -> None:
    """Wait until the cluster can serve every slot and fail over. Raises EmbeddedClusterError."""
    await_condition(lambda: why_unhealthy(members, options), deadline, "healthy")


def _give_out_slots(members: Members, primaries: int) -> None:
    for index, (_, client) in enumerate(members):
        _run(client, "CLUSTER", "SET-CONFIG-EPOCH", str(index + 1))
        if index < primaries:
            first = index * SLOTS // primaries
            last = (index + 1) * SLOTS // primaries - 1
            _run(client, "CLUSTER", "ADDSLOTSRANGE", str(first), str(last))


def _introduce(members: Members) -> None:
    for _, client in members:
        for other, to in members:
            if to is not client:
                _run(client, "CLUSTER", "MEET", other.host, str(other.port), str(other.bus_port))


def _strangers(members: Members) -> str | None:
    """Which node does not know all others yet."""
    for node, client in members:
        known = view(client)
        if known is None:
            return f"{node.address} does not answer"
        if len(known) != len(members) or any(member.failing for member in known):
            return f"{node.address} does not know all other nodes"
    return None


def _attach_replicas(members: Members, primaries: int) -> None:
    identifiers = [_run(client, "CLUSTER", "MYID") for _, client in members[:primaries]]
    for index, (_, client) in enumerate(members[primaries:]):
        _run(client, "CLUSTER", "REPLICATE", identifiers[index % primaries])


def _run(client: Client, *command: str) -> str:
    answer = client.execute_command(*command)
    return answer.decode() if isinstance(answer, bytes) else str(answer)
