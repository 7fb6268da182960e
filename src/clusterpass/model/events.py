"""The entries of a session history, and the events that listeners receive.

Times are whole seconds since the epoch, as in ``model.values``.
"""

from dataclasses import dataclass
from typing import Literal

from clusterpass.model.json_form import Value
from clusterpass.model.values import Actor

# The store holds a kind as its place in this list, from 1: new kinds are appended.
EventKind = Literal[
    "login",
    "refresh",
    "logged_out",
    "replaced",
    "revoked",
    "banned",
    "unbanned",
    "reused",
    "elevated",
    "impersonated",
    "claims_changed",
    "expired",
    "idle",
    "refused",
    "password_changed",
]
ListenerScope = Literal["process", "cluster"]


@dataclass(frozen=True, slots=True)
class HistoryEntry(Value):
    """One entry in the history of a subject."""

    kind: EventKind
    """What happened."""
    at: int
    """When the event happened; for refreshes, which share an entry, the time of the latest."""
    count: int
    """How many times the event happened, or the number of sessions that it affected."""
    session_id: str | None
    """The session; None when the event affected several sessions, or none."""
    address: str | None
    """The client's IP address; None when it is unknown."""
    text: str
    """The device of a login, or the reason of a revocation or a ban; may be truncated."""
    by: str | None = None
    """Who ended the session, as :func:`acting` has said; a long name is cut. None: not known."""


@dataclass(frozen=True, slots=True)
class SessionEvent(Value):
    """An event that a manager reports to its listeners."""

    kind: EventKind
    """What happened."""
    subject: str
    """The user whose sessions the event concerns."""
    at: int
    """When: by the store's clock, or by this machine's for revocations, bans and claims."""
    session_ids: tuple[str, ...] = ()
    """The sessions that were opened, changed or ended."""
    device: str | None = None
    device_type: str | None = None
    address: str | None = None
    reason: str | None = None
    """The reason of a revocation or a ban, the class of a reuse, or the level of a step-up."""
    actor: Actor | None = None
    """The actor of an impersonation."""
