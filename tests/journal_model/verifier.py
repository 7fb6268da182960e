"""The verifier in the journal model: heartbeats, evidence, and answers judged by it."""

from collections.abc import Iterable

from .state import (
    ENDINGS,
    EXPIRED,
    NO_ANSWER,
    NO_EVIDENCE,
    TRIMMED,
    Answer,
    Asked,
    Evidence,
    Login,
    State,
    Step,
    Steps,
    Verifier,
    acked_in,
    append,
    entries_in,
    put_verifier,
)
from .world import S1, VERIFIERS, World

_NAMES = ("s0", "t0")


def verifier(world: World, s: State, k: int) -> Steps:
    v = s.verifiers[k]
    yield from _beats(world, s, k)
    for subject in world.subjects:
        for n in world.subject_owners(s, VERIFIERS, subject):
            yield from _asks(world, s, k, Asked(n, v.knows, *_begins(s), subject=subject))
    if v.asked and v.asked.node in world.subject_owners(s, VERIFIERS, v.asked.subject):
        answered = _logs_in(world, s, v.asked) if v.asked.login else _reads(world, s, k, v.asked)
        yield from answered
    yield from _becomes_durable(world, s)
    yield from _from_memory(world, s, k)


def _asks(world: World, s: State, k: int, asked: Asked) -> Steps:
    """In one step, or where reads are under way the first of two."""
    v, n = s.verifiers[k], asked.node
    logs_in = "login" in world.actors and k == 0 and asked.subject == 0
    if "ask" not in world.actors:
        yield from _reads(world, s, k, asked)
        if logs_in:
            yield from _logs_in(world, s, asked)
    elif v.asked is None:
        of = " of the second subject" if asked.subject else ""
        yield f"v{k}: asks {n}{of}", put_verifier(s, k, v._replace(asked=asked)), None
        if logs_in and s.login is None:
            new = put_verifier(s, k, v._replace(asked=asked._replace(login=True)))
            yield f"v{k}: asks {n} for a login", new, None


def _from_memory(world: World, s: State, k: int) -> Steps:
    v = s.verifiers[k]
    for session, memory in enumerate(v.memory):
        if memory.age == EXPIRED or not memory.accepts:
            continue
        old = any(
            r.acked and r.acked[1] == EXPIRED and session in world.ended[j]
            for j, r in enumerate(s.revokers)
        )
        if old and believes(world, v, memory.epoch):
            yield f"v{k}: accepts {_NAMES[session]} from memory", s, "cached"


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
        head, seen = (world.mark(s, n), sum(map(me.log.count, ("j", "k", "J")))), heads[k]
        known = head == seen or (not rules.head_mark and seen and head[1] == seen[1])
        reads = reads and not known
        heads = (*heads[:k], head, *heads[k + 1 :])
    knows = v.knows | entries_in(me.log) if reads else v.knows
    if reads and "forget" in world.actors:
        trimmed = sum((item in me.log) << j for j, item in enumerate(TRIMMED)) & v.knows
        knows &= ~trimmed if world.rules.forget_one or not trimmed else 0
    evidence = Evidence(0, me.epoch, not is_journal or world.counts(s, n))
    return v._replace(
        epoch=max(v.epoch, me.epoch),
        knows=knows,
        memory=v.memory if knows & ~v.knows == 0 else (NO_ANSWER,) * len(v.memory),
        base=v.base or not rules.at_start,
        heads=heads,
        evidence=(*v.evidence[:x], evidence, *v.evidence[x + 1 :]),
    )


def _beats(world: World, s: State, k: int) -> Iterable[Step]:
    """Heartbeats of one shard or of all, where a client follows the newest or the oldest owner."""
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


def _begins(s: State) -> tuple[int, bool]:
    """Return what a new operation must respect: the acknowledgements, and s1."""
    login = s.login
    return acked_in(s), bool(login and login.later and login.durable)


def _all_that_end(world: World, session: int) -> int:
    """The endings that end a session, as bits."""
    return sum((session in ended) << k for k, ended in enumerate(world.ended))


