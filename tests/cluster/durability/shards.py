"""A shard without its replica or its primary, and what is asked of it."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from clusterpass import EmbeddedCluster
from clusterpass.model.authentication_errors import SessionRevoked
from clusterpass.protocol.keyspace import Keyspace

HANGING = 40.0
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
def without_replica(cluster: EmbeddedCluster, subject: str) -> Iterator[None]:
    """The replica of the subject's shard is stopped by a signal."""
    (replica,) = cluster.replicas_of(key_of(subject))
    cluster.pause(replica)
    try:
        yield
    finally:
        cluster.resume(replica)


@contextlib.contextmanager
def without_primary(cluster: EmbeddedCluster, subject: str) -> Iterator[None]:
    """The shard does not answer: neither its primary nor its replica."""
    primary = cluster.primary_of(key_of(subject))
    with without_replica(cluster, subject):
        cluster.pause(primary)
        try:
            yield
        finally:
            cluster.resume(primary)


ENDINGS: dict[str, Callable[[Any, Any], Any]] = {
    "logout": lambda manager, pair: manager.logout(pair.access_token),
    "logout by refresh token": lambda manager, pair: manager.logout(pair.refresh_token),
    "revoke": lambda manager, pair: manager.revoke(pair.subject, pair.session_id),
    "revoke_all": lambda manager, pair: manager.revoke_all(pair.subject),
    "ban": lambda manager, pair: manager.bans.add(pair.subject, reason="spam"),
}
