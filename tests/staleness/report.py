"""The report of a scenario's results, compared with the promised bound."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .messages import Sighting
from .run import Findings


@dataclass
class Result:
    """One scenario, all of its rounds together."""

    scenario: str
    description: str
    bound: float
    """Seconds. No allowance is added: see :class:`tests.staleness.records.Record`."""
    rounds: int = 0
    revocations: int = 0
    """Acknowledged, and not to be lost with a primary that failed."""
    not_durable: int = 0
    """Acknowledged by a primary alone that failed later: not promised."""
    unknown: int = 0
    """Never acknowledged."""
    unknown_attempts: int = 0
    """Attempts that raised StoreUnavailable, before the one that was acknowledged."""
    verifies: int = 0
    from_memory: int = 0
    accepted_after: int = 0
    """Accepted verifies that began after the acknowledgement."""
    longest: float = 0.0
    """Seconds by which the latest of them began after the acknowledgement."""
    accepted_beyond: int = 0
    """Accepted verifies that began later than the bound after the acknowledgement."""
    memory_beyond: int = 0
    """How many of those from memory; the others were asked of the store."""
    tokens_beyond: int = 0
    """How many tokens and verifiers had such a verify."""
    by_verifier: dict[str, float] = field(default_factory=dict)
    """The longest of each, in seconds."""
    longest_not_durable: float = 0.0
    came_back: int = 0
    """Tokens that a verifier accepted after it had refused them."""
    longest_comeback: float = 0.0
    unavailable: int = 0
    longest_unavailable: float = 0.0
    refused_early: int = 0
    """Tokens that were refused although nobody had revoked them: a 401 where 503 is due."""
    never_refused: int = 0
    failures: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    is_promised: bool = True
    """Whether the bound is promised under this fault."""
    skipped: str = ""
    """Why it could not run."""

    def add(self, findings: Findings) -> None:
        """Another round."""
        self.rounds += 1
        outcomes, promised = findings.outcomes, findings.promised
        acknowledged = {n for n, outcome in outcomes.items() if outcome.acknowledged is not None}
        self.revocations += len(promised)
        self.not_durable += len(acknowledged - promised)
        self.unknown += len(outcomes) - len(acknowledged)
        self.unknown_attempts += sum(outcome.unknown_attempts for outcome in outcomes.values())
        self.problems += findings.problems
        for verifier, sightings in findings.sightings.items():
            for sighting in sightings:
                self._add_counts(sighting)
                outcome = outcomes.get(sighting.name)
                refused = sighting.first_refused
                if refused is not None and (outcome is None or refused < outcome.begun):
                    self.refused_early += 1
                    self.problems.append(
                        f"{verifier}: {sighting.name} was refused early: {sighting.refusals}"
                    )
                if outcome is None or outcome.acknowledged is None:
                    continue
                late = (sighting.latest_accepted or 0.0) - outcome.acknowledged
                if sighting.name in promised:
                    longest = max(late, self.by_verifier.get(verifier, 0.0))
                    self.by_verifier[verifier] = longest
                    self._add_promised(sighting, late, f"{verifier}: {outcome.kind}")
                else:
                    self.longest_not_durable = max(self.longest_not_durable, late)

    def _add_counts(self, sighting: Sighting) -> None:
        self.verifies += sighting.verifies
        self.from_memory += sighting.from_memory
        self.unavailable += sighting.unavailable
        self.longest_unavailable = max(self.longest_unavailable, sighting.longest_unavailable)
        self.failures += sighting.failures

    def _add_promised(self, sighting: Sighting, late: float, what: str) -> None:
        self.accepted_after += sighting.accepted_after
        self.accepted_beyond += sighting.accepted_beyond
        self.memory_beyond += sighting.memory_beyond
        self.longest = max(self.longest, late)
        self.never_refused += sighting.first_refused is None
        if late > self.bound:
            self.tokens_beyond += 1
            self.problems.append(
                f"{what}: accepted {late * 1000:.1f} ms after the acknowledgement"
                f" ({sighting.accepted_beyond} times beyond the bound,"
                f" {sighting.memory_beyond} of them from memory)"
            )
        if sighting.accepted_after_refusal is not None:
            self.came_back += 1
            self.longest_comeback = max(self.longest_comeback, sighting.accepted_after_refusal)

    @property
    def is_broken(self) -> bool:
        """Whether the promise was shown to be false."""
        return bool(
            (self.tokens_beyond and self.is_promised)
            or self.never_refused
            or self.refused_early
            or self.came_back
            or self.failures
        )

    @property
    def verdict(self) -> str:
        """In a few words."""
        if self.skipped:
            return f"not run: {self.skipped}"
        broken = [
            text
            for count, text in (
                (
                    self.tokens_beyond,
                    f"{'BROKEN' if self.is_promised else 'not promised'}: accepted beyond the"
                    f" bound, {self.tokens_beyond} x",
                ),
                (self.never_refused, f"BROKEN: never refused, {self.never_refused} x"),
                (self.refused_early, f"BROKEN: refused although good, {self.refused_early} x"),
                (self.came_back, f"BROKEN: accepted after a refusal, {self.came_back} x"),
                (len(self.failures), f"BROKEN: other errors, {len(self.failures)} x"),
            )
            if count
        ]
        if broken:
            return "; ".join(broken)
        return "says little: see below" if self.problems else "held"


_HEADINGS = (
    "scenario",
    "revocations",
    "verifies",
    "from memory",
    "accepted after",
    "longest ms",
    "bound ms",
    "503",
    "longest 503 s",
    "not durable",
    "unknown",
    "verdict",
)


def _cells(result: Result) -> tuple[str, ...]:
    share = result.from_memory / result.verifies if result.verifies else 0.0
    return (
        result.scenario,
        f"{result.revocations:,}",
        f"{result.verifies:,}",
        f"{share:.0%}",
        f"{result.accepted_after:,}",
        f"{result.longest * 1000:.0f}",
        f"{result.bound * 1000:.0f}",
        f"{result.unavailable:,}",
        f"{result.longest_unavailable:.1f}",
        f"{result.not_durable:,}",
        f"{result.unknown:,}",
        result.verdict,
    )


def table(results: Sequence[Result], *, markdown: bool = False) -> str:
    """All results."""
    rows = [_HEADINGS, *map(_cells, results)]
    if markdown:
        first, *rest = ["| " + " | ".join(row) + " |" for row in rows]
        return "\n".join([first, "|" + "---|" * len(_HEADINGS), *rest])
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in {0, len(widths) - 1} else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def remarks(results: Iterable[Result], most: int = 8) -> str:
    """Return further remarks."""
    lines = []
    for result in results:
        notes = [*result.problems, *result.failures]
        lines += [f"{result.scenario}: {note}" for note in notes[:most]]
        if len(notes) > most:
            lines.append(f"{result.scenario}: and {len(notes) - most} more")
    return "\n".join(lines)


def as_json(results: Iterable[Result], **about: object) -> str:
    """All of it, for programs."""
    found = [{**dataclasses.asdict(result), "verdict": result.verdict} for result in results]
    return json.dumps({**about, "results": found}, indent=2) + "\n"
