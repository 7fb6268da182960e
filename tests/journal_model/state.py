"""A state of the world: immutable, so that it can be a key of the set of states seen.

Ages are 0, 1 or 2, and 2 is expired: evidence may be used up to age 1, and who waits L waits until
age 2, so that a wait that began after a piece of evidence ends after it has expired.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

EXPIRED: Final = 2


class Mark(NamedTuple):
    """Mark of a filled journal: run of the node that filled it, and its config epoch then."""

    node: int
    run: int
    epoch: int


Log = tuple[str | Mark, ...]
"""What a node executed: ``e`` an ending, ``l`` login s1, ``u`` a lift, ``j`` an entry, ``k`` one of
another subject, ``x`` an entry trimmed, or a mark; ``E``, ``J`` and ``X`` are of the second ending.
When the slot of the subject moves: ``D`` its data deleted, ``I`` its data as they were elsewhere,
which follow, ``i`` the ids of operations are not among them. A restart with older data keeps a
prefix."""
ENDINGS: Final = ("e", "E")
ENTRIES: Final = ("j", "J")
TRIMMED: Final = ("x", "X")
Place = tuple[int, int]
"""A node, and the length of its log that has to be confirmed."""


class Node(NamedTuple):
    up: bool
    primary: bool
    epoch: int  # the highest that the node has heard of
    config: int  # the config epoch of its shard
    log: Log
    synced: bool
    run: int  # another one after each start
    member: bool  # not forgotten by the cluster
    claims: bool = False  # a primary: owns the slot of the subject; a replica: its primary does
    slot: int = 0  # the config epoch of the slot's owner, as heard
    young: bool = False  # was promoted or restarted, where that matters


class Evidence(NamedTuple):
    age: int
    epoch: int
    counts: bool


class Answer(NamedTuple):
    """An entry about a session in the memory of a verifier."""

    age: int
    epoch: int
    accepts: bool


class Asked(NamedTuple):
    """A read that was sent and not answered. Endings are bits of a number."""

    node: int
    knew: int  # the entries that it carried
    after: int  # the endings that were acknowledged when it began
    durable: bool
    login: bool = False  # not a read, but login s1
    subject: int = 0


class Verifier(NamedTuple):
    epoch: int
    evidence: tuple[Evidence, ...]  # by shard
    memory: tuple[Answer, ...]  # of s0 and t0
    knows: int  # entries, as bits
    fence: int | None
    base: bool  # has read the entries since it started
    asked: Asked | None
    heads: tuple[tuple[Mark, int] | None, ...]  # up to where entries were read, by journal


class Revoker(NamedTuple):
    own: Place | None
    met: tuple[int, int, int] | None  # owner, its config epoch, age
    journals: tuple[Place | str | None, ...]  # "ok" once confirmed
    wait: int | None  # age of the second confirmation
    acked: tuple[str, int] | None  # by whom, age


class Carrier(NamedTuple):
    own: Place | None
    may_trim: bool


class Login(NamedTuple):
    """Login s1 or the lift of a ban."""

    place: Place | None
    later: bool  # began after the acknowledgement
    durable: bool
    before: int = 0  # endings that began after it was durable, as bits


class Late(NamedTuple):
    """A request that its sender has given up and that a node executes at any later time."""

    node: int
    items: Log  # what it appends; of a fill, the entries found
    fill: tuple[Mark, int] | None  # of a fill: the old mark and the run that were read


class State(NamedTuple):
    nodes: tuple[Node, ...]
    cut: int  # 0 not yet, 1 parted, 2 healed
    faults: int  # left
    verifiers: tuple[Verifier, ...]
    revokers: tuple[Revoker, ...]  # by ending
    carriers: tuple[Carrier, ...]  # by ending
    login: Login | None
    lift: Login | None
    late: Late | None
    lates: int  # late requests and entries of others left
    hurt: int  # bits of journals that lost data and were not filled since
    begun: int = 0  # endings that were begun, as bits
    moves: int = 0  # of the slot of the subject, left
    move: tuple[int, int] | None = None  # from a node to a node: the data have moved, not the slot


Step = tuple[str, State, str | None]
"""What happens, the state after it, and what is violated."""
Steps = Iterator[Step]

NO_EVIDENCE: Final = Evidence(EXPIRED, 0, True)
NO_ANSWER: Final = Answer(EXPIRED, 0, False)
AT_REST: Final = Revoker(None, None, (None,) * 3, None, None)


def put(state: State, n: int, **changes: Any) -> State:
    nodes = list(state.nodes)
    nodes[n] = nodes[n]._replace(**changes)
    return state._replace(nodes=tuple(nodes))


def append(state: State, n: int, *items: str | Mark) -> State:
    return put(state, n, log=state.nodes[n].log + items)


def put_verifier(state: State, k: int, verifier: Verifier) -> State:
    verifiers = list(state.verifiers)
    verifiers[k] = verifier
    return state._replace(verifiers=tuple(verifiers))


def put_revoker(state: State, k: int, revoker: Revoker) -> State:
    revokers = list(state.revokers)
    revokers[k] = revoker
    return state._replace(revokers=tuple(revokers), begun=state.begun | 1 << k)


def put_carrier(state: State, k: int, carrier: Carrier) -> State:
    carriers = list(state.carriers)
    carriers[k] = carrier
    return state._replace(carriers=tuple(carriers))


def has_entry(log: Log, k: int) -> bool:
    entry = ENTRIES[k]
    return entry in log and TRIMMED[k] not in log[log.index(entry) :]


def entries_in(log: Log) -> int:
    """The entries in a journal, as bits."""
    return sum(has_entry(log, k) << k for k in range(len(ENTRIES)))


def acked_in(state: State) -> int:
    """The endings that are acknowledged, as bits."""
    return sum((r.acked is not None) << k for k, r in enumerate(state.revokers))


def older(age: int) -> int:
    return min(age + 1, EXPIRED)


def tick(state: State) -> Step:
    """Time passes: all ages rise."""
    verifiers = []
    for v in state.verifiers:
        evidence = tuple(e._replace(age=1) if e.age < 1 else NO_EVIDENCE for e in v.evidence)
        memory = tuple(m._replace(age=1) if m.age < 1 else NO_ANSWER for m in v.memory)
        verifiers.append(v._replace(evidence=evidence, memory=memory))
    revokers = tuple(
        r._replace(
            met=r.met and (r.met[0], r.met[1], older(r.met[2])),
            wait=None if r.wait is None else older(r.wait),
            acked=r.acked and (r.acked[0], older(r.acked[1])),
        )
        for r in state.revokers
    )
    return "tick", state._replace(verifiers=tuple(verifiers), revokers=revokers), None
