"""Thresholds of the doctor's checks on nodes: the last good value and the first bad one."""

import dataclasses
from typing import Any

import pytest

from clusterpass.doctor import judge
from clusterpass.doctor.snapshot import Clock, Trial
from clusterpass.store.patience import Patience

from .doctor_snapshots import (
    CONFIG,
    DAY,
    INFO,
    MIB,
    buffers,
    config,
    everywhere,
    found,
    full,
    info,
    members,
    seen_by,
    sound,
)


@pytest.mark.parametrize(
    ("identifier", "fine", "wrong", "severity"),
    [
        ("memory", full(749), full(750), "warning"),
        ("memory", full(749), full(899), "warning"),
        ("memory", full(749), full(900), "problem"),
        ("eviction", info(evicted_keys="0"), info(evicted_keys="1"), "problem"),
        (
            "compact-hashes",
            config(hash_max_listpack_value="64"),
            config(hash_max_listpack_value="63"),
            "note",
        ),
        (
            "compact-hashes",
            config(hash_max_listpack_entries="128"),
            config(hash_max_listpack_entries="127"),
            "note",
        ),
        (
            "full-coverage",
            config(cluster_require_full_coverage="no"),
            config(cluster_require_full_coverage="yes"),
            "problem",
        ),
        (
            "reads-when-down",
            config(cluster_allow_reads_when_down="no"),
            config(cluster_allow_reads_when_down="yes"),
            "problem",
        ),
        (
            "failover",
            config(cluster_replica_no_failover="no"),
            config(cluster_replica_no_failover="yes"),
            "problem",
        ),
        (
            "failover",
            config(cluster_replica_validity_factor="4"),
            config(cluster_replica_validity_factor="3"),
            "warning",
        ),
        (
            "failover",
            config(cluster_replica_validity_factor="10"),
            config(cluster_replica_validity_factor="0"),
            "warning",
        ),
        ("failover", config(replica_read_only="yes"), config(replica_read_only="no"), "warning"),
        ("versions", info(redis_version="7.0.0"), info(redis_version="6.9.9"), "problem"),
        ("versions", info(redis_version="odd"), info(redis_version="6.2"), "problem"),
        ("versions", info(redis_version="7.0.0-rc1"), info(redis_version="6.2.0-rc1"), "problem"),
        ("round-trip", {"round_trip": 0.1}, {"round_trip": 0.101}, "warning"),
        ("round-trip", {"round_trip": None}, {"round_trip": 2.0}, "warning"),
        (
            "output-buffers",
            buffers(f"normal {MIB} 0 0"),
            buffers(f"normal {MIB - 1} 0 0"),
            "warning",
        ),
        (
            "output-buffers",
            buffers(f"pubsub 0 {MIB} 60"),
            buffers(f"pubsub {MIB} {MIB - 1} 60"),
            "warning",
        ),
        (
            "output-buffers",
            buffers(f"slave {16 * MIB} 0 0"),
            buffers(f"slave {16 * MIB - 1} 0 0"),
            "warning",
        ),
        (
            "output-buffers",
            buffers(f"replica {16 * MIB} 0 0"),
            buffers(f"replica {16 * MIB - 1} 0 0"),
            "warning",
        ),
        ("output-buffers", buffers("pubsub 1048576 0 0"), buffers("pubsub 0 0 0"), "warning"),
        ("output-buffers", buffers("normal 0 0 0"), buffers("normal 1 0 0"), "warning"),
        ("output-buffers", config(maxmemory_clients="0"), config(maxmemory_clients="5%"), "note"),
        ("output-buffers", config(maxmemory_clients="0%"), config(maxmemory_clients="1"), "note"),
        (
            "output-buffers",
            info(client_output_buffer_limit_disconnections="0"),
            info(client_output_buffer_limit_disconnections="1"),
            "warning",
        ),
        ("connections", info(maxclients="1000"), info(maxclients="999"), "warning"),
        (
            "connections",
            info(maxclients="1000", connected_clients="700", cluster_connections="100"),
            info(maxclients="1000", connected_clients="700", cluster_connections="101"),
            "problem",
        ),
        (
            "connections",
            {"info": {"maxclients": "1000", "connected_clients": "800"}},
            {"info": {"maxclients": "1000", "connected_clients": "801"}},
            "problem",
        ),
        (
            "connections",
            {"info": {"maxclients": "1000", "cluster_connections": "800"}},
            {"info": {"maxclients": "1000", "cluster_connections": "801"}},
            "problem",
        ),
        (
            "connections",
            {"info": {}, "settings": CONFIG | {"maxclients": "1000"}},
            {"info": {}, "settings": CONFIG | {"maxclients": "999"}},
            "warning",
        ),
        ("connections", info(rejected_connections="0"), info(rejected_connections="1"), "warning"),
        ("connections", config(tcp_keepalive="1"), config(tcp_keepalive="0"), "note"),
        ("connections", config(timeout="60"), config(timeout="59"), "note"),
        ("connections", config(timeout="0"), config(timeout="1"), "note"),
        (
            "scripts",
            config(busy_reply_threshold="100"),
            config(busy_reply_threshold="99"),
            "warning",
        ),
        ("scripts", config(busy_reply_threshold="0"), config(busy_reply_threshold="1"), "warning"),
        ("scripts", config(lua_time_limit="100"), config(lua_time_limit="99"), "warning"),
        (
            "scripts",
            config(busy_reply_threshold="100", lua_time_limit="99"),
            config(busy_reply_threshold="99", lua_time_limit="100"),
            "warning",
        ),
        ("pushes", {"tracking": ""}, {"tracking": "NOPERM no"}, "warning"),
        (
            "tracked-keys",
            config(tracking_table_max_keys="1000") | info(tracking_total_keys="799"),
            config(tracking_table_max_keys="1000") | info(tracking_total_keys="800"),
            "warning",
        ),
        (
            "tracked-keys",
            config(tracking_table_max_keys="1"),
            config(tracking_table_max_keys="1") | info(tracking_total_keys="1"),
            "warning",
        ),
        (
            "tracked-keys",
            config(tracking_table_max_keys="0") | info(tracking_total_keys="10000000"),
            config(tracking_table_max_keys="1") | info(tracking_total_keys="1"),
            "warning",
        ),
        (
            "pushes",
            {"trial": Trial(replicas=1, was_pushed=True)},
            {"trial": Trial(replicas=1, was_pushed=False)},
            "problem",
        ),
        (
            "pushes",
            {"trial": Trial(replicas=1, was_pushed=None)},
            {"trial": Trial(replicas=1, was_pushed=False)},
            "problem",
        ),
        ("confirmation", {"trial": Trial(replicas=1)}, {"trial": Trial(replicas=0)}, "problem"),
        (
            "confirmation",
            {"trial": Trial(replicas=2, asked=2)},
            {"trial": Trial(replicas=1, asked=2)},
            "problem",
        ),
        (
            "confirmation",
            {"trial": Trial(replicas=None)},
            {"trial": Trial(refusal="OOM no room")},
            "problem",
        ),
        (
            "replication",
            info(slave0="ip=x,port=1,state=online,offset=4000000,lag=1"),
            info(slave0="ip=x,port=1,state=online,offset=3999999,lag=1"),
            "warning",
        ),
        (
            "replication",
            info(slave0="ip=x,port=1,state=online,offset=5000000,lag=1"),
            info(slave0="ip=x,port=1,state=online,offset=5000000,lag=2"),
            "warning",
        ),
        (
            "replication",
            info(slave_read_repl_offset="1"),
            info(slave1="ip=x,port=1,state=send_bulk,offset=5000000,lag=0"),
            "warning",
        ),
        (
            "replication",
            info(repl_backlog_size="1000000"),
            info(repl_backlog_size="999999"),
            "note",
        ),
        (
            "min-replicas",
            config(min_replicas_to_write="0"),
            config(min_replicas_to_write="1"),
            "problem",
        ),
        (
            "min-replicas",
            config(min_replicas_to_write="1") | info(connected_slaves="2"),
            config(min_replicas_to_write="2") | info(connected_slaves="2"),
            "problem",
        ),
        ("persistence", info(aof_enabled="1"), info(aof_enabled="0"), "warning"),
        (
            "persistence",
            info(aof_last_write_status="ok"),
            info(aof_last_write_status="err"),
            "problem",
        ),
        ("rights-too-wide", {"allowed_beyond": ()}, {"allowed_beyond": ("keys",)}, "note"),
        ("password", {"is_open": False}, {"is_open": True}, "problem"),
        ("tls", config(tls_replication="yes"), config(tls_replication="no"), "warning"),
        ("tls", config(tls_cluster="yes"), config(tls_cluster="no"), "warning"),
        ("rights", {"denied": ("waitaof",)}, {"denied": ("hset",)}, "problem"),
        ("rights", {"denied": ()}, {"denied": ("scan", "subscribe")}, "warning"),
        ("unseen", {"info": {}}, {"info": None}, "unseen"),
        ("unseen", {"settings": {}}, {"settings": None}, "unseen"),
        ("unseen", {"clock": Clock(0, 0)}, {"clock": None}, "unseen"),
        ("unseen", {"denied": ()}, {"denied": None}, "unseen"),
        (
            "node-unreachable",
            {"refusal": ""},
            {"refusal": "Connection refused"},
            "problem",
        ),
        (
            "slots-uncovered",
            {"cluster_info": {}},
            {"cluster_info": {"cluster_state": "fail"}},
            "problem",
        ),
    ],
)
def test_the_line_between_what_is_fine_and_what_is_not(
    identifier: str, fine: dict[str, Any], wrong: dict[str, Any], severity: str
) -> None:
    assert found(sound(node=fine), identifier) == []
    (finding,) = found(sound(node=wrong), identifier)
    assert (finding.severity, finding.nodes) == (severity, ("10.0.0.0:7000",))


