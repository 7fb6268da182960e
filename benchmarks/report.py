"""Formats a measurement as a table on the terminal, as Markdown and as JSON."""

import dataclasses
import json
import platform
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.plots import draw_bars

_LIBRARIES = (
    *("redis", "hiredis", "joserfc", "cryptography", "pyjwt", "granian", "uvicorn", "uvloop"),
    *("fastapi", "fastapi-users", "flask", "flask-jwt-extended", "gunicorn"),
)
IMAGES = Path(__file__).parents[1] / "docs" / "images" / "benchmarks"


@dataclass(frozen=True, slots=True)
class Goal:
    """A measured number with the limit that it has to meet."""

    what: str
    measured: float
    at_most: float | None = None
    at_least: float | None = None

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        return (self.at_most is None or self.measured <= self.at_most) and (
            self.at_least is None or self.measured >= self.at_least
        )

    def __str__(self) -> str:
        wanted = (
            f"at least {self.at_least:g}" if self.at_most is None else f"at most {self.at_most:g}"
        )
        verdict = "met" if self.met else "MISSED"
        return f"{self.what}: {_number(self.measured)}, goal {wanted}: {verdict}"


@dataclass(frozen=True, slots=True)
class Report:
    """One table with its goals."""

    name: str
    title: str
    text: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    goals: Sequence[Goal] = ()
    servers: Sequence[str] = ()
    arguments: Sequence[str] = field(default=())
    plot: Mapping[str, float] = field(default_factory=dict)
    """Bars of a picture, ours first."""
    plot_label: str = ""
    program: str = ""
    """The command, unless ``python -m benchmarks NAME`` runs the measurement."""
    notes: Sequence[str] = ()
    """What else has to be said, a paragraph or an entry of a list each."""

    @property
    def command(self) -> str:
        """The command that makes this table again."""
        program = self.program or f"python -m benchmarks {self.name}"
        return " ".join([program, *self.arguments])

    def plain(self) -> str:
        """The report as plain text."""
        table = [list(self.columns), *[list(row) for row in self.rows]]
        widths = [max(len(row[column]) for row in table) for column in range(len(self.columns))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in table
        ]
        lines.insert(1, "-" * max(map(len, lines)))
        return "\n".join([f"== {self.title}", *lines, *map(str, self.goals), *self.notes, ""])

    def markdown(self) -> str:
        """The report as a section of docs/benchmarks.md."""
        lines = [f"## {self.title}", "", f"    {self.command}", "", _wrapped(self.text), ""]
        if self.plot:
            lines += [f"![{self.title}](images/benchmarks/{self.name}.svg)", ""]
        lines += [markdown_row(self.columns), "|---" * len(self.columns) + "|"]
        lines += [markdown_row(row) for row in self.rows]
        if self.goals:
            lines += ["", *[f"- {goal}" for goal in self.goals]]
        for note in self.notes:
            lines += ["", _wrapped(note, "  " if note.startswith("- ") else "")]
        if self.servers:
            lines += ["", f"Server: {', '.join(self.servers)}."]
        return "\n".join([*lines, ""])

    def draw(self) -> None:
        """Write the picture, if there is one."""
        if self.plot:
            draw_bars(self.plot, self.plot_label, self.command, IMAGES / f"{self.name}.svg")

    def plain_data(self) -> dict[str, Any]:
        """The report as plain data, for JSON."""
        data = dataclasses.asdict(self)
        data["command"] = self.command
        data["goals"] = [dataclasses.asdict(goal) | {"met": goal.met} for goal in self.goals]
        return data


def with_head(page: str) -> str:
    """``page``, docs/benchmarks.md, with a head that says which libraries were measured."""
    _, heading, sections = page.partition("\n## ")
    return f"""# Measurements

<!-- Made by: python -m benchmarks -->

`make bench` repeats every measurement. Candidates alternate in many short rounds on the same
machine and over the loopback interface. A ratio is computed within each round; the tables show the
median of all rounds, and the quartiles in brackets. **Absolute numbers on shared machines mean
nothing**: compare the ratios. These were measured on a shared two-core machine, with servers and
clients on the same cores.

{versions()}.
{heading}{sections}"""


def with_section(page: str, report: Report) -> str:
    """``page`` with the section of ``report`` for that of its title, or at the end."""
    sections = re.split(r"^(?=## )", page, flags=re.M)
    heading = f"## {report.title}\n"
    new = report.markdown()
    for number, section in enumerate(sections):
        if section.startswith(heading):
            is_last = number == len(sections) - 1
            sections[number] = new if is_last else f"{new}\n"
            return "".join(sections)
    return f"{page.rstrip()}\n\n{new}"


def versions() -> str:
    """The Python and the libraries at work."""
    libraries = [f"{name} {version(name)}" for name in _LIBRARIES]
    return ", ".join([f"Python {platform.python_version()}", *libraries])


def as_json(reports: Iterable[Report]) -> str:
    """All reports as JSON."""
    return json.dumps(
        {"versions": versions(), "reports": [report.plain_data() for report in reports]}, indent=2
    )


def microseconds(seconds: float) -> str:
    """``seconds`` in whole microseconds."""
    return f"{seconds * 1e6:.0f}"


def _number(value: float) -> str:
    return f"{value:.1f}" if value >= 100 else f"{value:.2f}"


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, 100, break_on_hyphens=False, break_long_words=False, subsequent_indent=indent
    )


def markdown_row(cells: Sequence[str]) -> str:
    """A line of a table."""
    return "| " + " | ".join(cells) + " |"
