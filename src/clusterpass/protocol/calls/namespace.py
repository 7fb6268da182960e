"""One function per script about the whole namespace: the cutoff, and who is online."""

from collections.abc import Sequence
from dataclasses import dataclass

from clusterpass.protocol.keyspace import Keyspace, slot_tags
from clusterpass.protocol.script import ScriptCall, load_script


@dataclass(frozen=True, slots=True)
class CountedSlots:
    """Who is online in the first ``slots`` of those asked for."""

    slots: int
    subjects: int
    sessions: int


@dataclass(frozen=True, slots=True)
class PageOfSlots:
    """Subjects that are online; ``slots`` of those asked for are done."""

    slots: int
    cursor: int
    """Where to go on in the slot after them."""
    subjects: tuple[str, ...]


def raise_cutoff(
    keyspace: Keyspace, slot: int, *, milliseconds: int | None, ahead: int
) -> ScriptCall[int]:
    """Raise one copy of the cutoff; see ``scripts/not_before.lua``."""
    argument = b"" if milliseconds is None else milliseconds
    return ScriptCall(
        load_script("not_before"),
        (keyspace.not_before(slot),),
        (argument, ahead),
        int,
        insists=True,
    )


def read_cutoff(keyspace: Keyspace, slot: int, *, deadline: float) -> ScriptCall[int]:
    """Read one copy of the cutoff; see ``scripts/read_not_before.lua``."""
    return ScriptCall(
        load_script("read_not_before"),
        (keyspace.not_before(slot),),
        (),
        int,
        deadline=deadline,
    )


def count_online(keyspace: Keyspace, slots: Sequence[int]) -> ScriptCall[CountedSlots]:
    """Count who is online; see ``scripts/online_count.lua``."""
    return ScriptCall(
        load_script("online_count"),
        (keyspace.online(slots[0]),),
        _names(keyspace, slots),
        lambda raw: CountedSlots(*raw),
    )


def page_online(
    keyspace: Keyspace, slots: Sequence[int], *, cursor: int, most: int
) -> ScriptCall[PageOfSlots]:
    """Read who is online; see ``scripts/online_page.lua``."""
    return ScriptCall(
        load_script("online_page"),
        (keyspace.online(slots[0]),),
        (*_names(keyspace, slots), cursor, most),
        lambda raw: PageOfSlots(raw[0], int(raw[1]), tuple(name.decode() for name in raw[2:])),
    )


def _names(keyspace: Keyspace, slots: Sequence[int]) -> tuple[bytes, ...]:
    tags = slot_tags()
    packed = b"".join(tags[slot] for slot in slots)
    return keyspace.online_before_tag(), keyspace.online_behind_tag(), packed
