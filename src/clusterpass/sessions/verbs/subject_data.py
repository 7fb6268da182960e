"""Flows that export and erase everything the store holds about a subject."""

from dataclasses import replace
from typing import Any

from clusterpass.model.values import Ended
from clusterpass.protocol.calls import session as session_calls, subject as subject_calls
from clusterpass.protocol.calls.subject_change import OPERATION_BYTES
from clusterpass.protocol.records import Tombstone
from clusterpass.protocol.replies import Listed
from clusterpass.protocol.script import Answer, Flow
from clusterpass.sessions.context import Context
from clusterpass.sessions.public_values import describe_line
from clusterpass.sessions.verbs.end import End
from clusterpass.sessions.verbs.subject import SubjectFlows
from clusterpass.tokens.identifiers import encode_session_id


class SubjectData:
    """The flows that export and erase the data of a subject."""

    def __init__(self, context: Context, subject: SubjectFlows, end: End) -> None:
        self._context = context
        self._keyspace = context.keyspace
        self._subject = subject
        self._end = end

    def export(self, subject: str) -> Flow[dict[str, Any]]:
        """Return what the store holds of ``subject``, as plain JSON without secrets."""
        live = yield from self._subject.sessions(subject)
        bans = yield from self._subject.bans(subject)
        claims = yield from self._subject.claims(subject)
        answer: Answer[Listed] = yield session_calls.list_sessions(self._keyspace, subject)
        listed = answer.reply
        return {
            "subject": subject,
            "exported_at": listed.now_milliseconds // 1000,
            "sessions": [session.to_dict() for session in live],
            "ended_sessions": _ended(listed),
            "history": [
                describe_line(line, subject).to_dict() for line in reversed(listed.history)
            ],
            "bans": [ban.to_dict() for ban in bans],
            "claims": dict(claims),
        }

    def erase(self, subject: str) -> Flow[Ended]:
        """End all sessions of ``subject``; erase the history, the live claims and all texts.

        Raises RevocationPending when the end is not confirmed: nothing is erased then.
        """
        ended = yield from self._end.revoke_all(subject, keep=None, device_type=None, reason="")
        answer: Answer[int] = yield subject_calls.erase(
            self._keyspace,
            self._context.keeping(),
            subject,
            operation=self._context.random_bytes(OPERATION_BYTES),
        )
        return replace(ended, durable=ended.durable and answer.durable)


def _ended(listed: Listed) -> list[dict[str, Any]]:
    ended = [
        {
            "session_id": encode_session_id(session_id),
            "ended_at": stored.record.ended_at,
            "reason": stored.record.reason,
            "note": stored.record.note,
        }
        for session_id, stored in listed.sessions.items()
        if isinstance(stored.record, Tombstone)
    ]
    return sorted(ended, key=lambda each: (each["ended_at"], each["session_id"]), reverse=True)
