"""The calls that concern the whole namespace: the revocation cutoff, and who is online."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from clusterpass.protocol.calls.call_time import NO_TIME, CallTime
from clusterpass.protocol.keyspace import Keyspace, slot_tags
from clusterpass.protocol.script import ScriptCall, load_script

_SECONDS_A_PRIMARY: Final = 2
"""Seconds, more than evidence can be old: INFO counts whole ones."""
_PROMOTION_DEADLINE: Final = 0.25
"""Seconds: it takes no longer to wait until nobody can believe another primary."""


@dataclass(frozen=True, slots=True)
class CountedSlots:
    """How many subjects and sessions are online in the first slots of a list."""

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


def raise_cutoff(
    keyspace: Keyspace,
    slot: int,
    *,
    milliseconds: int | None,
    ahead: int,
    time: CallTime = NO_TIME,
) -> ScriptCall[int]:
    """Raise the copy of the revocation cutoff in ``slot``; the reply is the cutoff in force.

    ``milliseconds``: the new cutoff since the epoch; None: now. ``ahead``: by how many milliseconds
    the cutoff may lie ahead of the server's clock. ``time``: when the call is made.
    The script is ``scripts/not_before.lua``.
    """
    argument = b"" if milliseconds is None else milliseconds
    return ScriptCall(
        load_script("not_before"),
        (keyspace.not_before(slot),),
        (argument, ahead, time.pack()),
        int,
        insists=True,
        is_ending=True,
    )


def read_cutoff(keyspace: Keyspace, slot: int, *, deadline: float | None) -> ScriptCall[int]:
    """Read the copy of the revocation cutoff in ``slot``: milliseconds since the epoch; 0: none.

    ``deadline``: seconds after which the call is given up; None: the store's own deadline. The
    script is ``scripts/read_not_before.lua``.
    """
    return ScriptCall(
        load_script("read_not_before"),
        (keyspace.not_before(slot),),
        (),
        int,
        deadline=deadline,
    )


def never_promoted(key: bytes, slot: int | None) -> ScriptCall[int]:
    """Ask the owner of ``key`` whether it has been a primary since it started; the reply is 1 or 0.

    The script is ``scripts/never_promoted.lua``.
    """
    return ScriptCall(
        load_script("never_promoted"),
        (key,),
        (_SECONDS_A_PRIMARY,),
        int,
        deadline=_PROMOTION_DEADLINE,
        slot=slot,
    )


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