def test_settings_of_a_cluster_say_nothing_about_a_single_server() -> None:
    strange = config(
        cluster_node_timeout="1",
        cluster_require_full_coverage="yes",
        cluster_allow_reads_when_down="yes",
        cluster_replica_no_failover="yes",
        cluster_replica_validity_factor="0",
        tls_cluster="no",
    )
    single = dataclasses.replace(everywhere(**strange), is_cluster=False, asked_for_cluster=False)
    checked = ["node-timeout", "full-coverage", "reads-when-down", "failover", "tls"]
    assert judge(single, only=checked).findings == ()


@pytest.mark.parametrize(
    ("days", "severity", "said"),
    [
        (30.0, None, ""),
        (29.9, "warning", "expires in 30 days"),
        (7.0, "warning", "expires in 7 days"),
        (6.9, "problem", "expires in 7 days"),
        (0.000001, "problem", "expires in 0 days"),
        (0.0, "problem", "has expired"),
        (-3.0, "problem", "has expired"),
    ],
)
def test_how_long_a_certificate_has_to_be_valid(
    days: float, severity: str | None, said: str
) -> None:
    node = {"certificate_expires_at": 10**9 + days * DAY}
    seen = everywhere(certificate_expires_at=10**9 + 90 * DAY)
    them = members()
    nodes = (seen_by(them[0], them, **node), *seen.nodes[1:])
    told = found(dataclasses.replace(seen, nodes=nodes, taken_at=10**9), "certificates")
    assert [(each.severity, each.nodes) for each in told] == (
        [] if severity is None else [(severity, ("10.0.0.0:7000",))]
    )
    assert all(said in each.found for each in told)


