"""The state of a detached cluster, node by node.

Rules of this module
- Nothing is changed, only queried. A node that does not answer is part of the report, not an error.
"""

from dataclasses import dataclass

from clusterpass.embedded.options import Access, Node, Options
from clusterpass.embedded.state import ClusterState
from clusterpass.embedded.topology import (
    Client,
    complaint,
    connect,
    replica_link_up,
    view,
    why_unhealthy,
)

CLIENT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class NodeReport:
    """The state of one node.

    ``role``: primary, replica, standalone or unknown. ``link``: up or down; for a replica, the link
    to its primary. ``pid``: None if the server has exited.
    """

    index: int
    port: int
    pid: int | None
    role: str
    slots: tuple[tuple[int, int], ...]
    primary_port: int | None
    link: str


@dataclass(frozen=True, slots=True)
class ClusterReport:
    """The state of every node of a cluster.

    ``problem``: what is wrong, or None if the cluster serves every slot and can fail over.
    """

    problem: str | None
    nodes: tuple[NodeReport, ...]


def report_on(state: ClusterState) -> ClusterReport:
    """Query every node of a running cluster.

    Raises EmbeddedClusterError if a node rejects the user, the password or the certificate.
    """
    access = Access.of_url(state.url)
    members = [(node, connect(node, access, timeout=CLIENT_SECONDS)) for node in state.nodes]
    try:
        problem = why_unhealthy(members, Options(nodes=len(members)))
        return ClusterReport(problem, tuple(_ask(*member, len(members)) for member in members))
    finally:
        for _, client in members:
            client.close()


def _ask(node: Node, client: Client, count: int) -> NodeReport:
    if count == 1:
        up = complaint(client) is None
        return _entry(node, "standalone", link=up)
    members = view(client) or ()
    myself = next((member for member in members if "myself" in member.flags), None)
    if myself is None:
        return _entry(node, "unknown", link=False)
    if myself.is_primary:
        return _entry(node, "primary", link=True, slots=myself.slots)
    ports = {member.id: member.port for member in members}
    primary = ports.get(myself.primary_id or "")
    return _entry(node, "replica", link=replica_link_up(client), primary=primary)


def _entry(
    node: Node,
    role: str,
    *,
    link: bool,
    slots: tuple[tuple[int, int], ...] = (),
    primary: int | None = None,
) -> NodeReport:
    return NodeReport(
        node.index, node.port, node.pid, role, slots, primary, "up" if link else "down"
    )
