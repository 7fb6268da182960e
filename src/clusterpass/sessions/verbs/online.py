"""Flows over everyone who is online. The index of a slot lies in that slot.

The cost of a page and of a count depends on the number of slots (16,384, asked for by the
thousand), not on how many sessions there are. A cursor is ``slot.position``; a subject that comes
or goes meanwhile may be missed or shown twice, one that stays is shown.
"""

import re
from typing import Final

from clusterpass.model.errors import InvalidInput
from clusterpass.model.values import OnlineCount, OnlinePage, Session
from clusterpass.protocol.calls import (
    namespace as namespace_calls,
    session as session_calls,
    subject as subject_calls,
)
from clusterpass.protocol.keyspace import SLOTS
from clusterpass.protocol.script import Flow
from clusterpass.sessions.context import Context

_SLOTS_AT_ONCE: Final = 1024
_MOST_SUBJECTS: Final = 200
_CURSOR: Final = re.compile(r"([0-9]{1,5})\.([0-9]{1,20})")


class Online:
    """The flows."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def count(self) -> Flow[OnlineCount]:
        """How many are online."""
        self._check_indexed()
        slot = subjects = sessions = 0
        while slot < SLOTS:
            answer = yield from namespace_calls.count_online(
                self._context.keyspace, range(slot, min(slot + _SLOTS_AT_ONCE, SLOTS))
            )
            slot += answer.reply.slots
            subjects += answer.reply.subjects
            sessions += answer.reply.sessions
        return OnlineCount(subjects, sessions)

    def page(self, cursor: str | None, *, limit: int) -> Flow[OnlinePage]:
        """The sessions of some who are online."""
        subjects, following = yield from self._subjects(cursor, limit)
        cutoff = yield from self._context.current_cutoff()
        sessions: list[Session] = []
        for subject in subjects:
            asked_at = self._context.cutoff.now()
            answer = yield from session_calls.list_sessions(self._context.keyspace, subject)
            sessions += self._context.describe_live(subject, answer.reply, cutoff, asked_at)
        return OnlinePage(tuple(sessions), following)

    def prune(self) -> Flow[int]:
        """Bring the index up to date; the number of subjects that are still online."""
        self._check_indexed()
        yield from self._context.current_cutoff()
        cursor: str | None = None
        seen: set[str] = set()
        count = 0
        while True:
            subjects, cursor = yield from self._subjects(cursor, _MOST_SUBJECTS)
            for subject in set(subjects) - seen:
                answer = yield from subject_calls.settle(
                    self._context.keyspace, self._context.keeping, subject
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
            answer = yield from namespace_calls.page_online(
                self._context.keyspace,
                range(slot, min(slot + _SLOTS_AT_ONCE, SLOTS)),
                cursor=position,
                most=limit - len(found),
            )
            slot, position = slot + answer.reply.slots, answer.reply.cursor
            found |= dict.fromkeys(answer.reply.subjects)
        return list(found), None if slot >= SLOTS else f"{slot}.{position}"

    def _check_indexed(self) -> None:
        if not self._context.config.index_online:
            raise InvalidInput("who is online is not tracked here: Config(index_online=False)")


def _parse_cursor(cursor: object) -> tuple[int, int]:
    if cursor is None:
        return 0, 0
    match = _CURSOR.fullmatch(cursor) if isinstance(cursor, str) else None
    if match is None or int(match[1]) >= SLOTS or int(match[2]) >= 2**64:
        raise InvalidInput("cursor must be the next_cursor of a page before")
    return int(match[1]), int(match[2])
