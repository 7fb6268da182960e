"""The journal entries that this process knows; a call about a subject first carries out its own.

- An entry is carried out in front of every call about its subject, on the same connection: so the
  owner of the subject, whichever node that is, has ended what the entry ends before it answers.
- What this process keeps in memory about the subject is dropped when an entry becomes known.
- Each journal is read from where it was read last, where that can be (:class:`JournalPositions`).
- An entry that nobody has carried out for good for some seconds is handed to ``on_left``, at a
  random time, so that the endings of a process that has died are not forgotten.
- Two journals may hold two requests under one id, of which one was refused. Nobody can tell which,
  so both are carried out: the owner of the subject refuses the id of one, which gets another.

No I/O happens here. Times are seconds of the steady clock.
"""

import math
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any, Final

from clusterpass.model.errors import UnreadableRecord
from clusterpass.model.forks import renew_in_child
from clusterpass.protocol.calls.journal import JournalRead, ReadFrom, Told
from clusterpass.protocol.calls.subject_change import Housekeeping
from clusterpass.protocol.journal_entry import JournalEntry
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import ScriptCall
from clusterpass.sessions.memory.journal_positions import JournalPositions
from clusterpass.sessions.memory.known_entry import KnownEntry
from clusterpass.sessions.memory.takeover_schedule import HandOvers

_SECONDS_BETWEEN_LOOKS: Final = 0.5
_MUCH_EARLIER: Final = 86_400
"""Seconds: an entry that expires so much earlier than a new one is not taken for it."""


