"""The timeline of a campaign: operations by outcome, faults, violations. Needs matplotlib."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

from .history import Operation
from .verdict import Verdict

_COLOURS = {
    "accepted": "#2f7d4f",
    "refused (401, 403, 404)": "#9aa5b1",
    "pending": "#d99a1b",
    "not available (503)": "#c0392b",
}


def draw(verdict: Verdict, path: Path) -> None:
    """Write the picture as SVG."""
    operations = [each for each in verdict.history.operations if each.ended is not None]
    start = operations[0].began
    length = max(each.ended or 0 for each in operations) - start
    width = max(0.25, length / 600)
    counts: dict[str, Counter[int]] = {name: Counter() for name in _COLOURS}
    for each in operations:
        counts[_class_of(each)][int(((each.ended or 0) - start) / width)] += 1
    bins = range(int(length / width) + 1)
    times = [each * width for each in bins]
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(14, 9), sharex=True, height_ratios=(1, 1), layout="constrained"
    )
    rates = [[counts[name][each] / width for each in bins] for name in _COLOURS]
    above.stackplot(times, rates, labels=list(_COLOURS), colors=list(_COLOURS.values()))
    above.set_ylabel("operations a second")
    above.legend(loc="upper right", fontsize="small")
    names = sorted({each.name for each in verdict.history.faults})
    for fault in verdict.history.faults:
        row = names.index(fault.name)
        below.broken_barh(
            [(fault.began - start, max(0.1, fault.ended - fault.began))],
            (row - 0.4, 0.8),
            color="#34495e",
        )
    below.set_yticks(range(len(names)), [name.replace("_", " ") for name in names], fontsize=8)
    below.set_xlabel("seconds")
    for violation in verdict.violations:
        for axes in (above, below):
            axes.axvline(violation.operation.began - start, color="#e6006b", linewidth=1)
    above.set_title(
        f"{len(operations):,} operations, {len(verdict.history.faults)} faults,"
        f" {len(verdict.violations)} violations"
    )
    figure.savefig(path)
    plt.close(figure)


def draw_soak(samples: Path, path: Path) -> None:
    """Write what was sampled in a soak as SVG: one panel for each thing that was looked at."""
    series: dict[str, list[dict[str, Any]]] = {}
    for each in json.loads(samples.read_text()):
        series.setdefault(each["what"], []).append(each)
    figure, panels = plt.subplots(
        (len(series) + 1) // 2, 2, figsize=(12, 8), sharex=True, layout="constrained"
    )
    for axes, (what, lines) in zip(panels.flat, series.items(), strict=False):
        for line in lines:
            axes.plot(
                [at / 60 for at, _ in line["samples"]],
                [value for _, value in line["samples"]],
                label=line["of"],
                linewidth=1,
            )
        axes.set_ylim(bottom=0)
        axes.set_title(what, fontsize="small")
        axes.legend(fontsize="x-small", loc="lower right")
        axes.set_xlabel("minutes")
    figure.savefig(path)
    plt.close(figure)


def _class_of(operation: Operation) -> str:
    if operation.outcome == "ok":
        return "accepted"
    if operation.outcome == "revocation_pending":
        return "pending"
    if operation.outcome in {"store_unavailable", "store_denied"}:
        return "not available (503)"
    return "refused (401, 403, 404)"
