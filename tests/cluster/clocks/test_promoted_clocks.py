"""A replica whose clock is hours off is promoted: nobody is logged out, nobody stays logged in."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from clusterpass import EmbeddedCluster
from clusterpass.embedded import Node
from clusterpass.model.authentication_errors import InvalidRefreshToken, SessionRevoked
from clusterpass.model.errors import (
    EmbeddedClusterError,
    RevocationPending,
    StoreUnavailable,
)
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import LiveRecord, Tombstone, parse_record
from clusterpass.tokens.identifiers import decode_session_id

from .servers import HANGING, eventually, set_clock

pytestmark = pytest.mark.timeout(240)
HOURS = 3 * 3600
_ELECTED = 15.0
"""Seconds within which a replica is elected, if it notices that its primary has failed."""
_NEAR = 120.0
"""Seconds: access tokens live a little shorter than configured, by chance."""


def key_of(subject: str) -> bytes:
    return Keyspace().sessions(subject)


def answered(call: Callable[[], Any]) -> Any:
    """What the call comes to, once the store is available: the client tries again, as 503 says."""
    deadline = time.monotonic() + HANGING
    while True:
        try:
            return call()
        except StoreUnavailable:
            assert time.monotonic() < deadline, "the store does not become available"
            time.sleep(0.05)


def ended(manager: Any, token: str) -> None:
    """Log out, and wait until that is confirmed."""
    try:
        done = manager.logout(token)
        assert done.count == 1
    except RevocationPending:
        eventually(lambda: not manager.stats().pending.waiting, "the logout is confirmed")


def promote_with_clock(cluster: EmbeddedCluster, subject: str, seconds: int) -> tuple[Node, Node]:
    """Kill the primary of the subject; its replica, ``seconds`` ahead, takes over."""
    primary = cluster.primary_of(key_of(subject))
    (replica,) = cluster.replicas_of(key_of(subject))
    set_clock(cluster, replica, seconds)
    cluster.wait_until_healthy(HANGING)
    cluster.kill(primary)
    try:
        return primary, cluster.wait_until_primary_changes(key_of(subject), primary, _ELECTED)
    except EmbeddedClusterError:
        # A server whose clock was put back may notice no failed peer until that time comes again.
        with cluster.client(replica) as client:
            client.execute_command("CLUSTER FAILOVER", "TAKEOVER")
        return primary, cluster.wait_until_primary_changes(key_of(subject), primary, HANGING)


def fail_back(cluster: EmbeddedCluster, subject: str, former: Node) -> None:
    """Promote ``former``, a replica by now, by hand."""
    cluster.wait_until_healthy(HANGING)
    with cluster.client(former) as client:
        client.execute_command("CLUSTER FAILOVER")
    eventually(lambda: cluster.primary_of(key_of(subject)) == former, "the failover back")
    cluster.wait_until_healthy(HANGING)


def stored(cluster: EmbeddedCluster, pair: Any) -> LiveRecord | Tombstone | None:
    session_id = decode_session_id(pair.session_id)
    assert session_id is not None
    with cluster.client(cluster.primary_of(key_of(pair.subject))) as client:
        value = client.hget(key_of(pair.subject), session_id)
    return None if value is None else parse_record(value)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("hours_ahead", [3, -3])
@pytest.mark.parametrize(("style", "mode"), [("sync", "cached"), ("async", "strict")])
def test_a_promoted_replica_hours_off_ends_and_prolongs_nothing(
    fragile: EmbeddedCluster,
    open_one: Any,
    subject: str,
    style: str,
    mode: str,
    hours_ahead: int,
) -> None:
    manager, other = open_one(fragile, style, mode), open_one(fragile, "sync", mode)
    kept, leaving = manager.login(subject), manager.login(subject)
    assert other.verify(kept.access_token)
    primary, promoted = promote_with_clock(fragile, subject, hours_ahead * 3600)
    late = open_one(fragile, "sync", mode)  # a process that begins now
    for each in (manager, other, late):
        session = answered(lambda each=each: each.verify(kept.access_token))
        assert abs(session.expires_at - kept.session_expires_in - time.time()) < _NEAR
    renewed = answered(lambda: manager.refresh(kept.refresh_token))
    assert abs(renewed.expires_in - kept.expires_in) < _NEAR
    assert manager.verify(renewed.access_token).session_id == kept.session_id
    opened = answered(lambda: other.login(subject, lifetime=120))
    assert abs(other.verify(opened.access_token).created_at - time.time()) < _NEAR
    found = answered(lambda: manager.sessions(subject))
    assert {each.session_id for each in found} == {
        each.session_id for each in (kept, leaving, opened)
    }
    fragile.restart(primary)
    fragile.wait_until_healthy(HANGING)
    ended(manager, leaving.refresh_token)
    assert isinstance(stored(fragile, kept), LiveRecord)

    set_clock(fragile, promoted, 0)
    fail_back(fragile, subject, primary)
    for each in (manager, other, late):
        assert answered(lambda each=each: each.verify(opened.access_token))
        assert answered(lambda each=each: each.verify(renewed.access_token))
        with pytest.raises(SessionRevoked):
            answered(lambda each=each: each.verify(leaving.access_token, verification="strict"))
    with pytest.raises(InvalidRefreshToken):
        answered(lambda: other.refresh(leaving.refresh_token))
    assert isinstance(stored(fragile, leaving), Tombstone)
    again = answered(lambda: manager.refresh(renewed.refresh_token))
    assert manager.verify(again.access_token).session_id == kept.session_id


@pytest.mark.alternating
def test_a_session_is_over_at_its_end_on_a_promoted_replica_hours_behind(
    fragile: EmbeddedCluster, open_one: Any, subject: str
) -> None:
    manager = open_one(fragile)
    short = manager.login(subject, lifetime=10)
    opened_at = time.monotonic()
    promote_with_clock(fragile, subject, -HOURS)
    limit = 10 + 5 + 2  # the lifetime, the tolerance, and the whole seconds of both

    def is_over() -> bool:
        try:
            answered(lambda: manager.refresh(short.refresh_token))
        except InvalidRefreshToken:
            return True
        return False

    eventually(lambda: time.monotonic() - opened_at > limit, "the session has lasted its time")
    assert is_over()
