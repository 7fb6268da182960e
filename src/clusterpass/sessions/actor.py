"""An impersonation hangs on the session of its actor: whether that one lives."""

from clusterpass.model.authentication_errors import SessionExpired, SessionRevoked, SessionUnknown
from clusterpass.model.values import Actor
from clusterpass.protocol.calls import session as session_calls
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.replies import Stored
from clusterpass.protocol.script import Answer, Flow
from clusterpass.sessions.present import live_record
from clusterpass.tokens.identifiers import decode_session_id


def require_live_actor(keyspace: Keyspace, actor: Actor, cutoff: int) -> Flow[None]:
    """Return when the actor's session lives; one round trip.

    ``cutoff``: milliseconds before which every session has ended. Raises SessionRevoked, of the
    impersonation, otherwise.
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
    # Why it ended is the actor's business, not the subject's.
    raise SessionRevoked(reason="revoked", ended_at=ended_at, note="the impersonation is over")