@pytest.mark.parametrize(("seconds", "wrong"), [(1.0, False), (0.99, True)])
def test_how_long_fsync_has_to_wait(seconds: float, wrong: bool) -> None:
    patience = Patience(replica_wait=seconds)
    told = found(sound(durability="fsync", patience=patience), "fsync")
    assert [each.severity for each in told] == ["problem"] * wrong
    assert all(len(each.nodes) == 6 and "0.99 s" in each.found for each in told)


@pytest.mark.parametrize(
    "node", [info(aof_enabled="0"), config(appendfsync="no"), {"denied": ("waitaof",)}]
)
def test_what_fsync_needs_of_a_node(node: dict[str, Any]) -> None:
    assert found(sound(node=node), "fsync") == []
    (finding,) = found(sound(node=node, durability="fsync"), "fsync")
    assert (finding.severity, finding.nodes) == ("problem", ("10.0.0.0:7000",))


def test_how_many_replicas_are_left_is_said_if_it_is_known() -> None:
    wanted = {"settings": CONFIG | {"min-replicas-to-write": "1"}}
    (finding,) = found(sound(node=wanted | info(connected_slaves="1")), "min-replicas")
    assert "the primary has 1 replica:" in finding.found
    (finding,) = found(sound(node=wanted | {"info": {}}), "min-replicas")
    assert "an unknown number of replicas" in finding.found


