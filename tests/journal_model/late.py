"""Late requests in the journal model: of clients that gave up, and entries of other subjects."""

from .state import ENDINGS, State, Steps, append
from .world import REVOKER, World


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
    if late.fill:
        read_as = (world.mark(s, n), s.nodes[n].run)
        if not world.rules.fill_set or read_as == late.fill:
            new = append(done, n, *late.items, world.own_mark(s, n))
            yield f"LATE fill of {n}", world.healed(new, n), None
        else:
            yield f"LATE fill of {n} changes nothing", done, None
    elif late.items[0] in ENDINGS:
        k = ENDINGS.index(str(late.items[0]))
        if n not in world.serving(s, world.subject_of[k]):
            yield f"LATE ending at {n} is sent on", done, None  # nobody waits for the answer
        elif world.is_done(s, n, k):
            yield f"LATE ending at {n} changes nothing", done, None
        else:
            yield f"LATE {late.items[0]} at {n}", append(done, n, *late.items), None
    else:
        yield f"LATE {late.items[0]} at {n}", append(done, n, *late.items), None
