"""The doctor's checks of replicas and of the copies of the cutoff."""

import dataclasses

from clusterpass.doctor import judge
from clusterpass.store.topology.cluster_nodes import Member

from .doctor_snapshots import members, sound, told


def with_replicas(*primaries: int) -> tuple[Member, ...]:
    """The three primaries, and a replica of each of ``primaries``, by their numbers."""
    first = members()[:3]
    return first + tuple(
        Member(
            id=f"replica{number}",
            host=f"10.0.1.{number}",
            port=7100 + number,
            flags=frozenset({"slave"}),
            primary_id=f"id{primary}",
            epoch=1,
            connected=True,
            slots=(),
        )
        for number, primary in enumerate(primaries)
    )


def test_a_second_replica_is_no_fault():
    assert told(sound(with_replicas(0, 1, 1, 2))) == set()


def test_a_store_without_any_replica_is_told_once():
    (finding,) = judge(sound(with_replicas()), only=["replicas"]).findings
    assert len(finding.nodes) == 3
    assert "No primary has a replica" in finding.found


def test_a_shard_that_never_had_a_replica_among_others_that_have():
    (finding,) = judge(sound(with_replicas(0, 2)), only=["replicas"]).findings
    assert finding.nodes == ("10.0.0.1:7001",)
    assert "revocations there stay pending" in finding.found
    assert "--cluster-master-id id1" in finding.remedy
    (finding,) = judge(sound(with_replicas(0, 2, 2)), only=["replicas"]).findings
    assert "CLUSTER REPLICATE id1 on 10.0.1.2:7102" in finding.remedy


def test_a_replica_that_failed_beside_another_one():
    them = list(with_replicas(0, 1, 1, 2))
    them[4] = dataclasses.replace(them[4], flags=frozenset({"slave", "fail"}))
    (finding,) = judge(sound(tuple(them)), only=["node-failed", "replicas"]).findings
    assert (finding.id, finding.nodes) == ("node-failed", ("10.0.1.1:7101",))
    assert "Revocations in the shard of 10.0.0.1:7001 wait for it" in finding.found
    assert "CLUSTER FORGET replica1" in finding.remedy


def test_a_primary_that_was_replaced_is_the_replica_that_is_missing():
    them = list(with_replicas(0, 2))
    them[1] = dataclasses.replace(them[1], flags=frozenset({"master", "fail"}), slots=())
    them.append(dataclasses.replace(members()[1], id="heir", host="10.0.2.1", epoch=9))
    (finding,) = judge(sound(tuple(them)), only=["replicas"]).findings
    assert finding.nodes == ("10.0.2.1:7001",)
    assert finding.remedy.startswith("Restart 10.0.0.1:7001, or add")


def with_slots(*ranges: tuple[tuple[int, int], ...]) -> tuple[Member, ...]:
    """Primaries that own ``ranges``, without replicas."""
    return tuple(
        dataclasses.replace(members()[0], id=f"id{number}", host=f"10.0.0.{number}", slots=slots)
        for number, slots in enumerate(ranges)
    )


def test_two_copies_of_the_cutoff_on_one_primary():
    them = with_slots(((0, 2000),), ((2001, 9000),), ((9001, 16_383),))
    (finding,) = judge(sound(them), only=["cutoff-copies"]).findings
    assert (finding.severity, finding.nodes) == ("warning", ("10.0.0.1:7000",))
    assert "2 of the three copies of the cutoff (slots 2730, 8192)" in finding.found
    assert "Move slot 8192 to 10.0.0.0:7000" in finding.remedy
    assert "NODE id0" in finding.remedy
    assert "slot 2730 " not in finding.remedy


def test_three_copies_of_the_cutoff_on_one_primary():
    them = with_slots(((0, 9),), ((10, 99),), ((100, 14_000),), ((14_001, 16_383),))
    (finding,) = judge(sound(them), only=["cutoff-copies"]).findings
    assert "3 of the three copies" in finding.found
    assert "Move slot 8192 to 10.0.0.0:7000" in finding.remedy
    assert "Move slot 13653 to 10.0.0.1:7000" in finding.remedy


def test_two_primaries_cannot_hold_three_copies_apart():
    them = with_slots(((0, 9000),), ((9001, 16_383),))
    assert judge(sound(them), only=["cutoff-copies"]).findings == ()
