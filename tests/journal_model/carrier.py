"""A second process: carries out what it finds in journals, trims, and fills journals."""

from collections.abc import Iterable

from .state import (
    ENDINGS,
    ENTRIES,
    TRIMMED,
    Carrier,
    Late,
    Log,
    State,
    Step,
    Steps,
    append,
    entries_in,
    has_entry,
    put_carrier,
)
from .world import CARRIER, World

_SECOND = ("", " the second")


def carrier(world: World, s: State) -> Steps:
    holders = [n for x in world.journals for n in world.owners(s, CARRIER, x)]
    for k in range(len(s.carriers)):
        yield from _carries_out(world, s, k, holders)
    yield from _fills(world, s, holders)


def _carries_out(world: World, s: State, k: int, holders: list[int]) -> Iterable[Step]:
    c, which = s.carriers[k], _SECOND[k]
    knows = [n for n in holders if has_entry(s.nodes[n].log, k)]
    if knows and not c.may_trim:
        for n in world.subject_owners(s, CARRIER, world.subject_of[k]):
            if not (c.own and c.own[0] == n):
                new = s if world.is_done(s, n, k) else append(s, n, ENDINGS[k])
                own = (n, len(new.nodes[n].log))
                trims = not world.rules.trim_all
                new = put_carrier(new, k, Carrier(own, trims))
                yield f"carrier: ends{which} at {n}", new, None
            elif world.confirmed(s, c.own, not world.rules.wait_all):
                new = put_carrier(s, k, Carrier(None, True))
                yield f"carrier: all replicas have it{which}", new, None
    if c.may_trim:
        for n in knows:
            gone = [k] if world.rules.trim_own else [*range(len(s.carriers))]
            items = [TRIMMED[each] for each in gone if has_entry(s.nodes[n].log, each)]
            yield f"carrier: trims{which} at {n}", append(s, n, *items), None


def _fills(world: World, s: State, holders: list[int]) -> Iterable[Step]:
    """A journal that does not count gets what the two others have, then its mark.

    Under agreement of a majority on the epoch. One of the others must count: where none does,
    all may have lost data at once, and somebody has to decide.
    """
    for n in holders:
        if world.counts(s, n):
            continue
        found = sources(world, s, n, holders)
        if found is None:
            continue
        items = found if world.rules.fill_last else found[:1]
        new = world.healed(append(s, n, *items, world.own_mark(s, n)), n)
        yield f"carrier: fills {n}", new, None
        if "late" in world.actors and s.lates and s.late is None:
            late = Late(n, items, (world.mark(s, n), s.nodes[n].run))
            new = s._replace(late=late, lates=s.lates - 1)
            yield f"carrier: reads to fill {n}, is slow", new, None


def sources(world: World, s: State, n: int, holders: list[int]) -> Log | None:
    """Return the entries of the two other journals, or None when they cannot be trusted."""
    epoch, shard = s.nodes[n].epoch, world.shard_of[n]
    others = [m for m in holders if world.shard_of[m] != shard and s.nodes[m].epoch == epoch]
    if len({world.shard_of[m] for m in others}) < 2:
        return None
    if sum(world.counts(s, m) for m in others) < world.whole_sources:
        return None
    agree = {
        x
        for x in range(len(world.shards))
        for m in world.owners(s, CARRIER, x)
        if s.nodes[m].epoch == epoch
    }
    if len(agree) < world.majority:
        return None
    told = [entries_in(s.nodes[m].log) for m in others]
    return tuple(entry for k, entry in enumerate(ENTRIES) if any(bits >> k & 1 for bits in told))
