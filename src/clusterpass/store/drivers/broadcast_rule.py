"""The rule for what a node pushes: all changes, or only those of keys that were read. Pure.

To push the changes of keys that were read, a node has to remember who has read each, which costs
memory. To push all changes costs it processor time for each change and each process. Pushing all
changes is therefore better where few processes hold many keys.
"""

from typing import Any, Final

from clusterpass.store.outcomes import Command, ServerError

SECONDS_BETWEEN_QUESTIONS: Final = 30.0
HOW_MANY_TRACK: Final[Command] = (b"INFO", b"clients")
_MANY_HELD: Final = 50_000
_FEW_TRACKERS: Final = 8
_TRACKERS: Final = b"tracking_clients:"


def is_worth_asking(held: int, *, pushes_all: bool) -> bool:
    """Whether the number of trackers may decide; ``held``: the entries in memory."""
    return pushes_all or held >= _MANY_HELD


def prefers_all(held: int, trackers: int | None, *, pushes_all: bool) -> bool:
    """Whether a node should push all changes.

    ``held``: the entries in memory; ``trackers``: the connections that track at the node, None: not
    known; ``pushes_all``: what it does now, which is kept within a margin.
    """
    if trackers is None:
        return False
    if pushes_all:
        return held >= _MANY_HELD // 2 and trackers <= 2 * _FEW_TRACKERS
    return held >= _MANY_HELD and trackers <= _FEW_TRACKERS


def trackers_in(reply: Any) -> int | None:
    """The number of connections that track, in a reply to INFO; None where it does not tell."""
    if isinstance(reply, ServerError) or not isinstance(reply, bytes):
        return None
    _, named, rest = reply.partition(_TRACKERS)
    digits = rest.split(b"\r", 1)[0]
    return int(digits) if named and digits.isdigit() else None
