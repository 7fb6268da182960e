"""Failovers: nodes die, pause, return and hand over slots; no session is lost or revived."""

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis.crc import key_slot

from clusterpass import Config, EmbeddedCluster, SessionManager, TokenPair
from clusterpass.embedded import Node
from clusterpass.model.authentication_errors import (
    InvalidRefreshToken,
    SessionRevoked,
    SessionUnknown,
)
from clusterpass.model.errors import RevocationPending, StoreUnavailable
from clusterpass.protocol.keyspace import Keyspace

from .conftest import Facade

HANGING = 40.0
"""Seconds that nothing here comes near to unless it hangs."""
NODE_TIMEOUT = 1.0
KEYSPACE = Keyspace()
REFUSED = (SessionRevoked, SessionUnknown)
"""Under a load of logouts of the same subject, its tombstone may have made room for others."""

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
def manager(
    request: pytest.FixtureRequest, fragile: EmbeddedCluster, config: Config
) -> Iterator[Any]:
    kind: Any = SessionManager.from_url if request.param == "sync" else Facade
    opened = kind(fragile.url, config)
    yield opened
    opened.close()


def key_of(subject: str) -> bytes:
    return KEYSPACE.sessions(subject)


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + HANGING
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


def accepted(manager: Any, pair: TokenPair) -> bool:
    """Whether the token is accepted now; that the store is away is no answer."""
    try:
        return bool(manager.verify(pair.access_token).session_id == pair.session_id)
    except StoreUnavailable:
        return False


