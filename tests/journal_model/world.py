"""A world: its shards, who reaches whom, which faults happen, and the rules that are kept."""

from typing import Final

from .rules import Rules
from .state import (
    AT_REST,
    ENDINGS,
    NO_ANSWER,
    NO_EVIDENCE,
    Carrier,
    Log,
    Mark,
    Node,
    Place,
    State,
    Verifier,
)

_FURTHER_SHARDS: Final = {"3+3": (), "4": (2,), "7": (2, 1, 1, 1)}
REVOKER, CARRIER, VERIFIERS, SECOND = range(4)
REVOKERS: Final = (REVOKER, SECOND)
S0, T0, S1 = range(3)
_ENDED: Final[dict[str, tuple[tuple[int, ...], ...]]] = {
    "one": ((S0, S1),),
    "two subjects": ((S0, S1), (T0,)),
    "two logouts": ((S0,), (T0,)),
    "a logout and all": ((S0,), (S0, T0, S1)),
    "two of all": ((S0, T0, S1), (S0, T0, S1)),
}
"""What each ending ends, of the sessions that are open then."""


class World:
    """The constants of a history.

    Args:
        layout: ``3+3`` (S is one of the three journals), ``4`` or ``7`` shards.
        side: nodes that the one partition cuts off.
        reach: of the revoker, the carrier, the verifiers and whoever asks for the second ending
            (mostly as the first), during the partition: ``a`` the nodes cut off, ``b`` the others,
            ``*`` both.
        faults: how many at most.
        kinds: faults that happen: crash, restart (with older data), jroll (of primaries of journals
            too), cut, forget, vstart (a new process), manual (a failover without force), stale
            (nodes fail before they have heard that the slot has moved), atomic (the slot moves at
            once with the data).
        actors: what is done beside ending and verifying: login, trim, late (requests that are
            executed later), ask (a read is sent and answered in two steps), ban, numbers (an entry
            of another subject, and verifiers that read entries only when a head has changed),
            forget (verifiers forget entries that were trimmed).
        fence: verifiers read the journals anew when the owner has changed, as the sketch had it.
        whole_sources: how many of the two other journals must count for a third to be filled.
        endings: ``one``, or two at once: see the keys of `_ENDED`.
        second: the shard of the second subject.
        moves: how often the slot of the subject moves, at most.
        target: the shard that it moves to, or back from.
    """

    def __init__(
        self,
        rules: Rules,
        layout: str = "3+3",
        replicas: int = 1,
        side: tuple[int, ...] = (0,),
        reach: tuple[str, ...] = ("*", "*", "*"),
        faults: int = 3,
        kinds: str = "crash restart cut",
        actors: str = "login trim",
        verifiers: int = 1,
        fence: bool = False,
        whole_sources: int = 1,
        endings: str = "one",
        second: int = 1,
        moves: int = 0,
        target: int = 1,
    ) -> None:
        self.rules, self.fence, self.whole_sources = rules, fence, whole_sources
        self.kinds, self.actors = frozenset(kinds.split()), frozenset(actors.split())
        shards: list[tuple[int, ...]] = []
        number = 0
        for size in (1 + replicas, 2, 2, *_FURTHER_SHARDS[layout]):
            shards.append(tuple(range(number, number + size)))
            number += size
        self.shards, self.count = tuple(shards), number
        self.shard_of = [x for x, nodes in enumerate(shards) for _ in nodes]
        self.journals = (0, 1, 2) if layout == "3+3" else (1, 2, 3)
        self.majority = len(shards) // 2 + 1
        self.side, self.reach = frozenset(side), (*reach, reach[0])[:4]
        self.ended, self.moves = _ENDED[endings], moves
        self.subject_of = (0, 1) if endings == "two subjects" else (0,) * len(self.ended)
        self.subjects = (0, 1) if endings == "two subjects" else (0,)
        self.homes = ((0, target) if moves else (0,), (second,))
        sessions = {S0, T0, S1} if len(self.ended) > 1 else {S0, S1}
        at_second = {T0} if endings == "two subjects" else set[int]()
        self.sessions_of = (sessions - at_second, at_second)
        first_nodes = self.shards[0] if moves else ()
        nodes = tuple(
            Node(True, n == shard[0], 0, 0, (), True, 0, True, claims=n in first_nodes)
            for shard in shards
            for n in shard
        )
        memory = (NO_ANSWER,) * len(self.ended)
        self.new_verifier = Verifier(
            0, (NO_EVIDENCE,) * len(shards), memory, 0, None, False, None, (None,) * 3
        )
        self.start = State(
            nodes=nodes,
            cut=0,
            faults=faults,
            verifiers=(self.new_verifier,) * verifiers,
            revokers=(AT_REST,) * len(self.ended),
            carriers=(Carrier(None, False),) * len(self.ended),
            login=None,
            lift=None,
            late=None,
            lates=1 if self.actors & {"late", "numbers"} else 0,
            hurt=0,
            moves=moves,
        )

    def linked(self, s: State, a: int, b: int) -> bool:
        return s.cut != 1 or (a in self.side) == (b in self.side)

    def sees(self, s: State, client: int, n: int) -> bool:
        where = self.reach[client]
        if not s.nodes[n].up:
            return False
        return s.cut != 1 or where == "*" or (where == "a") == (n in self.side)

    def owners(self, s: State, client: int, shard: int) -> list[int]:
        """The nodes that call themselves primary of ``shard`` and that the client reaches."""
        return [n for n in self.shards[shard] if s.nodes[n].primary and self.sees(s, client, n)]

    def serving(self, s: State, subject: int) -> list[int]:
        """The nodes that execute requests about a subject, also those that are sent on to them."""
        home = self.homes[subject]
        up = [n for x in home for n in self.shards[x] if s.nodes[n].up and s.nodes[n].primary]
        if len(home) == 1:
            return up
        found = []
        for n in up:
            if s.nodes[n].claims or not self.rules.declared:
                asked: int | None = n
                if s.move and s.move[0] == n and s.nodes[n].claims:
                    asked = self._asked_of_mover(s, *s.move)
                found.append(asked)
        return [n for n in dict.fromkeys(found) if n in up]

    def _asked_of_mover(self, s: State, n: int, m: int) -> int | None:
        """Return who executes a request to the old owner ``n`` that has not heard of the move."""
        if not self.holds(s, n):
            return m
        return n if "stale" in self.kinds or not s.nodes[m].claims else None

    def subject_owners(self, s: State, client: int, subject: int) -> list[int]:
        """The nodes that execute what the client asks about a subject."""
        return [n for n in self.serving(s, subject) if self.sees(s, client, n)]

    def holds(self, s: State, n: int) -> bool:
        """Whether node ``n`` has the data of the subject whose slot moves."""
        for item in reversed(s.nodes[n].log):
            if item in {"D", "I"}:
                return item == "I"
        return self.shard_of[n] == 0

    @staticmethod
    def data(log: Log) -> Log:
        """Return the part of ``log`` that is about the subject's present data."""
        began = max((at for at, item in enumerate(log) if item in {"D", "I"}), default=-1)
        return tuple(item for item in log[began + 1 :] if item in {*ENDINGS, "l", "u", "i"})

    def is_done(self, s: State, n: int, k: int) -> bool:
        """Whether node ``n`` knows ending ``k`` by the id of its operation."""
        if not self.rules.operation:
            return False
        data = self.data(s.nodes[n].log)
        data = data[len(data) - data[::-1].index("i") :] if "i" in data else data
        if self.rules.own_id:
            return ENDINGS[k] in data
        same = [ENDINGS[j] for j, x in enumerate(self.subject_of) if x == self.subject_of[k]]
        return any(ending in data for ending in same)

    def effect(self, s: State, n: int, subject: int) -> tuple[set[int], bool]:
        """The sessions of a subject that are alive at node ``n``, and whether it is banned."""
        data = self.data(s.nodes[n].log)
        has_data = subject or not self.moves or self.holds(s, n)
        alive = self.sessions_of[subject] - {S1} if has_data else set[int]()
        seen, banned = set[str | Mark](), False
        for item in data:
            if item == "l" and subject == 0:
                alive = alive | {S1}
            elif item == "u" and subject == 0:
                banned = False
            elif item == "i":
                seen = set()
            elif item in ENDINGS and item not in seen:
                k = ENDINGS.index(str(item))
                if self.subject_of[k] != subject:
                    continue
                alive, banned = alive - set(self.ended[k]), banned or S1 in self.ended[k]
                seen = seen | {item} if self.rules.operation else seen
        return alive, banned and "ban" in self.actors

    def confirmed(self, s: State, place: Place, one_is_enough: bool) -> bool:
        """Whether WAIT reports what the node executed up to there."""
        n, length = place
        me = s.nodes[n]
        others = [m for m in self.shards[self.shard_of[n]] if m != n and s.nodes[m].member]
        if not self.rules.count_failed:
            others = [m for m in others if s.nodes[m].up and self.linked(s, n, m)]
        has = [
            s.nodes[m].log[:length] == me.log[:length] and not s.nodes[m].primary for m in others
        ]
        if not has:
            return not self.rules.count_failed
        return any(has) if one_is_enough else all(has)

    def mark(self, s: State, n: int) -> Mark:
        """The mark in the data of node ``n``; at first all journals are filled."""
        for item in reversed(s.nodes[n].log):
            if isinstance(item, Mark):
                return item
        return Mark(self.shards[self.shard_of[n]][0], 0, 0)

    def healed(self, s: State, n: int) -> State:
        """Journal ``n`` was filled: what it lost is there again."""
        return s._replace(hurt=s.hurt & ~(1 << self.journals.index(self.shard_of[n])))

    def own_mark(self, s: State, n: int) -> Mark:
        return Mark(n, s.nodes[n].run, s.nodes[n].config)

    def counts(self, s: State, n: int) -> bool:
        """Whether the journal at ``n`` counts as filled."""
        mark, own = self.mark(s, n), self.own_mark(s, n)
        if not self.rules.refill and own.epoch > mark.epoch:
            return True
        same_run = (mark.node, mark.run) == (own.node, own.run) or not self.rules.mark_run
        return same_run and (mark.epoch == own.epoch or not self.rules.mark_epoch)
