"""Tracks the events that listeners have received, so that each is delivered only once.

- An event of this process is reported twice: by the verb, and by the line that the verb wrote into
  the history. The first report is delivered and the second is dropped. The verb may be the second:
  it waits for replicas, while a node pushes the change earlier.
- The lines of a subject are numbered, so the lines that are new since the latest reading are known.
  The refreshes of a session share one line, which counts them.
- The subjects that have been quiet for longest are forgotten. For an unknown subject, the lines
  count that were written since the first listener came, or since another subject was forgotten.

Times are seconds of the steady clock unless a name says otherwise.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple

from clusterpass.model.events import SessionEvent
from clusterpass.model.forks import renew_in_child
from clusterpass.protocol.records import LiveRecord
from clusterpass.protocol.replies import HistoryLine, Listed
from clusterpass.sessions.event_of_line import TOLD_BY_HISTORY, event_of, kind_of

MOST_SUBJECTS: Final = 10_000
"""The most subjects that are remembered."""
_MOST_MARKS: Final = 200
"""Twice the longest history: a burst of a subject's own events marks as many as fit into it."""
_MARK_SECONDS: Final = 120.0
"""How long an event that was delivered waits for the other telling of it."""
_CLOCKS_APART: Final = 10
"""The most seconds between the time of an event, by this machine's clock, and that of its line."""
_ONCE: Final = frozenset({"login", "impersonated", "logged_out", "revoked", "replaced", "reused"})
"""The kinds of events that happen to a session once at most."""


class _Mark(NamedTuple):
    """An event that was delivered, and will be reported once more."""

    kind: str
    session_id: str
    """Empty: the event is about several sessions, or none."""
    at: int
    """Seconds since the epoch."""
    marked_at: float

    def is_of(self, other: "_Mark", *, counts_time: bool) -> bool:
        """Whether both are the same event, as far as can be told."""
        if (self.kind, self.session_id) != (other.kind, other.session_id):
            return False
        if self.session_id and (self.kind in _ONCE or not counts_time):
            return True
        return abs(self.at - other.at) <= _CLOCKS_APART


class _Subject:
    """The events of one subject that are known."""

    __slots__ = ("last", "newest", "own", "read_second", "refreshes", "shown", "touched_at")

    def __init__(self) -> None:
        self.newest: int | None = None
        """The number of the newest line; None: the history was not read yet."""
        self.last: HistoryLine | None = None
        """The newest line; None: there was none."""
        self.refreshes: dict[bytes, int] = {}
        """The count of each line of refreshes, by session id."""
        self.read_second = 0
        self.touched_at = 0.0
        self.own: list[_Mark] = []
        """The events of this process that were delivered, and whose lines were not read yet."""
        self.shown: list[_Mark] = []
        """The events that were delivered because of a line."""


