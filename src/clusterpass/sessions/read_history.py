"""Reads the history of a subject for listeners to events of all processes."""

from clusterpass.protocol.calls import session as session_calls
from clusterpass.protocol.replies import Listed
from clusterpass.protocol.script import Answer, Flow
from clusterpass.sessions.context import Context


def read_history(context: Context, subject: str) -> Flow[Listed]:
    """Return the sessions and the history of ``subject``, with the time by which to judge them.

    Raises StoreUnavailable, also when the clock of the node is too far from this machine's.
    """
    clocks = context.memory.clocks
    asked_at = context.clock.steady()
    answer: Answer[Listed] = yield session_calls.list_sessions(context.keyspace, subject)
    return answer.reply.at(clocks.judge(answer.reply.now_milliseconds, asked_at))
