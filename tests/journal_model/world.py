"""A world: its shards, who reaches whom, which faults happen, and the rules that are kept."""

from typing import Final

from .rules import Rules
from .state import (
    AT_REST,
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
REVOKER, CARRIER, VERIFIERS = range(3)


class World:
    """What does not change during a history.

    Args:
        layout: ``3+3`` (S is one of the three journals), ``4`` or ``7`` shards.
        side: nodes that the one partition cuts off.
        reach: of the revoker, the carrier and the verifiers, during the partition: ``a`` the nodes
            cut off, ``b`` the others, ``*`` both.
        faults: how many at most.
        kinds: faults that happen: crash, restart (with older data), jroll (of primaries of journals
            too), cut, forget, vstart (a new process), manual (a failover without force).
        actors: what is done beside ending and verifying: login, trim, late (requests that are
            executed later), ask (a read is sent and answered in two steps), ban, numbers (an entry
            of another subject, and verifiers that read entries only when a head has changed).
        fence: verifiers read the journals anew when the owner has changed, as the sketch had it.
        whole_sources: how many of the two other journals must count for a third to be filled.
    """

    def __init__(
        self,
        rules: Rules,
        layout: str = "3+3",
        replicas: int = 1,
        side: tuple[int, ...] = (0,),
        reach: tuple[str, str, str] = ("*", "*", "*"),
        faults: int = 3,
        kinds: str = "crash restart cut",
        actors: str = "login trim",
        verifiers: int = 1,
        fence: bool = False,
        whole_sources: int = 1,
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
        self.side, self.reach = frozenset(side), reach
        nodes = tuple(
            Node(True, n == shard[0], 0, 0, (), True, 0, True) for shard in shards for n in shard
        )
        self.new_verifier = Verifier(
            0, (NO_EVIDENCE,) * len(shards), NO_ANSWER, False, None, False, None, (None,) * 3
        )
        self.start = State(
            nodes=nodes,
            cut=0,
            faults=faults,
            verifiers=(self.new_verifier,) * verifiers,
            revoker=AT_REST,
            carrier=Carrier(None, False),
            login=None,
            lift=None,
            late=None,
            lates=1 if self.actors & {"late", "numbers"} else 0,
            hurt=0,
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

    def effect(self, log: Log) -> tuple[bool, bool, bool]:
        """Whether s0 and s1 are alive after ``log``, and whether the subject is banned."""
        zero, one, banned, seen = True, False, False, False
        for item in log:
            if item == "l":
                one = True
            elif item == "u":
                banned = False
            elif item == "e" and not (seen and self.rules.operation):
                zero, one, banned, seen = False, False, True, True
        return zero, one, banned and "ban" in self.actors

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
