"""Leases that remain valid when the config epoch rises without a failover, or slots move."""

from math import inf

import pytest

from clusterpass.sessions.memory.leases import Leases
from clusterpass.sessions.memory.unvoted_epochs import Epochs

BOUND = 1.0
NODES = ("a", "b", "c")


def told(leases: Leases, node: str, at: float, epoch: int, own: int) -> bool:
    """A heartbeat of ``node``, sent and answered at ``at``."""
    number = leases.beat_sent(node, at)
    return leases.beat_answered(node, number, epoch=epoch, own_epoch=own, heard_at=at)


@pytest.fixture
def leases() -> Leases:
    """Three primaries of epoch 6 that have claimed 1, 2 and 3 as their own."""
    leases = Leases(BOUND)
    leases.set_primaries(frozenset(NODES))
    for node in NODES:
        leases.connected(node, at=0.0)
    for at in (0.0, 0.1, 0.2):
        for own, node in enumerate(NODES, 1):
            told(leases, node, at, 6, own)
    leases.mapped(0.25, {})
    return leases


def until(leases: Leases) -> list[float]:
    found = [leases.lease(node) for node in NODES]
    return [each.until for each in found if each is not None]


# Epochs without a vote


def test_an_epoch_that_a_known_primary_has_taken_counts_as_the_one_before():
    epochs = Epochs()
    epochs.explain(7)
    epochs.explain(8)
    epochs.explain(10)
    assert [epochs.effective(epoch) for epoch in range(6, 12)] == [6, 6, 6, 9, 9, 11]
    epochs.forget()
    assert epochs.effective(7) == 7


def test_old_explanations_are_forgotten():
    epochs = Epochs()
    for epoch in range(1, 3000):
        epochs.explain(epoch)
    assert epochs.effective(2999) == 0
    assert epochs.effective(1) == 1


def test_a_primary_that_takes_an_epoch_ends_no_lease(leases):
    kept = [leases.lease(node) for node in NODES]
    assert until(leases) == pytest.approx([1.1] * 3)
    assert told(leases, "a", 0.3, 7, 7), "it may have imported a slot"
    assert leases.outdated == frozenset()
    assert until(leases) == pytest.approx([1.2, 1.1, 1.1])
    assert not any(leases.doubts(node, 0.3) for node in NODES)
    told(leases, "b", 0.3, 6, 2)
    told(leases, "c", 0.3, 7, 3)
    assert [leases.lease(node) for node in NODES] == kept
    assert min(until(leases)) > 1.1


def test_who_joins_with_a_newer_epoch_tells_that_slots_may_have_moved(leases):
    leases.set_primaries(frozenset({*NODES, "d"}))
    leases.connected("d")
    assert told(leases, "d", 0.3, 7, 7)
    assert not told(leases, "d", 0.4, 7, 7)


def test_an_epoch_that_nobody_has_claimed_is_a_promotion(leases):
    told(leases, "b", 0.3, 7, 2)
    assert leases.outdated == {"a", "c"}
    assert until(leases) == [-inf] * 3
    assert leases.doubts("a", 0.3) and leases.doubts("c", 0.3)


def test_a_claim_that_comes_after_the_epoch_restores_the_leases(leases):
    """Others may have heard of it before the claimant was asked."""
    told(leases, "b", 0.3, 7, 2)
    told(leases, "a", 0.3, 7, 7)
    told(leases, "c", 0.3, 6, 3)
    assert leases.outdated == frozenset()
    assert min(until(leases)) > 1.0


@pytest.mark.parametrize("newcomer", ["c", "d"])
def test_a_claim_of_who_was_not_known_explains_nothing(leases, newcomer):
    """A promoted replica claims the epoch of its election."""
    leases.lost(newcomer)
    leases.set_primaries(frozenset({"a", "b", newcomer}))
    leases.connected(newcomer, at=0.3)
    told(leases, newcomer, 0.3, 7, 7)
    assert leases.outdated == {"a", "b", "c"} - {newcomer} - (set() if newcomer == "c" else {"c"})
    assert leases.doubts("a", 0.3)


def test_a_majority_that_has_voted_for_more_ages_even_where_the_epoch_is_explained(leases):
    """Two nodes may have taken one epoch: one without a vote, one by an election."""
    for at in (0.3, 0.6, 0.9, 1.1):
        told(leases, "a", at, 7, 7)
        told(leases, "b", at, 7, 2)
        told(leases, "c", at, 6, 3)
    assert leases.outdated == frozenset()
    found = leases.lease("c")
    assert found is not None and found.until == pytest.approx(1.2), "as of the last 6 of two"
    assert leases.doubts("c", 0.5) and not leases.doubts("a", 1.1)


def test_one_that_catches_up_is_believed_by_what_others_told_before(leases):
    told(leases, "a", 0.3, 7, 7)
    told(leases, "b", 0.3, 7, 2)
    told(leases, "c", 0.35, 6, 3)
    told(leases, "a", 0.4, 8, 8)
    told(leases, "b", 0.5, 8, 2)
    told(leases, "c", 0.5, 7, 3)
    leases.mapped(0.55, {})
    found = leases.lease("c")
    assert found is not None and found.until == pytest.approx(0.3 + BOUND)


