"""How states are looked for: breadth first, by random histories, and near a danger."""

import random
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from .carrier import carrier
from .cluster import cluster, faults
from .revoker import late_request, revoker
from .state import State, Steps, tick
from .verifier import verifier
from .world import World

_COUNTED: Final = (
    "by owner", "by journals", "durable", "trims", "fills", "LATE", "promoted", "MANUAL", "CUT",
    "CRASH", "RESTART", "FORGET",
)  # fmt: skip
_WEIGHTS: Final = {
    "revoker:": 3.0, "promoted": 4.0, "login": 2.0, "lifts": 2.0, "CUT": 2.0, "NEW": 0.7,
    "heal": 0.5, "start": 0.5,
}  # fmt: skip
_TAIL: Final = 2_500  # states that are explored after an acknowledgement
_POOL: Final = 20_000


@dataclass(slots=True)
class Result:
    """What was explored, and a trace for each kind of violation."""

    states: int = 0
    steps: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    violations: dict[str, list[str]] = field(default_factory=dict)

    def note(self, kind: str | None, names: list[str], last: str) -> None:
        if kind and kind not in self.violations:
            self.violations[kind] = [*names, f"{last}   <-- {kind}"]


def steps(world: World, s: State) -> Steps:
    """All that can happen next."""
    yield from faults(world, s)
    yield from cluster(world, s)
    yield from revoker(world, s)
    yield from late_request(world, s)
    if "trim" in world.actors:
        yield from carrier(world, s)
    for k in range(len(s.verifiers)):
        yield from verifier(world, s, k)
    yield tick(s)


def breadth_first(
    world: World, limit: int, result: Result, start: State, names: list[str] | None = None
) -> None:
    """Explore up to ``limit`` states from ``start``, until something is violated."""
    parents: dict[State, tuple[State, str] | None] = {start: None}
    queue = deque([start])
    while queue:
        s = queue.popleft()
        for name, new, bad in steps(world, s):
            result.steps += 1
            if bad:
                result.note(bad, [*(names or []), *_trace(parents, s)], name)
                result.states += len(parents)
                return
            if new not in parents and len(parents) < limit:
                parents[new] = (s, name)
                queue.append(new)
    result.states += len(parents)


def _trace(parents: dict[State, tuple[State, str] | None], s: State) -> list[str]:
    def backwards() -> Iterator[str]:
        step = parents[s]
        while step:
            before, name = step
            yield name
            step = parents[before]

    return list(backwards())[::-1]


class _Swarm:
    """Weights of steps, drawn anew for each history, so that histories differ in kind."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._drawn: dict[str, float] = {}

    def weight(self, name: str) -> float:
        if "ACKNOW" in name:
            return 8.0
        key = name.partition(",")[0]
        if key not in self._drawn:
            words = name.split()
            kind = next((word for word in words if word in _WEIGHTS), words[0])
            factor = self._chance.choice((0.01, 0.1, 1.0, 1.0, 5.0))
            self._drawn[key] = factor * _WEIGHTS.get(kind, 1.0)
        return self._drawn[key]


def histories(world: World, seconds: float, seed: int, result: Result, length: int = 45) -> None:
    """Random histories; from acknowledgements on, what is near is explored breadth first."""
    chance, began = random.Random(seed), time.monotonic()
    visited: set[int] = set()
    pool: list[tuple[State, list[str]]] = []
    while time.monotonic() - began < seconds and not result.violations:
        s, names, swarm = world.start, list[str](), _Swarm(chance)
        if pool and chance.random() < 0.75:
            s, names = chance.choice(pool)
            names = list(names)
        for _ in range(25 if names else length):
            options = list(steps(world, s))
            result.steps += len(options)
            for name, _, bad in options:
                result.note(bad, names, name)
            if result.violations:
                break
            weights = [swarm.weight(option[0]) for option in options]
            name, s, _ = chance.choices(options, weights)[0]
            names.append(name)
            visited.add(hash(s))
            result.seen.update(word for word in _COUNTED if word in name)
            if "ACKNOW" in name:
                if s.faults and len(pool) < _POOL:
                    pool.append((s, list(names)))
                if chance.random() < (0.5 if "journals" in name else 0.2):
                    breadth_first(world, _TAIL, result, s, names)
                    result.seen["tails"] += 1
        result.seen["histories"] += 1
    result.states += len(visited)


def follow(world: World, wanted: str, strict: bool = False) -> tuple[State, list[str]]:
    """Take, in order, the first step whose name contains each word of ``wanted``.

    A step that cannot be taken, as a rule forbids it, is left out, or with ``strict`` an error.
    """
    s, names = world.start, list[str]()
    for want in wanted.split(","):
        found = next(((name, new) for name, new, _ in steps(world, s) if want in name), None)
        if found:
            names.append(found[0])
            s = found[1]
        elif strict:
            raise LookupError(f"no step {want!r} after {names}")
    return s, names


def reaches(world: World, start: State, wanted: str, limit: int) -> list[str] | None:
    """The shortest way to a step whose name contains ``wanted``, without further faults."""
    start = start._replace(faults=0, lates=0)
    parents: dict[State, tuple[State, str] | None] = {start: None}
    queue = deque([start])
    while queue:
        s = queue.popleft()
        for name, new, _ in steps(world, s):
            if wanted in name:
                return [*_trace(parents, s), name]
            if new not in parents and len(parents) < limit:
                parents[new] = (s, name)
                queue.append(new)
    return None


def near(world: World, wanted: str, limit: int, result: Result) -> None:
    """Follow the steps named, then explore what is near."""
    s, names = follow(world, wanted)
    breadth_first(world, limit, result, s, names)
