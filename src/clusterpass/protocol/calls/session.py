"""The calls that open, read and refresh sessions and note their use, with typed replies."""

from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from clusterpass.model.errors import UnreadableRecord
from clusterpass.protocol.calls.statuses import LoginStatus, RotateStatus
from clusterpass.protocol.calls.subject_change import NO_OPERATION, Housekeeping
from clusterpass.protocol.keyspace import Keyspace, SubjectKeys
from clusterpass.protocol.records import HAS_DETAILS, LONGEST_LINE, LONGEST_NOTE, shorten_text
from clusterpass.protocol.replies import (
    NO_DETAILS,
    Details,
    Listed,
    Stored,
    read_listed,
    read_stored,
)
from clusterpass.protocol.script import ScriptCall, load_script

Overflow = Literal["oldest", "least_recently_used", "refuse"]
"""Which session a login ends when there are too many; refuse: none, and the login fails."""
_VERIFY: Final = load_script("verify")
_LOGIN: Final = load_script("login")
_ROTATE: Final = load_script("rotate")
_EVENT_LOGIN: Final = 1
_TOUCH_DEADLINE: Final = 0.5
"""Seconds: a verify does not wait long for a note of a session's use."""
ONLY_THE_SECOND: Final = -1
"""In place of a rotation: a use is noted in the form that the release before reads."""
_EVENT_IMPERSONATED: Final = 10


@dataclass(slots=True, kw_only=True)
class NewSession:
    """A session to be opened, and the limits within which it may be."""

    session_id: bytes
    """The random id of the session, 16 bytes."""
    refresh_digest: bytes = field(repr=False)
    """The digest of the first refresh token, 16 bytes."""
    absolute_seconds: int
    """Seconds after which the session ends, however much it is used; 0: none is opened, now or by
    a later call under the id of ``operation``."""
    idle_seconds: int
    """Seconds without use after which the session ends; 0: no idle limit."""
    flags: int = 0
    """``HAS_DETAILS``, ``BY_PASSWORD`` and ``IMPERSONATED`` of ``protocol.records``."""
    device: str = ""
    """The device as the record holds it: a name, or a device type, NUL, and a name."""
    details: Details
    """What the login brings that does not fit the record."""
    most_sessions: int
    """How many sessions the subject may have, this one included."""
    most_per_device: int = 0
    """How many sessions the subject may have on one device type; 0: no limit."""
    overflow: Overflow = "oldest"
    """What happens when the subject has the most sessions already."""
    replaced: bytes = b""
    """The id of a session that this one replaces; empty: none."""
    generation: int | None = None
    """The generation that the caller saw when the login began; None: not compared."""
    address: bytes = b""
    """The client's packed IP address, for the history; empty: not known."""
    is_impersonation: bool = False
    """Whether another user opens the session in the name of the subject."""
    label: str = ""
    """The device as the history and the tombstones of replaced sessions name it."""
    operation: bytes = NO_OPERATION
    """The id, 8 bytes, of what opens one session only, such as a token of another issuer."""
    opened_milliseconds: int | None = None
    """When another issuer opened the session, in milliseconds since the epoch; None: it is new."""


@dataclass(slots=True)
class Opened:
    """The outcome of a login."""

    status: LoginStatus
    """Whether the session is open, and why not."""
    stored: Stored
    """The session as the store holds it now."""
    replaced: tuple[bytes, ...]
    """The ids of the sessions that were ended to make room."""
    listed: Listed | None
    """The subject's sessions, when the login was refused because of them; None otherwise."""


@dataclass(slots=True)
class Rotated:
    """The outcome of exchanging a refresh token."""

    status: RotateStatus
    """Whether the token was exchanged, and why not; never UNREADABLE."""
    stored: Stored
    """The session after the exchange."""
    key: int = 0
    """With AGAIN: the number of the key that derived the token's successor."""


def login(
    keyspace: Keyspace,
    keeping: Housekeeping,
    subject: str,
    new: NewSession,
    *,
    keys: SubjectKeys | None = None,
) -> ScriptCall[Opened]:
    """Open a session of ``subject`` within the limits of ``new``: ``scripts/login.lua``.

    ``keys``: those of the subject, where the caller has made them already.
    """
    details = b"" if new.details is NO_DETAILS else new.details.encode()
    label, keys = new.label, keys or keyspace.keys_of(subject)
    return ScriptCall(
        _LOGIN,
        keeping.keys(keyspace, keys),
        (
            keeping.pack(subject, new.operation),
            new.session_id,
            new.refresh_digest,
            new.absolute_seconds,
            new.idle_seconds,
            new.flags | (HAS_DETAILS if details else 0),
            new.device.encode(),
            details,
            new.most_sessions,
            new.most_per_device,
            new.overflow.encode(),
            new.replaced,
            b"" if new.generation is None else new.generation,
            new.address,
            _EVENT_IMPERSONATED if new.is_impersonation else _EVENT_LOGIN,
            shorten_text(label, LONGEST_LINE) if label else b"",
            shorten_text(label, LONGEST_NOTE) if label else b"",
            b"" if new.opened_milliseconds is None else new.opened_milliseconds,
        ),
        _read_opened,
        slot=keys.slot,
    )


