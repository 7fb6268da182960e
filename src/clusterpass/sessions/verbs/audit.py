"""Flows that read, check and add to the audit trail."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, get_args

from clusterpass.model.audit import AuditEntry, AuditOutcome, AuditPage, AuditReport
from clusterpass.model.errors import ConfigurationError, InvalidInput, UnreadableRecord
from clusterpass.protocol.calls.audit import Direction, StoredEntry, read_entries
from clusterpass.protocol.script import Answer, Flow
from clusterpass.sessions.audit_check import AuditCheck
from clusterpass.sessions.audit_entry import LARGEST_DETAILS_BYTES, decode_entry
from clusterpass.sessions.audit_recorder import AuditTrail
from clusterpass.sessions.check_arguments import check_code, check_reason
from clusterpass.sessions.context import Context
from clusterpass.tokens.encoding import encode_json
from clusterpass.tokens.identifiers import check_subject

MOST_IN_A_PAGE: Final = 1000
_CURSOR: Final = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
_HEAD: Final = re.compile(r"[1-9][0-9]{0,18}:[0-9a-f]{40}")
_OUTCOMES: Final = get_args(AuditOutcome)


class AuditFlows:
    """The flows about the audit trail of the namespace."""

    def __init__(self, context: Context, trail: AuditTrail | None) -> None:
        """``trail``: None where the manager writes none."""
        self._context = context
        self._keyspace = context.keyspace
        self._trail = trail

    def note(
        self,
        action: str,
        *,
        subject: str | None,
        outcome: AuditOutcome,
        reason: str,
        error: str | None,
        details: Mapping[str, Any] | None,
        sparing: bool,
    ) -> Flow[None]:
        """Add an entry of the application's. Raises InvalidInput, and ConfigurationError."""
        if self._trail is None:
            raise ConfigurationError("the manager writes no audit trail; set Config.audit")
        check_code("action", action)
        if error is not None:
            check_code("error", error)
        if subject is not None:
            check_subject(subject)
        if outcome not in _OUTCOMES:
            raise InvalidInput(f"outcome must be one of {', '.join(_OUTCOMES)}")
        check_reason(reason)
        checked = _check_details(details)
        about = {"subject": subject, "reason": reason, "details": checked}
        yield from self._trail.note(action, outcome, about, error=error, sparing=sparing)

    def page(self, after: str | None, before: str | None, limit: int) -> Flow[AuditPage]:
        """Return entries behind the cursor ``after``, or the latest before ``before``."""
        if after is not None and before is not None:
            raise InvalidInput("give after or before, not both")
        for cursor in (after, before):
            if cursor is not None and (
                not isinstance(cursor, str) or not (_CURSOR.fullmatch(cursor) or cursor == "")
            ):
                raise InvalidInput("the cursor is not one of the audit trail")
        if not isinstance(limit, int) or isinstance(limit, bool):
            raise InvalidInput("limit must be a whole number")
        if not 1 <= limit <= MOST_IN_A_PAGE:
            raise InvalidInput(f"limit must be from 1 to {MOST_IN_A_PAGE}")
        direction: Direction = "after" if before is None else "before"
        answer: Answer[list[StoredEntry]] = yield read_entries(
            self._keyspace, direction, (after if before is None else before) or "", limit
        )
        stored = answer.reply
        is_full = len(stored) == limit
        following = stored[-1].id if is_full else None
        if direction == "before":
            stored = stored[::-1]
        found, unreadable = _readable(stored)
        return AuditPage(tuple(found), following, unreadable)

    def check(self, head: str | None) -> Flow[AuditReport]:
        """Read the whole trail, and return what is wrong with it."""
        if head is not None and (not isinstance(head, str) or not _HEAD.fullmatch(head)):
            raise InvalidInput("head must be NUMBER:CHAIN, as an earlier check has returned it")
        check, cursor = AuditCheck(head), ""
        while True:
            answer: Answer[list[StoredEntry]] = yield read_entries(
                self._keyspace, "after", cursor, MOST_IN_A_PAGE
            )
            check.feed(answer.reply)
            if len(answer.reply) < MOST_IN_A_PAGE:
                return check.report(self._context.clock.wall())
            cursor = answer.reply[-1].id


def _readable(stored: list[StoredEntry]) -> tuple[list[AuditEntry], int]:
    """The entries that this release can read, and how many it cannot.

    One that was written twice is there once.
    """
    found: list[AuditEntry] = []
    unreadable = 0
    seen: set[bytes] = set()
    for each in stored:
        try:
            entry = decode_entry(each)
        except UnreadableRecord:
            unreadable += 1
            continue
        if each.text not in seen:
            seen.add(each.text)
            found.append(entry)
    return found, unreadable


def _check_details(details: object) -> dict[str, Any] | None:
    if details is None:
        return None
    message = f"details must be plain JSON of at most {LARGEST_DETAILS_BYTES} bytes, by names"
    if not isinstance(details, Mapping) or not all(isinstance(name, str) for name in details):
        raise InvalidInput(message)
    try:
        size = len(encode_json(dict(details)))
        json.dumps(details, ensure_ascii=False).encode()  # a lone surrogate has no UTF-8
    except (ValueError, TypeError, RecursionError):
        raise InvalidInput(message) from None
    if size > LARGEST_DETAILS_BYTES:
        raise InvalidInput(message)
    return dict(details)
