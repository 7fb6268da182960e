"""Checks that the actor of an impersonation still has a live session.

An impersonation ends together with the session of its actor. What the store answers about that
session is corrected by what this process knows, as for every other session.
"""

from collections.abc import Hashable
from dataclasses import replace
from typing import Final

from clusterpass.model.authentication_errors import SessionExpired, SessionRevoked, SessionUnknown
from clusterpass.model.errors import StoreUnavailable
from clusterpass.model.values import Actor
from clusterpass.protocol.calls import session as session_calls
from clusterpass.protocol.replies import Stored
from clusterpass.protocol.script import Answer, Flow, ScriptCall
from clusterpass.sessions.context import Context
from clusterpass.sessions.loaded_session import Loads
from clusterpass.sessions.revocations.confirm import Confirm
from clusterpass.tokens.identifiers import decode_session_id

_NOTE: Final = "the impersonation has ended"


class Actors:
    """The checks of the sessions of actors."""

    def __init__(self, context: Context, confirm: Confirm) -> None:
        self._clock = context.clock
        self._clocks = context.memory.clocks
        self._denials = context.memory.denials
        self._keyspace = context.keyspace
        self._loads = Loads(context, confirm)

    def require_live(self, subject: str, session_id: bytes, cutoff: int) -> Flow[None]:
        """Return if the session is live. One round trip.

        ``cutoff``: milliseconds since the epoch before which every session has ended. Raises
        SessionUnknown, SessionExpired or SessionRevoked.
        """
        asked_at = self._clock.steady()
        try:
            answer: Answer[Stored] = yield self._call_of(subject, session_id)
        except StoreUnavailable:
            if (denial := self._denials.of_session(session_id)) is not None:
                raise denial.error() from None
            raise
        self._judge(subject, session_id, answer.reply, asked_at, cutoff)

    def require_actor(self, actor: Actor, cutoff: int, *, follows: bool = False) -> Flow[Hashable]:
        """Return the node that says that the session of ``actor`` is live. One round trip.

        ``follows``: whether the node has to push the changes of that session from now on.
        Raises SessionRevoked if it is not: the error tells that the impersonation has ended, and
        not why the actor's session did, as the subject must not learn that.
        """
        ended_at = 0
        session_id = decode_session_id(actor.session_id)
        if session_id is not None:
            asked_at = self._clock.steady()
            try:
                answer: Answer[Stored] = yield session_calls.verify(
                    self._keyspace, actor.subject, session_id=session_id, follows=follows
                )
            except StoreUnavailable:
                self.refuse_ended(actor)
                raise
            try:
                self._judge(actor.subject, session_id, answer.reply, asked_at, cutoff)
            except (SessionExpired, SessionRevoked) as end:
                ended_at = end.ended_at
            except SessionUnknown:
                ended_at = answer.reply.now
            else:
                return answer.node
        raise SessionRevoked(reason="revoked", ended_at=ended_at, note=_NOTE)

    def refuse_ended(self, actor: Actor) -> None:
        """Raise SessionRevoked if this process knows that the session of ``actor`` has ended."""
        session_id = decode_session_id(actor.session_id)
        denial = None if session_id is None else self._denials.of_session(session_id)
        if denial is not None:
            raise SessionRevoked(reason="revoked", ended_at=denial.ended_at, note=_NOTE)

    def _call_of(self, subject: str, session_id: bytes) -> ScriptCall[Stored]:
        return session_calls.verify(self._keyspace, subject, session_id=session_id)

    def _judge(
        self, subject: str, session_id: bytes, stored: Stored, asked_at: float, cutoff: int
    ) -> None:
        told = self._clocks.judge(stored.now_milliseconds, asked_at)
        if told != stored.now_milliseconds:
            stored = replace(stored, now_milliseconds=told)
        key = self._keyspace.sessions(subject)
        self._loads.live(subject, key, session_id, stored, sent_at=asked_at, cutoff=cutoff)
