# Generated from managers/aio/audit.py by scripts/generate_sync.py; do not edit.
"""The group of verbs ``audit`` of a manager: adds to the audit trail, reads it and checks it."""

from collections.abc import Mapping
from typing import Any, Final

from clusterpass.managers.sync.audit_writer import Auditing
from clusterpass.managers.sync.running import Running
from clusterpass.model.audit import AuditOutcome, AuditPage, AuditReport
from clusterpass.sessions.verbs.audit import AuditFlows


class Audit:
    """The audit trail of the namespace. ``Config.audit`` says whether the manager writes it.

    A manager notes its own verbs, and those of a user directory over it; :func:`acting` says who
    calls them. Who may read and write all keys of the store could write another trail: keep the
    ``head`` of a report elsewhere, such as in the log, and compare.
    """

    def __init__(self, running: Running, flows: AuditFlows, auditing: Auditing | None) -> None:
        self.trail: Final = running.trail
        """What notes the verbs of this manager; None: nothing does."""
        self._running = running
        self._flows = flows
        self._auditing = auditing

    def note(
        self,
        action: str,
        *,
        subject: str | None = None,
        outcome: AuditOutcome = "done",
        reason: str = "",
        error: str | None = None,
        details: Mapping[str, Any] | None = None,
        sparing: bool = False,
    ) -> None:
        """Add an entry about something that the application did.

        ``action``: 1 to 64 lowercase letters, digits or any of ``_.-``, such as
        ``invoice.approved``. ``subject``: to whom it was done. ``reason``: at most 200 bytes.
        ``error``: the code of an error, spelt as an action is. ``details``: plain JSON of at most
        2048 bytes. ``sparing``: of equal refusals of one actor, note one in ten seconds, and how
        many there were: for what anybody can cause. :func:`acting` says who did it.

        One round trip (``audit_append.lua``); where the store does not take the entry within half a
        second, it is written later, in the background. Raises InvalidInput, and ConfigurationError
        without ``Config.audit``.
        """
        self._running.run(
            self._flows.note(
                action,
                subject=subject,
                outcome=outcome,
                reason=reason,
                error=error,
                details=details,
                sparing=sparing,
            )
        )

    def page(
        self, *, after: str | None = None, before: str | None = None, limit: int = 100
    ) -> AuditPage:
        """Return at most ``limit`` entries (1 to 1000), the oldest first.

        ``after``: the entries behind this cursor; ``before``: the latest before it, an empty one
        for the latest of all. The ``next_cursor`` of a page goes on in the same direction; the
        ``id`` of an entry serves as a cursor, too. Without either the oldest entries are returned.
        Entries of a later release are left out. One round trip (``audit_read.lua``). Raises
        InvalidInput.
        """
        return self._running.run(self._flows.page(after, before, limit))

    def check(self, *, head: str | None = None) -> AuditReport:
        """Read the whole trail; return whether an entry was changed, or some are missing.

        ``head``: that of an earlier report, which the chain has to contain. One round trip for each
        1000 entries (``audit_read.lua``). Raises InvalidInput.
        """
        return self._running.run(self._flows.check(head))

    def flush(self) -> None:
        """Write the entries of this manager that wait; does nothing when none does.

        One round trip for each 100 entries (``audit_append.lua``). Raises StoreUnavailable when the
        store does not take them, and they go on waiting; StoreDenied or StoreFailed when it never
        will, and the log has them.
        """
        if self._auditing is not None:
            self._auditing.flush()