class Journal:
    """The journals of a namespace, as one manager knows them."""

    def __init__(
        self,
        keyspace: Keyspace,
        keeping: Callable[[], Housekeeping],
        *,
        steady: Callable[[], float],
        clock: Callable[[], float],
        lock: Callable[[], AbstractContextManager[Any]],
        jitter: Callable[[], float],
        changed: Callable[[bytes], None],
    ) -> None:
        """``keeping``: returns what calls that change a subject carry; ``steady``, ``clock``:
        return seconds of the steady clock, and since the epoch; ``lock``: creates a reentrant lock;
        ``jitter``: returns a random number from 0 to 1; ``changed``: drops what is in memory about
        the subject of a key."""
        self._keyspace = keyspace
        self._keeping = keeping
        self._steady = steady
        self._clock = clock
        self._new_lock = lock
        self._jitter = jitter
        self._changed = changed
        self.ahead: Final[dict[bytes, tuple[KnownEntry, ...]]] = {}
        """The entries of a subject, by the key of its sessions. Read without a lock; a changed
        subject gets another tuple."""
        self.milliseconds = 0
        """How old evidence may be, as the journals say; 0: not known."""
        self.on_cutoff: Callable[[int], None] = _no_cutoff
        """Called with the milliseconds of a cutoff that the journals hold."""
        self.on_left: Callable[[KnownEntry], None] = _nobody
        """Called, without a lock, with an entry that somebody has to carry out for good."""
        self.begin_anew()
        renew_in_child(self)

    def begin_anew(self) -> None:
        """Forget everything; called in a forked child, which reads the journals anew."""
        self._lock = self._new_lock()
        with self._lock:
            self._entries: dict[bytes, KnownEntry] = {}
            self._twins: dict[bytes, tuple[KnownEntry, ...]] = {}
            """Further requests under the ids of entries."""
            self._unreadable: dict[bytes, bytes] = {}
            self._positions = JournalPositions()
            self._hand_overs = HandOvers(self._jitter)
            self.ahead.clear()
            self._look_at = 0.0

    def __len__(self) -> int:
        return len(self._entries)

    # Reading.

    def forget_node(self, node: Hashable) -> None:
        """Read the whole journal of ``node`` next time. What is known of it stays known."""
        # Without the lock: the caller holds that of the cache, which is taken inside this one when
        # an entry is learnt.
        self._positions.forget(node)

    def read_from(self, node: Hashable) -> ReadFrom:
        """Return from where the journal of ``node`` has to be read."""
        return self._positions.read_from(node)

    def knows(self, node: Hashable, told: Told) -> bool:
        """Return whether all entries of the journal of ``node`` are known, given what it told."""
        return self._positions.knows(node, told)

    def has_gaps(self) -> bool:
        """Return whether a journal was read that may have lost entries, and is not filled yet."""
        return self._positions.has_gaps()

    def take(self, node: Hashable, asked: ReadFrom, read: JournalRead) -> ReadFrom | None:
        """Take note of what ``node`` answered when it was read from ``asked``.

        Returns from where to go on; None: all entries are known.
        """
        with self._lock:
            copy = self._positions.copy_of(node, asked, read)
            if copy is None:
                return ReadFrom(None)
            if read.milliseconds:
                self.milliseconds = read.milliseconds
            for entry_id, encoded in read.entries.items():
                if encoded:
                    self._learn(entry_id, encoded)
                elif entry_id not in self._twins:  # else who can tell which one was trimmed
                    self._forget(entry_id)
            return copy.advance(asked, read)

    # Entries.

    def learn(self, entry: JournalEntry, missing: Collection[int] | None = None) -> None:
        """Carry ``entry`` out in front of every call about its subject from now on.

        ``missing``: the slots of the journals that still lack the entry; None: as known before.
        """
        with self._lock:
            self._learn(entry.id, entry.encode())
            known = self.find_same(entry)
            if known is not None and missing is not None:
                known.missing = tuple(missing)

    def note_completed(self, entry: JournalEntry, slot: int) -> None:
        """Take note that the journal in ``slot`` has confirmed ``entry``."""
        with self._lock:
            known = self.find_same(entry)
            if known is not None:
                known.missing = tuple(each for each in known.missing if each != slot)

    def forget(self, entry_ids: Iterable[bytes]) -> None:
        """Drop entries that their own shard has confirmed, or that have expired."""
        with self._lock:
            for entry_id in entry_ids:
                self._forget(entry_id)

    def find(self, entry_id: bytes) -> KnownEntry | None:
        """Return the entry with this id; None: it is not known, or known no more."""
        return self._entries.get(entry_id)

    def requests(self, entry_id: bytes) -> tuple[KnownEntry, ...]:
        """Return what is known under an id: one entry as a rule, none, or different requests."""
        known = self._entries.get(entry_id)
        return () if known is None else (known, *self._twins.get(entry_id, ()))

    def find_same(self, entry: JournalEntry) -> KnownEntry | None:
        """Return what is known of ``entry``; None: at most another request under its id."""
        known = self.requests(entry.id)
        if not known:  # as a rule; no fingerprint is needed then
            return None
        encoded = entry.encode()
        return next((each for each in known if each.encoded[:8] == encoded[:8]), None)

    def known_for(self, entry: JournalEntry) -> JournalEntry:
        """Return a known entry that ends the same session; else ``entry`` itself."""
        for known in self.ahead.get(self._keyspace.sessions(entry.subject), ()):
            is_late = known.entry.expires_at + _MUCH_EARLIER < entry.expires_at
            if known.entry.is_same_end(entry) and not is_late:
                return known.entry
        return entry

    def encoded(self) -> Mapping[bytes, bytes]:
        """Return all known entries by id, as a journal holds them."""
        with self._lock:
            known = {entry_id: each.encoded for entry_id, each in self._entries.items()}
            return known | self._unreadable

    def older_cutoffs(self, milliseconds: int) -> list[bytes]:
        """Return the ids of the entries of cutoffs before ``milliseconds``."""
        with self._lock:
            return [
                entry_id
                for entry_id, known in self._entries.items()
                if known.entry.verb == "revoke_before"
                and (known.entry.milliseconds or 0) < milliseconds
            ]

    def is_expired(self, known: KnownEntry) -> bool:
        """Return whether the entry changes nothing any more."""
        return known.entry.expires_at <= self._clock()

    def look_for_left(self) -> None:
        """Hand over the entries whose time has come; cheap, and called with every heartbeat."""
        now = self._steady()
        if not self._entries or now < self._look_at:
            return
        with self._lock:
            self._look_at = now + _SECONDS_BETWEEN_LOOKS
            left = self._hand_overs.due(now, self._entries)
        for known in left:
            self.on_left(known)

    def _rename(self, known: KnownEntry) -> None:
        with self._lock:
            ahead = self.ahead.get(known.key, ())
            if known not in ahead:
                return
            make = partial(self._call_of, known.entry.renamed())
            new = replace(known, make=make)
            self._keep(new, known)
            self.ahead[known.key] = tuple(new if each is known else each for each in ahead)

    def _call_of(self, entry: JournalEntry) -> ScriptCall[Any]:
        return entry.call(self._keyspace, self._keeping())

    def _learn(self, entry_id: bytes, encoded: bytes) -> None:
        if any(known.encoded == encoded for known in self.requests(entry_id)):
            return
        try:
            entry = JournalEntry.decode(entry_id, encoded)
            if entry.verb == "revoke_before":
                self._learn_cutoff(entry_id, entry, encoded)
                return
            make = partial(self._call_of, entry)
            make()
        except (UnreadableRecord, ValueError):
            # Of a later release, whose processes carry it out; it has to reach every journal.
            self._unreadable[entry_id] = encoded
            return
        known = self.find_same(entry)
        if known is not None and known.entry.milliseconds is not None:
            return  # its first time stands
        key = self._keyspace.sessions(entry.subject)
        left_at = self._steady() + self._hand_overs.pause() if known is None else known.left_at
        missing = () if known is None else known.missing
        new = KnownEntry(entry, encoded, key, make, left_at, self._rename, missing)
        if known is None and entry_id not in self._entries:
            self._hand_overs.add(entry_id, left_at)
        self._keep(new, known)
        if known is not None:
            self._step_back(known)
        self.ahead[key] = (*self.ahead.get(key, ()), new)
        self._changed(key)

    def _keep(self, new: KnownEntry, known: KnownEntry | None) -> None:
        """Keep ``new``, in place of what was ``known`` of the same request."""
        entry_id = new.entry.id
        if self._entries.get(entry_id) in {None, known}:
            self._entries[entry_id] = new
        else:
            others = self._twins.get(entry_id, ())
            self._twins[entry_id] = (*(each for each in others if each is not known), new)

    def _learn_cutoff(self, entry_id: bytes, entry: JournalEntry, encoded: bytes) -> None:
        # Enforced by who knows it, and never carried out.
        make = partial(self._call_of, entry)
        self._entries[entry_id] = KnownEntry(entry, encoded, b"", make, math.inf, self._rename)
        self.on_cutoff(entry.milliseconds or 0)

    def _forget(self, entry_id: bytes) -> None:
        self._unreadable.pop(entry_id, None)
        for known in self.requests(entry_id):
            self._step_back(known)
        self._entries.pop(entry_id, None)
        self._twins.pop(entry_id, None)

    def _step_back(self, known: KnownEntry) -> None:
        left = tuple(each for each in self.ahead.get(known.key, ()) if each is not known)
        if left:
            self.ahead[known.key] = left
        else:
            self.ahead.pop(known.key, None)


def _no_cutoff(_: int) -> None:
    """Ignore a cutoff."""


def _nobody(_: KnownEntry) -> None:
    """Leave an entry to other processes, as nothing carries entries out here."""
