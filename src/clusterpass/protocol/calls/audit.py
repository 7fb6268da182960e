"""The calls that append entries to the audit trail, and read them."""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace
from clusterpass.protocol.script import ScriptCall, load_script

SLOT: Final = SLOTS_WITH_CUTOFF[1]
"""The slot of the audit trail."""
Direction = Literal["after", "before"]


class StoredEntry(NamedTuple):
    """An entry of the audit trail as the store holds it."""

    id: str
    number: int
    text: bytes
    """The entry as JSON."""
    chain: str


def append_entries(
    keyspace: Keyspace,
    entries: Sequence[tuple[bytes, str]],
    *,
    most_entries: int,
    retention: int,
    deadline: float | None = None,
) -> ScriptCall[tuple[int, str]]:
    """Append ``entries``; the reply is the number of the last one, and its chain.

    ``entries``: texts, with their SHA-256 in hexadecimal digits. ``retention``: seconds.
    ``deadline``: seconds after which the call is given up; None: the store's own deadline. The
    script is ``scripts/audit_append.lua``.
    """
    pairs = [part for text, digest in entries for part in (text, digest.encode())]
    return ScriptCall(
        load_script("audit_append"),
        (keyspace.audit(SLOT),),
        (most_entries, retention, *pairs),
        _read_head,
        deadline=deadline,
        slot=SLOT,
    )


def read_entries(
    keyspace: Keyspace, direction: Direction, cursor: str, most: int
) -> ScriptCall[list[StoredEntry]]:
    """Read at most ``most`` entries behind the id ``cursor``, or before it.

    An empty ``cursor``: from the oldest on, or from the latest on. The reply is in the direction of
    reading. The script is ``scripts/audit_read.lua``.
    """
    return ScriptCall(
        load_script("audit_read"),
        (keyspace.audit(SLOT),),
        (direction.encode(), cursor.encode(), most),
        _read_entries,
        slot=SLOT,
    )


def _read_head(raw: list[Any]) -> tuple[int, str]:
    number, chain = raw
    return int(number), chain.decode()


def _read_entries(raw: list[Any]) -> list[StoredEntry]:
    found = []
    for entry_id, flat in raw:
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        number = fields.get(b"n", b"")
        found.append(
            StoredEntry(
                entry_id.decode(),
                int(number) if number.isdigit() else 0,
                fields.get(b"e", b""),
                fields.get(b"h", b"").decode("ascii", "replace"),
            )
        )
    return found