def test_a_cluster_that_was_made_anew_is_believed_also_where_nobody_pushes(leases):
    for node in NODES:
        leases.connected(node, pushes=False, at=0.3)
    for epoch in range(10, 20):
        for own, node in enumerate(NODES, 1):
            told(leases, node, 0.3 + epoch / 1000, epoch, own)
    for at in (0.4, 0.5):
        for own, node in enumerate(NODES, 1):
            told(leases, node, at, 3, own)
    assert not any(leases.doubts(node, 0.5) for node in NODES)


# Slot maps


def test_however_many_slots_leave_a_node_the_leases_of_others_are_known(leases):
    """What is packed finds its lease by a number."""
    kept = [leases.lease(node) for node in NODES]
    for slot in range(1100):
        leases.mapped(1.0, {"a": [slot]})
    assert kept[0] is not None and leases.current(kept[0].began) is None, "too long ago"
    for lease in (leases.lease("a"), *kept[1:]):
        assert lease is not None and leases.current(lease.began) is lease


def test_after_an_epoch_the_slots_have_to_be_looked_up(leases):
    for at in (0.3, 0.4, 0.5, 0.6):
        told(leases, "a", at, 7, 7)
        for own, node in ((2, "b"), (3, "c")):
            told(leases, node, at, 6, own)
    assert until(leases) == pytest.approx([1.2, 1.5, 1.5]), "as of the last beat before"
    leases.mapped(0.3, {})
    assert until(leases)[0] == pytest.approx(1.2), "it was asked for before the change was known"
    leases.mapped(0.31, {})
    assert until(leases) == pytest.approx([1.5] * 3)


def test_so_have_they_after_a_connection_has_begun(leases):
    leases.lost("a")
    leases.connected("a", at=0.3)
    assert told(leases, "a", 0.4, 6, 1)
    for at in (0.5, 0.6, 0.7):
        for own, node in enumerate(NODES, 1):
            told(leases, node, at, 6, own)
    assert until(leases) == pytest.approx([1.3, 1.6, 1.6])
    leases.mapped(0.71, {})
    assert until(leases) == pytest.approx([1.6] * 3)


def test_however_many_changes_there_were_a_later_map_covers_them(leases):
    for number in range(100):
        told(leases, "a", 0.3 + number / 1000, 7 + number, 7 + number)
    leases.mapped(0.35, {})
    found = leases.lease("a")
    assert found is not None and found.until < 1.4
    for own, node in enumerate(NODES, 1):
        told(leases, node, 0.5, 106, own if own > 1 else 106)
        told(leases, node, 0.6, 106, own if own > 1 else 106)
    leases.mapped(0.7, {})
    assert min(until(leases)) == pytest.approx(0.5 + BOUND)


# Slots that move


def test_what_was_read_from_a_slot_that_moved_is_void_and_the_rest_goes_on(leases):
    before = {node: leases.lease(node) for node in NODES}
    leases.mapped(0.3, {"a": [17, 18]})
    assert before["a"].until == -inf
    assert leases.lease("b") is before["b"]
    now = leases.lease("a")
    assert now is not before["a"] and now.until > 1
    assert leases.successor(before["a"], 16) is now
    assert leases.successor(before["a"], 17) is None
    assert leases.successor(now, 17) is now, "the slot may have come back"
    assert leases.current(before["a"].began) is before["a"]
    leases.mapped(0.4, {"a": [16]})
    assert leases.successor(before["a"], 15) is leases.lease("a")
    assert leases.successor(before["a"], 16) is None


def test_a_load_that_was_on_its_way_is_not_served(leases):
    began = leases.events
    leases.mapped(0.3, {"a": [17]})
    assert leases.lease_since(began, "a") is None
    assert leases.lease_since(began, "b") is not None


def test_a_lost_connection_ends_what_went_on(leases):
    before = leases.lease("a")
    leases.mapped(0.3, {"a": [17]})
    leases.lost("a")
    assert leases.successor(before, 1) is None
    assert leases.current(before.began) is None
    leases.connected("a", at=0.4)
    assert leases.successor(before, 1) is None


def test_a_cluster_made_anew_and_an_epoch_that_falls_end_what_went_on(leases):
    before = leases.lease("a")
    told(leases, "a", 0.3, 2, 1)
    assert leases.successor(before, 1) is None, "the node was reset"
    other = leases.lease("b")
    leases.end_all()
    assert leases.successor(other, 1) is None


def test_the_leases_that_went_on_are_bounded(leases):
    for slot in range(3000):
        leases.mapped(0.3, {"a": [slot]})
    assert len(leases._generations._current) < 1000 + len(NODES)
    assert leases.lease("a") is leases.current(leases.lease("a").began)
