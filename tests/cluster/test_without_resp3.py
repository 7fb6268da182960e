"""Servers that refuse RESP3, or CLIENT TRACKING: nothing is cached, and primaries are judged."""

import contextlib
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from clusterpass import Config, EmbeddedCluster, Session, SessionRevoked
from clusterpass.doctor import DoctorOptions, examine
from clusterpass.model.errors import StoreDenied

from .conftest import REDIS_SERVER
from .stored import commands_of, eventually
from .test_acl import PASSWORD, QUOTED, documented_rights
from .test_outdated_primaries import (
    FACES,
    NODE_TIMEOUT,
    mode,
    replaced_primary_is_not_believed,
)

pytestmark = pytest.mark.timeout(240)
face = pytest.mark.parametrize("face", ["sync", "async"])
NO_HELLO = {"rename-command": 'HELLO ""'}
WHY = {"hello": "pushes need HELLO 3", "tracking": "client|tracking"}


@pytest.fixture(scope="module", params=["valkey", "redis"])
def without_hello(request: pytest.FixtureRequest) -> Iterator[EmbeddedCluster]:
    server = REDIS_SERVER if request.param == "redis" else None
    with EmbeddedCluster(nodes=6, server=server, password=PASSWORD, settings=NO_HELLO) as running:
        yield running


@pytest.fixture(scope="module")
def without_tracking(cluster: EmbeddedCluster) -> str:
    """The URL of a user who has neither HELLO nor CLIENT TRACKING.

    Servers let HELLO pass as any command that comes before authentication, whatever the rights.
    """
    add_user(cluster, "plain", *rights_without("+hello", "+client|tracking", "+client|setname"))
    return cluster.url.replace("://", f"://plain:{QUOTED}@")


def rights_without(*missing: str) -> list[str]:
    return [right for right in documented_rights() if right not in missing]


def add_user(cluster: EmbeddedCluster, name: str, *rights: str) -> None:
    for node in cluster.nodes:
        with cluster.client(node) as client:
            client.execute_command("ACL", "SETUSER", name, "reset", "on", f">{PASSWORD}", *rights)


def verifies_and_caches_nothing(manager: Any, subject: str, why: str, *, cached: bool) -> None:
    pair = manager.login(subject)
    for _ in range(20):
        assert isinstance(manager.verify(pair.access_token), Session)
    if cached:
        eventually(lambda: why in manager.stats().refusal)
        before = manager.stats().cache.hits
        assert manager.verify(pair.access_token)
        assert manager.stats().cache.hits == before
    else:
        assert manager.stats().refusal == ""
    for each in range(5):
        other = manager.login(f"{subject}-{each}")
        assert manager.verify(other.access_token)
    manager.revoke(subject, pair.session_id)
    with pytest.raises(SessionRevoked):
        manager.verify(pair.access_token)


def has_evidence(manager: Any) -> bool:
    """Whether every primary has answered a heartbeat lately."""
    stats = manager.stats()
    return len(stats.nodes) == 3 and all(
        node.beat_age is not None and node.beat_age < stats.staleness_bound and node.epoch
        for node in stats.nodes
    )


@face
@mode
def test_a_server_without_hello_serves_all_verbs(without_hello, face, mode, config, subject):
    config = replace(config, verification=mode)
    with contextlib.closing(FACES[face](without_hello.url, config)) as manager:
        verifies_and_caches_nothing(manager, subject, WHY["hello"], cached=mode == "cached")
        eventually(lambda: has_evidence(manager))


@face
@mode
def test_a_user_without_tracking_serves_all_verbs(without_tracking, face, mode, config, subject):
    config = replace(config, verification=mode)
    with contextlib.closing(FACES[face](without_tracking, config)) as manager:
        verifies_and_caches_nothing(manager, subject, WHY["tracking"], cached=mode == "cached")
        eventually(lambda: has_evidence(manager))


@face
@mode
def test_who_watches_there_reads_now_and_then(
    without_tracking, cluster, face, mode, config, subject
):
    """What nobody announces is read again about once a second, and never without a pause."""
    config = replace(config, verification=mode)
    with contextlib.closing(FACES[face](without_tracking, config)) as manager:
        pair = manager.login(subject)
        changes = iter(manager.watch(manager.verify(pair.access_token)))
        reports: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=lambda: reports.put(next(changes)), daemon=True).start()
        eventually(lambda: has_evidence(manager))
        before = reads_of(cluster)
        time.sleep(2.0)
        assert reads_of(cluster) - before < 100
        manager.revoke(subject, pair.session_id)
        assert reports.get(timeout=30).kind == "ended"


def reads_of(cluster: EmbeddedCluster) -> int:
    """Return how many scripts the nodes have run."""
    return commands_of((cluster, "both"), "evalsha")["evalsha"]


@face
def test_a_wrong_password_is_told_as_such(without_hello, face, config: Config, subject):
    url = without_hello.url.replace(QUOTED, "wrong")
    assert url != without_hello.url
    with (
        contextlib.closing(FACES[face](url, config)) as manager,
        pytest.raises(StoreDenied),
    ):
        manager.login(subject)


@pytest.fixture(scope="module", params=["hello", "tracking"])
def seven(request: pytest.FixtureRequest) -> Iterator[tuple[EmbeddedCluster, str]]:
    """A cluster in which one shard has two replicas, and a URL with which nothing is pushed."""
    settings = NO_HELLO if request.param == "hello" else {}
    with EmbeddedCluster(nodes=7, node_timeout=NODE_TIMEOUT, settings=settings) as running:
        if request.param == "hello":
            yield running, running.url
        else:
            add_user(running, "plain", *rights_without("+client|tracking"))
            yield running, running.url.replace("://", f"://plain:{QUOTED}@")


@pytest.mark.sampled(2)
@face
@mode
def test_a_replaced_primary_is_not_believed(seven, face, mode, config, subject):
    cluster, url = seven
    config = replace(config, verification=mode)
    replaced_primary_is_not_believed(cluster, FACES[face], url, config, subject)


def test_the_doctor_says_what_is_missing(without_hello):
    report = examine(without_hello.url, DoctorOptions(write=True))
    found = [each for each in report.findings if each.id == "pushes"]
    assert [each.severity for each in found] == ["warning"] * 6
    assert all(WHY["hello"] in each.found for each in found)
    assert not {"unseen", "node-unreachable", "confirmation"} & {f.id for f in report.findings}
    assert all(node.settings for node in report.seen.nodes)
