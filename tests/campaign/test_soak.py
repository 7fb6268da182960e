"""A soak tells growth from chance; the whole of it is seen to run for a moment."""

import json
from pathlib import Path

import pytest

from .soak import Series, judge, soak

MEMORY = "memory of a process, MiB"
CONNECTIONS = "connections of all servers"


def hour(what: str, *values: float) -> Series:
    """Values at even times within an hour."""
    return {(what, "one"): [(3600 * n / (len(values) - 1), v) for n, v in enumerate(values)]}


@pytest.mark.parametrize(
    "values",
    [
        [50] * 60,
        [30, 40, 48, *[50] * 57],  # it fills up
        [50, 52, 49] * 20,
        [50] * 30 + [90] + [50] * 29,  # a fault
        [50] * 20 + [52] * 40,  # chance
    ],
)
def test_what_does_not_grow(values: list[float]) -> None:
    assert judge(hour(MEMORY, *values)) == []


def test_what_grows() -> None:
    leak = [50 + 0.3 * minute for minute in range(60)]
    (line,) = judge(hour(MEMORY, *leak))
    assert line.startswith("memory of a process, MiB (one): 5")
    assert judge(hour(CONNECTIONS, *[60] * 20, *[80] * 40))
    assert not judge(hour(CONNECTIONS, *[60] * 20, *[70] * 40))


def test_a_series_with_few_samples_is_judged_by_those_there_are() -> None:
    assert judge({(CONNECTIONS, "servers"): [(1.0, 5.0), (60.0, 5.0)]}) == []
    grown = judge({(CONNECTIONS, "servers"): [(1.0, 5.0), (40.0, 5.0), (60.0, 5.0 + 1e9)]})
    assert len(grown) == 1


@pytest.mark.alternating
@pytest.mark.timeout(120)
def test_a_moment_of_it(tmp_path: Path) -> None:
    said: list[str] = []
    soak(0.15, 1, tmp_path, said.append)
    samples = json.loads((tmp_path / "samples.json").read_text())
    assert {each["of"] for each in samples} == {"threads-1", "tasks-2", "threads-3", "servers"}
    # How many depends on the machine; that all were taken together does not.
    looks = {
        of: {tuple(at for at, _ in each["samples"]) for each in samples if each["of"] == of}
        for of in ("threads-1", "tasks-2", "threads-3")
    }
    assert len(set.union(*looks.values())) == 1
    assert all(each["samples"] for each in samples)
    assert any(line.endswith("0 faults in 0.15 minutes, seed 1") for line in said)
