"""The slot of the subject moves to another primary: first the data, then the slot.

Or both at once (``atomic``): then the old owner keeps the data, and stands still, until it hears
of it. The new owner raises its epoch by itself, without a vote, and the others hear of it by
gossip. Who asks the old owner in between is sent on.

Without the kind of fault ``stale`` it is assumed that both shards have one primary when a move
begins, and that from then on until all their nodes have heard, none of these nodes fails, and no
replica of them is promoted. What breaks else is in `beyond`.
"""

from .state import State, Steps, append, put
from .world import World


def slot_moves(world: World, s: State) -> Steps:
    if s.move is None:
        if s.moves:
            yield from _data(world, s)
        return
    n, m = s.move
    me = s.nodes[m]
    if not me.claims:
        if me.up and me.primary and world.holds(s, m):
            yield f"MOVES the slot from {n} to {m}", _slot(s, m), None
    elif _is_heard(world, s, m):
        yield "the move is known to both shards", s._replace(move=None), None


def unsettled(world: World, s: State) -> bool:
    """Whether a move is under way during which nodes of both shards do not fail."""
    return s.move is not None and "stale" not in world.kinds


def _data(world: World, s: State) -> Steps:
    nodes = [n for x in world.homes[0] for n in world.shards[x]]
    primaries = sum(s.nodes[n].primary and s.nodes[n].member for n in nodes)
    if "stale" not in world.kinds and primaries > len(world.homes[0]):
        return
    up = [n for n in nodes if s.nodes[n].up and s.nodes[n].primary and s.nodes[n].member]
    for n in up:
        if not (s.nodes[n].claims and world.holds(s, n)) or _is_replaced(world, s, n):
            continue
        for m in up:
            is_there = world.shard_of[m] != world.shard_of[n] and world.linked(s, n, m)
            if is_there and not _is_replaced(world, s, m):
                items = ("I", *world.data(s.nodes[n].log))
                items = items if world.rules.ids_move else (*items, "i")
                new = append(s, m, *items)._replace(moves=s.moves - 1, move=(n, m))
                if "atomic" in world.kinds:
                    yield f"MOVES the slot and the data from {n} to {m}", _slot(new, m), None
                else:
                    yield f"MOVES the data from {n} to {m}", append(new, n, "D"), None


def _is_replaced(world: World, s: State, n: int) -> bool:
    same = [s.nodes[m] for m in world.shards[world.shard_of[n]] if m != n]
    return any(node.primary and node.config >= s.nodes[n].config for node in same)


def _slot(s: State, m: int) -> State:
    me = s.nodes[m]
    others = max(node.config for n, node in enumerate(s.nodes) if n != m)
    config = me.config if me.config > others else me.epoch + 1
    return put(s, m, claims=True, slot=config, config=config, epoch=max(me.epoch, config))


def _is_heard(world: World, s: State, m: int) -> bool:
    shard = world.shard_of[m]
    return all(
        (s.nodes[n].claims, world.holds(s, n)) == (x == shard, x == shard)
        for x in world.homes[0]
        for n in world.shards[x]
    )


def hears_claims(world: World, s: State, n: int, heard: list[int]) -> State:
    """Node ``n`` hears who owns the slot; who loses it deletes the data."""
    owners = [m for m in heard if s.nodes[m].primary and s.nodes[m].claims and m != n]
    if not owners:
        return s
    m = max(owners, key=lambda each: s.nodes[each].config)
    me, config = s.nodes[n], s.nodes[m].config
    if config <= me.slot:
        return s
    claims = world.shard_of[m] == world.shard_of[n] and not me.primary
    if me.primary and me.claims and not claims and world.holds(s, n):
        s = append(s, n, "D")
    return put(s, n, claims=claims, slot=config)
