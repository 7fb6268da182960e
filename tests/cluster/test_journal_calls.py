"""The calls of a journal, to one: what it holds, what it tells of it, and from where on."""

from collections.abc import Iterator
from typing import Any

import pytest

from clusterpass import EmbeddedCluster
from clusterpass.protocol.calls import journal as journal_calls
from clusterpass.protocol.calls.journal import JournalRead, ReadFrom
from clusterpass.protocol.keyspace import JOURNAL_SLOTS, Keyspace
from clusterpass.protocol.script import ScriptCall
from tests.cluster.stored import new_namespace

KEPT_EVENTS = 1000
ALL = ReadFrom(None)


class Journal:
    """One journal of a namespace."""

    def __init__(self, node: Any) -> None:
        self.keyspace = Keyspace(new_namespace())
        self.slot = JOURNAL_SLOTS[0]
        self._node = node

    def run(self, call: ScriptCall[Any]) -> Any:
        keys = len(call.keys), *call.keys
        return call.read(self._node.eval(call.script.source, *keys, *call.arguments))

    def append(self, entry_id: bytes, entry: bytes) -> Any:
        call = journal_calls.append_to_journal(self.keyspace, self.slot, entry_id, entry)
        return self.run(call)

    def read(self, asked: ReadFrom = ALL) -> JournalRead:
        read: JournalRead = self.run(journal_calls.read_journal(self.keyspace, self.slot, asked))
        return read

    def fill(self, seen: JournalRead, entries: dict[bytes, bytes], **options: Any) -> Any:
        values = {"milliseconds": 700, "is_last": True} | options
        return self.run(
            journal_calls.fill_journal(
                self.keyspace, self.slot, seen=seen, entries=entries, **values
            )
        )

    def trim(self, *ids: bytes) -> Any:
        return self.run(journal_calls.trim_journal(self.keyspace, self.slot, ids))

    def set(self, name: str, value: Any) -> None:
        self._node.hset(self.keyspace.journal(self.slot), name, value)

    def number(self) -> int:
        """The number of entries that it believes to hold."""
        return int(self._node.hget(self.keyspace.journal(self.slot), "n") or 0)


@pytest.fixture
def journal(cluster: EmbeddedCluster) -> Iterator[Journal]:
    key = Keyspace().journal(JOURNAL_SLOTS[0])
    with cluster.client(cluster.primary_of(key)) as node:
        yield Journal(node)


def ids(count: int) -> list[bytes]:
    return [b"%08d" % number for number in range(1, count + 1)]


def entry(fingerprint: bytes = b"f" * 8, time: bytes = b"null") -> bytes:
    """As a journal reads it: whose request it is, until when, and what is to be carried out."""
    return fingerprint + bytes(4) + b'["end", 1, ' + time + b"]"


def test_an_empty_journal_tells_nothing(journal: Journal) -> None:
    read = journal.read()
    assert (read.head, read.mark, read.milliseconds, read.cursor) == (0, b"", 0, b"")
    assert read.entries == {}
    assert not read.is_filled
    assert journal.read(ReadFrom(0)).entries == {}


def test_who_knows_an_event_hears_of_those_after_it(journal: Journal) -> None:
    first, second, third = ids(3)
    for each in (first, second):
        assert journal.append(each, entry()) == "OK"
    read = journal.read(ReadFrom(1))
    assert (read.head, read.cursor, read.entries) == (2, b"", {second: entry()})
    assert journal.append(third, entry()) == "OK"
    assert journal.trim(second, b"of-none!") == 1
    read = journal.read(ReadFrom(1))
    assert (read.head, read.cursor) == (4, b"")
    assert read.entries == {second: b"", third: entry()}
    assert journal.read(ReadFrom(4)).entries == {}
    assert journal.read().entries == {first: entry(), third: entry()}
    assert journal.number() == 2


def test_a_repetition_is_no_event_unless_it_brings_the_time(journal: Journal) -> None:
    (name,) = ids(1)
    timed, later = entry(time=b"17"), entry(time=b"18")
    for _ in range(2):
        assert journal.append(name, entry()) == "OK"
    assert journal.read().head == 1
    for repeated in (timed, later, entry()):
        assert journal.append(name, repeated) == "OK"
        assert journal.read().head == 2
        assert journal.read(ReadFrom(1)).entries == {name: timed}, "the first time stands"
    assert journal.append(name, entry(b"g" * 8)) == "MISMATCH"
    assert journal.read(ReadFrom(1)).entries == {name: timed}
    assert journal.number() == 1


