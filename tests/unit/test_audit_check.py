"""The check of an audit trail: faults that it finds, and gaps that are no fault."""

import hashlib
import json
from collections.abc import Sequence

import pytest

from clusterpass import UnreadableRecord
from clusterpass.protocol.calls.audit import StoredEntry
from clusterpass.sessions.audit_check import AuditCheck
from clusterpass.sessions.audit_entry import decode_entry, encode_entry

LATER = 10_000.0
"""When what is on its way has long arrived."""


def text(number: int, writer: str = "w", action: str = "step") -> bytes:
    return encode_entry(
        at=1.0,
        action=action,
        outcome="done",
        writer=writer,
        writer_number=number,
        details=None,
    )


def chained(texts: Sequence[bytes], first: int = 1, second: float = 1000.0) -> list[StoredEntry]:
    """The stream that a server makes of ``texts``, one in each second from ``second`` on."""
    found, chain = [], "" if first == 1 else "0" * 40
    for index, each in enumerate(texts):
        linked = chain + hashlib.sha256(each).hexdigest()
        chain = hashlib.sha1(linked.encode(), usedforsecurity=False).hexdigest()
        identity = f"{int((second + index) * 1000)}-0"
        found.append(StoredEntry(identity, first + index, each, chain))
    return found


def faults(entries: Sequence[StoredEntry], now: float = LATER) -> list[tuple[str, int]]:
    check = AuditCheck()
    check.feed(entries)
    return [(fault.kind, fault.number) for fault in check.report(now).faults]


def test_a_sound_trail():
    entries = chained([text(1), text(1, "v"), text(2), text(3)])
    check = AuditCheck()
    check.feed(entries[:2])
    check.feed(entries[2:])
    report = check.report(LATER)
    assert (report.is_sound, report.count, report.first, report.last) == (True, 4, 1, 4)
    assert report.head == f"4:{entries[-1].chain}"
    again = AuditCheck(report.head)
    again.feed(entries)
    assert again.report(LATER).is_sound


def test_no_entry():
    report = AuditCheck().report(LATER)
    assert (report.is_sound, report.count, report.head) == (True, 0, "")


def test_an_entry_that_was_written_twice_is_no_fault():
    assert faults(chained([text(1), text(2), text(2), text(3)])) == []


def test_a_number_with_two_texts_is_one():
    forged = chained([text(1), text(2, action="forged"), text(2), text(3)])
    assert faults(forged) == [("changed", 3)]


def test_entries_that_overtake_each_other():
    entries = chained([text(2), text(1), text(3), text(6), text(4), text(5)])
    assert faults(entries) == []
    assert faults(entries[:1], now=1030.0) == [], "the first may still be on its way"
    assert faults(entries[:1]) == [("missing", 1)]
    assert faults(entries[:4], now=1030.0) == []
    assert faults(entries[:4]) == [("lost", 4), ("lost", 4)]


def test_each_that_is_lost_on_either_side_of_one_that_came_late():
    entries = chained([text(number) for number in (1, 7, 4)])
    check = AuditCheck()
    check.feed(entries)
    assert [fault.message.split()[1] for fault in check.report(LATER).faults] == list("2356")


@pytest.mark.parametrize(
    "order",
    [
        pytest.param([3, 1, 2], id="the first entries"),
        pytest.param([1, 1000, *range(2, 1000)], id="thousands that have waited"),
        pytest.param([1000, *range(1, 1000)], id="as the first of all"),
        pytest.param([5, 9, 7, 1, 8, 3, 6, 2, 4], id="in any order"),
    ],
)
def test_entries_that_waited_while_others_were_written(order):
    entries = chained([text(number) for number in order])
    assert faults(entries) == []
    left_out = chained([text(number) for number in order if number != 2])
    assert [kind for kind, _ in faults(left_out)] == ["lost"]


def test_one_that_is_written_again_long_after_is_no_fault():
    first = [text(number) for number in range(1, 1500)]
    assert faults(chained([*first, text(1), text(1499)])) == []
    assert faults(chained([*first, text(1499, action="forged")])) == [("changed", 1500)]


def test_what_was_overtaken_where_the_chain_begins_may_be_over_its_retention():
    assert faults(chained([text(3), text(4), text(6)], first=50)) == []
    late = chained([text(3), text(4)], first=50) + chained([text(6)], first=52, second=2000.0)
    kinds = [kind for kind, _ in faults(late)]
    assert "lost" in kinds


def test_what_is_missing_in_the_chain():
    entries = chained([text(number) for number in range(1, 6)])
    assert faults(entries[:2] + entries[3:]) == [("missing", 4), ("lost", 4)]


def test_what_was_changed():
    entries = chained([text(number) for number in range(1, 4)])
    entries[1] = entries[1]._replace(text=text(2, action="other"))
    assert faults(entries) == [("changed", 2)]


@pytest.mark.parametrize(
    "members",
    [
        {"v": 2},
        {"o": "perhaps"},
        {"t": 1e400},
        {"t": -1},
        {"t": "soon"},
        {"n": float("inf")},
        {"d": 7},
        {"s": 7},
    ],
)
def test_what_nobody_can_read(members):
    whole = {**json.loads(text(1)), **members}
    stored = StoredEntry("1-0", 1, json.dumps(whole).encode(), "")
    with pytest.raises(UnreadableRecord):
        decode_entry(stored)
    (entry,) = chained([stored.text])
    assert faults([entry]) == [("unreadable", 1)]


@pytest.mark.parametrize("stored", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000])
def test_what_is_no_entry(stored):
    with pytest.raises(UnreadableRecord):
        decode_entry(StoredEntry("1-0", 1, stored, ""))
