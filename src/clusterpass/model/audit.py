"""Values of the audit trail: its retention, entries, pages, results of a check, and counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from clusterpass.limits import DAY, LONGEST_LIFETIME
from clusterpass.model.errors import ConfigurationError
from clusterpass.model.frozen import FrozenDict
from clusterpass.model.json_form import Value

AuditOutcome = Literal["done", "refused", "pending", "failed", "unknown"]
AuditFaultKind = Literal["changed", "missing", "lost", "unreadable", "other_head"]


@dataclass(frozen=True, slots=True)
class AuditPolicy(Value):
    """The retention of the audit trail: for how long, and at most how many entries.

    Raises ConfigurationError for a value out of range.
    """

    retention: int = 90 * DAY
    """Seconds for which entries are kept (one hour to ten years)."""
    most_entries: int = 1_000_000
    """The most entries that are kept (1,000 to 100 million); the oldest go first. An entry takes
    about 300 bytes of the store's memory."""

    def __post_init__(self) -> None:
        for name, at_least, at_most in (
            ("retention", 3600, LONGEST_LIFETIME),
            ("most_entries", 1000, 100_000_000),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise ConfigurationError(f"{name} of the AuditPolicy must be a whole number")
            if not at_least <= value <= at_most:
                raise ConfigurationError(
                    f"{name} of the AuditPolicy must be from {at_least} to {at_most}"
                )


@dataclass(frozen=True, slots=True)
class AuditEntry(Value):
    """One entry of the audit trail."""

    number: int
    """The place of the entry in the chain, from 1."""
    id: str
    """The id of the entry in the stream; reading goes on behind it."""
    at: float
    """When it happened, in seconds since the epoch, by the clock of the process that noted it."""
    action: str
    """What was done: the name of a verb such as ``revoke_all``, or one of the application's."""
    outcome: AuditOutcome
    """``done``; ``refused``, as ``error`` says; ``pending``: a revocation that is in force but not
    confirmed; ``failed``: the store did not answer, so it may have been done or not; ``unknown``:
    the caller gave up meanwhile."""
    actor: str | None
    """Who did it; None: the application itself, or nobody who is known, as in a failed login."""
    subject: str | None
    """To whom: the subject, also one that was only attempted; None: to nobody in particular."""
    session_id: str | None = None
    """The session that was opened, changed or ended; None: several or none."""
    via: str | None = None
    """The channel: ``http``, ``page``, ``command``, or a name of the application's."""
    address: str | None = None
    """The client's IP address, as far as ``Config.stored_addresses`` keeps it."""
    reason: str | None = None
    """The reason that the actor gave."""
    error: str | None = None
    """The code of the error; None: there was none."""
    request_id: str | None = None
    """The id of the request in the log."""
    details: Mapping[str, Any] = field(default_factory=FrozenDict, hash=False)
    """What else is known, as plain JSON: how many sessions ended, for example."""
    writer: str = ""
    """The manager that noted the entry: 8 random bytes in hexadecimal digits."""
    writer_number: int = 0
    """The place of the entry among those of its writer, from 1."""
    chain: str = ""
    """The hash of this entry and all before it, as 40 hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class AuditPage(Value):
    """Some entries of the audit trail, the oldest first."""

    entries: tuple[AuditEntry, ...]
    """The entries."""
    next_cursor: str | None
    """Where to go on; None: there was nothing behind the page when it was read."""
    unreadable: int = 0
    """How many entries are left out, which are of a later release, or none at all: the check of the
    trail names them."""


@dataclass(frozen=True, slots=True)
class AuditFault(Value):
    """A fault at one place of the audit trail."""

    kind: AuditFaultKind
    """``changed``: an entry is not what was written; ``missing``: entries of the chain are gone;
    ``lost``: entries that a process noted never arrived, or were lost in a failover;
    ``unreadable``: an entry of a later release, or none at all; ``other_head``: the chain does not
    contain the head that it is compared with."""
    number: int
    """The number of the entry behind the fault, or at it."""
    message: str
    """A sentence about it."""


@dataclass(frozen=True, slots=True)
class AuditReport(Value):
    """The result of a check of the whole audit trail."""

    count: int
    """How many entries there are."""
    first: int
    """The number of the oldest; 0: there is none. Those before it are over their retention."""
    last: int
    """The number of the latest; 0: there is none."""
    head: str
    """``NUMBER:CHAIN`` of the latest, to be kept elsewhere and compared later; empty: none."""
    faults: tuple[AuditFault, ...] = ()
    """What is wrong, at most 100 of them."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditStats(Value):
    """Counts of the entries that one manager has noted: written, waiting, failed or logged."""

    written: int
    """Entries that the store holds."""
    waiting: int
    """Entries that are still to be written."""
    failed: int
    """Tries to write that have failed; they are repeated."""
    logged: int
    """Entries that the log of ``clusterpass.audit`` has instead of the store."""
