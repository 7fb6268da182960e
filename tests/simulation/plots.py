"""Pictures of runs: the load of the store as time passes, by kind of request."""

import os
from pathlib import Path

from .invariants import MOST_AMPLIFIED, SMALL
from .report import PRIMARIES, ROOT, Figures
from .run import EVENT, STEADY
from .server_load import SLICE

os.environ.setdefault("MPLBACKEND", "svg")
FOLDER = ROOT / "docs" / "images" / "simulation"
_SMALLEST = 0.02
"""Kinds of requests that never take this share of the peak are left out."""
_COLOURS = {
    "beat": "#4c72b0",
    "load": "#dd8452",
    "push": "#c44e52",
    "look_up": "#8172b3",
    "inquiry": "#55a868",
    "write": "#937860",
    "connect": "#da8bc3",
    "fill": "#8c8c8c",
}


def draw_load(runs: list[Figures], command: str, path: Path) -> None:
    """An SVG of the cores that the store needs, one panel for each run; ``command`` makes it."""
    import matplotlib as mpl
    from matplotlib import pyplot

    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "clusterpass", "font.size": 9})
    figure, panels = pyplot.subplots(
        1, len(runs), figsize=(3.0 * len(runs) + 1, 3.0), layout="constrained", squeeze=False
    )
    for axes, run in zip(panels[0], runs, strict=True):
        least = _SMALLEST * max(run.peak, run.steady)
        kinds = [kind for kind in _COLOURS if max(run.series.get(kind, [0.0])) > least]
        count = len(next(iter(run.series.values())))
        times = [STEADY + 1 + number * SLICE - EVENT for number in range(count)]
        axes.stackplot(
            times,
            [run.series[kind] for kind in kinds],
            labels=kinds,
            colors=[_COLOURS[kind] for kind in kinds],
        )
        axes.axhline(
            max(MOST_AMPLIFIED * run.steady, SMALL * PRIMARIES),
            color="black",
            linewidth=0.8,
            linestyle="--",
        )
        axes.set_title(f"{run.processes:,} processes, {run.design}", fontsize=9)
        axes.set_xlabel("seconds after the event")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=7, frameon=False, loc="upper right")
    panels[0][0].set_ylabel("cores of all servers (dashed: the bound)", fontsize=8)
    figure.supxlabel(command, fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
