"""Evidence for a primary: the majority and the journals that confirm the answer of a node."""

import pytest

from clusterpass.model.errors import StoreDenied
from clusterpass.store.exchanges.evidence import journal_nodes
from clusterpass.store.outcomes import ServerError

from .evidence_scene import JOURNALS, MARK, MARK_BEFORE, A, B, C, Cluster, D, E, Node, primaries
from .journal_scene import Scene, entry

SILENT = Node(is_silent=True)


def five(**nodes: Node) -> dict:
    """Five primaries of epoch 5, of which the first three have filled journals."""
    every = {address: Node() for address in (A, B, C, D, E)}
    return every | {address: nodes[address.host] for address in every if address.host in nodes}


# The journals of a cluster


def test_three_primaries_hold_the_journals():
    assert journal_nodes(primaries(5)) == JOURNALS
    assert journal_nodes(primaries(3)) == JOURNALS


def test_without_replicas_or_on_fewer_primaries_there_are_no_journals():
    assert journal_nodes(primaries(3, replicas=0)) == {}
    assert journal_nodes(primaries(2, journals=2)) == {}
    unknown = primaries(3)
    unknown.shards[JOURNALS[B]] = None
    assert journal_nodes(unknown) == {}


# Whether a node is believed


@pytest.mark.parametrize(
    ("nodes", "is_believed"),
    [
        ({}, True),
        ({"b": SILENT}, True),
        ({"b": SILENT, "d": SILENT}, True),
        ({"b": SILENT, "c": SILENT}, False),
        ({"c": SILENT, "d": SILENT, "e": SILENT}, False),
        ({"a": SILENT}, False),
        ({"b": Node(mark=MARK_BEFORE)}, True),
        ({"b": Node(mark=MARK_BEFORE), "c": SILENT}, False),
        ({"b": Node(epoch=4)}, True),
        ({"b": Node(epoch=4), "c": SILENT}, False),
        ({"b": Node(epoch=4), "c": Node(epoch=4)}, False),
        ({"b": Node(epoch=4), "c": Node(mark=MARK_BEFORE)}, False),
        ({"d": Node(epoch=4), "e": Node(epoch=4)}, True),
        ({"b": Node(epoch=4), "d": Node(epoch=4), "e": Node(epoch=4)}, False),
        ({"a": Node(epoch=4)}, False),
        ({"b": Node(refusal=ServerError("LOADING", "x"))}, True),
        ({"b": Node(refusal=ServerError("LOADING", "x")), "c": SILENT}, False),
    ],
)
def test_a_majority_and_two_filled_journals_of_the_epoch_are_needed(nodes, is_believed):
    cluster = Cluster(five(**nodes), primaries(5))
    assert cluster.about(A) is is_believed
    assert (cluster.inquiry.heads_at is not None) or not is_believed


def test_a_journal_that_may_not_be_read_is_told_as_such():
    """No majority would make up for it, ever."""
    refusal = ServerError("NOPERM", "User a has no permissions to run the 'info' command")
    cluster = Cluster(five(a=Node(journal_refusal=refusal)), primaries(5))
    with pytest.raises(StoreDenied, match="may not run INFO") as caught:
        cluster.about(A)
    assert caught.value.node == str(A)


@pytest.mark.parametrize("error", [ServerError("BUSY", "x"), ServerError("OOM", "x")])
def test_a_journal_that_cannot_be_read_now_is_made_up_for(error):
    cluster = Cluster(five(b=Node(journal_refusal=error)), primaries(5))
    assert cluster.about(A) is True


@pytest.mark.parametrize("node", [D, E])
def test_a_node_without_a_journal_is_believed_by_those_of_others(node):
    assert Cluster(five(), primaries(5)).about(node) is True
    cluster = Cluster(five(a=SILENT, b=SILENT), primaries(5))
    assert cluster.about(node) is False
    assert cluster.inquiry.heads_at is None
    assert set(cluster.asked) == {A, B, C, D, E}


def test_a_node_of_a_higher_epoch_ends_the_inquiry_at_once():
    """Whoever tells it has heard of a promotion."""
    nodes = {A: Node(epoch=5), B: Node(epoch=6), C: Node(epoch=6)}
    cluster = Cluster(nodes)
    assert cluster.about(A) is False
    assert len(cluster.asked) == 2


def test_heads_are_as_old_as_the_older_of_the_two_questions():
    cluster = Cluster(five(a=Node(mark=MARK_BEFORE)), primaries(5))
    assert cluster.about(D)
    filled = sorted(cluster.asked_at[node] for node in (B, C))
    assert cluster.inquiry.heads_at == filled[0]
    assert cluster.inquiry.epoch == 5


