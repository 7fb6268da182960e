"""Filling of journals that may have lost entries: from which journals, and when not."""

import pytest

from clusterpass.protocol.calls import journal as journal_calls
from clusterpass.protocol.script import load_script
from clusterpass.store.outcomes import Fault

from .evidence_scene import KEYSPACE, MARK_BEFORE, A, B, C, Cluster, D, E, F, G, Node, primaries
from .journal_scene import Scene, entry

ONE, TWO, THREE = entry("1"), entry("2"), entry("3", "bob")


def holding(*entries, **values) -> Node:
    return Node(entries={each.id: each.encode() for each in entries}, head=len(entries), **values)


def gap(*entries, **values) -> Node:
    return holding(*entries, **{"mark": MARK_BEFORE, **values})


def silent() -> Node:
    return Node(is_silent=True)


def fill(*journals: Node, others: tuple[Node, Node] | None = None) -> Cluster:
    """Five primaries, three of them with ``journals``, after somebody has seen the gaps."""
    nodes = dict(zip((A, B, C, D, E), (*journals, *(others or (Node(), Node()))), strict=True))
    cluster = Cluster(nodes, primaries(5))
    cluster.run(cluster.inquiry.fill())
    return cluster


def test_one_journal_is_filled_from_the_two_others():
    mark, own_mark = b"a" * 40 + b":2", b"b" * 40 + b":3"
    lacking = gap(ONE, mark=mark, own_mark=own_mark)
    cluster = fill(lacking, holding(ONE, TWO), holding(THREE))
    (arguments,) = lacking.fills
    assert arguments[:4] == (mark, own_mark, 250, b"1"), "as it was seen"
    assert set(arguments[4::2]) == {ONE.id, TWO.id, THREE.id}
    assert lacking.entries == {each.id: each.encode() for each in (ONE, TWO, THREE)}
    assert not cluster.nodes[B].fills
    assert not cluster.nodes[C].fills
    assert cluster.inquiry.heads_at is not None
    assert lacking.told == (3, own_mark, 250, 3)
    assert cluster.book.knows(A, lacking.told), "it was read again"


def test_what_this_process_knows_from_elsewhere_is_filled_in_too():
    scene = Scene()
    scene.journal.learn(THREE)
    nodes = {A: gap(), B: holding(ONE), C: holding(TWO), D: Node(), E: Node()}
    cluster = Cluster(nodes, primaries(5), book=scene.journal)
    cluster.run(cluster.inquiry.fill())
    assert set(nodes[A].entries) == {ONE.id, TWO.id, THREE.id}


@pytest.mark.parametrize("marks", [(b"", b"", b""), (b"a" * 40 + b":2", b"", b"c" * 40 + b":1")])
def test_a_new_namespace_and_a_restarted_cluster_are_filled_from_all_there_is(marks):
    journals = [gap(each, mark=mark) for each, mark in zip((ONE, TWO, THREE), marks, strict=True)]
    cluster = fill(*journals)
    for node, mark in zip(journals, marks, strict=True):
        assert [arguments[0] for arguments in node.fills] == [mark]
        assert set(node.entries) == {ONE.id, TWO.id, THREE.id}
        assert node.is_filled
    assert cluster.inquiry.heads_at is not None


def test_two_journals_with_gaps_are_filled_where_all_three_answer():
    journals = gap(ONE), gap(), holding(TWO)
    fill(*journals)
    assert [set(node.entries) for node in journals[:2]] == [{ONE.id, TWO.id}] * 2
    assert not journals[2].fills


def test_in_a_new_namespace_two_journals_suffice():
    """Nothing was ever journaled, so the third can hold no entry."""
    journals = gap(mark=b""), gap(mark=b""), silent()
    cluster = fill(*journals)
    assert all(node.is_filled for node in journals[:2])
    assert cluster.inquiry.heads_at is not None
    nodes = {A: gap(mark=b""), B: silent(), C: gap(mark=b""), D: Node(), E: Node()}
    assert Cluster(nodes, primaries(5)).about(D)


@pytest.mark.parametrize(
    "journals",
    [
        (gap(mark=b""), silent(), silent()),
        (gap(mark=b""), gap(), silent()),
        (gap(mark=b""), gap(ONE, mark=b""), silent()),
        (gap(mark=b""), Node(mark=b"", head=2), silent()),
        (gap(mark=b""), Node(), silent()),
        (gap(mark=b""), gap(mark=b"", epoch=4), silent()),
    ],
    ids=["one", "a mark", "an entry", "trimmed entries", "one filled", "another epoch"],
)
def test_two_journals_of_which_one_was_used_do_not_suffice(journals):
    for node in journals:
        node.fills.clear()
    fill(*journals)
    assert not any(node.fills for node in journals)


@pytest.mark.parametrize(
    "journals",
    [
        (gap(ONE), holding(TWO), silent()),
        (gap(ONE), silent(), silent()),
        (gap(ONE), gap(TWO), silent()),
        (gap(ONE), holding(TWO), holding(THREE, epoch=4)),
        (gap(ONE), gap(TWO), gap(THREE, epoch=4)),
        (gap(ONE, epoch=4), holding(TWO), holding(THREE)),
    ],
    ids=["one", "none", "two with gaps", "another epoch", "gaps, another epoch", "its own epoch"],
)
def test_fewer_do_not_suffice(journals):
    """A journal that nobody has heard may be the only one that has an entry."""
    for node in journals:
        node.fills.clear()
    fill(*journals)
    assert not any(node.fills for node in journals)


