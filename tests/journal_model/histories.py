"""Random histories: half of them step by step, half by plans such as a failover or a logout.

Single steps alone seldom come to an acknowledgement and then to the second fault that matters:
measured with one rule off at a time, plans find nearly all violations within seconds.
"""

import math
import random
import time
from collections.abc import Iterable
from typing import Final

from .search import Result, breadth_first, steps
from .state import State, Step
from .world import World

_COUNTED: Final = (
    "by owner", "by journals", "durable", "trims", "fills", "LATE", "promoted", "MANUAL", "CUT",
    "CRASH", "RESTART", "FORGET", "NEW PROCESS", "MOVES the slot", "move is known",
)  # fmt: skip
_WEIGHTS: Final = {
    "revoker:": 3.0, "second:": 3.0, "MOVES": 3.0, "promoted": 4.0, "login": 2.0, "lifts": 2.0,
    "CUT": 2.0, "NEW": 0.7, "heal": 0.5, "start": 0.5,
}  # fmt: skip
_PLANS: Final = (
    "journal 0 at,journal 1 at,syncs,syncs,journal 0 conf,journal 1 conf,tick,tick,by journals",
    "journal 1 at,journal 2 at,syncs,syncs,journal 1 conf,journal 2 conf,tick,tick,by journals",
    "journal 0 at,journal 2 at,syncs,syncs,journal 0 conf,journal 2 conf,tick,tick,by journals",
    "revoker: ends,syncs,syncs,tick,tick,by owner",
    "second: ends,syncs,syncs,tick,tick,second: ACK",
    "revoker: journal,second: journal,revoker: journal,second: journal,syncs,syncs,confirmed,"
    "confirmed,confirmed,confirmed,tick,tick,by journals,by journals",
    "MOVES the data,MOVES the slot,hears,hears,hears,hears,syncs,syncs,move is known",
    "MOVES the data,MOVES the slot",
    "move is known",
    "CRASH,promoted",
    "CRASH,promoted,start,demoted,syncs",
    "CRASH,start",
    "CUT,promoted",
    "CUT",
    "heal,demoted,syncs",
    "RESTART",
    "RESTART,syncs",
    "FORGET",
    "MANUAL,demoted,syncs",
    "NEW PROCESS",
    "syncs,syncs,syncs",
    "hears,hears,hears,hears",
    "fills",
    "carrier: ends,syncs,syncs,all replicas,trims,trims,trims",
    "login s1,syncs,syncs,durable",
    "lifts,syncs,syncs,durable,login s1,syncs,durable",
    "beats of all,reads",
    "beat of,beat of,beat of,reads",
    "beats of all",
    "reads",
    "tick",
    "asks",
    "gives up",
    "is slow",
    "another subject",
    "LATE",
)
_TAIL: Final = 2_500  # states that are explored after an acknowledgement
_POOL: Final = 20_000


class _Swarm:
    """Weights of steps, drawn anew for each history, so that histories differ in kind."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._drawn: dict[str, float] = {}

    def choose(self, options: list[Step]) -> Step:
        weights = [self._weight(name) for name, _, _ in options]
        return self._chance.choices(options, weights)[0]

    def _weight(self, name: str) -> float:
        if "ACKNOW" in name:
            return 8.0
        key = name.partition(",")[0]
        if key not in self._drawn:
            words = name.split()
            kind = next((word for word in words if word in _WEIGHTS), words[0])
            factor = self._chance.choice((0.01, 0.1, 1.0, 1.0, 5.0))
            self._drawn[key] = factor * _WEIGHTS.get(kind, 1.0)
        return self._drawn[key]


class _Planned:
    """One plan after the other, a third of them with gaps; what cannot be done is left out."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._wanted: list[str] = []

    def choose(self, options: list[Step]) -> Step:
        chance = self._chance
        if chance.random() < 0.03:
            return chance.choice(options)
        for _ in range(20):
            if not self._wanted:
                plan, skipped = chance.choice(_PLANS).split(","), chance.choice((0.0, 0.0, 0.25))
                self._wanted = [want for want in plan if chance.random() >= skipped]
                continue
            want = self._wanted.pop(0)
            found = [option for option in options if want in option[0]]
            if found:
                return chance.choice(found)
        return chance.choice(options)


def histories(
    world: World,
    seed: int,
    result: Result,
    *,
    seconds: float = math.inf,
    most_steps: float = math.inf,
    starts: Iterable[tuple[State, list[str]]] = (),
) -> None:
    """Random histories; from some acknowledgements on, what is near is explored breadth first.

    Many of them begin at an acknowledgement that an earlier one came to, or at one of ``starts``.
    """
    chance, began = random.Random(seed), time.process_time()
    visited: set[int] = set()
    pool = list(starts)
    while not result.violations:
        if result.steps >= most_steps or time.process_time() - began >= seconds:
            break
        s, names = world.start, list[str]()
        way = _Planned(chance) if chance.random() < 0.7 else _Swarm(chance)
        if pool and chance.random() < 0.6:
            s, names = chance.choice(pool)
            names = list(names)
        for _ in range(30 if names else 45):
            options = list(steps(world, s))
            result.steps += len(options)
            for name, _, bad in options:
                result.note(bad, names, name)
            if result.violations:
                break
            name, s, _ = way.choose(options)
            names.append(name)
            visited.add(hash(s))
            result.seen.update(word for word in _COUNTED if word in name)
            if "ACKNOW" in name:
                if s.faults and len(pool) < _POOL:
                    pool.append((s, list(names)))
                if chance.random() < 0.03:
                    breadth_first(world, _TAIL, result, s, names)
                    result.seen["tails"] += 1
        result.seen["histories"] += 1
    result.states += len(visited)
