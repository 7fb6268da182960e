"""Leases behind Sentinels: valid only while the Sentinels name the same server."""

import pytest

from clusterpass.sessions.memory.leases import Leases

BOUND, FRESH = 1.0, 0.25


@pytest.fixture
def leases() -> Leases:
    made = Leases(BOUND, has_epochs=False)
    made.rely_on_agreements()
    made.set_primaries(frozenset({"a"}))
    made.connected("a")
    return made


def beat(leases: Leases, at: float) -> None:
    leases.beat_answered("a", leases.beat_sent("a", at))


def test_a_server_is_believed_while_they_agree(leases):
    beat(leases, 10.0)
    beat(leases, 10.1)
    assert leases.doubts("a", 10.1), "it says that it is a primary"
    assert not leases.doubts("a", 10.1, is_durable=True), "no replica can have replaced it"
    leases.agreed("a", 10.1)
    assert not leases.doubts("a", 10.1 + FRESH - 0.01)
    assert leases.doubts("a", 10.1 + FRESH)
    assert leases.doubts("b", 10.1)
    leases.agreed("a", 10.0)
    assert not leases.doubts("a", 10.3), "an older agreement takes nothing back"
    leases.lost("a")
    assert leases.doubts("a", 10.1)


def test_a_lease_lasts_as_long_as_both(leases):
    beat(leases, 10.0)
    beat(leases, 10.1)
    lease = leases.lease("a")
    assert lease is not None
    assert lease.until < 10.0, "nobody has named it"
    leases.agreed("a", 9.7)
    assert lease.until == pytest.approx(9.7 + BOUND)
    leases.agreed("a", 10.3)
    assert lease.until == pytest.approx(10.0 + BOUND), "what it said counts as well"
    beat(leases, 10.4)
    beat(leases, 10.5)
    assert lease.until == pytest.approx(10.3 + BOUND)


def test_until_when_the_one_before_may_be_believed(leases):
    assert leases.seconds_unsettled("a", 10.0) == FRESH, "never named"
    leases.agreed("a", 9.8, epoch=1, now=10.0)
    assert leases.seconds_unsettled("a", 10.0) == pytest.approx(FRESH)
    leases.agreed("a", 10.1, epoch=1, now=10.2)
    assert leases.seconds_unsettled("a", 10.2) == pytest.approx(FRESH - 0.2), (
        "the first time counts"
    )
    assert leases.seconds_unsettled("a", 10.3) == 0.0
    assert leases.seconds_unsettled("b", 10.3) == FRESH
    leases.agreed("a", 20.0, epoch=3)
    assert leases.seconds_unsettled("a", 20.0) == FRESH, "another was the primary meanwhile"
    leases.forget()
    assert leases.seconds_unsettled("a", 30.0) == FRESH


def test_without_sentinels_a_server_is_believed_by_what_it_says():
    leases = Leases(BOUND, has_epochs=False)
    leases.set_primaries(frozenset({"a"}))
    leases.connected("a")
    beat(leases, 10.0)
    assert not leases.doubts("a", 10.0 + BOUND - 0.01)
    assert leases.seconds_unsettled("a", 10.0) == 0.0
