"""Who verifies and logs in: beats bring evidence, answers of the owner are judged by it."""

from collections.abc import Iterable

from .state import (
    EXPIRED,
    NO_ANSWER,
    NO_EVIDENCE,
    Answer,
    Asked,
    Evidence,
    Login,
    State,
    Step,
    Steps,
    Verifier,
    append,
    has_entry,
    put_verifier,
)
from .world import VERIFIERS, World


def verifier(world: World, s: State, k: int) -> Steps:
    v = s.verifiers[k]
    yield from _beats(world, s, k)
    owners = world.owners(s, VERIFIERS, 0)
    for n in owners:
        if "ask" not in world.actors:
            after, durable = _begins(s)
            yield from _reads(world, s, k, Asked(n, v.knows, after, durable))
        elif v.asked is None:
            asked = Asked(n, v.knows, *_begins(s))
            yield f"v{k}: asks {n}", put_verifier(s, k, v._replace(asked=asked)), None
            if "login" in world.actors and k == 0 and s.login is None:
                new = put_verifier(s, k, v._replace(asked=asked._replace(login=True)))
                yield f"v{k}: asks {n} for a login", new, None
        if "login" in world.actors and k == 0 and "ask" not in world.actors:
            yield from _logs_in(world, s, Asked(n, v.knows, *_begins(s)))
    if v.asked and v.asked.node in owners:
        answered = _logs_in(world, s, v.asked) if v.asked.login else _reads(world, s, k, v.asked)
        yield from answered
    yield from _becomes_durable(world, s)
    acked = s.revoker.acked
    if acked and acked[1] == EXPIRED and v.memory.age < EXPIRED and v.memory.accepts:
        if not believes(world, v, v.memory.epoch):
            return
        yield f"v{k}: accepts s0 from memory", s, "cached"


def believes(world: World, v: Verifier, own_epoch: int) -> bool:
    """Whether an answer of an owner that tells ``own_epoch`` counts."""
    rules = world.rules
    live = [
        (x, e.counts) for x, e in enumerate(v.evidence) if e.age < EXPIRED and e.epoch == v.epoch
    ]
    if rules.majority and (own_epoch != v.epoch or len(live) < world.majority):
        return False
    heads = sum(x in world.journals and counts for x, counts in live)
    return not rules.heads or heads >= (2 if rules.two_heads else 1)


def _beat(world: World, s: State, v: Verifier, x: int, n: int) -> Verifier:
    me, rules = s.nodes[n], world.rules
    is_journal = x in world.journals
    reads, heads = is_journal and rules.heads and (rules.at_start or v.base), v.heads
    if is_journal and "numbers" in world.actors:
        k = world.journals.index(x)
        head, seen = (world.mark(s, n), me.log.count("j") + me.log.count("k")), heads[k]
        known = head == seen or (not rules.head_mark and seen and head[1] == seen[1])
        reads = reads and not known
        heads = (*heads[:k], head, *heads[k + 1 :])
    knows = v.knows or (reads and has_entry(me.log))
    evidence = Evidence(0, me.epoch, not is_journal or world.counts(s, n))
    return v._replace(
        epoch=max(v.epoch, me.epoch),
        knows=knows,
        memory=v.memory if knows == v.knows else NO_ANSWER,
        base=v.base or not rules.at_start,
        heads=heads,
        evidence=(*v.evidence[:x], evidence, *v.evidence[x + 1 :]),
    )


def _beats(world: World, s: State, k: int) -> Iterable[Step]:
    """Of one shard, or of all at once, where a client follows the newest or the oldest owner."""
    v = s.verifiers[k]
    owners = [world.owners(s, VERIFIERS, x) for x in range(len(world.shards))]
    divided = any(len(nodes) > 1 for nodes in owners)
    for word, which in (("newest", max), ("oldest", min)):
        new = v
        for x, nodes in enumerate(owners):
            if nodes:
                new = _beat(world, s, new, x, which(nodes, key=lambda n: s.nodes[n].config))
        if new != v and (word == "newest" or divided):
            yield f"v{k}: beats of all shards, {word} owners", put_verifier(s, k, new), None
    for x, nodes in enumerate(owners):
        for n in nodes:
            new = _beat(world, s, v, x, n)
            if new != v:
                yield f"v{k}: beat of shard {x} at {n}", put_verifier(s, k, new), None


