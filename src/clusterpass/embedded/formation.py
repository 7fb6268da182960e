"""Joins servers that were started empty into one cluster.

Rules of this module
- Every step polls for exactly what the next one needs, until a deadline.
- Replicas are assigned to the primaries in turn: node ``primaries + k`` replicates primary
  ``k % primaries``.
"""

import time
from collections.abc import Callable, Sequence

import redis

from clusterpass.embedded.options import Node, Options
from clusterpass.embedded.topology import SLOTS, Client, view, why_unhealthy
from clusterpass.model.errors import EmbeddedClusterError

POLL_SECONDS = 0.02
Members = Sequence[tuple[Node, Client]]


def await_condition(missing: Callable[[], str | None], deadline: float, goal: str) -> None:
    """Call ``missing`` until it returns None instead of what is missing.

    ``deadline``: on the monotonic clock, in seconds. ``goal``: a clause that says what is awaited.
    Raises EmbeddedClusterError, with the last answer, after the deadline.
    """
    while (lack := missing()) is not None:
        if time.monotonic() >= deadline:
            raise EmbeddedClusterError(f"Timed out waiting until {goal}: {lack}.")
        time.sleep(POLL_SECONDS)


def form_cluster(members: Members, options: Options, deadline: float) -> None:
    """Assign slots and replicas and wait until the cluster is healthy.

    ``deadline``: on the monotonic clock, in seconds. Raises EmbeddedClusterError if that fails or
    takes longer.
    """
    try:
        _give_out_slots(members, options.primaries)
        _introduce(members)
        await_condition(lambda: _strangers(members), deadline, "all nodes know each other")
        _attach_replicas(members, options.primaries)
    except redis.RedisError as error:
        raise EmbeddedClusterError(
            f"The servers cannot be joined into a cluster: {error}."
        ) from error
    await_healthy(members, options, deadline)


def await_healthy(members: Members, options: Options, deadline: float) -> None:
    """Wait until the cluster serves every slot and can fail over.

    ``deadline``: on the monotonic clock, in seconds. Raises EmbeddedClusterError after that.
    """
    await_condition(lambda: why_unhealthy(members, options), deadline, "the cluster is healthy")


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
    """The first node that does not know all others yet, in a sentence; None if there is none."""
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
