"""Reads the store's answer about a session, and corrects it by what this process knows.

A store that has lost writes may report a session as live that this process has seen end.
"""

import math
from dataclasses import replace
from typing import Any, Final

from clusterpass.config import VerificationMode
from clusterpass.model.authentication_errors import (
    SessionExpired,
    SessionRevoked,
    SessionUnknown,
    TokenExpired,
    TokenSuperseded,
)
from clusterpass.protocol.records import OLDER_USED, OWN_USED, LiveRecord
from clusterpass.protocol.replies import Stored, read_stored
from clusterpass.sessions.authentication import as_token_sees
from clusterpass.sessions.context import Context
from clusterpass.sessions.memory.denial import denial_of
from clusterpass.sessions.memory.entries import CachedSession, CachedToken
from clusterpass.sessions.public_values import describe_session, live_record, means_the_same_until
from clusterpass.sessions.revocations.confirm import Confirm

_NOTES_IN_AN_IDLE_LIFETIME: Final = 20
_SPREAD: Final = 4
"""Uses are recorded early, by less than this part of the interval, lest many come due at once."""


class Loads:
    """Reads answers to ``verify.lua``, without sending anything."""

    def __init__(self, context: Context, confirm: Confirm) -> None:
        self._config = context.config
        self._retries_until_used: Final = context.config.retries_until_used
        self._memory = context.memory
        self._denials = context.memory.denials
        self._confirm = confirm

    def interpret(
        self,
        entry: CachedToken,
        reply: list[Any],
        mode: VerificationMode,
        sent_at: float,
        cutoff: int,
    ) -> CachedSession:
        """Return the session that ``reply`` describes, or the cached one if nothing has changed.

        ``sent_at``: when the store was asked, in seconds of the steady clock. ``cutoff``:
        milliseconds since the epoch before which every session has ended. Raises TokenExpired;
        TokenSuperseded when a step-up ended the token; and SessionUnknown, SessionExpired or
        SessionRevoked when the session is not live.
        """
        now = reply[0] // 1000
        known = entry.loaded
        if (
            known is not None
            and known.raw == reply[1:]
            and now < known.fresh_until
            and known.created_milliseconds >= cutoff
            and now < entry.expires_at
            and not self._denials.concerns(entry.key, entry.session_id)
        ):
            return known if mode == "strict" else replace(known, ahead=reply[0] / 1000 - sent_at)
        loaded = self.read(entry, reply, sent_at, cutoff)
        if now >= entry.expires_at:
            raise TokenExpired
        return loaded

    def read(
        self, entry: CachedToken, reply: list[Any], sent_at: float, cutoff: int
    ) -> CachedSession:
        """Return the session that ``reply`` describes, without comparing it with the cached one.

        Takes and raises what :meth:`interpret` does, except TokenExpired.
        """
        stored, record = self.live(
            entry.subject,
            entry.key,
            entry.session_id,
            read_stored(reply),
            sent_at=sent_at,
            cutoff=cutoff,
        )
        if not entry.token:  # nobody has presented one, so no step-up applies
            stored = replace(stored, elevation=None)
        elevation, older_rotation = stored.elevation, None
        if elevation is not None and entry.rotation < elevation.first_rotation:
            older_rotation = elevation.older_rotation
        try:
            stored = as_token_sees(stored, entry.step_up)
        except TokenSuperseded:
            self._memory.near.changed(entry.key)
            raise
        session = describe_session(self._config, entry.subject, entry.session_text, stored, record)
        return CachedSession(
            session,
            reply[1:],
            ahead=stored.now_milliseconds / 1000 - sent_at,
            created_milliseconds=record.created_milliseconds,
            fresh_until=means_the_same_until(stored, record),
            note_at=(
                0
                if entry.rotation and self._is_first_use(entry, record, older_rotation)
                else self._next_note_at(entry.session_id, record)
            ),
        )

    def _next_note_at(self, session_id: bytes, record: LiveRecord) -> float:
        """Return when the next use of a session is to be recorded, in seconds since the epoch.

        Sessions whose uses were recorded in the same second do not come due in the same second
        again: the id of each says how early it is, by less than a quarter of the interval.
        """
        interval = self._config.activity_interval
        if not interval:
            return math.inf
        if record.idle_seconds:
            interval = min(interval, max(1, record.idle_seconds // _NOTES_IN_AN_IDLE_LIFETIME))
        early = int.from_bytes(session_id[-4:], "big") % max(1, interval // _SPREAD)
        return record.active_at + interval - early

    def _is_first_use(
        self, entry: CachedToken, record: LiveRecord, older_rotation: int | None
    ) -> bool:
        """Return whether the store must learn that the latest exchange has reached its client.

        ``older_rotation``: that of the refresh token before a step-up, if the token was issued
        before it and that can still be exchanged.
        """
        if not self._retries_until_used:
            return False
        if older_rotation is not None:
            return entry.rotation == older_rotation and not record.used & OLDER_USED
        return entry.rotation == record.rotation and not record.used & OWN_USED

    def live(
        self,
        subject: str,
        key: bytes,
        session_id: bytes,
        stored: Stored,
        *,
        sent_at: float,
        cutoff: int,
    ) -> tuple[Stored, LiveRecord]:
        """Return ``stored`` with the bans that are pending here, and the record of the session.

        ``key``: the key of the subject's sessions. ``sent_at`` and ``cutoff`` are those of
        :meth:`interpret`. What the answer tells of an end is remembered. Raises SessionUnknown,
        SessionExpired or SessionRevoked when the session is not live, or has ended as far as this
        process knows.
        """
        if not isinstance(stored.record, LiveRecord):
            self._denials.learn_generation(key, stored.generation)
        try:
            record = live_record(stored, cutoff)
        except (SessionExpired, SessionRevoked) as end:
            self._memory.deny(key, session_id, denial_of(end))
            raise
        except SessionUnknown:
            self._memory.near.changed(key)
            raise
        if stored.generation or self._denials.concerns(key, session_id):
            denial = self._denials.judge(key, session_id, stored, sent_at)
            if denial is not None:
                self._memory.near.changed(key)
                self._confirm.deny(subject, session_id, denial)
                raise denial.error()
            stored = replace(stored, bans=self._memory.with_pending_bans(key, stored.bans, sent_at))
        return stored, record

    def refuse_if_over(self, entry: CachedToken) -> None:
        """Return, while the store is unavailable, if this process does not know of an end.

        Raises SessionExpired or SessionRevoked otherwise.
        """
        near = self._memory.near
        if entry.loaded is None:
            denial = self._denials.of_session(entry.session_id)
        else:
            ahead = near.store_seconds(entry.loaded) - near.now()
            record = live_record(read_stored([0, *entry.loaded.raw]))
            denial = self._denials.without_store(entry.key, entry.session_id, record, ahead)
        if denial is not None:
            raise denial.error()