@pytest.mark.parametrize(("voices", "is_filled"), [(1, True), (0, False)])
def test_no_journal_is_filled_without_a_majority(voices, is_filled):
    """The three journals alone are a minority of seven primaries."""
    others = [Node() for _ in range(voices)] + [silent() for _ in range(3 - voices)]
    lacking = gap(ONE)
    journals = lacking, holding(TWO), holding(THREE)
    nodes = dict(zip((A, B, C, D, E, F, G), (*journals, Node(epoch=4), *others), strict=True))
    cluster = Cluster(nodes, primaries(7))
    cluster.run(cluster.inquiry.fill())
    assert lacking.is_filled is is_filled


def test_somebody_who_needs_the_heads_fills_the_gap():
    nodes = {A: gap(), B: silent(), C: gap(ONE), D: Node(), E: Node()}
    assert not Cluster(nodes, primaries(5)).about(D), "two of three"
    nodes[B] = gap(TWO)
    cluster = Cluster(nodes, primaries(5))
    assert cluster.about(D)
    assert all(set(nodes[node].entries) == {ONE.id, TWO.id} for node in (A, B, C))
    assert cluster.inquiry.heads_at is not None


def test_a_gap_is_left_to_the_watch_where_two_others_are_filled():
    nodes = {A: gap(), B: holding(ONE), C: holding(ONE), D: Node(), E: Node()}
    assert Cluster(nodes, primaries(5)).about(A)
    assert not nodes[A].fills


def test_whoever_was_overtaken_reads_what_another_has_filled():
    class Overtaken(Node):
        def _fill(self, arguments):
            self.mark = self.own_mark = b"e" * 40 + b":9"
            self.head = 7
            return super()._fill(arguments)

    lacking = Overtaken(mark=MARK_BEFORE)
    cluster = fill(lacking, holding(ONE), holding(TWO))
    assert lacking.entries == {}
    assert cluster.book.knows(A, (7, b"e" * 40 + b":9", 250, 9))


def test_a_journal_that_does_not_answer_the_filling_does_not_count():
    class Dying(Node):
        def answer(self, commands):
            self.is_silent = self.is_silent or commands[0][1] == load_script("journal_fill").source
            return super().answer(commands)

    nodes = {A: Dying(mark=MARK_BEFORE), B: Dying(mark=MARK_BEFORE), C: gap(), D: Node(), E: Node()}
    cluster = Cluster(nodes, primaries(5))
    assert not cluster.about(D)
    assert cluster.inquiry.heads_at is None


@pytest.mark.parametrize(("count", "parts"), [(0, 1), (1, 1), (500, 1), (501, 2), (1100, 3)])
def test_many_entries_are_filled_in_parts_and_the_last_sets_the_mark(count, parts):
    entries = [entry(str(number)) for number in range(count)]
    lacking = gap()
    fill(lacking, holding(*entries), holding())
    assert [arguments[3] for arguments in lacking.fills] == [b""] * (parts - 1) + [b"1"]
    assert set(lacking.entries) == {each.id for each in entries}
    assert all(len(arguments) <= 4 + 2 * 500 for arguments in lacking.fills)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_part_that_is_lost_leaves_the_journal_unfilled(lost):
    """The mark must not follow upon a gap."""

    class Flaky(Node):
        """A node that loses one of the parts."""

        parts = 0

        def answer(self, commands):
            if commands[0][1] == load_script("journal_fill").source:
                self.parts += 1
                if self.parts == lost + 1:
                    return Fault("timeout")
            return super().answer(commands)

    entries = [entry(str(number)) for number in range(1100)]
    lacking = Flaky(mark=MARK_BEFORE)
    cluster = fill(lacking, holding(*entries), holding())
    assert not lacking.is_filled
    assert [arguments[3] for arguments in lacking.fills] == [b""] * lost
    assert not cluster.book.knows(A, lacking.told)
    cluster.run(cluster.inquiry.fill())
    assert lacking.is_filled
    assert set(lacking.entries) == {each.id for each in entries}


def test_a_part_that_the_journal_refuses_is_the_last():
    """The node was restarted, or promoted, in the meantime."""

    class Restarted(Node):
        def _fill(self, arguments):
            if len(self.fills) == 1:
                self.own_mark = b"e" * 40 + b":9"
            return super()._fill(arguments)

    lacking = Restarted(mark=MARK_BEFORE)
    fill(lacking, holding(*(entry(str(number)) for number in range(1100))), holding())
    assert len(lacking.fills) == 2, "the second was refused"
    assert not lacking.is_filled


def test_what_a_later_release_has_written_is_passed_on():
    later = {ONE.id: ONE.encode().replace(b"end_all", b"later__"), THREE.id: b"?"}
    lacking, other = gap(), Node(entries=later, head=2)
    fill(lacking, other, holding())
    assert lacking.is_filled
    assert lacking.entries == later


def test_the_first_time_of_an_entry_is_not_overwritten():
    with_time = entry("1", time=1_800_000_000_000)
    lacking = gap(with_time)
    fill(lacking, holding(ONE), holding(ONE))
    assert lacking.entries == {ONE.id: with_time.encode()}
    without = gap()
    fill(without, holding(with_time), holding(ONE))
    fill(other := gap(), holding(ONE), holding(with_time))
    assert without.entries == other.entries == {ONE.id: with_time.encode()}


def test_the_call_that_fills_changes_the_journal_of_its_slot():
    seen = journal_calls.JournalRead(0, b"m", b"own", 0, b"", {})
    call = journal_calls.fill_journal(
        KEYSPACE, 5461, seen=seen, milliseconds=250, entries={b"id": b"entry"}, is_last=False
    )
    assert call.keys == (KEYSPACE.journal(5461),)
    assert call.arguments == (b"m", b"own", 250, b"", b"id", b"entry")
    assert call.script.writes
    assert not call.confirm
