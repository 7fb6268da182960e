"""Thresholds of the doctor for time: clocks that differ, node timeouts and round trips."""

import pytest

from clusterpass.doctor.snapshot import Clock, Snapshot
from clusterpass.store.patience import Patience

from .doctor_snapshots import config, everywhere, found, members, seen_by, sound


def of_timeout(milliseconds: str) -> Snapshot:
    return everywhere(**config(cluster_node_timeout=milliseconds))


@pytest.mark.parametrize("milliseconds", ["500", "5000"])
def test_a_node_timeout_that_is_fine(milliseconds: str) -> None:
    assert found(of_timeout(milliseconds), "node-timeout") == []


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [
        ("499", "only 499 ms"),
        ("5001", "is 5,001 ms: a failover takes about 9 s"),
        ("20000", "31 s"),
    ],
)
def test_a_node_timeout_that_is_too_short_or_too_long(milliseconds: str, said: str) -> None:
    (finding,) = found(of_timeout(milliseconds), "node-timeout")
    assert finding.severity == "warning"
    assert len(finding.nodes) == 6
    assert said in finding.found


def test_node_timeouts_that_differ_are_listed_once_each() -> None:
    seen = sound(node=config(cluster_node_timeout="3000"))
    (finding,) = found(seen, "node-timeout")
    assert finding.severity == "warning"
    assert "different node timeouts: 2000 ms, 3000 ms." in finding.found


@pytest.mark.parametrize(("apart", "wrong"), [(1.0, False), (1.01, True)])
def test_how_far_apart_the_clocks_of_nodes_may_be(apart: float, wrong: bool) -> None:
    them = members()
    ahead = {1: apart, 4: 0.25}
    nodes = tuple(
        seen_by(each, them, clock=Clock(ahead.get(number, 0.0 if number == 3 else 0.1), 0.0))
        for number, each in enumerate(them)
    )
    told = found(sound(nodes=nodes), "clocks")
    assert [(each.severity, each.nodes) for each in told] == (
        [("problem", (str(nodes[3].address), str(nodes[1].address)))] if wrong else []
    )


@pytest.mark.parametrize(("apart", "follows"), [(5.0, False), (5.01, True)])
def test_from_where_on_a_clock_is_not_used(apart: float, follows: bool) -> None:
    (finding,) = found(sound(node={"clock": Clock(apart + 0.001, 0.0)}), "clocks")
    assert ("is not used" in finding.found) is follows
    assert follows or finding.found.endswith(" s apart.")


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        (5.0, ""),
        (-5.0, ""),
        (5.01, "5.0 s behind the clocks of the servers."),
        (-5.01, "5.0 s ahead of the clocks of the servers."),
        (600.0, "600.0 s behind the clocks of the servers."),
        (600.01, "more than 600 s"),
    ],
)
def test_how_far_this_machine_s_clock_may_be_from_the_servers(ahead: float, said: str) -> None:
    told = found(everywhere(clock=Clock(ahead, 0.0)), "clocks")
    assert [each.severity for each in told] == ["warning"] * bool(said)
    assert all(said in each.found for each in told)


def test_this_machine_s_clock_is_judged_by_the_nearest_of_the_servers() -> None:
    them = members()
    nodes = tuple(
        seen_by(each, them, clock=Clock(7.0 if number else 4.9, 0.0))
        for number, each in enumerate(them)
    )
    assert [each.severity for each in found(sound(nodes=nodes), "clocks")] == ["problem"]


@pytest.mark.parametrize(("seconds", "wrong"), [(0.05, False), (0.051, True)])
def test_a_round_trip_takes_at_most_a_quarter_of_the_timeout(seconds: float, wrong: bool) -> None:
    patience = Patience(timeout=0.2, replica_wait=0.1)
    told = found(sound(node={"round_trip": seconds}, patience=patience), "round-trip")
    assert bool(told) is wrong
    assert all("up to 51 ms, but" in each.found and "200 ms." in each.found for each in told)
