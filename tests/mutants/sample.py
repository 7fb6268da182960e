"""A sample of mutants, the same for the same seed and the same code."""

import random
from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path

from . import lua_source, python_source
from .equivalent import is_reviewed
from .layers import sources_of
from .mutant import SUBTLE, Mutant


def draw(
    tree: Path, layers: Sequence[str], *, seed: int, count: int, subtle: bool
) -> Iterator[tuple[str, Mutant]]:
    """``count`` mutants, drawn from the layers in turn; fewer when the layers have no more."""
    left = {
        layer: filter(partial(is_code, tree), _shuffled(tree, layer, seed, subtle=subtle))
        for layer in layers
    }
    drawn = 0
    while left and drawn < count:
        for layer in list(left)[: count - drawn]:
            mutant = next(left[layer], None)
            if mutant is None:
                del left[layer]
            else:
                yield layer, mutant
                drawn += 1


def is_code(tree: Path, mutant: Mutant) -> bool:
    """Whether the changed module compiles, and is no reviewed equivalent; a script is tried when it
    runs.
    """
    source = (tree / mutant.path).read_bytes()
    if is_reviewed(mutant, source):
        return False
    if mutant.path.endswith(".lua"):
        return True
    try:
        compile(mutant.apply(source), mutant.path, "exec")
    except SyntaxError:
        return False
    return True


def mutants_of_layer(tree: Path, layer: str, *, subtle: bool) -> list[Mutant]:
    """Every mutant of a layer."""
    return [
        mutant
        for path in sources_of(tree, layer)
        for mutant in _mutants_of(path, (tree / path).read_bytes())
        if not subtle or mutant.kind in SUBTLE
    ]


@cache
def _mutants_of(path: str, source: bytes) -> tuple[Mutant, ...]:
    """Every mutant of a file; layers share files, and samples share layers."""
    maker = lua_source if path.endswith(".lua") else python_source
    return tuple(maker.mutants_of(path, source))


def _shuffled(tree: Path, layer: str, seed: int, *, subtle: bool) -> list[Mutant]:
    mutants = mutants_of_layer(tree, layer, subtle=subtle)
    random.Random(f"{seed} {layer} {subtle}").shuffle(mutants)
    return mutants[::-1]
