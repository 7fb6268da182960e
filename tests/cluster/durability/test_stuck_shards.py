"""A shard that does not confirm delays no revocation and no verify of another shard."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from typing import Any

import pytest

from clusterpass import Config, EmbeddedCluster, SessionManager
from clusterpass.embedded import Node
from clusterpass.model.authentication_errors import SessionRevoked
from clusterpass.model.errors import RevocationPending
from clusterpass.protocol.keyspace import Keyspace
from tests.cluster.conftest import Facade

HANGING = 40.0
SOON = 10.0
"""Less than the retries of twenty revocations that are stuck would take, on a busy machine too."""
KEYSPACE = Keyspace()

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def patient() -> Iterator[EmbeddedCluster]:
    """A cluster that promotes no replica while a test has stopped its primary."""
    with EmbeddedCluster(nodes=6, node_timeout=60.0) as running:
        yield running


@pytest.fixture
def cluster(patient: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    patient.wait_until_healthy(HANGING)
    yield patient
    for node in patient.nodes:
        patient.resume(node)
    patient.wait_until_healthy(HANGING)


@pytest.fixture(params=["sync", "async"])
def open_one(
    request: pytest.FixtureRequest, cluster: EmbeddedCluster, config: Config
) -> Iterator[Callable[[], Any]]:
    kind: Callable[..., Any] = SessionManager.from_url if request.param == "sync" else Facade
    with contextlib.ExitStack() as opened:
        yield lambda: opened.enter_context(contextlib.closing(kind(cluster.url, config)))


@pytest.fixture
def manager(open_one: Callable[[], Any]) -> Any:
    return open_one()


class Shard:
    """A shard, with sessions of as many subjects as a test needs."""

    def __init__(self, cluster: EmbeddedCluster, primary: Node, subjects: list[str]) -> None:
        self._cluster = cluster
        self.primary = primary
        self.subjects = subjects
        (self.replica,) = cluster.replicas_of(KEYSPACE.sessions(self.subjects[0]))

    def log_in(self, manager: Any, count: int) -> list[Any]:
        return [manager.login(subject) for subject in islice(cycle(self.subjects), count)]

    @contextlib.contextmanager
    def stuck(self, node: Node) -> Iterator[None]:
        self._cluster.pause(node)
        try:
            yield
        finally:
            self._cluster.resume(node)

    @contextlib.contextmanager
    def refusing_writes(self) -> Iterator[None]:
        """The primary answers each write by NOREPLICAS, so each call is tried again and again."""
        with self._cluster.client(self.primary) as client:
            client.config_set("min-replicas-to-write", 2)
            try:
                yield
            finally:
                client.config_set("min-replicas-to-write", 0)


@pytest.fixture(scope="module")
def subjects(patient: EmbeddedCluster) -> dict[Node, list[str]]:
    """Subjects by their primary, which no test replaces."""
    found: dict[Node, list[str]] = {}
    for number in range(300):
        subject = f"subject-{number}"
        owner = patient.primary_of(KEYSPACE.sessions(subject))
        found.setdefault(owner, []).append(subject)
    return found


@pytest.fixture
def shards(
    cluster: EmbeddedCluster, subjects: dict[Node, list[str]]
) -> Iterator[tuple[Shard, Shard]]:
    """Two shards; the third has no replica, so that the journals confirm nothing."""
    first, second, third = (Shard(cluster, node, theirs) for node, theirs in subjects.items())
    with third.stuck(third.replica):
        yield first, second


def log_out(manager: Any, pairs: list[Any]) -> list[RevocationPending | None]:
    """Logs out all at once: what each was told, if the logout is pending."""

    def one(pair: Any) -> RevocationPending | None:
        try:
            manager.logout(pair.access_token)
        except RevocationPending as pending:
            return pending
        return None

    with ThreadPoolExecutor(len(pairs)) as threads:
        return list(threads.map(one, pairs))


def seconds_until(condition: Callable[[], bool]) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < HANGING
        time.sleep(0.01)
    return time.monotonic() - began


@pytest.mark.sampled(2)
@pytest.mark.parametrize("node", ["replica", "primary"])
def test_a_stuck_shard_delays_no_revocation_of_another(manager, shards, node):
    stuck, healthy = shards
    there, here = stuck.log_in(manager, 20), healthy.log_in(manager, 1)
    with stuck.stuck(getattr(stuck, node)):
        assert all(log_out(manager, there))
        with healthy.stuck(healthy.replica):
            assert all(log_out(manager, here))
        # Those that earlier tests left in the journals are confirmed, too, but do not count here.
        assert manager.stats().pending.waiting == 21
        assert seconds_until(lambda: manager.stats().pending.waiting == 20) < SOON
    # Once the shard confirms again, those that were stuck follow each other at once.
    seconds_until(lambda: manager.stats().pending.waiting < 20)
    assert seconds_until(lambda: manager.stats().pending.waiting == 0) < SOON


@pytest.mark.sampled(1)
def test_closing_confirms_what_can_be_confirmed_and_logs_the_rest(open_one, shards, caplog):
    stuck, healthy = shards
    manager, other = open_one(), open_one()
    there, here = stuck.log_in(manager, 20), healthy.log_in(manager, 5)
    with stuck.stuck(stuck.primary):
        with healthy.stuck(healthy.primary):
            told = log_out(manager, there + here)
            assert all(told)
            # The lane of the healthy shard is not due for a while when its primary goes on.
            time.sleep(4)
        assert manager.stats().pending.waiting == 25
        began = time.monotonic()
        with caplog.at_level(logging.WARNING, "clusterpass.pending"):
            manager.close()
        assert time.monotonic() - began < HANGING / 2
        assert manager.stats().pending.waiting == 20
        for pair in here:
            with pytest.raises(SessionRevoked):
                other.verify(pair.access_token, verification="strict")
    (line,) = [each for each in caplog.records if each.name == "clusterpass.pending"]
    text = line.getMessage()
    assert "20 revocations were pending" in text
    assert "20 x revocation of a session" in text
    assert [each.operation_id in text for each in told] == [True] * 20 + [False] * 5
    assert not any(pair.subject in text or pair.access_token in text for pair in there)


@pytest.mark.sampled(1)
def test_logouts_that_insist_refuse_no_verify_of_another_shard(cluster, manager, shards):
    """Each node has a budget of retries: what one shard uses up, no other lacks."""
    stuck, healthy = shards
    there, (here,) = stuck.log_in(manager, 240), healthy.log_in(manager, 1)
    with stuck.refusing_writes(), ThreadPoolExecutor(3) as threads:
        waves = [threads.submit(log_out, manager, there[:120])]
        time.sleep(1)
        cluster.pause(healthy.primary)  # for longer than one try
        verified = threads.submit(manager.verify, here.access_token, verification="strict")
        time.sleep(0.7)
        cluster.resume(healthy.primary)
        # There are logouts that insist for as long as the verify may take.
        waves.append(threads.submit(log_out, manager, there[120:]))
        assert verified.result().subject == here.subject
        assert not waves[-1].done()
        assert all(told for wave in waves for told in wave.result())
