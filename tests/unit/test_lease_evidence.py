"""The age of evidence from nodes and journals that leases and answers require."""

from math import inf

import pytest

from clusterpass.sessions.memory.evidence import EVIDENCE_SECONDS
from clusterpass.sessions.memory.leases import Leases

from .lease_scene import BOUND, FRESH, JOURNALS, NODES, beat, five_leases


@pytest.fixture
def leases() -> Leases:
    return five_leases()


def doubted(leases: Leases, now: float, **options: bool) -> set[str]:
    return {node for node in NODES if leases.doubts(node, now, **options)}


ALL = set(NODES)


# Ages


def test_evidence_for_an_answer_is_younger_than_for_a_lease(leases):
    assert leases.evidence_bound == EVIDENCE_SECONDS == FRESH
    assert doubted(leases, FRESH - 0.01) == set()
    assert doubted(leases, FRESH) == ALL
    assert all(leases.lease(node).until == BOUND for node in NODES)


def test_how_old_it_may_be_is_what_the_journals_say_but_at_most_the_bound(leases):
    leases.set_evidence_bound(0.5)
    assert doubted(leases, 0.49) == set()
    assert doubted(leases, 0.5) == ALL
    leases.set_evidence_bound(2 * BOUND)
    assert doubted(leases, BOUND - 0.01) == set()
    assert doubted(leases, BOUND) == ALL


def test_a_majority_without_heads_is_not_enough(leases):
    beat(leases, 0.2, knows_heads=False)
    assert doubted(leases, FRESH) == ALL
    assert leases.heads_at == 0.0
    assert leases.lease("d").until == BOUND, "nor for a lease"


def test_heads_without_a_majority_are_not_enough(leases):
    beat(leases, 0.2, "a", "b")
    assert leases.heads_at == 0.2
    assert doubted(leases, FRESH) == ALL
    beat(leases, 0.2, "e")
    assert doubted(leases, FRESH) == set()


# Heads


def test_heads_are_as_old_as_the_second_latest_of_the_journals(leases):
    for node, at, expected in (("a", 0.1, 0.0), ("b", 0.2, 0.1), ("c", 0.3, 0.2), ("a", 0.4, 0.3)):
        beat(leases, at, node)
        assert leases.heads_at == expected


def test_only_journals_have_heads(leases):
    for node in ("d", "e"):
        leases.heads_heard(node, 0.2)
    assert leases.heads_at == 0.0
    leases.heads_heard("nobody", 0.2)
    assert leases.heads_at == 0.0


def test_a_late_answer_makes_heads_no_older(leases):
    beat(leases, 0.2, "a", "b")
    leases.heads_heard("a", 0.1)
    assert leases.heads_at == 0.2


def test_heads_of_one_journal_do_not_count_twice():
    leases = Leases(BOUND)
    leases.set_primaries(frozenset(NODES))
    leases.set_journals(frozenset(JOURNALS))
    for node in NODES:
        leases.connected(node)
    for _ in range(3):
        beat(leases, 0.0, "a", "d", "e")
    assert leases.heads_at == -float("inf")
    assert doubted(leases, 0.0) == ALL
    beat(leases, 0.0, "c")
    assert doubted(leases, 0.0) == set()


def test_a_journal_whose_node_tells_an_older_epoch_does_not_count(leases):
    beat(leases, 0.1, "d", "b", "c", "e", epoch=6)
    assert leases.heads_at == 0.1
    beat(leases, 0.2, "a", epoch=5)
    assert leases.heads_at == 0.1
    beat(leases, 0.2, "b", epoch=6)
    assert leases.heads_at == 0.1
    beat(leases, 0.2, "c", epoch=6)
    assert leases.heads_at == 0.2


def test_a_higher_epoch_leaves_no_heads_but_of_who_tells_it(leases):
    leases.heads_agreed(0.1, 5)
    beat(leases, 0.1, "d", epoch=6)
    assert leases.heads_at == -float("inf")
    beat(leases, 0.2, "a", epoch=6)
    assert leases.heads_at == -float("inf")
    beat(leases, 0.2, "b", epoch=6)
    assert leases.heads_at == 0.2


def test_heads_that_were_told_before_a_higher_epoch_do_not_count(leases):
    """A promoted replica that has not told its head since may lack entries."""
    beat(leases, 0.1, "a", "d", "e", epoch=6)
    beat(leases, 0.15, "a", epoch=6)
    beat(leases, 0.2, "b", "c", epoch=6, knows_heads=False)
    assert leases.heads_at == -float("inf")
    assert leases.doubts("d", 0.2)
    beat(leases, 0.2, "b", epoch=6)
    assert leases.heads_at == 0.15
    assert not leases.doubts("d", 0.2)


def test_heads_that_were_told_under_an_older_epoch_do_not_count_under_a_higher_one(leases):
    """A replica may have taken the place of who told them, and hold entries that it lacked."""
    beat(leases, 0.1, "d", "a", "e", epoch=6)
    beat(leases, 0.1, "b", epoch=5)
    assert leases.heads_at == -float("inf")
    beat(leases, 0.2, "b", epoch=6, knows_heads=False)
    assert leases.heads_at == -float("inf")
    assert leases.doubts("d", 0.2)


