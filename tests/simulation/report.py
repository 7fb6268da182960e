"""The figures of runs, as a line, a table, and the page."""

import re
from collections import Counter
from dataclasses import dataclass, replace
from math import inf, isinf
from pathlib import Path

from .costs import DESIGNS
from .invariants import MOST_AMPLIFIED, MOST_SECONDS, SMALL
from .run import Result, Setup
from .scenarios import SCENARIOS

PRIMARIES = 3
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "why" / "a-thousand-processes.md"


@dataclass
class Figures:
    """The reported figures of one run."""

    scenario: str
    processes: int
    design: str
    seed: int
    steady: float
    busiest: float
    peak: float
    highest: float
    seconds: float
    stale: int
    latest_ms: float
    refused: int
    refused_before: bool
    reasons: Counter[str]
    counts: Counter[str]
    series: dict[str, list[float]]
    processor_seconds: float

    @property
    def is_saturated(self) -> bool:
        return self.busiest > 0.9

    @property
    def times(self) -> float:
        """The peak as a multiple of the steady load."""
        return self.peak / self.steady if self.steady else 1.0

    @property
    def is_amplified(self) -> bool:
        """Whether the peak exceeds what is allowed."""
        return self.peak > max(MOST_AMPLIFIED * self.steady, SMALL * PRIMARIES)

    @property
    def within(self) -> bool:
        """Whether the load keeps to the bound."""
        return (
            not SCENARIOS[self.scenario].has_event
            or (not self.is_amplified and self.seconds <= MOST_SECONDS)
        ) and not self.is_saturated

    @property
    def keeps_promises(self) -> bool:
        return not self.stale and not (SCENARIOS[self.scenario].is_healthy and self.refused)


def figures_of(scenario: str, result: Result) -> Figures:
    """The figures of a run."""
    judge, setup = result.judge, result.setup
    return Figures(
        scenario,
        setup.processes,
        setup.design.name,
        setup.seed,
        result.steady,
        result.busiest,
        result.peak,
        result.highest,
        result.seconds,
        judge.counts["stale"],
        judge.longest_stale * 1000,
        judge.counts["refused"],
        result.refusals_before,
        judge.refusals,
        judge.counts,
        result.series,
        result.processor_seconds,
    )


def run_one(scenario: str, setup: Setup, seconds: float | None = None) -> Figures:
    """Run a scenario; a function of a module, so that other processes can be asked for it."""
    return figures_of(scenario, SCENARIOS[scenario].run(setup, seconds))


def in_a_line(found: Figures) -> str:
    """One run, for a terminal."""
    reasons = ", ".join(f"{number} {reason}" for reason, number in found.reasons.most_common())
    return (
        f"{found.scenario}, {found.processes:,} processes, {found.design}, seed {found.seed}:"
        f" steady {found.steady:.2f} cores ({found.busiest:.0%} of one at the busiest server)"
        f", peak {found.times:.1f} x ({found.highest:.0%} of one)"
        f", back after {_seconds(found.seconds)}"
        f"; {found.counts['endings']:,} endings, {found.counts['acknowledged']:,} acknowledged"
        f"; accepted at most {found.latest_ms:.0f} ms later, {found.stale} stale"
        f"; {found.refused:,} refused{f' ({reasons})' if reasons else ''}"
        f"; {found.processor_seconds:.0f} s"
    )


def table(design: str, found: list[Figures]) -> str:
    """A table of scenario and number of processes, for one design."""
    lines = [
        "| scenario | processes | steady, cores | peak, cores | times steady | busiest primary"
        " | back after, s | latest accepted, ms | stale | refused |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in found:
        if each.design != design:
            continue
        has_event = SCENARIOS[each.scenario].has_event
        peak = f"{each.peak:.2f}" if has_event else ""
        times = f"{each.times:.1f}" if has_event else ""
        highest = f"{each.highest:.0%}" if has_event else f"{each.busiest:.0%}"
        back = _seconds(each.seconds) if has_event else ""
        if has_event and each.is_amplified:
            times = f"**{times}**"
        if has_event and each.seconds > MOST_SECONDS:
            back = f"**{back}**"
        steady = f"{each.steady:.2f}" + (" **(saturated)**" if each.is_saturated else "")
        stale = f"**{each.stale}**" if each.stale else "0"
        refused = f"{each.refused:,}"
        if SCENARIOS[each.scenario].is_healthy and each.refused:
            refused = f"**{refused}**"
        lines.append(
            f"| `{each.scenario}` | {each.processes:,} | {steady} | {peak} | {times}"
            f" | {highest} | {back}"
            f" | {each.latest_ms:.0f} | {stale} | {refused} |"
        )
    return "\n".join(lines)


def spread(found: list[Figures]) -> str:
    """A table of what differs between seeds."""
    lines = [
        "| scenario | seeds | times steady | busiest primary | back after, s | stale | refused |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(each.scenario for each in found):
        runs = [each for each in found if each.scenario == name]
        lines.append(
            f"| `{name}` | {len(runs)} | {_range([f'{each.times:.1f}' for each in runs])}"
            f" | {_range([f'{each.highest:.0%}' for each in runs])}"
            f" | {_range([_seconds(each.seconds) for each in runs])}"
            f" | {sum(each.stale for each in runs)} | {sum(each.refused for each in runs)} |"
        )
    return "\n".join(lines)


def _range(texts: list[str]) -> str:
    """The first and the last of some numbers, in their order."""
    texts.sort(key=lambda text: inf if text == "more" else float(text.rstrip("%")))
    return texts[0] if texts[0] == texts[-1] else f"{texts[0]} to {texts[-1]}"


def _seconds(seconds: float) -> str:
    return "more" if isinf(seconds) else f"{seconds:.1f}"


def write_page(found: list[Figures], seeds: list[Figures], command: str) -> None:
    """Put the tables into the page; ``seeds``: the runs with several seeds."""
    text = PAGE.read_text("utf-8")
    for design in DESIGNS:
        text = _replaced(text, design, f"    {command}\n\n{table(design, found)}\n")
    text = _replaced(text, "seeds", f"    {command}\n\n{spread(seeds)}\n")
    PAGE.write_text(text, "utf-8")


def _replaced(text: str, name: str, part: str) -> str:
    pattern = re.compile(f"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)", re.DOTALL)
    assert pattern.search(text), name
    return pattern.sub(lambda match: match[1] + part + match[2], text)


def setup_of(setup: Setup, processes: int, design: str) -> Setup:
    """``setup`` with so many processes and another design; of very many, a tenth is busy, and
    more are simulated."""
    traffic = setup.traffic
    if processes > 1_000:
        traffic = replace(traffic, busy=0.1)
        setup = replace(setup, sampled=max(setup.sampled, 50))
    return replace(setup, processes=processes, design=DESIGNS[design], traffic=traffic)
