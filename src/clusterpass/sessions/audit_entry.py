"""Encodes and decodes entries of the audit trail: JSON in UTF-8, with names of one letter.

    v  version, 1    t  milliseconds    a  action     o  outcome    e  error
    w  actor         s  subject         i  session    y  way        p  address
    r  reason        q  request id      d  details    k  writer     n  its number

Unknown values are left out.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, get_args

from clusterpass.model.audit import AuditEntry, AuditOutcome
from clusterpass.model.errors import UnreadableRecord
from clusterpass.model.frozen import frozen
from clusterpass.protocol.calls.audit import StoredEntry

LARGEST_DETAILS_BYTES: Final = 2048
LONGEST_TEXT: Final = 255
"""Characters of a text in an entry; longer ones are cut."""
_VERSION: Final = 1
_LATEST: Final = 253_402_300_799_000
"""The last millisecond of the year 9999."""
_OUTCOMES: Final = get_args(AuditOutcome)
_TEXTS: Final = {
    "e": "error",
    "w": "actor",
    "s": "subject",
    "i": "session_id",
    "y": "via",
    "p": "address",
    "r": "reason",
    "q": "request_id",
}


def encode_entry(
    *,
    at: float,
    action: str,
    outcome: AuditOutcome,
    writer: str,
    writer_number: int,
    details: Mapping[str, Any] | None,
    **texts: object,
) -> bytes:
    """Return the entry as the store holds it.

    ``texts``: those members of an AuditEntry that are text or None. What is no text is left out,
    and what is too long is cut: an entry is written whatever somebody has sent.
    """
    members: dict[str, Any] = {"v": _VERSION, "t": int(at * 1000), "a": action, "o": outcome}
    for short, name in _TEXTS.items():
        text = texts.get(name)
        if isinstance(text, str):
            members[short] = text[:LONGEST_TEXT]
    if details:
        members["d"] = dict(details)
    members |= {"k": writer, "n": writer_number}
    text = json.dumps(members, separators=(",", ":"), ensure_ascii=False, default=str)
    return text.encode("utf-8", "replace")  # a lone surrogate has no UTF-8


def decode_entry(stored: StoredEntry) -> AuditEntry:
    """Return the entry that ``stored`` is; raise UnreadableRecord for one of a later release."""
    try:
        members = json.loads(stored.text)
        if members["v"] != _VERSION or members["o"] not in _OUTCOMES:
            raise UnreadableRecord
        if not 0 <= members["t"] <= _LATEST:
            raise UnreadableRecord
        details = members.get("d", {})
        texts = {name: members.get(short) for short, name in _TEXTS.items()}
        if not all(isinstance(text, str | None) for text in texts.values()):
            raise UnreadableRecord
        return AuditEntry(
            number=stored.number,
            id=stored.id,
            at=members["t"] / 1000,
            action=str(members["a"]),
            outcome=members["o"],
            details=frozen(dict(details)),
            writer=str(members["k"]),
            writer_number=int(members["n"]),
            chain=stored.chain,
            **texts,
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise UnreadableRecord from None