class Load:
    """Calls ``work`` again and again in a thread of its own and keeps what it raises."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.errors: list[Exception] = []
        self.rounds = 0
        self._work = work
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self._work()
            except Exception as error:
                self.errors.append(error)
            self.rounds += 1

    def await_rounds(self, count: int) -> None:
        """Wait until ``count`` more rounds were begun and ended from now on."""
        wanted = self.rounds + count + 1
        eventually(lambda: self.rounds >= wanted, "rounds of the load")

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(HANGING)
        assert not self._thread.is_alive()


def verifying(manager: Any, pairs: list[TokenPair]) -> Load:
    turn = itertools.cycle(pairs)

    def work() -> None:
        pair = next(turn)
        session = manager.verify(pair.access_token)
        assert (session.subject, session.session_id) == (pair.subject, pair.session_id)

    return Load(work)


def living(manager: Any, subjects: list[str], *, may_be_pending: bool = False) -> Load:
    """Logins, verifications, refreshes and logouts of ``subjects``, with and without claims.

    ``may_be_pending``: a logout need not be confirmed by a replica, but must be in force.
    """
    turn = itertools.cycle(subjects)
    number = itertools.count()

    def work() -> None:
        subject = next(turn)
        claims = {"n": subject} if next(number) % 2 else None
        first = manager.login(subject, claims=claims)
        assert manager.verify(first.access_token).claims == (claims or {})
        second = manager.refresh(first.refresh_token)
        assert manager.verify(second.access_token).session_id == first.session_id
        again = manager.refresh(first.refresh_token)
        assert again.refresh_token == second.refresh_token
        try:
            manager.logout(second.access_token)
        except RevocationPending:
            if not may_be_pending:
                raise
        with pytest.raises(SessionRevoked):
            manager.verify(second.access_token)

    return Load(work)


def confirmed_at_last(manager: Any) -> bool:
    """Whether nothing is pending any more."""
    return bool(manager.stats().pending.waiting == 0)


@dataclass
class Scene:
    """Live and ended sessions from before a fault of ``primary``."""

    primary: Node
    subject: str
    live: list[TokenPair]
    """Sessions on the shard of ``primary``, among them some with claims."""
    idle: TokenPair
    """A session of the same shard that is not used until it is refreshed."""
    revoked: TokenPair
    logged_out: TokenPair
    elsewhere: list[TokenPair] = field(default_factory=list)
    """Sessions on the other shards."""


def durable(pair: Any) -> Any:
    assert pair.durable
    return pair


def set_scene(cluster: EmbeddedCluster, manager: Any, new_subject: Callable[[], str]) -> Scene:
    subject = new_subject()
    primary = cluster.primary_of(key_of(subject))
    near = [subject]
    far: list[str] = []
    while len(near) < 4 or len({cluster.primary_of(key_of(name)) for name in far}) < 2:
        name = new_subject()
        (near if cluster.primary_of(key_of(name)) == primary else far).append(name)
    manager.login(subject)  # the slots are known from here on
    revoked = durable(manager.login(subject, claims={"was": "in"}))
    durable(manager.revoke(subject, revoked.session_id))
    logged_out = durable(manager.login(subject))
    durable(manager.logout(logged_out.access_token))
    return Scene(
        primary=primary,
        subject=subject,
        live=[durable(manager.login(name, claims={"n": name})) for name in near]
        + [durable(manager.login(name)) for name in near],
        idle=durable(manager.login(subject, claims={"idle": True})),
        revoked=revoked,
        logged_out=logged_out,
        elsewhere=[durable(manager.login(name)) for name in far],
    )


def check_scene(manager: Any, scene: Scene) -> None:
    """Everything is as it was: no login was lost, none came back."""
    for pair in [*scene.live, *scene.elsewhere]:
        session = manager.verify(pair.access_token)
        assert (session.subject, session.session_id) == (pair.subject, pair.session_id)
    for dead in (scene.revoked, scene.logged_out):
        with pytest.raises(REFUSED):
            manager.verify(dead.access_token)
        with pytest.raises(InvalidRefreshToken):
            manager.refresh(dead.refresh_token)


def refresh_idle(manager: Any, scene: Scene) -> None:
    again = manager.refresh(scene.idle.refresh_token)
    assert again.session_id == scene.idle.session_id
    assert manager.verify(again.access_token).claims == {"idle": True}
    # A retry after a lost answer gets the very same successor, also from a promoted replica.
    assert manager.refresh(scene.idle.refresh_token).refresh_token == again.refresh_token
    scene.live.append(again)


@contextlib.contextmanager
def watched(manager: Any, scene: Scene) -> Iterator[tuple[Load, Load, Load]]:
    """Verifications of the live and of the dead of the shard, and of the other shards."""

    def dead_stay_dead() -> None:
        for dead in (scene.revoked, scene.logged_out):
            try:
                with pytest.raises(REFUSED):
                    manager.verify(dead.access_token)
            except StoreUnavailable as error:
                dead_ones.errors.append(error)

    dead_ones = Load(dead_stay_dead)
    with (
        verifying(manager, list(scene.live)) as near,
        dead_ones,
        verifying(manager, scene.elsewhere) as far,
    ):
        for load in (near, dead_ones, far):
            load.await_rounds(2)
        yield near, dead_ones, far
    assert far.errors == []
    for error in [*near.errors, *dead_ones.errors]:
        assert isinstance(error, StoreUnavailable), repr(error)
        assert error.status == 503


@pytest.mark.sampled(1)
def test_a_primary_that_is_killed(
    fragile: EmbeddedCluster, manager: Any, new_subject: Callable[[], str]
) -> None:
    scene = set_scene(fragile, manager, new_subject)
    with watched(manager, scene) as (near, dead_ones, far):
        fragile.kill(scene.primary)
        successor = fragile.wait_until_primary_changes(
            key_of(scene.subject), scene.primary, HANGING
        )
        eventually(lambda: accepted(manager, scene.live[0]), "accepted again")
        for load in (near, dead_ones, far):
            load.await_rounds(20)
        failed = len(near.errors), len(dead_ones.errors)
        check_scene(manager, scene)
        refresh_idle(manager, scene)

        fragile.restart(scene.primary)
        fragile.wait_until_healthy(HANGING)
        assert fragile.primary_of(key_of(scene.subject)) == successor
        assert scene.primary in fragile.replicas_of(key_of(scene.subject))
        check_scene(manager, scene)
        for load in (near, dead_ones, far):
            load.await_rounds(20)
        assert (len(near.errors), len(dead_ones.errors)) == failed, "the return was noticed"


@pytest.mark.sampled(1)
def test_a_primary_that_stops_and_goes_on(
    fragile: EmbeddedCluster, manager: Any, new_subject: Callable[[], str]
) -> None:
    scene = set_scene(fragile, manager, new_subject)
    with watched(manager, scene) as (near, dead_ones, far):
        stopped_at = time.monotonic()
        fragile.pause(scene.primary)
        successor = fragile.wait_until_primary_changes(
            key_of(scene.subject), scene.primary, HANGING
        )
        eventually(lambda: accepted(manager, scene.live[0]), "accepted again")
        refresh_idle(manager, scene)
        later = manager.login(scene.subject)
        assert manager.revoke(scene.subject, later.session_id).journaled
        with pytest.raises(SessionRevoked):
            manager.verify(later.access_token)
        eventually(
            lambda: time.monotonic() > stopped_at + 2 * NODE_TIMEOUT,
            "two node timeouts have passed",
        )
        for load in (near, dead_ones, far):
            load.await_rounds(20)
        failed = len(near.errors), len(dead_ones.errors)
        fragile.resume(scene.primary)
        fragile.wait_until_healthy(HANGING)
        assert fragile.primary_of(key_of(scene.subject)) == successor
        assert scene.primary in fragile.replicas_of(key_of(scene.subject))
        check_scene(manager, scene)
        eventually(lambda: confirmed_at_last(manager), "the replica has confirmed it")
        with pytest.raises(SessionRevoked):
            manager.verify(later.access_token)
        for load in (near, dead_ones, far):
            load.await_rounds(20)
        assert (len(near.errors), len(dead_ones.errors)) == failed, "the return was noticed"


def test_a_logout_that_no_replica_can_confirm_is_journaled(
    fragile: EmbeddedCluster, manager: Any, new_subject: Callable[[], str]
) -> None:
    scene = set_scene(fragile, manager, new_subject)
    fragile.kill(scene.primary)
    fragile.wait_until_primary_changes(key_of(scene.subject), scene.primary, HANGING)
    eventually(lambda: accepted(manager, scene.live[0]), "accepted again")
    leaving = scene.live.pop(0)
    assert manager.logout(leaving.access_token).journaled
    lonely = manager.login(scene.subject)
    assert not lonely.durable
    scene.live.append(lonely)
    with pytest.raises(SessionRevoked):
        manager.verify(leaving.access_token)
    fragile.restart(scene.primary)
    fragile.wait_until_healthy(HANGING)
    with pytest.raises(SessionRevoked):
        manager.verify(leaving.access_token)
    eventually(lambda: confirmed_at_last(manager), "the replica has confirmed it")
    check_scene(manager, scene)
    # In sync with its successor the node confirms again, and nobody has to be told.
    eventually(lambda: bool(manager.login(scene.subject).durable), "confirmed by the replica")


@pytest.mark.sampled(1)
def test_a_replica_that_is_killed_disturbs_nobody(
    fragile: EmbeddedCluster, manager: Any, new_subject: Callable[[], str]
) -> None:
    scene = set_scene(fragile, manager, new_subject)
    (replica,) = fragile.replicas_of(key_of(scene.subject))
    leaving = scene.live.pop()
    with (
        watched(manager, scene) as (near, dead_ones, _),
        living(manager, [scene.subject], may_be_pending=True) as life,
    ):
        fragile.kill(replica)
        assert manager.logout(leaving.access_token).durable
        eventually(lambda: not fragile.replicas_of(key_of(scene.subject)), "seen as failed")
        life.await_rounds(3)
        fragile.restart(replica)
        fragile.wait_until_healthy(HANGING)
        life.await_rounds(3)
        eventually(lambda: confirmed_at_last(manager), "the replica has confirmed all")
        check_scene(manager, scene)
    assert life.errors == near.errors == dead_ones.errors == []


@pytest.mark.sampled(1)
def test_an_ordered_failover_under_load(
    fragile: EmbeddedCluster, manager: Any, new_subject: Callable[[], str]
) -> None:
    scene = set_scene(fragile, manager, new_subject)
    key = key_of(scene.subject)
    names = sorted({pair.subject for pair in [*scene.live, *scene.elsewhere]})
    with (
        watched(manager, scene) as (near, dead_ones, far),
        living(manager, [scene.subject]) as one,
        living(manager, names) as all_of_them,
    ):
        for _ in range(2):  # there and back
            old = fragile.primary_of(key)
            (replica,) = fragile.replicas_of(key)
            with fragile.client(replica) as client:
                client.execute_command("CLUSTER", "FAILOVER")
            assert fragile.wait_until_primary_changes(key, old, HANGING) == replica
            for load in (near, dead_ones, far, one):
                load.await_rounds(5)
            fragile.wait_until_healthy(HANGING)
        all_of_them.await_rounds(5)
        check_scene(manager, scene)
    assert near.errors == dead_ones.errors == one.errors == all_of_them.errors == []


def subjects_of_one_slot(count: int) -> list[str]:
    """Subjects whose keys share a slot."""
    found = [f"migrant-{os.getpid()}-0"]
    slot = key_slot(key_of(found[0]))
    for number in itertools.count(1):
        name = f"migrant-{os.getpid()}-{number}"
        if key_slot(key_of(name)) == slot:
            found.append(name)
            if len(found) == count:
                return found
    raise AssertionError


def migrate(cluster: EmbeddedCluster, slot: int, source: Node, target: Node) -> int:
    """Move a slot while it is in use, as ``redis-cli --cluster reshard`` does; keys moved."""
    moved = 0
    with cluster.client(source) as old, cluster.client(target) as new:
        identity = {
            node: client.execute_command("CLUSTER", "MYID").decode()
            for node, client in ((source, old), (target, new))
        }
        new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", identity[source])
        old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", identity[target])
        while keys := old.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1):
            arguments = [target.host, target.port, "", 0, 5000, "KEYS", *keys]
            moved += old.execute_command("MIGRATE", *arguments) == b"OK"
        for client in (new, old):
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", identity[target])
    return moved


@pytest.mark.sampled(1)
def test_a_slot_that_moves_while_it_is_used(
    fragile: EmbeddedCluster, manager: Any, new_subject: Callable[[], str]
) -> None:
    scene = set_scene(fragile, manager, new_subject)
    names = subjects_of_one_slot(6)
    key = key_of(names[0])
    slot = key_slot(key)
    manager.revoke_all(names[0])
    pairs = [durable(manager.login(name, claims={"n": name})) for name in names[:3]]
    pairs += [durable(manager.login(name)) for name in names[1:5]]
    with (
        verifying(manager, pairs) as near,
        living(manager, names) as life,
        living(manager, names[::-1]) as other_life,
        verifying(manager, scene.elsewhere) as far,
    ):
        for load in (near, life, other_life, far):
            load.await_rounds(2)
        moved = 0
        for _ in range(4):
            source = fragile.primary_of(key)
            primaries = {fragile.primary_of(key_of(p.subject)) for p in scene.elsewhere}
            target = next(node for node in sorted(primaries, key=str) if node != source)
            moved += migrate(fragile, slot, source, target)
            assert fragile.primary_of(key) == target
            for load in (near, life, other_life, far):
                load.await_rounds(3)
            fragile.wait_until_healthy(HANGING)
    assert moved >= 4 * len({pair.subject for pair in pairs})
    assert near.errors == life.errors == other_life.errors == far.errors == []
    check_scene(manager, scene)
    for pair in pairs:
        assert manager.verify(pair.access_token).session_id == pair.session_id
        assert manager.refresh(pair.refresh_token).session_id == pair.session_id
