"""The calls that read the online index: how many subjects are online, and which."""

from collections.abc import Sequence
from dataclasses import dataclass

from clusterpass.protocol.calls.call_time import NO_TIME, CallTime
from clusterpass.protocol.keyspace import Keyspace, slot_tags
from clusterpass.protocol.script import ScriptCall, load_script


@dataclass(frozen=True, slots=True)
class CountedSlots:
    """The number of subjects and sessions that are online in the first slots of a list."""

    slots: int
    """How many slots of the list were counted, from its beginning."""
    subjects: int
    """Subjects with a live session in those slots."""
    sessions: int
    """Live sessions in those slots, about: a few that have just ended may be counted."""


@dataclass(frozen=True, slots=True)
class PageOfSlots:
    """Some of the subjects that are online in the slots of a list."""

    slots: int
    """How many slots of the list are done, from its beginning."""
    cursor: int
    """Where to continue in the slot after those; 0: at its beginning."""
    subjects: tuple[str, ...]
    """The subjects found; one may be found twice while the index changes."""


def count_online(
    keyspace: Keyspace, slots: Sequence[int], *, time: CallTime = NO_TIME
) -> ScriptCall[CountedSlots]:
    """Count who is online in ``slots``, up to the first slot that the asked node does not own.

    ``time``: when the call is made. The script is ``scripts/online_count.lua``.
    """
    return ScriptCall(
        load_script("online_count"),
        (keyspace.online(slots[0]),),
        (*_names(keyspace, slots), time.pack()),
        lambda raw: CountedSlots(*raw),
    )


def page_online(
    keyspace: Keyspace,
    slots: Sequence[int],
    *,
    cursor: int,
    most: int,
    time: CallTime = NO_TIME,
) -> ScriptCall[PageOfSlots]:
    """Read who is online in ``slots``, up to the first slot that the asked node does not own.

    ``cursor``: where to begin in the first slot; 0: at its beginning. ``most``: about how many
    subjects are wanted. ``time``: when the call is made. The script is
    ``scripts/online_page.lua``.
    """
    return ScriptCall(
        load_script("online_page"),
        (keyspace.online(slots[0]),),
        (*_names(keyspace, slots), cursor, most, time.pack()),
        lambda raw: PageOfSlots(raw[0], int(raw[1]), tuple(name.decode() for name in raw[2:])),
    )


def _names(keyspace: Keyspace, slots: Sequence[int]) -> tuple[bytes, ...]:
    tags = slot_tags()
    packed = b"".join(tags[slot] for slot in slots)
    return keyspace.online_before_tag(), keyspace.online_behind_tag(), packed