def _begins(s: State) -> tuple[bool, bool]:
    """What an operation that begins now must respect: the acknowledgement, and s1."""
    login = s.login
    return s.revoker.acked is not None, bool(login and login.later and login.durable)


def _meets(world: World, s: State, v: Verifier, n: int) -> Verifier:
    """What is learnt of an owner from its answer."""
    v = v._replace(epoch=max(v.epoch, s.nodes[n].epoch))
    if world.fence and v.fence != n:
        evidence = tuple(
            NO_EVIDENCE if x in world.journals else e for x, e in enumerate(v.evidence)
        )
        v = v._replace(fence=n, evidence=evidence)
    return v


def _entries_first(world: World, s: State, n: int, knew: bool) -> State:
    """The script carries out in front what its request knew of."""
    done = s.nodes[n].log.count("e")
    enough = 1 if world.rules.operation else 2
    if knew and world.rules.apply_first and done < enough:
        return append(s, n, "e")
    return s


def _reads(world: World, s: State, k: int, asked: Asked) -> Iterable[Step]:
    v, n = s.verifiers[k], asked.node
    me, rules = s.nodes[n], world.rules
    new = _entries_first(world, s, n, asked.knew)
    zero, one, _ = world.effect(new.nodes[n].log)
    if asked.knew and not rules.apply_first:  # judged here, by a time of the revoker's clock
        zero, one = False, False
    learnt = _meets(world, s, v, n)._replace(asked=None)
    told_all = asked.knew == v.knows or not rules.asked_knowing
    if told_all and believes(world, learnt, me.epoch):
        bad = None
        if asked.after and zero:
            bad = "strict"
        elif asked.durable and not one:
            bad = "refused"
        learnt = learnt._replace(memory=Answer(0, me.epoch, zero))
        if learnt != v or new is not s or bad:
            name = f"v{k}: reads {n}, {'accepts' if zero else 'refuses'} s0"
            yield name, put_verifier(new, k, learnt), bad
    elif learnt != v:
        yield f"v{k}: reads {n}, 503", put_verifier(new, k, learnt), None


def _logs_in(world: World, s: State, asked: Asked) -> Iterable[Step]:
    """Login s1, or the lift of a ban, at the owner.

    A login under way is executed even when its answer is then not believed: an open end.
    """
    v, rules, n, after = s.verifiers[0], world.rules, asked.node, asked.after
    learnt = _meets(world, s, v, n)._replace(asked=None)
    told_all = asked.knew == v.knows or not rules.asked_knowing
    believed = told_all and believes(world, learnt, s.nodes[n].epoch)
    entered = _entries_first(world, s, n, asked.knew)
    banned = world.effect(entered.nodes[n].log)[2]
    if "ban" in world.actors:
        if s.lift is None and after and (believed or not rules.lift_evidence):
            new = append(entered if rules.lift_evidence else s, n, "u")
            lift = Login((n, len(new.nodes[n].log)), after, False)
            yield (
                f"v0: lifts the ban at {n}",
                put_verifier(new, 0, learnt)._replace(lift=lift),
                None,
            )
        if s.lift and s.lift.durable and believed and banned:
            yield f"v0: login at {n} is refused as banned", s, "lifted"
        if banned:
            return
    if s.login is None and (believed or not rules.login_evidence):
        new = append(entered, n, "l")
        later = after and ("ban" not in world.actors or s.lift is not None)
        login = Login((n, len(new.nodes[n].log)), later, False)
        bad = "banned" if "ban" in world.actors and after and s.lift is None else None
        yield f"v0: login s1 at {n}", put_verifier(new, 0, learnt)._replace(login=login), bad
    elif s.login is None and "ask" in world.actors:
        new = put_verifier(append(entered, n, "l"), 0, learnt)
        yield f"v0: login at {n}, 503", new._replace(login=Login(None, False, False)), None


def _becomes_durable(world: World, s: State) -> Iterable[Step]:
    for what, done in (("login", s.login), ("lift", s.lift)):
        if done is None or done.place is None or done.durable:
            continue
        n = done.place[0]
        if not (s.nodes[n].primary and world.sees(s, VERIFIERS, n)):
            continue
        if world.confirmed(s, done.place, not world.rules.wait_all):
            kept = done._replace(place=None, durable=True)
            new = s._replace(login=kept) if what == "login" else s._replace(lift=kept)
            yield f"{what} is durable", new, None
