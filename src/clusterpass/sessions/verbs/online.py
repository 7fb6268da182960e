"""Flows that list, count and prune the sessions that are online.

- Each slot holds the index of its own subjects.
- A count or a scan costs one round trip for each 1024 of the 16,384 slots, however many sessions
  there are.
- A cursor is ``slot.position``. A subject that stays online during a scan is listed; one that logs
  in or out meanwhile may be missed or listed twice.
"""

import re
from typing import Final

from clusterpass.model.errors import InvalidInput
from clusterpass.model.values import OnlineCount, OnlinePage, Session
from clusterpass.protocol.calls import (
    online as online_calls,
    session as session_calls,
    subject as subject_calls,
)
from clusterpass.protocol.keyspace import SLOTS
from clusterpass.protocol.replies import Listed
from clusterpass.protocol.script import Answer, Flow
from clusterpass.sessions.context import Context
from clusterpass.sessions.public_values import describe_live
from clusterpass.sessions.read_cutoff import read_cutoff

_SLOTS_AT_ONCE: Final = 1024
_MOST_SUBJECTS: Final = 200
_CURSOR: Final = re.compile(r"([0-9]{1,5})\.([0-9]{1,20})")


class Online:
    """The flows over the index of online subjects. They raise InvalidInput when it is off."""

    def __init__(self, context: Context) -> None:
        self._config = context.config
        self._keyspace = context.keyspace
        self._keeping = context.keeping
        self._deadline = context.deadline
        self._memory = context.memory

    def count(self) -> Flow[OnlineCount]:
        """Return the numbers of subjects and sessions that are online."""
        self._check_indexed()
        slot = subjects = sessions = 0
        while slot < SLOTS:
            answer: Answer[online_calls.CountedSlots] = yield online_calls.count_online(
                self._keyspace,
                range(slot, min(slot + _SLOTS_AT_ONCE, SLOTS)),
                time=self._memory.clocks.call_time(),
            )
            slot += answer.reply.slots
            subjects += answer.reply.subjects
            sessions += answer.reply.sessions
        return OnlineCount(subjects, sessions)

    def page(self, cursor: str | None, *, limit: int) -> Flow[OnlinePage]:
        """Return the live sessions of about ``limit`` subjects (1 to 200), from ``cursor`` on."""
        subjects, following = yield from self._subjects(cursor, limit)
        cutoff = yield from read_cutoff(self._keyspace, self._memory.cutoff, self._deadline)
        sessions: list[Session] = []
        for subject in subjects:
            asked_at = self._memory.cutoff.now()
            answer: Answer[Listed] = yield session_calls.list_sessions(self._keyspace, subject)
            key = self._keyspace.sessions(subject)
            listed = self._memory.without_ended(key, answer.reply, asked_at)
            sessions += describe_live(self._config, subject, listed, cutoff)
        return OnlinePage(tuple(sessions), following)

    def prune(self) -> Flow[int]:
        """Remove subjects that are offline from the index; return how many remain."""
        self._check_indexed()
        yield from read_cutoff(self._keyspace, self._memory.cutoff, self._deadline)
        cursor: str | None = None
        seen: set[str] = set()
        count = 0
        while True:
            subjects, cursor = yield from self._subjects(cursor, _MOST_SUBJECTS)
            for subject in set(subjects) - seen:
                answer: Answer[int] = yield subject_calls.settle(
                    self._keyspace, self._keeping(), subject
                )
                count += 1 if answer.reply else 0
            seen = set(subjects)
            if cursor is None:
                return count

    def _subjects(self, cursor: str | None, limit: int) -> Flow[tuple[list[str], str | None]]:
        self._check_indexed()
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= 200:
            raise InvalidInput(f"limit must be a whole number from 1 to {_MOST_SUBJECTS}")
        slot, position = _parse_cursor(cursor)
        found: dict[str, None] = {}
        while slot < SLOTS and len(found) < limit:
            answer: Answer[online_calls.PageOfSlots] = yield online_calls.page_online(
                self._keyspace,
                range(slot, min(slot + _SLOTS_AT_ONCE, SLOTS)),
                cursor=position,
                most=limit - len(found),
                time=self._memory.clocks.call_time(),
            )
            slot, position = slot + answer.reply.slots, answer.reply.cursor
            found |= dict.fromkeys(answer.reply.subjects)
        return list(found), None if slot >= SLOTS else f"{slot}.{position}"

    def _check_indexed(self) -> None:
        if not self._config.index_online:
            raise InvalidInput(
                "online subjects are not tracked because of Config(index_online=False)"
            )


def _parse_cursor(cursor: object) -> tuple[int, int]:
    if cursor is None:
        return 0, 0
    match = _CURSOR.fullmatch(cursor) if isinstance(cursor, str) else None
    if match is None or int(match[1]) >= SLOTS or int(match[2]) >= 2**64:
        raise InvalidInput("cursor must be the next_cursor of an earlier page")
    return int(match[1]), int(match[2])
