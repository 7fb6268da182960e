"""Searches of the state space: breadth-first, around a dangerous state, and towards a step.

A search towards a step finds the shortest path to it.
"""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from .carrier import carrier
from .cluster import cluster, faults
from .late import another_subject, late_request
from .moves import slot_moves
from .revoker import revoker
from .state import State, Steps, tick
from .verifier import verifier
from .world import World


@dataclass(slots=True)
class Result:
    """The states that were explored, and a trace for each kind of violation."""

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
    yield from slot_moves(world, s)
    for k in range(len(s.revokers)):
        yield from revoker(world, s, k)
    yield from late_request(world, s)
    yield from another_subject(world, s)
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
                result.note(bad, [*(names or []), *trace(parents, s)], name)
                result.states += len(parents)
                return
            if new not in parents and len(parents) < limit:
                parents[new] = (s, name)
                queue.append(new)
    result.states += len(parents)


def trace(parents: dict[State, tuple[State, str] | None], s: State) -> list[str]:
    def backwards() -> Iterator[str]:
        step = parents[s]
        while step:
            before, name = step
            yield name
            step = parents[before]

    return list(backwards())[::-1]


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
    start = start._replace(faults=0, lates=0, moves=0)
    parents: dict[State, tuple[State, str] | None] = {start: None}
    queue = deque([start])
    while queue:
        s = queue.popleft()
        for name, new, _ in steps(world, s):
            if wanted in name:
                return [*trace(parents, s), name]
            if new not in parents and len(parents) < limit:
                parents[new] = (s, name)
                queue.append(new)
    return None


def prefixes(world: World, wanted: str) -> list[tuple[State, list[str]]]:
    """The states on the way of `follow`, each with the steps to it."""
    parts = wanted.split(",")
    return [follow(world, ",".join(parts[:count])) for count in range(1, len(parts) + 1)]


def near(world: World, wanted: str, limit: int, result: Result) -> None:
    """Follow the steps named, then explore what is near."""
    s, names = follow(world, wanted)
    breadth_first(world, limit, result, s, names)
