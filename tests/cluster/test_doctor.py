"""The doctor on a real cluster, with one fault after the other."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import pytest

from clusterpass import EmbeddedCluster
from clusterpass.doctor import DoctorOptions, Report, examine
from clusterpass.doctor.collect import collect_snapshot
from clusterpass.embedded import Node
from clusterpass.model.errors import ConfigurationError, StoreDenied, StoreUnavailable
from clusterpass.protocol.keyspace import Keyspace, slot_of
from clusterpass.store.store_url import parse_store_url
from tests.cluster.conftest import REDIS_SERVER
from tests.cluster.stored import eventually
from tests.cluster.test_acl import REFERENCE, documented_rights

PASSWORD = "open sesame/@:"
QUOTED = "open%20sesame%2F%40%3A"
EXPECTED_HERE = {"hosts", "password", "rights-too-wide"}
"""Notes that any local cluster without users gets."""


@pytest.fixture(scope="module", params=["valkey", "redis"])
def patient(request: pytest.FixtureRequest) -> Iterator[EmbeddedCluster]:
    server = REDIS_SERVER if request.param == "redis" else None
    with EmbeddedCluster(
        nodes=6,
        node_timeout=2.0,
        server=server,
        settings={"appendonly": "yes", "save": "3600 1"},
    ) as running:
        yield running


def found(report: Report, identifier: str) -> list[str]:
    return [each.severity for each in report.findings if each.id == identifier]


def command(cluster: EmbeddedCluster, node: Node, *words: Any) -> Any:
    with cluster.client(node) as client:
        return client.execute_command(*words)


@contextlib.contextmanager
def setting(cluster: EmbeddedCluster, name: str, value: str) -> Iterator[None]:
    """On every node, and as before at the end."""
    before = {n: command(cluster, n, "CONFIG", "GET", name) for n in cluster.nodes}
    for node in cluster.nodes:
        command(cluster, node, "CONFIG", "SET", name, value)
    try:
        yield
    finally:
        for node, said in before.items():
            value = said[name] if isinstance(said, dict) else said[1]
            command(cluster, node, "CONFIG", "SET", name, value)


@pytest.mark.sampled(1)
def test_a_sound_cluster_has_no_problem(patient):
    report = examine(patient.url, DoctorOptions(write=True, durability="primary"))
    assert {each.id for each in report.findings} == EXPECTED_HERE
    assert report.is_good
    assert report.checks > 30
    assert {node.trial.replicas for node in report.seen.primaries if node.trial} == {1}
    assert {node.trial.was_pushed for node in report.seen.primaries if node.trial} == {True}
    assert len(report.seen.primaries) == len(report.seen.replicas) == 3


def test_the_trial_leaves_nothing_for_long(patient):
    report = examine(patient.url, DoctorOptions(write=True))
    seen = 0
    for node in report.seen.primaries:
        (home,) = (each for each in patient.nodes if each.address == str(node.address))
        key = Keyspace().probe(node.myself.slots[0][0])
        seconds = command(patient, home, "TTL", key)
        assert 0 <= seconds <= 10, "-1 would be for good, -2 never written"
        seen += 1
    assert seen == 3


def test_without_the_trial_it_says_so_and_writes_nothing(patient):
    before = [command(patient, node, "DBSIZE") for node in patient.nodes]
    report = examine(patient.url)
    assert found(report, "unseen") == ["unseen"]
    assert [command(patient, node, "DBSIZE") for node in patient.nodes] == before


@pytest.mark.sampled(22)
@pytest.mark.parametrize(
    ("name", "value", "identifier", "severity"),
    [
        ("maxmemory-policy", "allkeys-lru", "eviction", "warning"),
        ("hash-max-listpack-value", "32", "compact-hashes", "note"),
        ("hash-max-listpack-entries", "16", "compact-hashes", "note"),
        ("repl-backlog-size", "16384", "replication", "note"),
        ("min-replicas-to-write", "1", "min-replicas", "problem"),
        ("cluster-node-timeout", "15000", "node-timeout", "warning"),
        ("cluster-node-timeout", "200", "node-timeout", "warning"),
        ("cluster-require-full-coverage", "yes", "full-coverage", "problem"),
        ("cluster-allow-reads-when-down", "yes", "reads-when-down", "problem"),
        ("cluster-replica-no-failover", "yes", "failover", "problem"),
        ("cluster-replica-validity-factor", "1", "failover", "warning"),
        ("cluster-replica-validity-factor", "0", "failover", "warning"),
        ("replica-read-only", "no", "failover", "warning"),
        ("client-output-buffer-limit", "normal 500000 0 0", "output-buffers", "warning"),
        ("client-output-buffer-limit", "replica 1mb 0 0", "output-buffers", "warning"),
        ("client-output-buffer-limit", "pubsub 100kb 0 0", "output-buffers", "warning"),
        ("client-output-buffer-limit", "pubsub 0 0 0", "output-buffers", "warning"),
        ("maxclients", "200", "connections", "warning"),
        ("tcp-keepalive", "0", "connections", "note"),
        ("timeout", "5", "connections", "note"),
        ("busy-reply-threshold", "10", "scripts", "warning"),
        ("appendonly", "no", "persistence", "warning"),
    ],
)
def test_a_setting_that_would_hurt(patient, name, value, identifier, severity):
    with setting(patient, name, value):
        report = examine(patient.url, only=[identifier])
    assert set(found(report, identifier)) == {severity}
    if name not in {"min-replicas-to-write", "repl-backlog-size", "appendonly"}:
        named = {node for each in report.findings for node in each.nodes}
        assert named == {str(node.address) for node in report.seen.nodes}
    assert all(each.remedy and each.found for each in report.findings)
    assert not found(examine(patient.url, only=[identifier]), identifier)


def test_a_node_without_room_for_connections(patient):
    node = patient.nodes[1]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(patient.client(node)) for _ in range(20)]
        for client in clients:
            client.ping()
        operator = clients[0]
        before = operator.config_get("maxclients")["maxclients"]
        used = operator.info("clients")
        used = used["connected_clients"] + used["cluster_connections"]
        operator.config_set("maxclients", used + 4)
        crowded = examine(patient.url, only=["connections"])
        operator.config_set("maxclients", used)
        full = examine(patient.url, only=["node-unreachable"])
        operator.config_set("maxclients", before)
    assert [each.severity for each in crowded.findings] == ["problem"]
    assert crowded.findings[0].nodes == (node.address,)
    (finding,) = full.findings
    assert finding.nodes == (node.address,)
    assert "accepts no more connections" in finding.found


def test_a_node_that_is_almost_full(patient):
    node = patient.nodes[3]
    with patient.client(node) as client:
        used = client.info("memory")["used_memory"]
        for share, severity in ((0.95, "problem"), (0.8, "warning")):
            client.config_set("maxmemory", int(used / share))
            (finding,) = examine(patient.url, only=["memory"]).findings
            assert (finding.severity, finding.nodes) == (severity, (node.address,))
        client.config_set("maxmemory", 0)
    assert not examine(patient.url, only=["memory"]).findings


def test_eviction_that_is_under_way_is_a_problem(patient):
    with (
        setting(patient, "maxmemory-policy", "volatile-ttl"),
        setting(patient, "maxmemory", "100mb"),
    ):
        assert found(examine(patient.url), "eviction") == ["problem"]


def test_an_empty_restart_and_an_old_one_are_told_apart(patient):
    with setting(patient, "appendonly", "no"):
        (old,) = examine(patient.url, only=["persistence"]).findings
        assert "snapshot" in old.found
        assert "4 s" in old.remedy  # twice the node timeout
        with setting(patient, "save", ""):
            (empty,) = examine(patient.url, only=["persistence"]).findings
    assert "comes back empty" in empty.found
    assert len(empty.nodes) == 3  # replicas may come back empty


def test_nodes_that_differ(patient):
    command(patient, patient.nodes[2], "CONFIG", "SET", "cluster-node-timeout", "3000")
    try:
        (finding,) = examine(patient.url, only=["node-timeout"]).findings
    finally:
        command(patient, patient.nodes[2], "CONFIG", "SET", "cluster-node-timeout", "2000")
    assert "2000 ms, 3000 ms" in finding.found


def test_fsync_needs_files_and_servers_that_can(patient):
    good = examine(patient.url, DoctorOptions(durability="fsync", write=True))
    version = next(n.info["redis_version"] for n in good.seen.nodes if n.info)
    if version.startswith("7.0"):
        (finding,) = [each for each in good.findings if each.id == "fsync"]
        assert "WAITAOF" in finding.found
    else:
        assert not found(good, "fsync")
    with setting(patient, "appendonly", "no"):
        assert "problem" in found(examine(patient.url, DoctorOptions(durability="fsync")), "fsync")
    with setting(patient, "appendfsync", "no"):
        assert "problem" in found(examine(patient.url, DoctorOptions(durability="fsync")), "fsync")


def with_user(cluster: EmbeddedCluster, name: str, *rights: str) -> str:
    for node in cluster.nodes:
        command(cluster, node, "ACL", "SETUSER", name, "reset", "on", f">{PASSWORD}", *rights)
    return cluster.url.replace("://", f"://{name}:{QUOTED}@")


def test_the_application_s_own_user_sees_what_it_may(patient):
    url = with_user(patient, "limited", *documented_rights())
    report = examine(url, DoctorOptions(write=True))
    assert not {"rights", "rights-too-wide", "pushes"} & {each.id for each in report.findings}
    blind = [each.found for each in report.findings if each.id == "unseen"]
    (told,) = blind
    assert told.startswith("CONFIG GET is refused")
    assert report.is_good
    assert PASSWORD not in repr(report) + str(report.as_json())


@pytest.mark.parametrize("missing", ["hset", "evalsha", "cluster|info", "eval", "wait", "set"])
def test_a_right_that_is_missing_is_named(patient, missing):
    rights = [right for right in documented_rights() if right != f"+{missing}"]
    url = with_user(patient, "weaker", *rights)
    (finding,) = examine(url, only=["rights"]).findings
    assert finding.severity == "problem"
    assert f"+{missing}" in finding.remedy
    assert len(finding.nodes) == 6
    too_wide = examine(url, only=["rights-too-wide"])
    assert not too_wide.findings, "what could not be asked is not claimed"
    by_operator = examine(patient.url, DoctorOptions(user="weaker"), only=["rights"])
    assert [each.remedy for each in by_operator.findings] == [finding.remedy]


def test_the_documented_rights_of_an_operator_see_everything(patient):
    text = (REFERENCE.parent / "doctor.md").read_text("utf-8")
    rights = re.search(r"^```acl\n(.*?)^```", text, re.M | re.S)[1].split()
    with_user(patient, "app", *documented_rights())
    url = with_user(patient, "operator", "-@all", *rights)
    report = examine(url, DoctorOptions(user="app"))
    assert [each.found for each in report.findings if each.id == "unseen"] == [
        "Without a trial write, it is unknown whether replicas confirm writes and invalidation"
        " messages arrive."
    ]
    assert not found(report, "rights")
    assert not found(report, "pushes")


def test_keys_of_another_namespace_are_out_of_reach(patient):
    url = with_user(patient, "elsewhere", *documented_rights())
    (finding,) = examine(f"{url}?namespace=other", only=["rights"]).findings
    assert "other:*" in finding.found
    assert "+hget" in finding.remedy


def test_some_of_our_keys_are_not_enough(patient):
    rights = ["~cp:{*" if right == "~cp:*" else right for right in documented_rights()]
    (finding,) = examine(with_user(patient, "narrow", *rights), only=["rights"]).findings
    assert {"+zadd", "+incr", "+get"} <= set(finding.remedy.replace(";", "").split())
    assert "+hget" not in finding.remedy


def test_all_nodes_are_found_by_the_address_of_one(patient):
    first = patient.url.partition(",")[0]
    everyone = {node.port for node in patient.nodes}
    for url in (first, first.replace("redis+cluster://", "redis://")):
        seen = collect_snapshot(parse_store_url(url), DoctorOptions())
        assert {node.address.port for node in seen.nodes} == everyone


def test_a_user_that_does_not_exist_may_do_nothing(patient):
    (finding,) = examine(patient.url, DoctorOptions(user="nobody-at-all"), only=["rights"]).findings
    assert finding.severity == "problem"
    assert "ACL SETUSER nobody-at-all" in finding.remedy


def test_a_right_that_one_node_lacks(patient):
    url = with_user(patient, "uneven", *documented_rights())
    command(patient, patient.nodes[4], "ACL", "SETUSER", "uneven", "-hset")
    (finding,) = examine(url, only=["rights"]).findings
    assert finding.nodes == (patient.nodes[4].address,)


@pytest.mark.parametrize("right", ["+subscribe", "&cp:*"])
def test_a_user_that_may_not_subscribe_is_warned(patient, right):
    rights = [each for each in documented_rights() if each != right]
    url = with_user(patient, "unlimited", *rights)
    for report in (
        examine(url, only=["rights"]),
        examine(patient.url, DoctorOptions(user="unlimited"), only=["rights"]),
    ):
        (finding,) = report.findings
        assert finding.severity == "warning"
        assert "+subscribe" in finding.remedy
        assert "&cp:*" in finding.remedy
        assert "fills the memory" in finding.found


def test_pushes_that_are_not_allowed(patient):
    rights = [right for right in documented_rights() if right != "+client|tracking"]
    url = with_user(patient, "deaf", *rights)
    assert found(examine(url, only=["pushes"]), "pushes") == ["warning"] * 6


def test_a_default_user_that_is_open_to_all(patient):
    url = with_user(patient, "named", *documented_rights())
    (finding,) = examine(url, only=["password"]).findings
    assert "also accept connections without a password" in finding.found


def test_a_user_that_may_not_even_ask(patient):
    url = with_user(patient, "nobody", "~*", "-@all", "+hello", "+client|setname")
    with pytest.raises(StoreDenied, match="CLUSTER NODES"):
        examine(url)


def test_a_wrong_password(patient):
    url = patient.url.replace("://", "://default:wrong-secret@")
    for node in patient.nodes:
        command(patient, node, "ACL", "SETUSER", "other", "on", ">x", "+@all", "~*")
    with pytest.raises(StoreDenied) as refusal:
        examine(url.replace("default", "other"))
    assert "wrong-secret" not in str(refusal.value)


def test_a_slot_that_was_left_half_way(patient):
    primaries = [patient.primary_of(key) for key in ("a", "b", "c")]
    source, target = primaries[0], next(n for n in primaries if n != primaries[0])
    slot = slot_of(b"a")
    identity = command(patient, target, "CLUSTER", "MYID")
    command(patient, source, "CLUSTER", "SETSLOT", slot, "MIGRATING", identity)
    try:
        (finding,) = examine(patient.url, only=["slots-moving"]).findings
    finally:
        command(patient, source, "CLUSTER", "SETSLOT", slot, "STABLE")
    assert finding.nodes == (source.address,)
    assert str(slot) in finding.found


def test_a_replica_that_confirms_nothing(patient):
    (replica,) = patient.replicas_of("a")
    primary = patient.primary_of("a")
    patient.pause(replica)
    try:
        report = examine(f"{patient.url}?timeout=0.3", DoctorOptions(write=True))
    finally:
        patient.resume(replica)
    (finding,) = [each for each in report.findings if each.id == "confirmation"]
    assert finding.severity == "problem"
    assert finding.nodes == (primary.address,)
    assert found(report, "node-unreachable") == ["problem"]
    patient.wait_until_healthy(20)


def test_a_replica_that_is_dead(patient):
    (replica,) = patient.replicas_of("a")
    primary = patient.primary_of("a")
    patient.kill(replica)
    try:
        eventually(
            lambda: found(examine(patient.url, only=["node-failed"]), "node-failed") == ["problem"],
            20,
        )
        report = examine(patient.url, DoctorOptions(write=True))
    finally:
        patient.restart(replica)
        patient.wait_until_healthy(20)
    assert found(report, "node-unreachable") == []  # said by node-failed
    (finding,) = [each for each in report.findings if each.id == "replicas"]
    assert finding.nodes == (primary.address,)
    assert not report.is_good


def test_one_server(single_server):
    report = examine(single_server.url, DoctorOptions(write=True))
    assert found(report, "kind-of-deployment") == ["warning"]
    assert found(report, "persistence") == ["problem"]
    assert found(report, "confirmation") == []
    assert not {"full-coverage", "node-timeout"} & {each.id for each in report.findings}


def test_a_url_of_the_wrong_kind(single_server, patient):
    as_cluster = single_server.url.replace("redis://", "redis+cluster://")
    assert found(examine(as_cluster), "kind-of-deployment") == ["problem"]
    node = patient.nodes[0]
    as_one = examine(f"redis://{node.host}:{node.port}")
    assert found(as_one, "kind-of-deployment") == ["problem"]


def test_nobody_there():
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1: Connection refused"):
        examine("redis+cluster://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="starts a cluster of its own"):
        examine("embedded://")


@pytest.mark.alternating
def test_over_tls(tls_files):
    with EmbeddedCluster(nodes=6, server=REDIS_SERVER, tls=tls_files, password=PASSWORD) as cluster:
        report = examine(cluster.url, DoctorOptions(write=True))
        assert found(report, "certificates") == ["problem"] * 6  # it is good for a day
        assert "tls" not in {each.id for each in report.findings}
        assert "password" not in {each.id for each in report.findings}
        for node in cluster.nodes:
            command(cluster, node, "CONFIG", "SET", "tls-replication", "no")
        assert found(examine(cluster.url), "tls") == ["warning"]
        assert PASSWORD not in str(report.as_json()) + repr(report)