def test_a_full_journal_takes_no_more_and_forgets_none(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_calls, "MOST_ENTRIES", 2)
    first, second, third = ids(3)
    assert [journal.append(each, entry()) for each in (first, second, third, first)] == [
        *("OK", "OK", "FULL", "OK")
    ]
    assert journal.trim(first) == 1
    assert journal.append(third, entry()) == "OK"
    assert set(journal.read().entries) == {second, third}


def test_what_it_is_filled_with_is_heard_of_and_counted(journal: Journal) -> None:
    known, *missing = ids(4)
    journal.append(known, entry(time=b"17"))
    seen = journal.read()
    filling = {each: entry() for each in (known, *missing)}
    assert journal.fill(seen, filling) == "OK"
    read = journal.read(ReadFrom(seen.head))
    assert read.entries == {each: entry() for each in missing}
    assert (read.head, read.is_filled, read.milliseconds) == (4, True, 700)
    assert journal.read().entries[known] == entry(time=b"17"), "what it has stays"
    assert journal.number() == 4


def test_it_is_filled_with_the_last_entries(journal: Journal) -> None:
    seen = journal.read()
    first, second = ids(2)
    assert journal.fill(seen, {first: entry()}, is_last=False) == "OK"
    assert not journal.read().is_filled
    assert journal.read().milliseconds == 0
    assert journal.fill(seen, {second: entry()}) == "OK"
    assert journal.read().is_filled
    assert journal.fill(journal.read(), {}, milliseconds=900) == "OK"
    assert journal.read().milliseconds == 700, "what it says stands"


def test_it_is_not_filled_by_who_has_seen_another_mark(journal: Journal) -> None:
    (name,) = ids(1)
    seen = journal.read()
    journal.set("m", "another:1")
    assert journal.fill(seen, {name: entry()}) == "CHANGED"
    assert journal.read().entries == {}
    assert journal.read().mark == b"another:1"
    journal.set("m", seen.mark)
    elsewhere = JournalRead(0, seen.mark, b"elsewhere:1", 0, b"", {})
    assert journal.fill(elsewhere, {name: entry()}) == "CHANGED"
    assert journal.read().entries == {}


def test_a_position_that_is_too_old_or_ahead_is_told_to_read_all(journal: Journal) -> None:
    first, second, third = ids(3)
    journal.append(first, entry())
    assert journal.read(ReadFrom(2)).cursor == b"0"
    journal.set("h", KEPT_EVENTS)
    journal.append(second, entry())
    assert journal.read(ReadFrom(0)).cursor == b"0", "1001 events ago"
    read = journal.read(ReadFrom(KEPT_EVENTS))
    assert (read.cursor, read.entries) == (b"", {second: entry()})
    journal.append(third, entry())
    assert list(journal.read(ReadFrom(KEPT_EVENTS)).entries) == [second, third]
    read = journal.read(ReadFrom(KEPT_EVENTS - 1))
    assert (read.cursor, read.entries) == (b"0", {}), "an event is missing"


def test_the_latest_thousand_events_are_kept(journal: Journal) -> None:
    first, *others = ids(KEPT_EVENTS + 1)
    for each in (first, *others):
        journal.append(each, entry())
    read = journal.read(ReadFrom(1))
    assert (read.cursor, len(read.entries)) == (b"", KEPT_EVENTS)
    assert first not in read.entries
    journal.trim(first)
    read = journal.read(ReadFrom(2))
    assert (read.cursor, len(read.entries)) == (b"", KEPT_EVENTS)


def test_all_entries_are_read_in_parts(journal: Journal) -> None:
    expected = set(ids(2500))
    for each in expected:
        journal.append(each, entry())
    found: set[bytes] = set()
    asked, parts = ALL, 0
    while asked.cursor:
        read = journal.read(asked)
        found |= set(read.entries)
        asked, parts = ReadFrom(None, read.cursor), parts + 1
    assert found == expected
    assert parts > 1
