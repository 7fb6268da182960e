"""Thresholds of the doctor's checks on the topology: slots, keys, hosts and primaries."""

import dataclasses

import pytest

from clusterpass.doctor import judge
from clusterpass.store.address import Address
from clusterpass.store.topology.cluster_nodes import Member

from .doctor_snapshots import changed, config, everywhere, found, info, members, seen_by, sound


def with_counts(*counts: int, hosts: str = "abcdef") -> tuple[Member, ...]:
    """Primaries with so many slots each, one after the other."""
    first, them = 0, []
    for number, count in enumerate(counts):
        them.append(
            dataclasses.replace(
                members()[0],
                id=f"id{number}",
                host=f"10.0.0.{'abcdef'.index(hosts[number])}",
                port=7000 + number,
                epoch=number,
                slots=((first, first + count - 1),),
            )
        )
        first += count
    return tuple(them)


@pytest.mark.parametrize(("most", "wrong"), [(8192, False), (8193, True)])
def test_twice_an_even_share_of_the_slots(most: int, wrong: bool) -> None:
    them = with_counts(most, 4000, 4000, 16_384 - 8000 - most)
    told = [each for each in found(sound(them), "skew") if "slots" in each.found]
    assert [(each.severity, each.nodes) for each in told] == (
        [("warning", ("10.0.0.0:7000",))] if wrong else []
    )
    assert all("owns 8,193 of 16,384 slots; an even share would be 4,096" in e.found for e in told)


@pytest.mark.parametrize(
    ("here", "others", "wrong"),
    [(10_000, 0, False), (10_001, 0, True), (8000, 2000, False), (8002, 2000, True)],
)
def test_twice_an_even_share_of_many_keys(here: int, others: int, wrong: bool) -> None:
    them = members()
    nodes = tuple(
        seen_by(each, them, info={"db0": f"keys={others if number else here},expires=1"})
        for number, each in enumerate(them)
    )
    told = found(sound(nodes=nodes), "skew")
    assert [(each.severity, each.nodes) for each in told] == (
        [("warning", ("10.0.0.0:7000",))] if wrong else []
    )


@pytest.mark.parametrize(
    ("hosts", "wrong"), [("abcd", False), ("aabc", True), ("abcab", False), ("abcaa", True)]
)
def test_half_of_the_primaries_on_one_host(hosts: str, wrong: bool) -> None:
    counts = [16_384 // len(hosts)] * len(hosts)
    them = with_counts(*counts, hosts=hosts)
    told = found(sound(them), "majority")
    assert [each.severity for each in told] == ["problem"] * wrong
    assert all(len(each.nodes) == hosts.count("a") for each in told)


@pytest.mark.parametrize(("owners", "wrong"), [(2, True), (3, False)])
def test_the_fewest_primaries(owners: int, wrong: bool) -> None:
    told = found(sound(with_counts(*[16_384 // owners] * owners)), "majority")
    assert [each.severity for each in told] == ["problem"] * wrong
    assert all("Only 2 of the required 3 primaries" in each.found for each in told)


@pytest.mark.parametrize(("last", "missing"), [(16_383, ""), (16_382, "1 slot of"), (1, "16,382")])
def test_slots_without_an_owner_are_counted(last: int, missing: str) -> None:
    them = (dataclasses.replace(members()[0], slots=((0, last),)),)
    told = found(sound(them), "slots-uncovered")
    assert [each.severity for each in told] == ["problem"] * bool(missing)
    assert all(missing in each.found for each in told)


@pytest.mark.parametrize(("count", "said"), [(1, "1 slot "), (4, "4 slots "), (5, "5 slots ")])
def test_slots_that_are_being_moved(count: int, said: str) -> None:
    moving = tuple(f"[{number}->-b2]" for number in range(count))
    (finding,) = found(sound(changed(0, moving=moving)), "slots-moving")
    assert (finding.severity, finding.nodes) == ("warning", ("10.0.0.0:7000",))
    assert finding.found.startswith(said)
    assert finding.found.endswith(f"{moving[min(count, 4) - 1]}{' ...' if count > 4 else ''}")


def test_a_single_server_is_told_its_replicas() -> None:
    for replicas, said in (
        ("0", "without replicas"),
        ("1", "with 1 replica."),
        ("2", "2 replicas"),
    ):
        seen = everywhere(**info(connected_slaves=replicas))
        single = dataclasses.replace(
            seen, nodes=seen.nodes[:1], is_cluster=False, asked_for_cluster=False, members=()
        )
        (finding,) = found(single, "kind-of-deployment")
        assert (finding.severity, finding.nodes) == ("warning", ("10.0.0.0:7000",))
        assert said in finding.found


def test_on_one_machine_less_is_demanded() -> None:
    them = tuple(dataclasses.replace(each, host="127.0.0.1") for each in members())
    unsafe = sound(them, node=config(maxmemory="0"), has_password=False, has_tls=False)
    nodes = tuple(
        dataclasses.replace(each, info={}, settings={}, is_open=True) for each in unsafe.nodes
    )
    local = dataclasses.replace(unsafe, nodes=nodes)
    checked = ["majority", "memory", "password", "tls", "hosts"]
    told = judge(local, only=checked).findings
    assert [(each.id, each.severity) for each in told] == [
        ("password", "note"),
        ("password", "note"),
        ("hosts", "note"),
    ]
    mixed = dataclasses.replace(nodes[0], address=Address("10.0.0.1", 7000))
    partly = dataclasses.replace(local, nodes=(mixed, *nodes[1:]))
    severities = {(each.id, each.severity) for each in judge(partly, only=checked).findings}
    assert severities >= {("memory", "warning"), ("password", "problem"), ("tls", "warning")}


@pytest.mark.parametrize(
    ("sentinels", "nodes", "said"),
    [
        (3, 3, []),
        (1, 3, ["no more than 1 Sentinel:"]),
        (2, 2, ["no more than 2 Sentinels:"]),
        (3, 1, ["without replicas"]),
        (2, 1, ["no more than 2 Sentinels:", "without replicas"]),
    ],
)
def test_behind_sentinels(sentinels: int, nodes: int, said: list[str]) -> None:
    seen = sound()
    seen = dataclasses.replace(
        seen,
        nodes=seen.nodes[:nodes],
        is_cluster=False,
        asked_for_cluster=False,
        members=(),
        sentinels=sentinels,
    )
    told = found(seen, "kind-of-deployment")
    assert [each.severity for each in told] == ["warning"] * len(said)
    for finding, part in zip(told, said, strict=True):
        assert part in finding.found
