"""Nothing acknowledged is lost: pending endings, rollbacks, outages, on real servers."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from clusterpass import Config, EmbeddedCluster, SessionManager
from clusterpass.model.authentication_errors import InvalidRefreshToken, SessionRevoked
from clusterpass.model.errors import (
    InvalidInput,
    RevocationPending,
    StoreFailed,
    StoreUnavailable,
    SubjectBanned,
)
from clusterpass.protocol.keyspace import Keyspace

from .conftest import REDIS_SERVER, Facade

HANGING = 40.0
NODE_TIMEOUT = 2.0
KEYSPACE = Keyspace()

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def shaken() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(nodes=6, node_timeout=NODE_TIMEOUT) as running:
        yield running


@pytest.fixture
def fragile(shaken: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    """The cluster, whole before and after each test."""
    shaken.wait_until_healthy(HANGING)
    yield shaken
    for node in shaken.nodes:
        if node.pid is None:
            shaken.restart(node)
        shaken.resume(node)
    shaken.wait_until_healthy(HANGING)


@pytest.fixture(params=["sync", "async"])
def open_one(request: pytest.FixtureRequest) -> Iterator[Callable[[str, Config], Any]]:
    kind: Any = SessionManager.from_url if request.param == "sync" else Facade
    opened: list[Any] = []

    def open_it(url: str, config: Config) -> Any:
        opened.append(kind(url, config))
        return opened[-1]

    yield open_it
    for manager in opened:
        manager.close()


@pytest.fixture
def manager(open_one: Any, fragile: EmbeddedCluster, config: Config) -> Any:
    return open_one(fragile.url, config)


@pytest.fixture
def other(open_one: Any, fragile: EmbeddedCluster, config: Config) -> Any:
    """Of another process, as far as what is remembered goes."""
    return open_one(fragile.url, config)


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


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_end_that_no_replica_confirms_is_pending_and_in_force(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str, ending: str
) -> None:
    pair = manager.login(subject)
    assert pair.durable
    assert manager.verify(pair.access_token)
    with without_replica(fragile, subject):
        with pytest.raises(RevocationPending) as pending:
            ENDINGS[ending](manager, pair)
        assert pending.value.status == 503
        assert pending.value.reason == "unconfirmed"
        assert pending.value.is_retried
        assert len(pending.value.operation_id) == 16
        with pytest.raises(SessionRevoked):
            manager.verify(pair.access_token)
        with pytest.raises(InvalidRefreshToken):
            manager.refresh(pair.refresh_token)
        assert manager.stats().pending.waiting == 1
        with pytest.raises(SessionRevoked):  # it was carried out, if not confirmed
            other.verify(pair.access_token)
    eventually(lambda: manager.stats().pending.waiting == 0, "confirmed")
    assert manager.stats().pending.confirmed == 1
    assert manager.stats().rollbacks == 0


@pytest.mark.parametrize("ending", ["logout", "revoke_all"])
def test_an_end_that_cannot_reach_the_store_is_in_force_here(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str, ending: str
) -> None:
    """Also while the store does not answer, and for those who would accept by grace."""
    pair = manager.login(subject)
    assert manager.verify(pair.access_token)
    with without_primary(fragile, subject):
        with pytest.raises(RevocationPending) as pending:
            ENDINGS[ending](manager, pair)
        assert pending.value.reason != "unconfirmed"
        with pytest.raises(SessionRevoked):
            manager.verify(pair.access_token)
        with pytest.raises(SessionRevoked):
            manager.verify(pair.access_token, outage_grace=60)
        if ending == "logout":  # known by its id; of the others only the store knows which they are
            with pytest.raises(InvalidRefreshToken):
                manager.refresh(pair.refresh_token)
    eventually(lambda: manager.stats().pending.waiting == 0, "carried out and confirmed")
    with pytest.raises(SessionRevoked):
        other.verify(pair.access_token, verification="strict")


def test_a_session_that_a_stale_replica_brings_back_stays_dead(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str
) -> None:
    """The classic: replica stopped, session revoked, primary killed, replica goes on."""
    pair = manager.login(subject)
    key = key_of(subject)
    primary = fragile.primary_of(key)
    (replica,) = fragile.replicas_of(key)
    fragile.pause(replica)
    with pytest.raises(RevocationPending):
        manager.revoke(subject, pair.session_id)
    fragile.kill(primary)
    fragile.resume(replica)
    fragile.wait_until_primary_changes(key, primary, HANGING)
    deadline = time.monotonic() + HANGING
    while manager.stats().pending.waiting:
        with contextlib.suppress(StoreUnavailable), pytest.raises(SessionRevoked):
            manager.verify(pair.access_token)
        fragile.restart(primary) if primary_is_down(fragile, primary) else time.sleep(0.02)
        assert time.monotonic() < deadline, "never confirmed"
    for each in (manager, other):
        with pytest.raises(SessionRevoked):
            each.verify(pair.access_token, verification="strict")


def primary_is_down(cluster: EmbeddedCluster, node: Any) -> bool:
    return next(each for each in cluster.nodes if each == node).pid is None


def roll_back(cluster: EmbeddedCluster, subject: str, dumped: bytes) -> None:
    with cluster.client(cluster.primary_of(key_of(subject))) as client:
        client.restore(key_of(subject), 0, dumped, replace=True)


def dump(cluster: EmbeddedCluster, subject: str) -> bytes:
    with cluster.client(cluster.primary_of(key_of(subject))) as client:
        found = client.dump(key_of(subject))
    assert isinstance(found, bytes)
    return found


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_rollback_is_denied_reported_and_repaired(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str, ending: str, caplog: Any
) -> None:
    pair = manager.login(subject)
    before = dump(fragile, subject)
    ENDINGS[ending](manager, pair)
    roll_back(fragile, subject, before)
    with pytest.raises(SessionRevoked):
        manager.verify(pair.access_token)
    assert manager.stats().rollbacks >= 1
    assert pair.session_id in caplog.text
    assert pair.access_token not in caplog.text
    eventually(lambda: manager.stats().pending.waiting == 0, "repaired")
    with pytest.raises(SessionRevoked):
        other.verify(pair.access_token, verification="strict")


def test_who_only_saw_the_end_denies_it_too(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str
) -> None:
    pair = manager.login(subject)
    before = dump(fragile, subject)
    manager.revoke(subject, pair.session_id)
    with pytest.raises(SessionRevoked):
        other.verify(pair.access_token)
    roll_back(fragile, subject, before)
    with pytest.raises(SessionRevoked):
        other.verify(pair.access_token, verification="strict")
    with pytest.raises(InvalidRefreshToken):
        other.refresh(pair.refresh_token)
    assert other.sessions(subject) == []


def test_a_lower_generation_is_noticed_by_who_saw_the_higher_one(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str
) -> None:
    """``other`` never met the session that was ended, only one that was spared."""
    ended, spared = manager.login(subject), manager.login(subject)
    before = dump(fragile, subject)
    manager.revoke_all(subject, keep=spared.session_id)
    assert other.verify(spared.access_token)
    roll_back(fragile, subject, before)
    with pytest.raises(SessionRevoked):
        other.verify(ended.access_token, verification="strict")
    assert other.verify(spared.access_token, verification="strict")
    assert other.stats().rollbacks == 1


@pytest.mark.parametrize("ending", ["revoke_all", "ban"])
def test_who_saw_one_end_with_all_others_denies_the_others_too(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str, ending: str
) -> None:
    """``other`` was told of the end by a refusal only, of another session."""
    seen, unseen, remembered = (manager.login(subject) for _ in range(3))
    before = dump(fragile, subject)
    assert other.verify(remembered.access_token)
    ENDINGS[ending](manager, seen)
    with pytest.raises(SessionRevoked):
        other.verify(seen.access_token, verification="strict")
    roll_back(fragile, subject, before)
    with pytest.raises(InvalidRefreshToken):
        other.refresh(unseen.refresh_token)
    for each in (unseen, remembered):
        with pytest.raises(SessionRevoked):
            other.verify(each.access_token)
    assert other.sessions(subject) == []
    assert other.stats().rollbacks >= 1


def test_a_revocation_that_is_carried_out_late_spares_who_came_later(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str
) -> None:
    before = manager.login(subject)
    with without_replica(fragile, subject):
        with pytest.raises(RevocationPending):
            manager.revoke_all(subject)
        later = other.login(subject)
        assert not later.durable
        assert is_accepted(manager, later.access_token)
    eventually(lambda: manager.stats().pending.waiting == 0, "confirmed")
    assert is_accepted(other, later.access_token)
    assert is_accepted(manager, later.access_token)
    assert not is_accepted(other, before.access_token)


def test_an_operation_that_is_repeated_is_recognised(manager: Any, subject: str) -> None:
    first, second = manager.login(subject), manager.login(subject)
    operation = "0123456789abcdef"
    assert manager.revoke_all(subject, operation_id=operation).count == 2
    later = manager.login(subject)
    assert manager.revoke_all(subject, operation_id=operation).count == 2
    assert manager.verify(later.access_token)
    told = manager.revoke(subject, later.session_id, operation_id="00000000000000aa")
    again = manager.revoke(subject, later.session_id, operation_id="00000000000000aa")
    other_one = manager.revoke(subject, later.session_id)
    assert (told.count, again.count, other_one.count) == (1, 1, 0)
    for pair in (first, second, later):
        assert not is_accepted(manager, pair.access_token)


def test_a_ban_that_is_repeated_does_not_come_back(manager: Any, subject: str) -> None:
    operation = "0123456789abcdef"
    manager.bans.add(subject, operation_id=operation)
    with pytest.raises(SubjectBanned):
        manager.login(subject)
    assert manager.bans.lift(subject).count == 1
    manager.bans.add(subject, operation_id=operation)
    assert manager.login(subject)


def test_many_ended_sessions_are_told_again(manager: Any, subject: str) -> None:
    told: list[Any] = []
    manager.on("revoked")(told.append)
    for _ in range(9):
        manager.login(subject)
    operation = "fedcba9876543210"
    for _ in range(2):
        assert manager.revoke_all(subject, operation_id=operation).count == 9
    eventually(lambda: len(told) == 2, "told")
    assert len(set(told[0].session_ids)) == 9
    assert set(told[0].session_ids) == set(told[1].session_ids)


@pytest.mark.parametrize("operation_id", ["", "x", "0" * 16, "0123", 5, "g" * 16])
def test_what_is_no_operation_id(manager: Any, subject: str, operation_id: Any) -> None:
    with pytest.raises(InvalidInput, match="operation_id"):
        manager.revoke_all(subject, operation_id=operation_id)


def test_a_pending_ban_from_a_scope_is_told_with_the_session(
    fragile: EmbeddedCluster, manager: Any, subject: str
) -> None:
    pair = manager.login(subject)
    with without_replica(fragile, subject):
        with pytest.raises(RevocationPending):
            manager.bans.add(subject, scope="comments", reason="spam")
        with pytest.raises(SubjectBanned):
            manager.verify(pair.access_token).require_not_banned("comments")
    eventually(lambda: manager.stats().pending.waiting == 0, "confirmed")
    assert [ban.scope for ban in manager.verify(pair.access_token).bans] == ["comments"]


# Outages


def test_without_grace_an_outage_is_no_answer(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str
) -> None:
    pair = manager.login(subject)
    manager.verify(pair.access_token)
    with without_primary(fragile, subject):
        eventually(lambda: not recalled(manager, pair), "the lease is over")
        for grace in (None, 0):
            with pytest.raises(StoreUnavailable) as outage:
                manager.verify(pair.access_token, outage_grace=grace)
            assert outage.value.status == 503
            assert outage.value.retry_after >= 1
        session = manager.verify(pair.access_token, outage_grace=60)
        assert session.in_grace
        assert session.session_id == pair.session_id
        with pytest.raises(StoreUnavailable):  # this one never saw it alive
            other.verify(pair.access_token, outage_grace=60)
        with pytest.raises(StoreUnavailable):
            manager.verify(pair.access_token, outage_grace=0.001)
        assert manager.stats().grace_accepted == 1
    eventually(lambda: not manager.stats().silent_nodes or verifies(manager, pair), "back")
    assert not manager.verify(pair.access_token, outage_grace=60).in_grace


def recalled(manager: Any, pair: Any) -> bool:
    return manager.recall(pair.access_token) is not None


def verifies(manager: Any, pair: Any) -> bool:
    try:
        return bool(manager.verify(pair.access_token))
    except StoreUnavailable:
        return False


def test_grace_by_configuration(
    fragile: EmbeddedCluster, open_one: Any, config: Config, subject: str
) -> None:
    for verification in ("cached", "strict"):
        fragile.wait_until_healthy(HANGING)
        chosen = replace(config, outage_grace=60, verification=verification)
        manager = open_one(fragile.url, chosen)
        pair = manager.login(subject)
        manager.verify(pair.access_token)
        with without_primary(fragile, subject):
            eventually(lambda: not recalled(manager, pair), "the lease is over")  # noqa: B023
            assert manager.verify(pair.access_token).in_grace
            with pytest.raises(StoreUnavailable):
                manager.verify(pair.access_token, outage_grace=0)
            with pytest.raises(StoreUnavailable):  # who asks for strict has no grace
                manager.verify(pair.access_token, verification="strict")


@pytest.mark.parametrize("grace", [-1, 3601, "x", True, float("nan")])
def test_what_is_no_grace(manager: Any, subject: str, grace: Any) -> None:
    pair = manager.login(subject)
    with pytest.raises(InvalidInput, match="outage_grace"):
        manager.verify(pair.access_token, outage_grace=grace)


def test_other_shards_do_not_notice_an_outage(
    fragile: EmbeddedCluster, manager: Any, subject: str, new_subject: Callable[[], str]
) -> None:
    elsewhere = new_subject()
    while fragile.primary_of(key_of(elsewhere)) == fragile.primary_of(key_of(subject)):
        elsewhere = new_subject()
    here, there = manager.login(subject), manager.login(elsewhere)
    with without_primary(fragile, subject):
        with pytest.raises(StoreUnavailable):
            manager.verify(here.access_token, verification="strict")
        # Nobody waits a second time for what did not answer for a whole deadline, but for one now
        # and then who tries whether it is back.
        reasons = set()
        for _ in range(5):
            with pytest.raises(StoreUnavailable) as refused:
                manager.verify(here.access_token, verification="strict")
            reasons.add(refused.value.reason)
        assert "circuit_open" in reasons
        assert reasons <= {"circuit_open", "timeout"}
        for _ in range(50):
            assert manager.verify(there.access_token, verification="strict")
        assert manager.stats().silent_nodes
    eventually(lambda: verifies(manager, here), "back")


# Levels


@pytest.mark.parametrize("server", [None, REDIS_SERVER])
def test_one_server_without_replicas_is_as_durable_as_it_can_be(
    open_one: Any, config: Config, subject: str, server: str | None
) -> None:
    options: dict[str, Any] = {} if server is None else {"server": server}
    with EmbeddedCluster(nodes=1, **options) as running:
        manager = open_one(running.url, config)
        pair = manager.login(subject)
        assert not pair.durable
        assert not manager.logout(pair.access_token).durable
        assert manager.stats().durability.startswith("primary (")


def test_a_cluster_that_was_made_without_replicas(
    open_one: Any, config: Config, subject: str
) -> None:
    with EmbeddedCluster(nodes=3) as running:
        manager = open_one(running.url, config)
        pair = manager.login(subject)
        assert not pair.durable
        assert manager.logout(pair.access_token).count == 1
        assert manager.revoke_before().time > 0
        assert manager.stats().durability.startswith("primary (")


def test_the_primary_alone_is_enough_where_that_was_chosen(
    fragile: EmbeddedCluster, open_one: Any, config: Config, subject: str
) -> None:
    manager = open_one(fragile.url, replace(config, durability="primary"))
    with without_replica(fragile, subject):
        pair = manager.login(subject)
        assert not pair.durable
        assert manager.logout(pair.access_token).count == 1
    assert manager.stats().durability == "primary"


def test_a_write_may_wait_for_the_disk(open_one: Any, config: Config, subject: str) -> None:
    chosen = replace(config, durability="fsync")
    # The primary's file and that of a replica are written about once a second.
    for nodes in (1, 6):
        with EmbeddedCluster(nodes=nodes, persistent=True) as running:
            manager = open_one(f"{running.url}?replica_wait=3&timeout=4&deadline=8", chosen)
            pair = manager.login(subject)
            assert pair.durable
            assert manager.logout(pair.access_token).durable
            assert manager.stats().durability == "fsync"


@pytest.mark.parametrize("server", [None, REDIS_SERVER])
def test_servers_that_cannot_wait_for_their_disk_are_refused(
    open_one: Any, config: Config, subject: str, server: str | None
) -> None:
    options: dict[str, Any] = {} if server is None else {"server": server}
    with EmbeddedCluster(nodes=1, **options) as running:
        manager = open_one(running.url, replace(config, durability="fsync"))
        with pytest.raises(StoreFailed, match="appendonly yes"):
            manager.login(subject)


def test_by_the_token_alone_what_was_seen_to_end_is_over_too(
    fragile: EmbeddedCluster, open_one: Any, config: Config, subject: str
) -> None:
    manager = open_one(fragile.url, replace(config, verification="stateless"))
    pair, other = manager.login(subject), manager.login(subject)
    assert manager.verify(pair.access_token).is_stateless
    manager.revoke(subject, pair.session_id)
    with pytest.raises(SessionRevoked):
        manager.verify(pair.access_token)
    assert manager.verify(other.access_token).is_stateless


def test_the_child_of_a_fork_leaves_what_is_pending_to_its_parent(
    fragile: EmbeddedCluster, config: Config, subject: str
) -> None:
    for verification in ("cached", "strict"):
        chosen = replace(config, verification=verification)
        with SessionManager.from_url(fragile.url, chosen) as manager:
            pair = manager.login(subject)
            with without_replica(fragile, subject):
                with pytest.raises(RevocationPending):
                    manager.revoke(subject, pair.session_id)
                child = os.fork()
                if child == 0:
                    os._exit(manager.stats().pending.waiting)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
                assert manager.stats().pending.waiting == 1
            eventually(lambda: manager.stats().pending.waiting == 0, "confirmed")


@pytest.mark.parametrize("verb", ["revoke_all", "ban"])
def test_who_repeats_an_operation_denies_nobody_who_came_later(
    manager: Any, subject: str, verb: str
) -> None:
    """What is remembered here goes by the time of the first one, too."""
    operation = "0123456789abcdef"
    act = manager.revoke_all if verb == "revoke_all" else manager.bans.add
    before = manager.login(subject)
    act(subject, operation_id=operation)
    manager.bans.lift(subject)
    later = manager.login(subject)
    act(subject, operation_id=operation)
    assert is_accepted(manager, later.access_token)
    assert not is_accepted(manager, before.access_token)