class Heard:
    """The events that the cluster listeners of one manager have heard of."""

    def __init__(
        self, steady: Callable[[], float], lock: Callable[[], AbstractContextManager[Any]]
    ) -> None:
        """``steady``: returns seconds of the steady clock; ``lock``: creates a lock."""
        self._steady = steady
        self._new_lock = lock
        self._subjects: OrderedDict[str, _Subject] = OrderedDict()
        self._since: float | None = None
        self.overrun = 0
        """Lines that newer ones had replaced before they were read."""
        self.begin_anew()
        renew_in_child(self)

    def begin_anew(self) -> None:
        """Replace the lock, which may be held forever in a forked child; called there."""
        self._lock = self._new_lock()

    @property
    def is_listening(self) -> bool:
        """Whether there is a listener."""
        return self._since is not None

    def begin(self) -> None:
        """Listen from now on; do nothing if that is so already."""
        with self._lock:
            if self._since is None:
                self._since = self._steady()

    def end(self) -> None:
        """Listen no longer, and forget everything."""
        with self._lock:
            self._since = None
            self._subjects.clear()

    def told(self, event: SessionEvent) -> bool:
        """Take note of an event of this process; return whether it was not delivered before."""
        if self._since is None:
            return False
        ids = event.session_ids
        with self._lock:
            now = self._steady()
            mark = _Mark(event.kind, ids[0] if _names_one(event) else "", event.at, now)
            subject = self._touch(event.subject, now)
            if _take(subject.shown, mark, counts_time=True):
                return False
            _put(subject.own, mark)
            return True

    def read(self, name: str, listed: Listed) -> list[SessionEvent]:
        """Return the events of the subject ``name`` that the listeners have not heard of.

        ``listed``: the subject's sessions and history, as they were read just now.
        """
        events = []
        with self._lock:
            if self._since is None:
                return []
            now = self._steady()
            # What happened while the answer was under way counts.
            since_ms = int(listed.now_milliseconds - 1000 * (now - self._since))
            subject, overrun = self._touch(name, now), self.overrun
            for line, times in self._news(subject, listed, since_ms):
                if kind_of(line) not in TOLD_BY_HISTORY:
                    continue
                event = event_of(name, line, listed)
                one = event.session_ids[0] if any(line.session_id) else ""
                mark = _Mark(event.kind, one, line.at, now)
                for _ in range(times):
                    if not _take(subject.own, mark, counts_time=event.kind != "refresh"):
                        _put(subject.shown, mark)
                        events.append(event)
            if self.overrun > overrun:  # lines of its own events may be among those that are gone
                second = listed.now_milliseconds // 1000
                subject.own[:] = [mark for mark in subject.own if mark.at >= second]
            _remember(subject, listed)
        return events

    def _touch(self, name: str, now: float) -> _Subject:
        """The memory of a subject, which is the last to be forgotten now."""
        subject = self._subjects.setdefault(name, _Subject())
        self._subjects.move_to_end(name)
        subject.touched_at = now
        for marks in (subject.own, subject.shown):
            marks[:] = [mark for mark in marks if mark.marked_at > now - _MARK_SECONDS]
        if len(self._subjects) > MOST_SUBJECTS:
            _, forgotten = self._subjects.popitem(last=False)
            # What was delivered about the forgotten subject must not be delivered again.
            self._since = max(self._since or 0.0, forgotten.touched_at)
        return subject

    def _news(
        self, subject: _Subject, listed: Listed, since_ms: int
    ) -> Iterable[tuple[HistoryLine, int]]:
        """The lines that are new, in the order of their times, and how many events each tells."""
        lines = listed.history
        first = listed.newest_line + 1 - len(lines)
        if subject.newest is None or not _goes_on(subject, lines, first, listed.newest_line):
            since = since_ms if subject.newest is None else 1000 * subject.read_second
            found = _since(lines, listed, since)
        else:
            self.overrun += max(0, first - subject.newest - 1)
            found = _behind(subject, lines, first)
        return sorted(found, key=lambda each: each[0].at)


def _names_one(event: SessionEvent) -> bool:
    """Whether the line of ``event`` names a session: that of a ban never does."""
    return len(event.session_ids) == 1 and event.kind != "banned"


def _take(marks: list[_Mark], mark: _Mark, *, counts_time: bool) -> bool:
    """Remove the mark of the same event from ``marks``; return whether there was one."""
    for index, each in enumerate(marks):
        if each.is_of(mark, counts_time=counts_time):
            del marks[index]
            return True
    return False


def _put(marks: list[_Mark], mark: _Mark) -> None:
    marks.append(mark)
    del marks[:-_MOST_MARKS]


def _remember(subject: _Subject, listed: Listed) -> None:
    subject.newest = listed.newest_line
    subject.last = listed.history[-1] if listed.history else None
    subject.read_second = listed.now_milliseconds // 1000
    subject.refreshes = {
        line.session_id: line.count for line in listed.history if kind_of(line) == "refresh"
    }


def _goes_on(subject: _Subject, lines: list[HistoryLine], first: int, newest: int) -> bool:
    """Whether the lines are numbered as before.

    They are not when the size of the history has changed, and when it has expired and begun again.
    """
    if subject.newest is None or newest < subject.newest:
        return False
    if subject.newest < first or subject.last is None:
        return True
    line, last = lines[subject.newest - first], subject.last
    is_same = (line.event, line.session_id) == (last.event, last.session_id)
    return is_same and (line.at == last.at or kind_of(line) == "refresh")


def _behind(
    subject: _Subject, lines: list[HistoryLine], first: int
) -> Iterator[tuple[HistoryLine, int]]:
    """The lines behind the newest known one, and the further refreshes of those before."""
    assert subject.newest is not None
    for number, line in enumerate(lines, first):
        if number > subject.newest:
            yield line, line.count if kind_of(line) == "refresh" else 1
        elif kind_of(line) == "refresh":
            further = line.count - subject.refreshes.get(line.session_id, line.count)
            if further > 0:
                yield line, further


def _since(
    lines: list[HistoryLine], listed: Listed, since_ms: int
) -> Iterator[tuple[HistoryLine, int]]:
    """The lines since a time, in milliseconds since the epoch; lines tell whole seconds.

    Of a session that is still live, the record tells the millisecond of the login.
    """
    for line in lines:
        stored = listed.sessions.get(line.session_id)
        record = None if stored is None else stored.record
        created = record.created_milliseconds if isinstance(record, LiveRecord) else None
        kind = kind_of(line)
        if line.at < since_ms // 1000:
            continue
        if kind in {"login", "impersonated"} and created is not None and created < since_ms:
            continue
        is_all = kind == "refresh" and created is not None and created >= since_ms
        yield line, line.count if is_all else 1