def test_no_more_nodes_are_asked_than_needed():
    cluster = Cluster(five(), primaries(5))
    assert cluster.about(A)
    assert cluster.asked[0] == A
    assert set(cluster.asked) == {A, B, C}, "three of five, and the journals first"
    cluster = Cluster(five(), primaries(5))
    assert cluster.about(D)
    assert len(cluster.asked) == 3
    assert set(cluster.asked[1:]) < {A, B, C}


def test_the_questions_are_spread_over_the_nodes():
    """Processes that all asked the same nodes first would burden these alone."""
    for slots in (primaries(5), primaries(5, replicas=0)):
        second = set()
        for _ in range(60):
            cluster = Cluster(five(), slots)
            assert cluster.about(E)
            second.add(cluster.asked[1])
        assert len(second) > 1
        assert second <= ({A, B, C} if slots.is_replicated else {A, B, C, D})


def test_silent_nodes_are_asked_last():
    for _ in range(20):
        cluster = Cluster(five(b=SILENT), primaries(5), silent=(B,))
        assert cluster.about(A)
        assert B not in cluster.asked
    for _ in range(20):
        cluster = Cluster(five(b=SILENT, c=Node(mark=MARK_BEFORE)), primaries(5), silent=(B,))
        assert not cluster.about(A)
        assert cluster.asked.index(B) == len(set(cluster.asked)) - 1


def test_nobody_is_asked_after_the_time_is_over():
    cluster = Cluster(five(), primaries(5), until=12.0)
    assert cluster.about(A) is False
    assert len(cluster.asked) == 2


@pytest.mark.parametrize("code", ["NOPERM", "ERR"])
def test_a_node_that_may_not_tell_its_epoch_cannot_be_judged(code):
    cluster = Cluster(five(a=Node(refusal=ServerError(code, "x"))), primaries(5))
    assert cluster.about(A) is True
    assert cluster.asked == [A]
    assert cluster.inquiry.heads_at is None


def test_without_journals_a_majority_is_enough():
    unreplicated = primaries(3, replicas=0)
    nodes = {A: Node(), B: Node(mark=MARK_BEFORE), C: SILENT}
    assert Cluster(nodes, unreplicated).about(A) is True
    assert Cluster(nodes, primaries(3), has_book=False).about(A) is True
    assert Cluster(nodes, primaries(3)).about(A) is False


def test_what_the_journals_hold_is_known_then():
    one, two = entry("1"), entry("2", "bob")
    nodes = five(
        a=Node(entries={one.id: one.encode()}, head=1),
        b=Node(entries={two.id: two.encode()}, head=9),
        c=SILENT,
    )
    cluster = Cluster(nodes, primaries(5))
    assert cluster.about(A)
    assert set(cluster.book.encoded()) == {one.id, two.id}
    assert cluster.book.read_from(A).position == 1
    assert cluster.book.read_from(B).position == 9


# The journal of one node


def test_one_journal_is_read_for_its_head():
    cluster = Cluster(five(a=Node(head=3)), primaries(5))
    assert cluster.run(cluster.inquiry.read_one(A)) == 1010.0
    assert cluster.asked == [A]
    assert cluster.book.knows(A, (3, MARK, 250, 3))


@pytest.mark.parametrize(
    "node",
    [Node(mark=MARK_BEFORE), SILENT, Node(refusal=ServerError("NOPERM", "x"))],
)
def test_a_journal_that_is_not_filled_or_not_read_has_no_head(node):
    cluster = Cluster(five(a=node), primaries(5))
    assert cluster.run(cluster.inquiry.read_one(A)) is None


def test_a_node_without_a_journal_has_no_head():
    cluster = Cluster(five(), primaries(5))
    assert cluster.run(cluster.inquiry.read_one(D)) is None


def test_a_restarted_node_is_read_anew_at_once():
    scene, one = Scene(), entry("1")
    Cluster(five(a=Node(head=3)), primaries(5), book=scene.journal).about(A)
    other = b"e" * 40 + b":3"
    nodes = five(a=Node(head=3, own_mark=other, mark=other, entries={one.id: one.encode()}))
    cluster = Cluster(nodes, primaries(5), book=scene.journal)
    assert cluster.run(cluster.inquiry.read_one(A)) == 1011.0, "when it was asked for all"
    assert cluster.asked == [A, A]
    assert set(scene.journal.encoded()) == {one.id}
