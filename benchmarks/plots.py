"""Draws a measurement as a chart: one bar for each candidate, on a logarithmic scale."""

import os
from collections.abc import Mapping
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "svg")


def draw_bars(values: Mapping[str, float], label: str, command: str, path: Path) -> None:
    """An SVG of ``values``; the command that makes it again stands below."""
    import matplotlib as mpl
    from matplotlib import pyplot

    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "clusterpass", "font.size": 9})
    names = list(values)[::-1]
    figure, axes = pyplot.subplots(figsize=(8, 0.6 + 0.42 * len(names)), layout="constrained")
    bars = axes.barh(names, [values[name] for name in names], color="#4c72b0")
    bars[-1].set_color("#c44e52")  # ours stands first
    axes.set_xscale("log")
    axes.bar_label(
        bars, fmt=lambda value: f"{value:,.0f}" if value >= 10 else f"{value:.2g}", padding=3
    )
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(f"{label}\n{command}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