def verify(
    keyspace: Keyspace, subject: str, *, session_id: bytes, follows: bool = False
) -> ScriptCall[Stored]:
    """Read one session of ``subject``: ``scripts/verify.lua``. ``follows``: as for the call."""
    sessions, activity, slot = keyspace.keys_of(subject)
    return ScriptCall(
        _VERIFY, (sessions, activity), (session_id,), read_stored, slot=slot, follows=follows
    )


def read_session(
    keys: SubjectKeys,
    *,
    session_id: bytes,
    deadline: float | None = None,
    follows: bool = False,
) -> ScriptCall[list[Any]]:
    """Read one session by the ``keys`` of its subject; the reply is left as it came.

    ``read_stored`` makes a session of the reply. Replies that are equal, except for their first
    member, the time, describe the same session. ``deadline``: seconds after which the call is given
    up. ``follows``: as for the call. The script is ``scripts/verify.lua``.
    """
    sessions, activity, slot = keys
    return ScriptCall(
        _VERIFY,
        (sessions, activity),
        (session_id,),
        list,
        slot=slot,
        deadline=deadline,
        follows=follows,
    )


def rotate(
    keyspace: Keyspace,
    keeping: Housekeeping,
    subject: str,
    *,
    session_id: bytes,
    presented_digest: bytes,
    rotation: int,
    successor_digest: bytes,
    grace: int = 0,
    chains: bytes = b"",
    address: bytes = b"",
    until_used: bool = False,
    is_sure: bool = True,
) -> ScriptCall[Rotated]:
    """Exchange a refresh token for its successor; reading the reply may raise UnreadableRecord.

    ``rotation``: how many exchanges came before the presented token. ``grace``: seconds in which
    the token may be presented again. ``chains``: the digests of the tokens that may have come after
    it, empty without a grace period. ``address``: the packed IP address, for the history.
    ``until_used``: whether the token before the current one may be presented again until a token of
    its exchange was used. ``is_sure``: whether ``chains`` are all that there may be; otherwise the
    session is not ended for a token that may have come of none of these. The script is
    ``scripts/rotate.lua``.
    """
    keys = keyspace.keys_of(subject)
    return ScriptCall(
        _ROTATE,
        keeping.keys(keyspace, keys),
        (
            keeping.pack(subject),
            session_id,
            presented_digest,
            rotation,
            successor_digest,
            grace,
            chains,
            address,
            b"1" if until_used else b"",
            b"" if is_sure else b"1",
        ),
        _read_rotated,
        slot=keys.slot,
    )


def touch(
    keyspace: Keyspace,
    keeping: Housekeeping,
    subject: str,
    *,
    session_id: bytes,
    rotation: int = 0,
) -> ScriptCall[int]:
    """Note that a session is in use.

    The reply is 0 when nothing was noted, and otherwise 1 plus ``LiveRecord.used``.
    ``rotation``: how many exchanges came before the access token that was used; 0: none, or not
    told; ``ONLY_THE_SECOND``: nothing but the time is noted, as the release before does. No replica
    is asked to confirm the write: after a failover the next use writes it again. The script is
    ``scripts/touch.lua``.
    """
    sessions, activity, slot = keyspace.keys_of(subject)
    return ScriptCall(
        load_script("touch"),
        (sessions, activity),
        (session_id, keeping.tombstone_seconds, keeping.time.pack(), rotation),
        int,
        confirm=False,
        deadline=_TOUCH_DEADLINE,
        slot=slot,
    )


def list_sessions(keyspace: Keyspace, subject: str) -> ScriptCall[Listed]:
    """Read the sessions and the history of ``subject``: ``scripts/list_sessions.lua``."""
    sessions, activity, slot = keyspace.keys_of(subject)
    return ScriptCall(
        load_script("list_sessions"), (sessions, activity), (), read_listed, slot=slot
    )


def _read_opened(raw: list[Any]) -> Opened:
    if len(raw) == 2:
        return Opened("OK", read_stored(raw[1]), (), None)
    status, stored, replaced, fields, activity = raw
    return Opened(
        cast("LoginStatus", status.decode()),
        read_stored(stored),
        tuple(replaced),
        read_listed([stored[0], fields, activity]) if fields else None,
    )


def _read_rotated(raw: list[Any]) -> Rotated:
    status, stored, key = raw
    if status == b"UNREADABLE":
        raise UnreadableRecord
    return Rotated(cast("RotateStatus", status.decode()), read_stored(stored), key)
