"""The revoker in the journal model: writes to the owner or the journals, then acknowledges."""

from collections.abc import Iterable

from .state import (
    AT_REST,
    ENDINGS,
    ENTRIES,
    EXPIRED,
    Late,
    State,
    Step,
    Steps,
    append,
    put_revoker,
)
from .world import REVOKERS, World

_NAMES = ("revoker", "second")


def revoker(world: World, s: State, k: int) -> Steps:
    """Yield the next steps of the process that requests ending ``k``."""
    r, who = s.revokers[k], _NAMES[k]
    if "late" in world.actors and s.lates and s.late is None:
        yield from _gives_up(world, s, k)
    if r.acked:
        return
    for n in world.subject_owners(s, REVOKERS[k], world.subject_of[k]):
        me = s.nodes[n]
        if not (r.own and r.own[0] == n):
            new = s if world.is_done(s, n, k) else append(s, n, ENDINGS[k])
            # A primary that got the slot without a vote may have been known for long.
            age = EXPIRED if world.moves and not me.young else 0
            met = r.met if r.met and r.met[:2] == (n, me.config) else (n, me.config, age)
            own = (n, len(new.nodes[n].log))
            new = put_revoker(new, k, r._replace(own=own, met=met))
            yield f"{who}: ends at {n}", new, None
        elif world.confirmed(s, r.own, not world.rules.wait_all) and (
            not world.rules.wait_met or (r.met and r.met[2] == EXPIRED)
        ):
            acked = put_revoker(s, k, AT_REST._replace(acked=("own", 0)))
            yield f"{who}: ACKNOWLEDGED by owner", acked, None
    yield from _journals(world, s, k)
    if r.wait is not None and (r.wait == EXPIRED or not world.rules.wait_out):
        acked = put_revoker(s, k, AT_REST._replace(acked=("journals", 0)))
        yield f"{who}: ACKNOWLEDGED by journals", acked, None


def _journals(world: World, s: State, k: int) -> Iterable[Step]:
    r, who = s.revokers[k], _NAMES[k]
    for j, shard in enumerate(world.journals):
        place = r.journals[j]
        if isinstance(place, str):
            continue
        for n in world.owners(s, REVOKERS[k], shard):
            if place is None:
                new = _entered(world, s, n, k)
                journals = (*r.journals[:j], (n, len(new.nodes[n].log)), *r.journals[j + 1 :])
                new = put_revoker(new, k, r._replace(journals=journals))
                yield f"{who}: journal {j} at {n}", new, None
            elif place[0] == n and (
                not world.rules.journal_wait or world.confirmed(s, place, not world.rules.wait_all)
            ):
                journals = (*r.journals[:j], "ok", *r.journals[j + 1 :])
                wait = 0 if r.wait is None and journals.count("ok") >= 2 else r.wait
                new = put_revoker(s, k, r._replace(journals=journals, wait=wait))
                yield f"{who}: journal {j} confirmed", new, None


def _entered(world: World, s: State, n: int, k: int) -> State:
    """Write the entry; a journal that counts for its promotion alone has its mark written first.

    A journal that is not filled confirms too: as that is safe, refusing there is as well.
    """
    if not world.rules.refill and world.counts(s, n) and world.mark(s, n) != world.own_mark(s, n):
        return append(s, n, world.own_mark(s, n), ENTRIES[k])
    return append(s, n, ENTRIES[k])


def _gives_up(world: World, s: State, k: int) -> Iterable[Step]:
    """A request to the owner or to a journal that is executed whenever the node comes to it.

    After the acknowledgement it is a repetition of the operation.
    """
    less, who = s._replace(lates=s.lates - 1, begun=s.begun | 1 << k), _NAMES[k]
    for n in world.subject_owners(s, REVOKERS[k], world.subject_of[k]):
        new = less._replace(late=Late(n, (ENDINGS[k],), None))
        yield f"{who}: sends to owner {n}, gives up", new, None
    for j, shard in enumerate(world.journals):
        for n in world.owners(s, REVOKERS[k], shard):
            new = less._replace(late=Late(n, (ENTRIES[k],), None))
            yield f"{who}: sends to journal {j} at {n}, gives up", new, None
