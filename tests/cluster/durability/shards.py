"""Pauses the replicas or the primary of a shard; and the ways to end sessions meanwhile."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from clusterpass import EmbeddedCluster
from clusterpass.embedded import Node
from clusterpass.model.authentication_errors import SessionRevoked
from clusterpass.model.errors import RevocationPending
from clusterpass.protocol.keyspace import JOURNAL_SLOTS, Keyspace

HANGING = 80.0
KEYSPACE = Keyspace()


def key_of(subject: str) -> bytes:
    return KEYSPACE.sessions(subject)


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + HANGING
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


def is_accepted(manager: Any, token: str) -> bool:
    try:
        manager.verify(token)
    except SessionRevoked:
        return False
    return True


@contextlib.contextmanager
def paused(cluster: EmbeddedCluster, *nodes: Node) -> Iterator[None]:
    """The nodes are stopped by a signal. The last one goes on first: a primary that comes after its
    replicas could find itself replaced."""
    for node in nodes:
        cluster.pause(node)
    try:
        yield
    finally:
        for node in reversed(nodes):
            cluster.resume(node)


def replica_of(cluster: EmbeddedCluster, subject: str) -> Node:
    (replica,) = cluster.replicas_of(key_of(subject))
    return replica


@contextlib.contextmanager
def without_replication(cluster: EmbeddedCluster, subject: str) -> Iterator[None]:
    """The replica of the shard stands still, and never gets what is written meanwhile if the
    primary is killed: it does not even wait in a buffer of the kernel."""
    with paused(cluster, replica_of(cluster, subject)):
        with cluster.client(cluster.primary_of(key_of(subject))) as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "replica")
        yield


@contextlib.contextmanager
def without_replicas(cluster: EmbeddedCluster) -> Iterator[None]:
    """No shard has its replica, so that none can confirm what another one cannot."""
    journals = [KEYSPACE.journal(slot) for slot in JOURNAL_SLOTS]
    with paused(cluster, *(node for key in journals for node in cluster.replicas_of(key))):
        yield


@contextlib.contextmanager
def without_primary(cluster: EmbeddedCluster, subject: str) -> Iterator[None]:
    """The shard does not answer, and no other has its replica."""
    primary = cluster.primary_of(key_of(subject))
    with without_replicas(cluster), paused(cluster, primary):
        yield


def wait_until_filled(manager: Any) -> None:
    """Return when all three journals count: one whose primary was replaced has to be filled first.

    Without that, the loss of another one leaves a single journal that counts.
    """
    journal = getattr(manager, "manager", manager)._flows.memory.journal
    eventually(
        lambda: len(journal._positions) == len(JOURNAL_SLOTS) and not journal.has_gaps(), "filled"
    )


ENDINGS: dict[str, Callable[..., Any]] = {
    "logout": lambda manager, pair, **more: manager.logout(pair.access_token, **more),
    "logout by refresh token": lambda manager, pair, **more: manager.logout(
        pair.refresh_token, **more
    ),
    "revoke": lambda manager, pair, **more: manager.revoke(pair.subject, pair.session_id, **more),
    "revoke_all": lambda manager, pair, **more: manager.revoke_all(pair.subject, **more),
    "ban": lambda manager, pair, **more: manager.bans.add(pair.subject, reason="spam", **more),
}


def confirmed(ending: str, manager: Any, pair: Any) -> Any:
    """The outcome of an ending, for a caller who repeats it while it is pending.

    Two journals confirm what its shard cannot, and each is asked for half a second at most: on a
    busy machine one of them may be late.
    """
    deadline = time.monotonic() + HANGING
    more: dict[str, str] = {}
    while True:
        try:
            return ENDINGS[ending](manager, pair, **more)
        except RevocationPending as pending:
            assert time.monotonic() < deadline, pending
            more = {"operation_id": pending.operation_id}
