"""The doctor's checks of replication, trial writes and persistence, for each node."""

import dataclasses
from typing import Any

import pytest

from clusterpass.doctor.snapshot import NodeSnapshot, Snapshot, Trial
from clusterpass.store.patience import Patience

from .doctor_snapshots import CONFIG, INFO, changed, config, found, info, members, seen_by, sound


def at(number: int, **facts: Any) -> tuple[NodeSnapshot, ...]:
    """The nodes of a sound deployment, of which one differs."""
    them = members()
    return tuple(
        seen_by(each, them, **(facts if place == number else {})) for place, each in enumerate(them)
    )


def single(**facts: Any) -> Snapshot:
    """A server that is no member of a cluster."""
    node = dataclasses.replace(seen_by(members()[0], (), **facts), id="", members=())
    return sound((), nodes=(node,), is_cluster=False, asked_for_cluster=False)


@pytest.mark.parametrize(
    ("trial", "said"),
    [
        (Trial(replicas=0, asked=1), "No replica confirmed the trial write within 0.25 s."),
        (Trial(replicas=1, asked=2), "Only 1 of 2 replicas confirmed the trial write within"),
        (Trial(refusal="OOM no room"), "The trial write failed: OOM no room"),
    ],
)
def test_a_write_that_is_not_confirmed_on_one_of_the_nodes(trial: Trial, said: str) -> None:
    nodes = list(at(2, trial=trial))
    nodes[1] = seen_by(members()[1], members(), trial=Trial(replicas=1))
    patience = Patience(replica_wait=0.25)
    (finding,) = found(sound(nodes=tuple(nodes), patience=patience), "confirmation")
    assert finding.found.startswith(said)
    assert finding.nodes == (str(nodes[2].address),)


@pytest.mark.parametrize(
    ("slave", "said"),
    [
        (
            "ip=10.0.0.9,port=7000,state=online,offset=1000000,lag=1",
            "The replica 10.0.0.9:7000 of this primary is 4,000,000 bytes behind and last"
            " reported 1 s ago.",
        ),
        (
            "ip=10.0.0.9,port=7000,state=online,offset=1000000",
            "The replica 10.0.0.9:7000 of this primary is 4,000,000 bytes behind and last"
            " reported 0 s ago.",
        ),
        (
            "ip=10.0.0.9,port=7000,state=online,lag=7",
            "The replica 10.0.0.9:7000 of this primary is 0 bytes behind and last reported 7 s"
            " ago.",
        ),
        (
            "ip=10.0.0.9,port=7000,state=wait_bgsave,offset=0,lag=0",
            "The replica 10.0.0.9:7000 of this primary is still synchronising (state"
            " wait_bgsave): it confirms nothing.",
        ),
    ],
)
def test_a_replica_that_lags_is_named_with_how_far_it_is_behind(slave: str, said: str) -> None:
    told = {"slave1": slave, "slave_repl_offset": "1", "slave": "x"}
    (finding,) = found(sound(nodes=at(1, info=INFO | told)), "replication")
    assert finding.found == said
    assert finding.nodes == ("10.0.0.1:7001",)


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [({"cluster-node-timeout": "2500"}, "5"), ({}, "30"), ({"cluster-node-timeout": "0"}, "30")],
)
def test_how_long_a_process_manager_has_to_wait(timeout: dict[str, str], seconds: str) -> None:
    node = {"info": INFO | {"aof_enabled": "0"}, "settings": timeout}
    (finding,) = found(sound(node=node), "persistence")
    assert finding.severity == "warning"
    assert f"wait {seconds} s, twice the node timeout" in finding.remedy
    assert finding.found.endswith(", unless a replica takes over first.")


def test_a_single_server_without_a_file_loses_its_data() -> None:
    (finding,) = found(single(info={"role": "master", "aof_enabled": "0"}), "persistence")
    assert finding.severity == "problem"
    assert finding.found.endswith("comes back empty or with old data.")
    assert finding.remedy == ("Run CONFIG SET appendonly yes, and change the configuration file.")


def test_a_primary_without_slots_has_nothing_to_lose() -> None:
    them = changed(1, slots=())
    nodes = tuple(
        seen_by(each, them, **(info(aof_enabled="0") if number == 1 else {}))
        for number, each in enumerate(them)
    )
    assert found(sound(them, nodes=nodes), "persistence") == []


@pytest.mark.parametrize(
    ("told", "fails"),
    [
        ({"aof_enabled": "1"}, False),
        ({"aof_enabled": "1", "aof_last_write_status": "err"}, True),
        ({"aof_enabled": "x", "aof_last_write_status": "err"}, False),
        ({"rdb_last_bgsave_status": "err"}, True),
        ({"rdb_last_bgsave_status": "ok"}, False),
    ],
)
def test_whether_a_node_could_write_its_files(told: dict[str, str], fails: bool) -> None:
    assert bool(found(sound(node={"info": told}), "persistence")) is fails


@pytest.mark.parametrize(
    ("facts", "durability", "said"),
    [
        (info(aof_enabled="0"), "fsync", "There is no append-only file."),
        (config(appendfsync="no"), "fsync", "appendfsync is no: writes reach the disk"),
        ({"denied": ("waitaof",)}, "fsync", "WAITAOF is not supported, or not permitted."),
    ],
)
def test_why_a_write_is_never_on_disk(facts: dict[str, Any], durability: Any, said: str) -> None:
    (finding,) = found(sound(nodes=at(1, **facts), durability=durability), "fsync")
    assert finding.found.startswith(said)
    assert finding.nodes == ("10.0.0.1:7001",)


def test_every_node_of_a_deployment_of_the_wrong_kind_is_named() -> None:
    wrong = dataclasses.replace(single(), asked_for_cluster=True)
    (finding,) = found(wrong, "kind-of-deployment")
    assert (finding.severity, finding.nodes) == ("problem", ("10.0.0.0:7000",))


def test_a_node_that_the_cluster_knows_to_be_down_is_told_once() -> None:
    them = changed(4, flags=frozenset({"slave", "fail"}))
    nodes = tuple(
        seen_by(each, them, **({"refusal": "Connection refused"} if number == 4 else {}))
        for number, each in enumerate(them)
    )
    seen = sound(them, nodes=nodes)
    assert found(seen, "node-unreachable") == []
    (finding,) = found(seen, "node-failed")
    assert finding.nodes == (str(nodes[4].address),)


@pytest.mark.parametrize("flag", ["handshake", "noaddr"])
def test_a_node_that_nobody_has_reached_is_named(flag: str) -> None:
    (finding,) = found(sound(changed(4, flags=frozenset({flag}))), "node-failed")
    assert "has never reached it" in finding.found
    assert (finding.severity, finding.nodes) == ("warning", ("10.0.0.2:7004",))


def test_a_node_that_some_suspect_is_named_with_how_many_do() -> None:
    them = members()
    doubtful = changed(4, flags=frozenset({"slave", "fail?"}))
    nodes = tuple(
        seen_by(each, doubtful if number < 2 else them) for number, each in enumerate(them)
    )
    (finding,) = found(sound(nodes=nodes), "node-failed")
    assert finding.found.startswith("2 nodes of 6 cannot reach this replica")
    assert (finding.severity, finding.nodes) == ("warning", ("10.0.0.2:7004",))


def test_a_finding_leads_to_its_check() -> None:
    (finding,) = found(sound(node={"trial": Trial(replicas=0)}), "confirmation")
    assert finding.reference == "docs/reference/doctor.md#confirmation"
    assert CONFIG["cluster-node-timeout"] == "2000", "what the other tests change"