def test_the_link_of_a_replica() -> None:
    them = members()
    for told, said in (
        ({"master_link_status": "down"}, "is down."),
        ({"master_link_status": "down", "master_sync_in_progress": "1"}, "synchronisation."),
    ):
        nodes = list(sound(them).nodes)
        nodes[4] = seen_by(them[4], them, **info(**told))
        (finding,) = found(sound(nodes=tuple(nodes)), "replication")
        assert (finding.severity, finding.nodes) == ("problem", (str(nodes[4].address),))
        assert said in finding.found


def test_a_node_without_a_certificate_hides_none_that_expires() -> None:
    them = members()
    nodes = list(sound(them).nodes)
    nodes[0] = seen_by(them[0], them, certificate_expires_at=None)
    nodes[3] = seen_by(them[3], them, certificate_expires_at=0.0)
    (finding,) = found(sound(nodes=tuple(nodes)), "certificates")
    assert finding.nodes == (str(nodes[3].address),)


def test_the_traffic_of_replicas_is_judged_on_a_single_server_too() -> None:
    single = sound(
        node=config(tls_replication="no", tls_cluster="no"),
        is_cluster=False,
        asked_for_cluster=False,
    )
    assert [each.found for each in found(single, "tls")] == [
        "tls-replication is no, so replication traffic is not encrypted."
    ]


@pytest.mark.parametrize(
    ("node", "command"),
    [
        ({"info": None}, "INFO"),
        ({"settings": None}, "CONFIG GET"),
        ({"clock": None}, "TIME"),
        ({"denied": None}, "EVAL or ACL DRYRUN"),
    ],
)
def test_a_command_that_is_refused_is_named(node: dict[str, Any], command: str) -> None:
    (finding,) = found(sound(node=node), "unseen")
    assert finding.found.startswith(f"{command} is refused, so these were not checked: ")


def test_the_keys_that_were_evicted_are_counted_over_all_nodes() -> None:
    them = members()
    nodes = tuple(
        seen_by(each, them, **info(evicted_keys=str(number))) for number, each in enumerate(them)
    )
    (finding,) = found(sound(nodes=nodes), "eviction")
    assert "have evicted 3 keys," in finding.found
    assert finding.nodes == (str(nodes[1].address), str(nodes[2].address))


@pytest.mark.parametrize(
    ("denied", "rules", "is_unlimited"),
    [(("subscribe",), "~app:* &app:* +subscribe on", True), (("scan",), "~app:* +scan on", False)],
)
def test_what_a_missing_permission_leads_to_and_which_rule_grants_it(
    denied: tuple[str, ...], rules: str, is_unlimited: bool
) -> None:
    (finding,) = found(sound(node={"denied": denied}, namespace="app"), "rights")
    assert rules in finding.remedy
    assert ("fills the memory of the servers" in finding.found) is is_unlimited


@pytest.mark.parametrize(
    ("node", "severity", "said"),
    [
        (
            {"info": {"maxmemory": "1"}, "settings": {"maxmemory-policy": "allkeys-lru"}},
            "problem",
            "maxmemory-policy is allkeys-lru: when memory is full, sessions are evicted.",
        ),
        (
            {"info": {"maxmemory_policy": "volatile-ttl"}, "settings": {"maxmemory": "0"}},
            "warning",
            "maxmemory-policy is volatile-ttl, which evicts sessions as soon as maxmemory is set.",
        ),
    ],
)
def test_what_an_eviction_policy_does_with_and_without_a_limit(
    node: dict[str, Any], severity: str, said: str
) -> None:
    (finding,) = found(sound(node=node), "eviction")
    assert (finding.severity, finding.found) == (severity, said)


def test_a_server_without_a_limit_may_use_most_of_its_machine_s_memory() -> None:
    facts = {"maxmemory": "0", "used_memory": "900", "total_system_memory": "1000"}
    node = {"info": INFO | facts, "settings": {}}
    said = {each.severity: each.found for each in found(sound(node=node), "memory")}
    assert said["problem"].startswith("90% of the memory of the machine is")


def test_a_node_with_room_hides_none_that_is_full() -> None:
    them = members()
    nodes = tuple(
        seen_by(each, them, **(full(900) if number == 4 else {}))
        for number, each in enumerate(them)
    )
    (finding,) = found(sound(nodes=nodes), "memory")
    assert finding.nodes == (str(nodes[4].address),)
    assert finding.found.startswith("90% of maxmemory is")
