"""The runbooks of docs/howto/runbooks, rehearsed on real clusters."""

from pathlib import Path

import pytest

from clusterpass import (
    InvalidRefreshToken,
    KeyRing,
    StoreUnavailable,
    TokenKeyUnknown,
)
from clusterpass.model.authentication_errors import InvalidToken
from clusterpass.protocol.keyspace import Keyspace

from .conftest import eventually, refused, server_cli

KEYSPACE = Keyspace()
pytestmark = pytest.mark.timeout(240)


def subject_on(cluster, node, *, not_on=False):
    """A subject whose sessions are on this node, or on another one."""
    for number in range(1000):
        subject = f"user-{number}"
        if (cluster.primary_of(KEYSPACE.sessions(subject)) == node) is not not_on:
            return subject
    raise AssertionError("no such subject")


@pytest.mark.alternating
def test_a_node_is_lost_and_comes_back(cluster_of, open_manager, findings):
    cluster = cluster_of(6)
    manager = open_manager(cluster.url)
    lost = cluster.nodes[0]
    subject = subject_on(cluster, lost)
    pair = manager.login(subject)
    key = KEYSPACE.sessions(subject)
    cluster.kill(lost)
    cluster.wait_until_primary_changes(key, lost, 40)
    eventually(lambda: "problem" in findings(cluster.url).values(), "the doctor names it")
    assert manager.verify(pair.access_token, verification="strict").subject == subject
    cluster.restart(lost)
    cluster.wait_until_healthy(40)
    eventually(lambda: "problem" not in findings(cluster.url).values(), "all is well")
    assert manager.verify(pair.access_token, verification="strict").subject == subject


@pytest.mark.alternating
def test_a_shard_is_lost_for_good_and_its_slots_are_given_to_others(
    cluster_of, open_manager, findings
):
    cluster = cluster_of(3)  # without replicas
    manager = open_manager(cluster.url)
    lost, left = cluster.nodes[0], cluster.nodes[1]
    hit = subject_on(cluster, lost)
    spared = subject_on(cluster, lost, not_on=True)
    theirs, others = manager.login(hit), manager.login(spared)
    cluster.kill(lost)

    def is_down() -> bool:
        try:
            manager.verify(theirs.access_token, verification="strict")
        except StoreUnavailable:
            return True
        return False

    eventually(is_down, "the users of the shard get 503")
    assert manager.verify(others.access_token, verification="strict").subject == spared
    eventually(lambda: "problem" in findings(cluster.url).values(), "the doctor names it")
    server_cli(
        *("--cluster", "fix", f"127.0.0.1:{left.port}"),
        "--cluster-fix-with-unreachable-masters",
        text_in="yes\n",
    )
    given = []

    def logs_in() -> bool:
        try:
            given.append(manager.login(hit))
        except StoreUnavailable:
            return False
        return True

    eventually(logs_in, "the users of the shard log in again")
    assert manager.verify(given[-1].access_token, verification="strict").subject == hit
    with pytest.raises(InvalidToken):
        manager.verify(theirs.access_token, verification="strict")
    assert manager.verify(others.access_token, verification="strict").subject == spared


@pytest.mark.alternating
def test_a_key_has_leaked(cluster_of, open_manager, command, keys_path, tmp_path):
    url = cluster_of(3).url
    before = open_manager(url)
    pair = before.login("alice")
    leaked = keys_path.read_text("utf-8")
    fresh = tmp_path / "fresh.json"
    assert command(url, "keys", "generate", "--output", str(fresh)).returncode == 0
    # The new key alone: not in front of the leaked one.
    after = open_manager(url, fresh)
    with pytest.raises(TokenKeyUnknown):
        after.verify(pair.access_token)
    renewed = after.refresh(pair.refresh_token)
    assert after.verify(renewed.access_token).session_id == pair.session_id, "nobody is logged out"
    forger = open_manager(url, write(tmp_path / "leaked.json", leaked))
    forged = forger.login("mallory")
    with pytest.raises(TokenKeyUnknown):
        after.verify(forged.access_token)
    assert command(url, "sessions", "revoke-before", "--yes").returncode == 0
    assert after.sessions("alice") == after.sessions("mallory") == []
    for each in (pair, forged):
        with pytest.raises(InvalidRefreshToken):
            after.refresh(each.refresh_token)
    new = after.login("alice")
    assert after.verify(new.access_token).subject == "alice"
    assert KeyRing.load(fresh).signing_key.kid not in leaked


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    return path


@pytest.mark.alternating
def test_all_sessions_are_revoked_at_once(cluster_of, open_manager, command):
    url = cluster_of(6).url
    here, there = open_manager(url), open_manager(url)
    pairs = [here.login(f"user-{number}") for number in range(20)]
    for pair in pairs:
        there.verify(pair.access_token)  # now in the memory of both
    done = command(url, "sessions", "revoke-before", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    for manager in (here, there):
        for pair in pairs:
            eventually(lambda m=manager, p=pair: refused(m, p), "refused by each server")
    assert command(url, "sessions", "prune").returncode == 0
    assert '"sessions": 0' in command(url, "sessions", "count", "--json").stdout
    again = there.login("user-1")
    assert here.verify(again.access_token).subject == "user-1"


@pytest.mark.alternating
def test_the_memory_of_a_node_is_full(cluster_of, open_manager, findings):
    cluster = cluster_of(6)
    manager = open_manager(f"{cluster.url}?deadline=1")
    node = cluster.nodes[0]
    subject = subject_on(cluster, node)
    pair = manager.login(subject)
    with cluster.client(node) as client:
        client.config_set("maxmemory", 1)
        with pytest.raises(StoreUnavailable) as full:
            manager.login(subject)
        assert full.value.reason == "full"
        assert findings(cluster.url)["memory"] == "problem"
        # What is there still counts, and can be ended.
        assert manager.verify(pair.access_token, verification="strict").subject == subject
        assert manager.logout(pair.access_token).count == 1
        client.config_set("maxmemory", 2**28)
    new = manager.login(subject)
    assert manager.verify(new.access_token).subject == subject
    assert "memory" not in findings(cluster.url)
