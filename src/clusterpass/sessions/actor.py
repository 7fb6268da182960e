"""Checks that the actor of an impersonation still has a live session.

An impersonation ends together with the session of its actor.
"""

from clusterpass.model.authentication_errors import SessionExpired, SessionRevoked, SessionUnknown
from clusterpass.model.values import Actor
from clusterpass.protocol.calls import session as session_calls
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.replies import Stored
from clusterpass.protocol.script import Answer, Flow
from clusterpass.sessions.present import live_record
from clusterpass.tokens.identifiers import decode_session_id


def require_live_actor(keyspace: Keyspace, actor: Actor, cutoff: int) -> Flow[None]:
    """Return if the actor's session is live; raise SessionRevoked if not. One round trip.

    ``cutoff``: milliseconds since the epoch before which every session has ended. The error tells
    the end of the impersonation, not the reason why the actor's session ended.
    """
    ended_at = 0
    session_id = decode_session_id(actor.session_id)
    if session_id is not None:
        answer: Answer[Stored] = yield session_calls.verify(
            keyspace, actor.subject, session_id=session_id
        )
        try:
            live_record(answer.reply, cutoff)
        except (SessionExpired, SessionRevoked) as end:
            ended_at = end.ended_at
        except SessionUnknown:
            ended_at = answer.reply.now
        else:
            return
    # The subject must not learn why the actor's session ended.
    raise SessionRevoked(reason="revoked", ended_at=ended_at, note="the impersonation has ended")
