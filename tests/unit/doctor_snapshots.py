"""Snapshots of deployments for the doctor, and what its checks find in them."""

import dataclasses
import time
from typing import Any

from clusterpass.doctor import judge
from clusterpass.doctor.findings import Finding
from clusterpass.doctor.snapshot import Clock, NodeSnapshot, Snapshot
from clusterpass.store.address import Address
from clusterpass.store.topology.cluster_nodes import Member

DAY, MIB = 86_400, 2**20
INFO = {
    "redis_version": "7.2.4",
    "valkey_version": "9.1.2",
    "used_memory": "1000000",
    "maxmemory": "8000000",
    "maxmemory_policy": "noeviction",
    "total_system_memory": "9000000",
    "aof_enabled": "1",
    "aof_last_write_status": "ok",
    "rdb_last_bgsave_status": "ok",
    "maxclients": "10000",
    "connected_clients": "10",
    "connected_slaves": "1",
    "master_repl_offset": "5000000",
    "slave0": "ip=10.0.0.9,port=7000,state=online,offset=5000000,lag=0",
    "master_link_status": "up",
    "repl_backlog_size": "10485760",
    "db0": "keys=100000,expires=100000,avg_ttl=0",
}
CONFIG = {
    "maxmemory": "8000000",
    "maxmemory-policy": "noeviction",
    "cluster-node-timeout": "2000",
    "cluster-require-full-coverage": "no",
    "cluster-allow-reads-when-down": "no",
    "client-output-buffer-limit": "normal 0 0 0 slave 268435456 67108864 60"
    " pubsub 33554432 8388608 60",
    "appendfsync": "everysec",
    "tls-replication": "yes",
    "tls-cluster": "yes",
}
RANGES = ((0, 5460), (5461, 10922), (10923, 16383))


def info(**told: str) -> dict[str, Any]:
    return {"info": INFO | told}


def config(**told: str) -> dict[str, Any]:
    """Settings by their names, with _ for -."""
    return {"settings": CONFIG | {name.replace("_", "-"): value for name, value in told.items()}}


def everywhere(seen: Snapshot | None = None, **facts: Any) -> Snapshot:
    """A snapshot with equal facts at every node."""
    them = members()
    return dataclasses.replace(
        seen or sound(them), nodes=tuple(seen_by(each, them, **facts) for each in them)
    )


def found(seen: Snapshot, identifier: str) -> list[Finding]:
    return list(judge(seen, only=[identifier]).findings)


def buffers(limits: str) -> dict[str, Any]:
    return config(client_output_buffer_limit=limits)


def full(used: int) -> dict[str, Any]:
    return {
        "info": INFO | {"used_memory": str(used)},
        "settings": CONFIG | {"maxmemory": "1000"},
    }


def members(hosts: str = "abcbca") -> tuple[Member, ...]:
    """Three primaries and their replicas, on the hosts named by a letter each."""
    return tuple(
        Member(
            id=f"id{number}",
            host=f"10.0.0.{'abcdef'.index(letter)}",
            port=7000 + number,
            flags=frozenset({"master" if number < 3 else "slave"}),
            primary_id=None if number < 3 else f"id{number - 3}",
            epoch=1 + number % 3,
            connected=True,
            slots=(RANGES[number],) if number < 3 else (),
        )
        for number, letter in enumerate(hosts)
    )


def seen_by(member: Member, all_of_them: tuple[Member, ...], **more: Any) -> NodeSnapshot:
    own = tuple(
        dataclasses.replace(each, flags=each.flags | {"myself"}) if each.id == member.id else each
        for each in all_of_them
    )
    facts: dict[str, Any] = {
        "info": INFO,
        "settings": CONFIG,
        "cluster_info": {"cluster_state": "ok"},
        "clock": Clock(0.0, 0.001),
        "round_trip": 0.001,
        "denied": (),
        "tracking": "",
        "certificate_expires_at": time.time() + 90 * 86_400,
    }
    return NodeSnapshot(
        address=Address(member.host, member.port), id=member.id, members=own, **(facts | more)
    )


def sound(
    them: tuple[Member, ...] | None = None, node: dict[str, Any] | None = None, **more: Any
) -> Snapshot:
    """A deployment without fault; ``node``: what differs at the first one."""
    found = them or members()
    nodes = [seen_by(each, found) for each in found]
    if node is not None:
        nodes[0] = seen_by(found[0], found, **node)
    facts: dict[str, Any] = {
        "nodes": tuple(nodes),
        "members": found,
        "addresses": {each.id: Address(each.host, each.port) for each in found},
        "has_tls": True,
        "has_password": True,
        "has_tried": True,
        "taken_at": time.time(),
    }
    return Snapshot(**(facts | more))


def told(seen: Snapshot) -> set[tuple[str, str]]:
    return {(each.id, each.severity) for each in judge(seen).findings}


def changed(number: int, **facts: Any) -> tuple[Member, ...]:
    them = list(members())
    them[number] = dataclasses.replace(them[number], **facts)
    return tuple(them)
