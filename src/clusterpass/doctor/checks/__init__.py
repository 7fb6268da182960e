"""All checks of the doctor, listed in the order in which they run.

- ``access``: permissions, passwords, TLS, and what the doctor could not inspect.
- ``clients``: connections, buffers and invalidation messages.
- ``copies``: replicas, their hosts, and the copies of the cutoff.
- ``memory``: eviction and free memory.
- ``operation``: failover settings, versions, clocks and latency.
- ``replication``: replicas, persistence and durability.
- ``secrets``: keys and secrets in the store that do not open.
- ``shape``: members, slots and primaries of the cluster.
"""

from typing import Final

from clusterpass.doctor.checks import (
    access,
    clients,
    copies,
    memory,
    operation,
    replication,
    secrets,
    shape,
)
from clusterpass.doctor.findings import Check

ALL_CHECKS: Final[tuple[Check, ...]] = (
    access.rights,
    access.rights_too_wide,
    access.password,
    access.tls,
    access.certificates,
    access.unseen,
    clients.pushes,
    clients.tracked_keys,
    clients.output_buffers,
    clients.connections,
    clients.scripts,
    memory.eviction,
    memory.memory,
    memory.compact_hashes,
    operation.node_timeout,
    operation.full_coverage,
    operation.reads_when_down,
    operation.failover,
    operation.versions,
    operation.clocks,
    operation.round_trip,
    replication.replication,
    replication.confirmation,
    replication.persistence,
    replication.fsync,
    replication.min_replicas,
    shape.kind_of_deployment,
    shape.node_unreachable,
    shape.node_failed,
    shape.slots_uncovered,
    shape.majority,
    shape.views,
    shape.slots_moving,
    shape.skew,
    copies.replicas,
    copies.hosts,
    copies.cutoff_copies,
    secrets.secrets,
)
