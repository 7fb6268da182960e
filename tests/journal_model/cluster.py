"""The cluster in the journal model: gossip, replication, promotion, and faults."""

from collections.abc import Iterable

from .moves import hears_claims, unsettled
from .state import ENDINGS, State, Step, Steps, put, put_verifier
from .world import World


def without_connections(s: State, n: int) -> State:
    """What is lost by all who had asked node ``n``: nobody waits for it any longer.

    A late request stays: its sender may be slow, and connect again.
    """
    revokers = tuple(
        r._replace(
            own=None if r.own and r.own[0] == n else r.own,
            met=None if r.met and r.met[0] == n else r.met,
            journals=tuple(None if isinstance(j, tuple) and j[0] == n else j for j in r.journals),
        )
        for r in s.revokers
    )
    carriers = tuple(c._replace(own=None) if c.own and c.own[0] == n else c for c in s.carriers)
    verifiers = tuple(
        v._replace(
            fence=None if v.fence == n else v.fence,
            asked=None if v.asked and v.asked.node == n else v.asked,
        )
        for v in s.verifiers
    )
    login, lift = s.login, s.lift
    if login and login.place and login.place[0] == n:
        login = login._replace(place=None)
    if lift and lift.place and lift.place[0] == n:
        lift = lift._replace(place=None)
    return s._replace(
        revokers=revokers, carriers=carriers, verifiers=verifiers, login=login, lift=lift
    )


def next_run(world: World, s: State, n: int) -> int:
    """The run id after a start; that of nodes without a journal does not matter."""
    return s.nodes[n].run + (world.shard_of[n] in world.journals)


def faults(world: World, s: State) -> Steps:
    if s.cut == 1:
        yield "heal", s._replace(cut=2), None
    for n, me in enumerate(s.nodes):
        if not me.up:
            run = next_run(world, s, n)
            new = put(s, n, up=True, synced=me.primary, run=run, young=world.moves > 0)
            yield f"start {n}", new, None
    if not s.faults:
        return
    less = s._replace(faults=s.faults - 1)
    moving = unsettled(world, s)
    if "cut" in world.kinds and s.cut == 0 and world.side:
        yield f"CUT {sorted(world.side)} from the rest", less._replace(cut=1), None
    for n, me in enumerate(s.nodes):
        if len(world.shards[world.shard_of[n]]) == 1:
            continue
        if moving and world.shard_of[n] in world.homes[0]:
            continue
        if me.up and "crash" in world.kinds:
            yield f"CRASH {n}", put(without_connections(less, n), n, up=False), None
        if me.up and "restart" in world.kinds and me.log:
            yield from _older_data(world, s, less, n)
        if "forget" in world.kinds and me.primary and me.member and _is_replaced(world, s, n):
            yield f"FORGET {n}", put(less, n, member=False), None
        if "manual" in world.kinds and me.up and not me.primary:
            yield from _manual_failover(world, s, less, n)
    if "vstart" in world.kinds:
        for k, verifier in enumerate(s.verifiers):
            if verifier.epoch or verifier.base:
                yield f"NEW PROCESS v{k}", put_verifier(less, k, world.new_verifier), None


def _is_replaced(world: World, s: State, n: int) -> bool:
    config = s.nodes[n].config
    same = (s.nodes[m] for m in world.shards[world.shard_of[n]])
    return any(node.primary and node.config > config for node in same)


def _older_data(world: World, s: State, less: State, n: int) -> Iterable[Step]:
    """A node restarts with a prefix of its log, before it is replaced.

    At most one journal has lost data and was not filled since, unless two whole ones are needed to
    fill a third. Of the owner, what it alone confirmed must not be lost.
    """
    me, shard = s.nodes[n], world.shard_of[n]
    hurt = s.hurt
    if me.primary and shard in world.journals:
        if shard and "jroll" not in world.kinds:
            return
        bit = 1 << world.journals.index(shard)
        if hurt & ~bit and world.whole_sources < 2:
            return
        hurt |= bit
    run = next_run(world, s, n)
    for keep in range(len(me.log)):
        new = without_connections(less, n)._replace(hurt=hurt)
        young = world.moves > 0
        new = put(new, n, log=me.log[:keep], synced=me.primary, run=run, young=young)
        lost = me.log[keep:]
        if me.primary and any(
            shard in world.homes[world.subject_of[k]]
            and (s.carriers[k].may_trim or (_is_by_owner(s, k) and ENDINGS[k] in lost))
            for k in range(len(s.revokers))
        ):
            continue
        if me.primary and shard in world.homes[0]:
            if "l" in lost and s.login and s.login.durable:
                continue
            if "u" in lost and s.lift and s.lift.durable:
                continue
        yield f"RESTART {n} with {keep} of {len(me.log)}", new, None


