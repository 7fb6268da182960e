"""Who ends: the owner first, else the journals, then an acknowledgement."""

from collections.abc import Iterable

from .state import AT_REST, EXPIRED, Late, State, Step, Steps, append
from .world import REVOKER, World


def revoker(world: World, s: State) -> Steps:
    r = s.revoker
    if "late" in world.actors and s.lates and s.late is None:
        yield from _gives_up(world, s)
    if r.acked:
        return
    for n in world.owners(s, REVOKER, 0):
        me = s.nodes[n]
        if not (r.own and r.own[0] == n):
            new = s if "e" in me.log and world.rules.operation else append(s, n, "e")
            met = r.met if r.met and r.met[:2] == (n, me.config) else (n, me.config, 0)
            own = (n, len(new.nodes[n].log))
            yield f"revoker: ends at {n}", new._replace(revoker=r._replace(own=own, met=met)), None
        elif world.confirmed(s, r.own, not world.rules.wait_all) and (
            not world.rules.wait_met or (r.met and r.met[2] == EXPIRED)
        ):
            acked = s._replace(revoker=AT_REST._replace(acked=("own", 0)))
            yield "revoker: ACKNOWLEDGED by owner", acked, None
    yield from _journals(world, s)
    if r.wait is not None and (r.wait == EXPIRED or not world.rules.wait_out):
        acked = s._replace(revoker=AT_REST._replace(acked=("journals", 0)))
        yield "revoker: ACKNOWLEDGED by journals", acked, None


def _journals(world: World, s: State) -> Iterable[Step]:
    r = s.revoker
    for k, shard in enumerate(world.journals):
        place = r.journals[k]
        if isinstance(place, str):
            continue
        for n in world.owners(s, REVOKER, shard):
            if place is None:
                new = entered(world, s, n)
                journals = (*r.journals[:k], (n, len(new.nodes[n].log)), *r.journals[k + 1 :])
                new = new._replace(revoker=r._replace(journals=journals))
                yield f"revoker: journal {k} at {n}", new, None
            elif place[0] == n and (
                not world.rules.journal_wait or world.confirmed(s, place, not world.rules.wait_all)
            ):
                journals = (*r.journals[:k], "ok", *r.journals[k + 1 :])
                wait = 0 if r.wait is None and journals.count("ok") >= 2 else r.wait
                new = s._replace(revoker=r._replace(journals=journals, wait=wait))
                yield f"revoker: journal {k} confirmed", new, None


def entered(world: World, s: State, n: int) -> State:
    """Write the entry; a journal that counts for its promotion alone has its mark written first.

    A journal that is not filled confirms too: as that is safe, refusing there is as well.
    """
    if not world.rules.refill and world.counts(s, n) and world.mark(s, n) != world.own_mark(s, n):
        return append(s, n, world.own_mark(s, n), "j")
    return append(s, n, "j")


def _gives_up(world: World, s: State) -> Iterable[Step]:
    """A request to the owner or to a journal that is executed whenever the node comes to it.

    After the acknowledgement it is a repetition of the operation.
    """
    less = s._replace(lates=s.lates - 1)
    for n in world.owners(s, REVOKER, 0):
        new = less._replace(late=Late(n, ("e",), None))
        yield f"revoker: sends to owner {n}, gives up", new, None
    for k, shard in enumerate(world.journals):
        for n in world.owners(s, REVOKER, shard):
            new = less._replace(late=Late(n, ("j",), None))
            yield f"revoker: sends to journal {k} at {n}, gives up", new, None


def another_subject(world: World, s: State) -> Steps:
    """An entry of another subject, in one journal and of no account but for the head's number."""
    if "numbers" in world.actors and s.lates:
        for shard in world.journals:
            for n in world.owners(s, REVOKER, shard):
                new = append(s, n, "k")._replace(lates=s.lates - 1)
                yield f"another subject's entry at {n}", new, None


def late_request(world: World, s: State) -> Steps:
    """A node executes what was sent to it long ago, if it still calls itself primary."""
    late = s.late
    if late is None or not (s.nodes[late.node].up and s.nodes[late.node].primary):
        return
    n, done = late.node, s._replace(late=None)
    log = s.nodes[n].log
    if late.fill:
        read_as = (world.mark(s, n), s.nodes[n].run)
        if not world.rules.fill_set or read_as == late.fill:
            new = append(done, n, *late.items, world.own_mark(s, n))
            yield f"LATE fill of {n}", world.healed(new, n), None
        else:
            yield f"LATE fill of {n} changes nothing", done, None
    elif late.items == ("e",) and "e" in log and world.rules.operation:
        yield f"LATE ending at {n} changes nothing", done, None
    else:
        yield f"LATE {late.items[0]} at {n}", append(done, n, *late.items), None
