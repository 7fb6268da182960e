"""A second process: carries out what it finds in journals, trims, and fills journals."""

from collections.abc import Iterable

from .state import Carrier, Late, Log, State, Step, Steps, append, has_entry
from .world import CARRIER, World


def carrier(world: World, s: State) -> Steps:
    c = s.carrier
    holders = [n for x in world.journals for n in world.owners(s, CARRIER, x)]
    knows = [n for n in holders if has_entry(s.nodes[n].log)]
    if knows and not c.may_trim:
        for n in world.owners(s, CARRIER, 0):
            if not (c.own and c.own[0] == n):
                done = "e" in s.nodes[n].log and world.rules.operation
                new = s if done else append(s, n, "e")
                own = (n, len(new.nodes[n].log))
                trims = not world.rules.trim_all
                yield f"carrier: ends at {n}", new._replace(carrier=Carrier(own, trims)), None
            elif world.confirmed(s, c.own, not world.rules.wait_all):
                new = s._replace(carrier=Carrier(None, True))
                yield "carrier: all replicas have it", new, None
    if c.may_trim:
        for n in knows:
            yield f"carrier: trims at {n}", append(s, n, "x"), None
    yield from _fills(world, s, holders)


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
        items = ("j",) if found else ()
        new = world.healed(append(s, n, *items, world.own_mark(s, n)), n)
        yield f"carrier: fills {n}", new, None
        if "late" in world.actors and s.lates and s.late is None:
            late = Late(n, items, (world.mark(s, n), s.nodes[n].run))
            new = s._replace(late=late, lates=s.lates - 1)
            yield f"carrier: reads to fill {n}, is slow", new, None


def sources(world: World, s: State, n: int, holders: list[int]) -> Log | None:
    """What the two other journals have, or None when they cannot be believed."""
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
    return ("j",) if any(has_entry(s.nodes[m].log) for m in others) else ()