def _is_by_owner(s: State, k: int) -> bool:
    acked = s.revokers[k].acked
    return acked is not None and acked[0] == "own"


def _voters(world: World, s: State, n: int) -> list[int]:
    """Return the nodes that may vote for ``n``: not those that know a later owner of its slots."""
    me = s.nodes[n]
    return [
        m
        for m, other in enumerate(s.nodes)
        if other.up
        and other.primary
        and not (me.claims and other.slot > me.slot)
        and world.shard_of[m] != world.shard_of[n]
        and world.linked(s, n, m)
    ]


def _promoted(world: World, s: State, n: int, voters: list[int]) -> State | None:
    """The state after the vote for node ``n``, or None without a majority."""
    one_each = {world.shard_of[v]: v for v in sorted(voters, key=lambda v: s.nodes[v].config)}
    if len(one_each) < world.majority:
        return None
    epoch = max(s.nodes[m].epoch for m in (*voters, n)) + 1
    for v in sorted(one_each.values())[: world.majority]:
        s = put(s, v, epoch=epoch)
    slot = epoch if world.moves and s.nodes[n].claims else s.nodes[n].slot
    young = world.moves > 0
    return put(s, n, epoch=epoch, config=epoch, primary=True, slot=slot, young=young)


def _manual_failover(world: World, s: State, less: State, n: int) -> Iterable[Step]:
    """CLUSTER FAILOVER: the primary pauses writes, its replica has all of them, and all vote.

    The pause may end before the old primary hears of it, so the old one still executes.
    """
    for m in world.shards[world.shard_of[n]]:
        lord = s.nodes[m]
        if lord.up and lord.primary and world.linked(s, n, m) and lord.log == s.nodes[n].log:
            new = _promoted(world, less, n, _voters(world, s, n))
            if new and s.nodes[n].member and s.nodes[n].synced:
                yield f"MANUAL failover to {n}", new, None


def cluster(world: World, s: State) -> Steps:
    """Gossip, demotion, replication and promotion."""
    for n, me in enumerate(s.nodes):
        if not me.up or not me.member:
            continue
        same = world.shards[world.shard_of[n]]
        heard = [
            m
            for m, other in enumerate(s.nodes)
            if other.up and other.member and world.linked(s, n, m)
        ]
        top = max(s.nodes[m].epoch for m in heard)
        lords = [m for m in same if m in heard and s.nodes[m].primary]
        if me.primary and any(s.nodes[m].config > me.config for m in lords):
            new = put(without_connections(s, n), n, epoch=top, primary=False, synced=False)
            yield f"{n} is demoted", new, None
        if top > me.epoch:  # from a third node, perhaps before it hears that it was replaced
            yield f"{n} hears epoch {top}", put(s, n, epoch=top), None
        if world.moves and (new := hears_claims(world, s, n, heard)) is not s:
            yield f"{n} hears who owns the slot", put(new, n, epoch=top), None
        if me.primary:
            continue
        if lords:
            lord = max(lords, key=lambda m: s.nodes[m].config)
            log, config, slot = s.nodes[lord].log, s.nodes[lord].config, s.nodes[lord].slot
            claims = me.claims if slot < me.slot else s.nodes[lord].claims
            slot = max(slot, me.slot)
            if log != me.log or not me.synced or (claims, slot) != (me.claims, me.slot):
                new = put(s, n, log=log, synced=True, config=config, claims=claims, slot=slot)
                yield f"{n} syncs from {lord}", new, None
        if me.synced or not world.rules.electable:
            voters = _voters(world, s, n)
            gone = all(
                not (s.nodes[m].up and s.nodes[m].primary and world.linked(s, v, m))
                for m in same
                for v in voters
            )
            barred = world.shard_of[n] in world.homes[0] and unsettled(world, s)
            promoted = _promoted(world, s, n, voters) if gone and not barred else None
            if promoted:
                yield f"{n} is promoted, epoch {promoted.nodes[n].epoch}", promoted, None