def _meets(world: World, s: State, v: Verifier, n: int) -> Verifier:
    """Return the verifier with what the answer of owner ``n`` tells."""
    v = v._replace(epoch=max(v.epoch, s.nodes[n].epoch))
    if world.fence and v.fence != n:
        evidence = tuple(
            NO_EVIDENCE if x in world.journals else e for x, e in enumerate(v.evidence)
        )
        v = v._replace(fence=n, evidence=evidence)
    return v


def _entries_first(world: World, s: State, asked: Asked) -> State:
    """The script carries out in front what its request knew of."""
    n, rules = asked.node, world.rules
    known = [
        k
        for k, subject in enumerate(world.subject_of)
        if asked.knew >> k & 1 and subject == asked.subject
    ]
    if not rules.apply_first:
        return s
    for k in known if rules.ahead_all else known[-1:]:
        # Without the rule one repetition is enough, and keeps the number of states finite.
        repeated = not rules.operation and s.nodes[n].log.count(ENDINGS[k]) > 1
        if not repeated and not world.is_done(s, n, k):
            s = append(s, n, ENDINGS[k])
    return s


def _told_all(world: World, v: Verifier, asked: Asked) -> bool:
    """Whether a request carried every entry that is known by now."""
    if not world.rules.asked_knowing:
        return True
    if not world.rules.asked_each and asked.knew:
        return True
    return v.knows & ~asked.knew == 0


def _reads(world: World, s: State, k: int, asked: Asked) -> Iterable[Step]:
    v, n = s.verifiers[k], asked.node
    me, rules = s.nodes[n], world.rules
    new = _entries_first(world, s, asked)
    alive, _ = world.effect(new, n, asked.subject)
    if asked.knew and not rules.apply_first:  # judged here, by a time of the revoker's clock
        alive = set()
    learnt = _meets(world, s, v, n)._replace(asked=None)
    which = " of the second subject" if asked.subject else ""
    if _told_all(world, v, asked) and believes(world, learnt, me.epoch):
        bad = _broken(world, s, asked, alive)
        memory = tuple(
            Answer(0, me.epoch, session in alive)
            if session in world.sessions_of[asked.subject]
            else old
            for session, old in enumerate(v.memory)
        )
        learnt = learnt._replace(memory=memory)
        if learnt != v or new is not s or bad:
            told = ", ".join(
                f"{'accepts' if session in alive else 'refuses'} {_NAMES[session]}"
                for session in sorted(world.sessions_of[asked.subject] - {S1})
            )
            yield f"v{k}: reads {n}{which}, {told}", put_verifier(new, k, learnt), bad
    elif learnt != v:
        yield f"v{k}: reads {n}{which}, 503", put_verifier(new, k, learnt), None


def _broken(world: World, s: State, asked: Asked, alive: set[int]) -> str | None:
    """Return the promise that a trusted answer breaks."""
    for k, ended in enumerate(world.ended):
        if asked.after >> k & 1:
            # s1 has to end where it was there before the ending began.
            must = set(ended) if s.login and s.login.before >> k & 1 else set(ended) - {S1}
            if must & alive:
                return "strict"
    if asked.subject == 0 and asked.durable and S1 not in alive:
        return "refused"
    return None


def _logs_in(world: World, s: State, asked: Asked) -> Iterable[Step]:
    """Login s1, or the lift of a ban, at the owner.

    A login under way is executed even when its answer is then not believed: an open end.
    """
    v, rules, n = s.verifiers[0], world.rules, asked.node
    enders = _all_that_end(world, S1)
    after = asked.after & enders == enders
    learnt = _meets(world, s, v, n)._replace(asked=None)
    believed = _told_all(world, v, asked) and believes(world, learnt, s.nodes[n].epoch)
    entered = _entries_first(world, s, asked)
    banned = world.effect(entered, n, 0)[1]
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
        is_banned = "ban" in world.actors and asked.after & enders and s.lift is None
        bad = "banned" if is_banned else None
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
            kept = done._replace(place=None, durable=True, before=~s.begun & 3)
            new = s._replace(login=kept) if what == "login" else s._replace(lift=kept)
            yield f"{what} is durable", new, None
