"""Packs an entry of the near cache into bytes, and rebuilds it.

A packed entry is one object that the garbage collector does not track: a full collection passes
over a million of them in no time (before Python 3.14, see
:mod:`clusterpass.sessions.memory.packed_tokens`), while it would visit each of the half dozen
objects of a :class:`CachedToken`. The bytes never leave the process. They hold everything but the
token itself, the key of the subject's sessions, and the call that is built again when it is needed.
What decides whether the session may be served lies beside them, and so does the response that was
kept with the session: it is served without rebuilding the entry.
"""

import marshal
from collections.abc import Callable, Mapping
from dataclasses import fields
from operator import attrgetter
from typing import Any, Final, NamedTuple

from clusterpass.model.bans import Ban
from clusterpass.model.frozen import frozen
from clusterpass.model.values import NO_CLAIMS, Actor, Session
from clusterpass.protocol.keyspace import SubjectKeys
from clusterpass.sessions.memory.entries import CachedSession, CachedToken
from clusterpass.sessions.memory.node_state import ALWAYS, NEVER, Lease
from clusterpass.sessions.memory.packed_tokens import Packed

_NO_LEASE: Final = 0
_NO_NODE: Final = -1
_VERSION: Final = 4
"""The version of the format of ``marshal``: the oldest one with short strings."""

_NAMES: Final = tuple(each.name for each in fields(Session))
_MADE: Final = ("claims", "act", "bans")
_plain_fields: Final = attrgetter(*(name for name in _NAMES if name not in _MADE))
_BEFORE: Final = _NAMES.index("claims")
_FLAGS: Final = _NAMES.index("act") - 1
"""The places of the first plain fields after the claims, and after the actor and the bans."""
_actor_fields: Final = attrgetter(*(each.name for each in fields(Actor)))
_ban_fields: Final = attrgetter(*(each.name for each in fields(Ban)))
_answer_fields: Final = attrgetter(*(each.name for each in fields(CachedSession)[1:]))


def pack_entry(entry: CachedToken) -> Packed:
    """Return ``entry`` packed, without its token, key and call.

    Raises ValueError when the claims hold values that JSON does not have.
    """
    lease, session, loaded = entry.lease, entry.session, entry.loaded
    contents = marshal.dumps(
        (
            entry.subject,
            entry.keys.activity,
            entry.keys.slot,
            entry.session_id,
            entry.session_text,
            entry.step_up,
            entry.rotation,
            entry.expires_at,
            entry.asked_at,
            entry.is_doubtful,
            None if session is None else _pack_session(session),
            None if loaded is None else _answer_fields(loaded),
        ),
        _VERSION,
    )
    number = _NO_LEASE if lease is NEVER else _NO_NODE if lease is ALWAYS else lease.began
    return Packed(contents, entry.response or b"", number, entry.deadline, entry.used_at)


class Due(NamedTuple):
    """The fields of a packed session that decide whether a use may be recorded later.

    Times are those of :class:`CachedToken` and :class:`CachedSession`.
    """

    subject: str
    session_id: bytes
    rotation: int
    expires_at: int
    ahead: float
    fresh_until: int
    note_at: float


def due_of(contents: bytes) -> Due | None:
    """Return that of a packed entry; None: the store was not asked for its session."""
    subject, _, _, session_id, _, _, rotation, expires_at, *_, answer = marshal.loads(contents)  # noqa: S302
    if answer is None:
        return None
    _, ahead, _, fresh_until, note_at = answer
    return Due(subject, session_id, rotation, expires_at, ahead, fresh_until, note_at)


def lease_of(number: int, current: Callable[[int], Lease | None]) -> Lease:
    """Return the lease that an entry was packed with; NEVER when its generation has ended.

    ``current``: as for :func:`unpack_entry`.
    """
    if number == _NO_NODE:
        return ALWAYS
    return NEVER if number == _NO_LEASE else current(number) or NEVER


def unpack_entry(
    token: str, key: bytes, packed: Packed, current: Callable[[int], Lease | None]
) -> CachedToken:
    """Return the entry that :func:`pack_entry` packed.

    ``key``: the key of the subject's sessions. ``current``: returns the lease of the generation
    that began with the event of the given number, or None when the generation has ended.
    """
    (
        subject,
        activity,
        slot,
        session_id,
        session_text,
        step_up,
        rotation,
        expires_at,
        asked_at,
        is_doubtful,
        session,
        answer,
    ) = marshal.loads(packed.contents)  # noqa: S302 (the bytes are of this process)
    entry = CachedToken(
        token,
        subject,
        SubjectKeys(key, activity, slot),
        session_id,
        expires_at,
        session_text=session_text,
        step_up=step_up,
    )
    entry.deadline, entry.used_at = packed.deadline, packed.used_at
    entry.asked_at, entry.is_doubtful, entry.rotation = asked_at, is_doubtful, rotation
    entry.response = packed.response or None
    if session is not None:
        entry.session = _unpack_session(session)
        if answer is not None:
            entry.loaded = CachedSession(entry.session, *answer)
    entry.lease = lease_of(packed.lease, current)
    return entry


def _pack_session(session: Session) -> tuple[Any, ...]:
    claims, act, bans = session.claims, session.act, session.bans
    return (
        _plain_fields(session),
        _plain(claims) if claims else None,
        None if act is None else _actor_fields(act),
        tuple(_ban_fields(ban) for ban in bans) if bans else None,
    )


def _unpack_session(packed: tuple[Any, ...]) -> Session:
    plain, claims, act, bans = packed
    before, after, flags = plain[:_BEFORE], plain[_BEFORE:_FLAGS], plain[_FLAGS:]
    given = NO_CLAIMS if claims is None else frozen(claims)
    actor = None if act is None else Actor(*act)
    in_force = () if bans is None else tuple(Ban(*ban) for ban in bans)
    values: tuple[Any, ...] = (*before, given, *after, actor, in_force, *flags)
    return Session(*values)


def _plain(value: Any) -> Any:
    """Return ``value`` with built-in containers in place of immutable ones."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value
