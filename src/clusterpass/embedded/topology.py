"""Queries the nodes of a cluster about its topology and health.

Rules of this module
- If the answers of nodes differ, the claim with the highest configuration epoch wins.
- A node that does not answer in time is ignored; that alone is no error.
"""

from collections.abc import Sequence
from typing import Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from clusterpass.embedded.options import Access, Node, Options
from clusterpass.model.errors import EmbeddedClusterError
from clusterpass.store.topology.cluster_nodes import Member, parse_members

SLOTS: Final = 16384
Client = redis.Redis


def connect(node: Node, access: Access, *, timeout: float, retries: int = 0) -> Client:
    """A new client of ``node``, with the right user, password and TLS. ``timeout``: in seconds."""
    return redis.Redis(
        host=node.host,
        port=node.port,
        username=access.username,
        password=access.password,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), retries),
        protocol=2,
        ssl=access.ca_file is not None,
        ssl_ca_certs=access.ca_file,
    )


def ask(client: Client, *command: str) -> str | None:
    """The reply to ``command`` as text; None if there is an error or no reply."""
    try:
        answer = client.execute_command(*command)
    except (redis.RedisError, OSError):
        return None
    return answer.decode() if isinstance(answer, bytes) else str(answer)


def view(client: Client) -> tuple[Member, ...] | None:
    """The members of the cluster as one server sees them; None if it does not answer."""
    text = ask(client, "CLUSTER", "NODES")
    return None if text is None else parse_members(text)


def owner_of(slot: int, views: Sequence[tuple[Member, ...]]) -> tuple[Member, tuple[Member, ...]]:
    """The owner of ``slot`` with the highest configuration epoch, and the view that names it.

    Raises LookupError if no view names an owner.
    """
    claims = [
        (member, members)
        for members in views
        for member in members
        if member.is_primary and member.owns(slot)
    ]
    if not claims:
        raise LookupError(f"the owner of slot {slot} is unknown")
    return max(claims, key=lambda claim: (claim[0].epoch, "myself" in claim[0].flags))


def shard_of(
    slot: int, clients: Sequence[Client], nodes: Sequence[Node]
) -> tuple[Node, tuple[Node, ...]]:
    """The owner of ``slot`` and its replicas that are not marked as failed, among ``nodes``.

    ``clients``: of the nodes to ask. Raises EmbeddedClusterError if no node that answers knows the
    owner.
    """
    by_port = {node.port: node for node in nodes}
    views = [seen for client in clients if (seen := view(client)) is not None]
    try:
        owner, members = owner_of(slot, views)
    except LookupError:
        raise EmbeddedClusterError(
            f"No node that answers knows the owner of slot {slot}."
        ) from None
    replicas = [one for one in members if one.primary_id == owner.id and not one.failing]
    return by_port[owner.port], tuple(by_port[one.port] for one in replicas)


def why_unhealthy(clients: Sequence[tuple[Node, Client]], options: Options) -> str | None:
    """Explain in a clause why the cluster is not healthy; None if it is.

    In a healthy cluster every node answers, reports ``cluster_state:ok`` with all slots, is
    connected to every other node and suspects none, and agrees with the others about owners and
    replicas. Every replica is connected to its primary and in sync.
    """
    maps: set[frozenset[tuple[str, str | None, tuple[tuple[int, int], ...]]]] = set()
    for node, client in clients:
        if options.nodes == 1:
            lack = complaint(client)
            return None if lack is None else f"{node.address}: {lack}"
        members = view(client)
        state = ask(client, "CLUSTER", "INFO")
        if members is None or state is None:
            return f"{node.address} does not answer"
        if "cluster_state:ok" not in state or f"cluster_slots_ok:{SLOTS}" not in state:
            return f"{node.address} does not see all slots served"
        doubt = _doubt(members, options)
        if doubt is not None:
            return f"{node.address} {doubt}"
        myself = next(member for member in members if "myself" in member.flags)
        if not myself.is_primary and not replica_link_up(client):
            return f"the replica {node.address} is not in sync"
        maps.add(frozenset((one.id, one.primary_id, one.slots) for one in members))
    return None if len(maps) <= 1 else "the nodes do not agree on owners and replicas yet"


def _doubt(members: tuple[Member, ...], options: Options) -> str | None:
    if len(members) != options.nodes:
        return f"knows {len(members)} of {options.nodes} nodes"
    for member in members:
        if member.failing or not (member.connected or "myself" in member.flags):
            return f"cannot reach the node on port {member.port}"
    if sum(member.is_primary and bool(member.slots) for member in members) != options.primaries:
        return f"does not see {options.primaries} primaries with slots"
    if sum(member.is_primary for member in members) != options.primaries:
        return "sees a primary without slots"
    return None


def complaint(client: Client) -> str | None:
    """Explain why the server does not answer PING at this moment; None if it does.

    Raises EmbeddedClusterError if waiting would not help, because the server rejects the user, the
    password or the certificate.
    """
    try:
        client.ping()
    except redis.AuthenticationError as error:
        raise EmbeddedClusterError(
            f"The server rejects the user or the password: {error}."
        ) from None
    except (redis.RedisError, OSError) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise EmbeddedClusterError(f"The certificate is not accepted: {error}.") from None
        return f"it does not answer ({type(error).__name__})"
    return None


def process_id(client: Client) -> int | None:
    """The process id that the server reports; None if it does not answer."""
    try:
        return int(client.info("server")["process_id"])
    except (redis.RedisError, OSError):
        return None


def replica_link_up(client: Client) -> bool:
    """Whether the replica is connected to its primary and in sync."""
    try:
        return client.info("replication").get("master_link_status") == "up"
    except (redis.RedisError, OSError):
        return False
