"""Reads one session by its id, for callers without a token: background jobs, open connections.

The use of the session is not recorded: only a request with a token is one.
"""

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any, Final

from clusterpass.model.authentication_errors import SessionRevoked, SessionUnknown
from clusterpass.model.errors import StoreDenied, StoreUnavailable
from clusterpass.model.values import Actor, Session
from clusterpass.protocol.calls import session as session_calls
from clusterpass.protocol.script import Answer, Flow
from clusterpass.sessions.context import Context
from clusterpass.sessions.loaded_session import Loads
from clusterpass.sessions.memory.followed_sessions import Followed
from clusterpass.sessions.read_cutoff import read_cutoff
from clusterpass.sessions.revocations.confirm import Confirm
from clusterpass.sessions.verbs.actor import Actors
from clusterpass.tokens.identifiers import check_subject, decode_session_id


class Get:
    """The flows that read one session by its id."""

    def __init__(self, context: Context, confirm: Confirm) -> None:
        self._keyspace: Final = context.keyspace
        self._deadline: Final = context.deadline
        self._near: Final = context.memory.near
        self._cutoff: Final = context.memory.cutoff
        self._clocks: Final = context.memory.clocks
        self._actors: Final = Actors(context, confirm)
        self._loads: Final = Loads(context, confirm)

    def check(self, subject: str, session_id: str) -> bytes:
        """Return the 16 bytes of a session id.

        Raises InvalidInput for an invalid subject, and SessionUnknown when ``session_id`` is not a
        session id.
        """
        check_subject(subject)
        decoded = decode_session_id(session_id)
        if decoded is None:
            raise SessionUnknown
        return decoded

    def followed(self, subject: str, session_id: str, wake: Callable[[], None]) -> Followed:
        """Return the session, not read yet; ``wake`` is called when it may have changed.

        Raises what :meth:`check` does.
        """
        decoded = self.check(subject, session_id)
        return Followed(subject, self._keyspace.keys_of(subject), decoded, session_id, wake)

    def get(self, subject: str, session_id: str) -> Flow[Session]:
        """Return the live session; takes and raises what ``SessionManager.get`` documents."""
        return (yield from self.read(self.followed(subject, session_id, _nobody)))

    def read(self, followed: Followed) -> Flow[Session]:
        """Return the followed session as it is now, and hold it under a lease where there is one.

        Raises SessionUnknown, SessionExpired or SessionRevoked when it is not live, and
        StoreUnavailable.
        """
        near, entry = self._near, followed.entry
        cutoff = yield from read_cutoff(self._keyspace, self._cutoff, self._deadline)
        followed.is_due = False
        if entry.loaded is not None and entry.loaded.created_milliseconds < cutoff:
            raise SessionRevoked(reason="revoked", ended_at=cutoff // 1000)
        loading = near.begin(entry.key)
        try:
            sent_at = self._cutoff.now()
            answer: Answer[list[Any]] = yield session_calls.read_session(
                entry.keys, session_id=entry.session_id, follows=True
            )
            followed.read_at = self._cutoff.now()
            reply = self._clocks.judge_reply(answer.reply, sent_at)
            cutoff = max(cutoff, self._cutoff.milliseconds)
            loaded = self._loads.interpret(entry, reply, "strict", sent_at, cutoff)
            if loaded.session.act is not None:
                yield from self._follow_actor(followed, loaded.session.act, cutoff)
            near.follow(followed, replace(loaded, note_at=inf), loading, answer.node)
        except StoreDenied:
            raise
        except StoreUnavailable:
            self._loads.refuse_if_over(entry)
            raise
        finally:
            near.end(loading)
        return loaded.session

    def _follow_actor(self, followed: Followed, actor: Actor, cutoff: int) -> Flow[None]:
        """Hold an impersonation also under a lease of the node that has the session of ``actor``.

        Raises SessionRevoked when that session is not live.
        """
        near, key = self._near, self._keyspace.sessions(actor.subject)
        near.follow_actor(followed, key)
        loading = near.begin(key)
        try:
            node = yield from self._actors.require_actor(actor, cutoff, follows=True)
            near.hold_actor(followed, loading, node)
        finally:
            near.end(loading)


def _nobody() -> None:
    """Wake nobody: the session is read once."""
