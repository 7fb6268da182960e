"""The record of a test run: the tests that execute each line, and the time each test takes."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .layers import LAYERS, NothingThere, sources_of

LONGEST_TEST = 60


@dataclass(slots=True)
class Recorded:
    """The tests that passed, how long each took, and the lines that each executed."""

    seconds: dict[str, float] = field(default_factory=dict)
    tests: dict[str, dict[int, set[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(set))
    )

    def of_lines(self, path: str, lines: tuple[int, ...]) -> set[str]:
        """The tests that executed one of the lines."""
        of_file = self.tests.get(path, {})
        return {test for line in lines for test in of_file.get(line, ())}

    def of_file(self, path: str) -> set[str]:
        """The tests that executed anything in the file."""
        return {test for tests in self.tests.get(path, {}).values() for test in tests}

    def in_files(self, files: tuple[str, ...]) -> set[str]:
        """All recorded tests of some test files."""
        return {test for test in self.seconds if test.split("::")[0] in files}


def check_layers(tree: Path, recorded: Recorded, layers: Sequence[str]) -> None:
    """Raises ``NothingThere`` for a layer that no test could find a change in."""
    for layer in layers:
        executed = any(recorded.of_file(path) for path in sources_of(tree, layer))
        if not executed and not LAYERS[layer].fallback:
            raise NothingThere(f"no test executes the layer {layer}")


def fallback_tests(layer: str) -> tuple[str, ...]:
    """Test files for code that no recorded test executes in its own process."""
    return LAYERS[layer].fallback
