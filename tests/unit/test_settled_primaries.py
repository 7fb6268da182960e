"""Settled primaries: known for so long that no process still trusts the one they replaced."""

import pytest

from clusterpass.sessions.memory.leases import Leases

from .lease_scene import BOUND, FRESH, NODES, beat, five_leases


@pytest.fixture
def leases() -> Leases:
    return five_leases()


def test_an_owner_is_settled_once_it_was_met_long_enough_ago():
    leases = Leases(BOUND)
    leases.set_primaries(frozenset(NODES))
    assert leases.seconds_unsettled("a", 0.0) == pytest.approx(FRESH), "never met"
    leases.connected("a")
    assert leases.seconds_unsettled("a", 7.0) == pytest.approx(FRESH)
    beat(leases, 10.0, "a")
    assert leases.seconds_unsettled("a", 10.0) == pytest.approx(FRESH)
    assert leases.seconds_unsettled("a", 10.1) == pytest.approx(FRESH - 0.1)
    assert leases.seconds_unsettled("a", 10.0 + FRESH + 0.01) == 0.0
    beat(leases, 10.2, "a")
    assert leases.seconds_unsettled("a", 10.0 + FRESH + 0.01) == 0.0, "the first time counts"
    leases.set_evidence_bound(0.5)
    assert leases.seconds_unsettled("a", 10.0 + FRESH) == pytest.approx(FRESH)


def test_a_new_connection_begins_the_acquaintance_anew(leases):
    """Another server may answer at the address."""
    assert leases.seconds_unsettled("a", 0.0) == 0.0
    leases.lost("a")
    assert leases.seconds_unsettled("a", 0.0) == pytest.approx(FRESH)
    leases.connected("a")
    assert leases.seconds_unsettled("a", 0.0) == pytest.approx(FRESH)
    beat(leases, 0.1, "a")
    assert leases.seconds_unsettled("a", 0.1 + FRESH + 0.01) == 0.0
    assert leases.seconds_unsettled("b", 0.1) == 0.0
    leases.connected("a")
    assert leases.seconds_unsettled("a", 9.0) == pytest.approx(FRESH)


def test_a_higher_epoch_begins_the_acquaintance_with_all_anew(leases):
    beat(leases, 0.1, "b", epoch=6)
    assert leases.seconds_unsettled("b", 0.1) == pytest.approx(FRESH)
    assert leases.seconds_unsettled("a", 0.1) == pytest.approx(FRESH)
    beat(leases, 0.2, "a", epoch=5)
    assert leases.seconds_unsettled("a", 9.0) == pytest.approx(FRESH), (
        "it has not heard of the promotion"
    )
    beat(leases, 0.3, "a", epoch=6)
    assert leases.seconds_unsettled("a", 0.3) == pytest.approx(FRESH)
    assert leases.seconds_unsettled("a", 0.3 + FRESH + 0.01) == 0.0
    assert leases.seconds_unsettled("b", 0.1 + FRESH + 0.01) == 0.0


def test_a_single_server_is_settled_at_once():
    leases = Leases(BOUND, has_epochs=False)
    assert leases.seconds_unsettled("a", 0.0) == 0.0
