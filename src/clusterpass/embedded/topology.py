"""What the nodes of a cluster say about it, asked live.

Rules of this module
- Answers of different nodes may differ; a claim with a higher configuration epoch wins.
- A node that does not answer in time has no say; it is never an error by itself.
"""

from collections.abc import Sequence
from typing import Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from clusterpass.model.errors import EmbeddedClusterError
from clusterpass.store.topology.members import Member, parse_members

from .options import Access, Node, Options

SLOTS: Final = 16384
Client = redis.Redis


def connect(node: Node, access: Access, *, timeout: float, retries: int = 0) -> Client:
    """A client of one server, with the right user, password and TLS. ``timeout`` in seconds."""
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
    """The text that a server answers to ``command``, or None if it gives none now."""
    try:
        answer = client.execute_command(*command)
    except (redis.RedisError, OSError):
        return None
    return answer.decode() if isinstance(answer, bytes) else str(answer)


def view(client: Client) -> tuple[Member, ...] | None:
    """The cluster as one server sees it, or None if it does not answer."""
    text = ask(client, "CLUSTER", "NODES")
    return None if text is None else parse_members(text)


def owner_of(slot: int, views: Sequence[tuple[Member, ...]]) -> tuple[Member, tuple[Member, ...]]:
    """The owner of ``slot`` by the highest epoch claimed, and the view that says so.

    Raises LookupError if no view knows an owner.
    """
    claims = [
        (member, members)
        for members in views
        for member in members
        if member.is_primary and member.owns(slot)
    ]
    if not claims:
        raise LookupError(f"no owner of slot {slot} is known")
    return max(claims, key=lambda claim: (claim[0].epoch, "myself" in claim[0].flags))


def why_unhealthy(clients: Sequence[tuple[Node, Client]], options: Options) -> str | None:
    """What is missing for the whole cluster to serve and to be able to fail over, or None.

    Healthy means that every node answers, says ``cluster_state:ok`` with all slots, sees every
    other node connected and without suspicion, agrees with the others about owners and replicas,
    and that every replica's link is up.
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
            return f"{node.address} does not serve all slots"
        doubt = _doubt(members, options)
        if doubt is not None:
            return f"{node.address} {doubt}"
        myself = next(member for member in members if "myself" in member.flags)
        if not myself.is_primary and not replica_link_up(client):
            return f"the replica {node.address} is not in sync"
        maps.add(frozenset((one.id, one.primary_id, one.slots) for one in members))
    return None if len(maps) <= 1 else "the nodes do not agree with each other yet"


def _doubt(members: tuple[Member, ...], options: Options) -> str | None:
    if len(members) != options.nodes:
        return f"knows {len(members)} of {options.nodes} nodes"
    for member in members:
        if member.failing or not (member.connected or "myself" in member.flags):
            return f"does not see port {member.port}"
    if sum(member.is_primary and bool(member.slots) for member in members) != options.primaries:
        return f"does not know {options.primaries} primaries"
    if sum(member.is_primary for member in members) != options.primaries:
        return "sees a node without a part"
    return None


def complaint(client: Client) -> str | None:
    """Why the server does not serve us at this moment, or None if it does.

    Raises EmbeddedClusterError if waiting would not help: wrong password or certificate.
    """
    try:
        client.ping()
    except redis.AuthenticationError as error:
        raise EmbeddedClusterError(f"The server refuses our user or password: {error}.") from None
    except (redis.RedisError, OSError) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise EmbeddedClusterError(f"The certificate is not accepted: {error}.") from None
        return f"it does not answer ({type(error).__name__})"
    return None


def process_id(client: Client) -> int | None:
    """The process id of the server that answers, or None if none does."""
    try:
        return int(client.info("server")["process_id"])
    except (redis.RedisError, OSError):
        return None


def replica_link_up(client: Client) -> bool:
    """Whether this replica is connected to its primary and in sync."""
    try:
        return client.info("replication").get("master_link_status") == "up"
    except (redis.RedisError, OSError):
        return False