def test_a_head_that_came_with_the_news_of_an_epoch_counts(leases):
    """The node told it when it was a primary under that epoch already."""
    beat(leases, 0.1, "a", epoch=6)
    assert leases.heads_at == -float("inf")
    beat(leases, 0.15, "b", epoch=6)
    assert leases.heads_at == 0.1


def test_a_lost_journal_does_not_count(leases):
    beat(leases, 0.1)
    leases.lost("a")
    leases.lost("b")
    assert doubted(leases, 0.1) == ALL
    leases.connected("a")
    beat(leases, 0.15, "a", knows_heads=False)
    assert doubted(leases, 0.15) == ALL, "its entries have to be read again"
    beat(leases, 0.16, "a", "d", "e")
    assert leases.heads_at == 0.1
    assert doubted(leases, 0.16) == set()


def test_two_journals_that_were_asked_on_purpose(leases):
    leases.heads_agreed(0.2, 5)
    assert leases.heads_at == 0.2
    leases.heads_agreed(0.1, 5)
    assert leases.heads_at == 0.2
    leases.heads_agreed(0.3, 4)
    assert leases.heads_at == 0.2, "they have not heard of the latest promotion"
    leases.heads_agreed(0.3, 6)
    assert leases.heads_at == 0.3


def test_an_agreement_about_one_node_needs_heads_too(leases):
    leases.agreed("d", 0.2)
    assert doubted(leases, 0.3) == ALL
    leases.heads_agreed(0.2, 5)
    assert doubted(leases, 0.3) == ALL - {"d"}
    assert doubted(leases, 0.2 + FRESH) == ALL


# Where there are no journals, or it is not known


def test_until_the_journals_are_known_everything_is_doubted(leases):
    leases.set_journals(None)
    assert doubted(leases, 0.0) == ALL
    assert doubted(leases, 0.0, is_durable=True) == ALL
    assert all(leases.lease(node).until < 0 for node in NODES)
    assert not leases.has_journals
    leases.heads_agreed(0.1, 5)
    assert doubted(leases, 0.1) == set(), "somebody has asked"
    leases.set_journals(frozenset(JOURNALS))
    assert doubted(leases, 0.1) == set()
    assert leases.has_journals


def test_without_journals_a_majority_is_enough(leases):
    leases.set_journals(frozenset())
    assert not leases.has_journals
    beat(leases, 0.2, "a", "d", "e", knows_heads=False)
    assert doubted(leases, 0.2 + FRESH - 0.01) == set()
    assert doubted(leases, 0.2 + FRESH) == ALL


def test_a_single_server_has_no_journals_and_its_own_bound():
    leases = Leases(BOUND, has_epochs=False)
    leases.set_primaries(frozenset({"a"}))
    leases.set_journals(None)
    leases.connected("a")
    beat(leases, 0.0, "a", epoch=0, knows_heads=False)
    assert not leases.doubts("a", BOUND - 0.01)
    assert leases.doubts("a", BOUND)


def test_after_a_fork_nothing_is_believed(leases):
    leases.heads_agreed(0.1, 5)
    leases.forget()
    leases.set_primaries(frozenset(NODES))
    assert doubted(leases, 0.1) == ALL
    assert doubted(leases, 0.1, is_durable=True) == ALL


# Writes that every replica has confirmed


def test_a_durable_write_is_doubted_for_the_heads_alone(leases):
    beat(leases, 0.2, "a", "b")
    assert doubted(leases, 0.3) == ALL, "no majority"
    assert doubted(leases, 0.3, is_durable=True) == set()
    assert doubted(leases, 0.2 + FRESH, is_durable=True) == ALL


def test_a_durable_write_of_a_node_of_an_older_epoch_is_believed_too(leases):
    """None of its replicas was promoted before they confirmed."""
    beat(leases, 0.1, "d", "b", "c", "e", epoch=6)
    assert doubted(leases, 0.1) == {"a"}
    assert doubted(leases, 0.1, is_durable=True) == set()
    assert not leases.doubts("who has joined", 0.1, is_durable=True)


def test_what_nodes_told_over_an_earlier_connection_counts_no_more(leases):
    assert doubted(leases, 0.1) == set()
    for node in ("a", "b"):
        leases.connected(node)
    assert doubted(leases, 0.1) == ALL, "of two journals nobody knows what they hold"
    assert {leases.state(node).lease.until for node in NODES} == {-inf}


def test_a_node_that_cannot_be_judged_is_never_doubted(leases):
    leases.unjudged("a")
    assert doubted(leases, 99.0) == ALL - {"a"}
    beat(leases, 99.0, "a")
    assert doubted(leases, 98.0 + 2 * BOUND) == ALL


def test_an_agreement_about_a_node_is_as_old_as_its_question(leases):
    leases.agreed("a", 1.0)
    leases.heads_agreed(1.0, 5)
    assert not leases.doubts("a", 1.0 + FRESH - 0.01)
    assert leases.doubts("a", 1.0 + FRESH)
