"""The position up to which a process has read each node's journal, and complete rereads."""

import pytest

from clusterpass.protocol.calls.journal import ReadFrom

from .journal_scene import ALL, MARK, MARK_BEFORE, OTHER_RUN, Scene, answer, entry, ids, told


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_all_pages_are_read_and_then_what_is_new(scene):
    assert scene.journal.read_from("a") == ALL
    more = scene.take(ALL, answer(5, entry("1"), cursor=b"17"))
    assert more == ReadFrom(None, b"17", began_at=5)
    assert not scene.journal.knows("a", told(5)), "only one page was read"
    assert scene.take(more, answer(5, entry("2"))) is None
    assert scene.known() == ids("1", "2")
    assert scene.journal.knows("a", told(5))
    assert not scene.journal.knows("a", told(6))
    assert scene.journal.read_from("a") == ReadFrom(5)
    assert scene.take(ReadFrom(5), answer(6, entry("3"))) is None
    assert scene.known() == ids("1", "2", "3")
    assert scene.journal.knows("a", told(6))
    assert scene.journal.read_from("a") == ReadFrom(6)


def test_what_was_written_during_the_scan_is_read_behind_it(scene):
    """A page that was read before may have had the place of a new entry."""
    more = scene.take(ALL, answer(5, entry("1"), cursor=b"17"))
    more = scene.take(more, answer(7, entry("2")))
    assert more == ReadFrom(5)
    assert not scene.journal.knows("a", told(7))
    assert scene.take(more, answer(7, entry("3"))) is None
    assert scene.known() == ids("1", "2", "3")
    assert scene.journal.knows("a", told(7))


@pytest.mark.parametrize("pages", [1, 2])
def test_a_scan_does_not_go_by_the_head_that_another_scan_has_seen(scene, pages):
    """Event 6 landed in a page that the first scan had read already."""
    more = scene.take(ALL, answer(5, cursor=b"1"))
    if pages == 2:
        more = scene.take(more, answer(5, cursor=b"2"))
    scene.take(ALL, answer(6, cursor=b"1"))
    more = scene.take(more, answer(6))
    assert more == ReadFrom(5)
    assert not scene.journal.knows("a", told(6))
    assert scene.take(more, answer(6, entry("1"))) is None
    assert scene.known() == ids("1")
    assert scene.journal.knows("a", told(6))


@pytest.mark.parametrize(
    "told_now", [told(6), told(5, OTHER_RUN), told(5, milliseconds=9), told(5, epoch=4)]
)
def test_whatever_a_node_tells_otherwise_is_not_known(scene, told_now):
    scene.take(ALL, answer(5))
    assert scene.journal.knows("a", told(5))
    assert not scene.journal.knows("a", told_now)
    assert not scene.journal.knows("b", told(5)), "each node has a journal of its own"


def test_another_run_of_the_server_is_read_from_the_first(scene):
    """Positions mean nothing there: it may have lost events, and counted others since."""
    scene.take(ALL, answer(5, entry("1")))
    assert scene.take(ReadFrom(5), answer(5, own_mark=OTHER_RUN)) == ALL
    assert scene.journal.read_from("a") == ALL
    assert not scene.journal.knows("a", told(5))
    assert scene.take(ALL, answer(2, entry("2"), own_mark=OTHER_RUN)) is None
    assert scene.known() == ids("1", "2"), "what was known stays known"
    assert scene.journal.read_from("a") == ReadFrom(2)


def test_a_restart_between_two_pages_begins_the_scan_again(scene):
    more = scene.take(ALL, answer(5, entry("1"), cursor=b"17"))
    assert scene.take(more, answer(5, entry("2"), own_mark=OTHER_RUN)) == ALL
    assert not scene.journal.knows("a", told(5))


def test_a_new_connection_is_read_from_the_first(scene):
    scene.take(ALL, answer(5, entry("1")))
    scene.journal.forget_node("a")
    assert scene.journal.read_from("a") == ALL
    assert not scene.journal.knows("a", told(5))
    assert scene.known() == ids("1")
    assert scene.take(ReadFrom(5), answer(6, entry("2"))) == ALL, "asked on the old connection"


def test_a_position_that_is_too_old_leads_to_the_first_page(scene):
    scene.take(ALL, answer(5))
    assert scene.take(ReadFrom(5), answer(5000, cursor=b"0")) == ALL
    assert not scene.journal.knows("a", told(5000))
    assert scene.take(ALL, answer(5000, entry("1"))) is None
    assert scene.journal.knows("a", told(5000))


def test_trimmed_entries_are_known_no_more(scene):
    scene.take(ALL, answer(5, entry("1"), entry("2")))
    assert scene.take(ReadFrom(5), answer(7, trimmed=(entry("1"), entry("9")))) is None
    assert scene.known() == ids("2")
    assert len(scene.journal) == 1
    assert scene.journal.find(entry("1").id) is None
    assert scene.journal.find(entry("2").id).entry == entry("2")


def test_a_journal_with_gaps_is_not_known_until_it_is_filled(scene):
    assert not scene.journal.has_gaps(), "nothing was read"
    scene.take(ALL, answer(5, entry("1"), mark=MARK_BEFORE, cursor=b"17"))
    assert not scene.journal.has_gaps(), "not all was read"
    scene.take(ReadFrom(None, b"17", 5), answer(5, mark=MARK_BEFORE))
    assert scene.journal.has_gaps()
    assert not scene.journal.knows("a", told(5))
    assert scene.known() == ids("1"), "what it has counts nevertheless"
    scene.take(ALL, answer(1), "b")
    assert scene.journal.has_gaps()
    scene.take(ReadFrom(5), answer(6, entry("2")))
    assert not scene.journal.has_gaps()
    assert scene.journal.knows("a", told(6))


@pytest.mark.parametrize(
    "mark", [b"", b"a" * 40, MARK_BEFORE, b"a" * 40 + b":30", OTHER_RUN, MARK.upper()]
)
def test_a_journal_is_filled_under_its_own_mark_alone(scene, mark):
    """A primary that was restarted or promoted since may lack entries."""
    scene.take(ALL, answer(5, mark=mark))
    assert scene.journal.has_gaps()
    assert not scene.journal.knows("a", told(5, mark))
    scene.take(ReadFrom(5), answer(5))
    assert not scene.journal.has_gaps()
    assert scene.journal.knows("a", told(5))


def test_a_promotion_is_read_from_the_first(scene):
    scene.take(ALL, answer(5, entry("1")))
    promoted = b"a" * 40 + b":4"
    assert scene.take(ReadFrom(5), answer(5, mark=MARK, own_mark=promoted)) == ALL
    assert scene.take(ALL, answer(5, mark=MARK, own_mark=promoted)) is None
    assert scene.journal.has_gaps()


def test_how_old_evidence_may_be_is_what_a_journal_says(scene):
    assert scene.journal.milliseconds == 0
    scene.take(ALL, answer(0, milliseconds=0, mark=b""))
    assert scene.journal.milliseconds == 0
    scene.take(ReadFrom(0), answer(1, milliseconds=400))
    scene.take(ALL, answer(0, milliseconds=0, mark=b""), "b")
    assert scene.journal.milliseconds == 400
