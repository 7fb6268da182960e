"""What a subject or an administrator does with sessions: list them, end one, end all."""

from clusterpass.errors import SessionNotFound
from clusterpass.models import Ended, Session
from clusterpass.protocol import calls
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import LiveRecord
from clusterpass.protocol.script import Flow
from clusterpass.sessions.lifecycle import describe_session
from clusterpass.tokens.identifiers import check_subject, decode_session_id


class Administration:
    """The flows over all sessions of one subject."""

    def __init__(self, keyspace: Keyspace, *, tombstone_seconds: int) -> None:
        """``tombstone_seconds``: how long a dead session is remembered."""
        self._keyspace = keyspace
        self._tombstone_seconds = tombstone_seconds

    def sessions(self, subject: str) -> Flow[list[Session]]:
        """Every live session, newest first."""
        check_subject(subject)
        answer = yield from calls.list_sessions(self._keyspace, subject)
        listed = answer.reply
        live = [
            (session_id, record)
            for session_id, record in listed.records.items()
            if isinstance(record, LiveRecord) and record.ends_at > listed.now
        ]
        live.sort(key=lambda entry: (entry[1].created_milliseconds, entry[0]), reverse=True)
        found = []
        for session_id, record in live:
            details = listed.details.get(session_id, calls.NO_DETAILS)
            found.append(describe_session(subject, session_id, record, details, details.claims))
        return found

    def revoke(self, subject: str, session_id: str) -> Flow[Ended]:
        """End one session of ``subject``."""
        check_subject(subject)
        wanted = decode_session_id(session_id)
        if wanted is None:
            raise SessionNotFound
        answer = yield from calls.end_session(
            self._keyspace,
            subject,
            session_id=wanted,
            reason="revoked",
            tombstone_seconds=self._tombstone_seconds,
        )
        if answer.reply == "UNKNOWN":
            raise SessionNotFound
        return Ended(1 if answer.reply == "ENDED" else 0, answer.durable)

    def revoke_all(self, subject: str, *, keep: str | None) -> Flow[Ended]:
        """End every session of ``subject`` but ``keep``."""
        check_subject(subject)
        kept = None
        if keep is not None:
            kept = decode_session_id(keep)
            if kept is None:
                raise SessionNotFound("The session to keep is not a session id")
        answer = yield from calls.end_all(
            self._keyspace,
            subject,
            keep=kept,
            reason="revoked",
            tombstone_seconds=self._tombstone_seconds,
        )
        return Ended(answer.reply, answer.durable)
