"""Records in the store that a session is in use: with a verify, or after one.

A verify that asks the store records a use that is due before it returns. A session that is served
from memory is not kept waiting: its use is recorded a moment later.
"""

import math
from collections.abc import Callable
from typing import Final

from clusterpass.model.errors import StoreUnavailable
from clusterpass.protocol.calls import session as session_calls
from clusterpass.protocol.calls.subject_change import Housekeeping
from clusterpass.protocol.replies import used_at
from clusterpass.protocol.script import Answer, Flow, ScriptCall
from clusterpass.sessions.context import Context
from clusterpass.sessions.loaded_session import Loads
from clusterpass.sessions.memory.entries import CachedToken
from clusterpass.sessions.memory.unrecorded_uses import Use

_MOST_SECONDS: Final = 900.0
"""A session that was read so long ago is read again, whatever was pushed, after its use was
recorded: so many that come back together are read evenly, as they are recorded."""


class Uses:
    """The flows that record uses."""

    def __init__(self, context: Context, loads: Loads) -> None:
        self._keyspace: Final = context.keyspace
        self._keeping: Final[Callable[[], Housekeeping]] = context.keeping
        self._is_for_previous: Final = context.config.compatibility == "previous"
        self._near: Final = context.memory.near
        self._cutoff: Final = context.memory.cutoff
        self._loads: Final = loads

    def record(self, entry: CachedToken) -> Flow[int]:
        """Return what ``touch`` answered; 0, too, for a failure, which does not end the session."""
        try:
            answer: Answer[int] = yield self._call_of(entry)
        except StoreUnavailable:
            return 0
        return answer.reply

    def record_late(self, use: Use) -> Flow[None]:
        """Record the use of a session that was served from memory, if that is still due.

        Raises StoreUnavailable when the store does not answer, and SessionExpired or SessionRevoked
        when the session has ended as far as this process knows.
        """
        near = self._near
        entry = near.entry(use.token)
        asked_at, loaded = (-math.inf, None) if entry is None else (entry.asked_at, entry.loaded)
        second = 0 if loaded is None else int(near.store_seconds(loaded))
        if loaded is not None and second < loaded.note_at:
            return
        answer: Answer[int] = yield self._call_of(use)
        if entry is None or loaded is None:
            return
        if not answer.reply:
            near.outdated(entry.key)  # it has ended, or cannot be read: the next verify says which
            return
        if asked_at == -math.inf:
            return  # it was loaded for one answer only
        if near.now() - asked_at >= _MOST_SECONDS:
            near.outdated(entry.key)
            return
        # What is kept is as old as it was: what became known since is no answer of the store's.
        reply = [round(1000 * (asked_at + loaded.ahead)), *loaded.raw]
        reply = used_at(reply, second, answer.reply - 1)
        newer = self._loads.read(entry, reply, asked_at, self._cutoff.milliseconds)
        near.keep_use(use.token, loaded, newer)

    def _call_of(self, used: CachedToken | Use) -> ScriptCall[int]:
        only_the_second = session_calls.ONLY_THE_SECOND
        return session_calls.touch(
            self._keyspace,
            self._keeping(),
            used.subject,
            session_id=used.session_id,
            rotation=only_the_second if self._is_for_previous else used.rotation,
        )
