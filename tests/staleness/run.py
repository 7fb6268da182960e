"""One run of a scenario, from the logins to what was found."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from .campaign import Campaign
from .cluster_operations import WAITING
from .messages import Outcome, Sighting
from .proxies import FORWARD
from .stage import Stage
from .workers import call_all

_BEFORE_THE_FAULT = 0.4
"""Seconds in which the writers get their plans."""


class CannotRun(Exception):
    """A scenario that this machine, or this server, does not allow; says why."""


@dataclass(frozen=True)
class Scenario:
    """A fault, and how long revocations are made while it goes on."""

    name: str
    fault: Callable[[Stage], None]
    """Brings the fault about and ends it; returns when the cluster can be asked again."""
    span: float
    """Seconds from the beginning of the fault over which revocations are spread."""
    is_cutoff: bool = False
    """Whether all sessions are ended at once, by one time before which none is good."""

    reaches_writers: bool = False
    """Whether the fault is one of the writers too."""
    reaches_buses: bool = False
    """Whether the fault parts nodes from each other."""
    is_promised: bool = True
    """Whether the bound is promised under this fault; see docs/why/near-cache.md."""

    @property
    def description(self) -> str:
        """The first line of what the fault says of itself."""
        return (self.fault.__doc__ or "").strip().splitlines()[0].rstrip(".")


@dataclass(frozen=True)
class Findings:
    """The findings of one run of a scenario."""

    outcomes: dict[str, Outcome]
    """Outcomes by the name of the token."""
    promised: set[str]
    """Names of tokens whose revocation was acknowledged and could not be lost."""
    sightings: dict[str, list[Sighting]]
    """Sightings by the name of the verifier."""
    problems: list[str]
    """What made the run say little, or was not as it should be."""


def run(scenario: Scenario, campaign: Campaign) -> Findings:
    """Run it once. Raises CannotRun."""
    with contextlib.ExitStack() as entered:
        stage = entered.enter_context(campaign.stage(reaches_writers=scenario.reaches_writers))
        if scenario.reaches_buses:
            entered.enter_context(stage.buses_within_reach())
        sizes = campaign.sizes
        stage.revocable = stage.log_in(sizes.revoked)
        stage.kept = [] if scenario.is_cutoff else stage.log_in(sizes.kept)
        stage.await_warm([*stage.revocable, *stage.kept], "verified from memory before the fault")
        stage.begins_at = time.monotonic() + _BEFORE_THE_FAULT
        write = _begin_cutoff if scenario.is_cutoff else _begin_plan
        finish = write(stage, scenario)
        try:
            stage.sleep_until(0)
            scenario.fault(stage)
        finally:
            outcomes = finish()
        stage.proxies.behave(FORWARD)
        stage.cluster.wait_until_healthy(WAITING)
        later = stage.log_in(sizes.kept)
        stage.await_warm(later, "new logins verified from memory after the fault")
        promised = {name for name, outcome in outcomes.items() if is_promised(outcome, stage)}
        stage.await_refused(sorted(promised), "refused in the end")
        # Whatever is late is seen, also by who has not asked again for a while.
        stage.sleep(stage.bound)
        sightings = _collect(stage, outcomes)
        _judge_the_run(stage, outcomes, sightings)
        return Findings(outcomes, promised, sightings, stage.problems)


def is_promised(outcome: Outcome, stage: Stage) -> bool:
    """Whether it was acknowledged, and no primary that alone knew of it has failed since."""
    acknowledged = outcome.acknowledged
    return acknowledged is not None and (
        outcome.is_durable
        or any(
            first < outcome.acknowledged_attempt_begun and acknowledged < last
            for first, last in stage.safe
        )
    )


def _begin_plan(stage: Stage, scenario: Scenario) -> Callable[[], dict[str, Outcome]]:
    writers = stage.campaign.writers
    plan = stage.plan(scenario.span)
    for number, writer in enumerate(writers):
        writer.begin("carry_out", plan[number :: len(writers)])

    def finish() -> dict[str, Outcome]:
        found: list[Outcome] = [outcome for writer in writers for outcome in writer.finish()]
        ended = {outcome.name: outcome for outcome in found}
        for outcome in stage.also_ended:  # by the fault: it counts from whichever came first
            known = ended.get(outcome.name)
            if known is None or known.acknowledged is None or _is_earlier(outcome, known):
                ended[outcome.name] = outcome
        return ended

    return finish


def _is_earlier(one: Outcome, other: Outcome) -> bool:
    assert one.acknowledged is not None and other.acknowledged is not None
    return one.acknowledged < other.acknowledged


def _begin_cutoff(stage: Stage, scenario: Scenario) -> Callable[[], dict[str, Outcome]]:
    writer = stage.campaign.writers[0]
    offset = stage.random.uniform(0.5, 1.0) * scenario.span
    writer.begin("cut_off", stage.begins_at + offset)

    def finish() -> dict[str, Outcome]:
        outcome: Outcome = writer.finish()
        return {
            token.name: Outcome(
                token.name,
                outcome.kind,
                outcome.begun,
                outcome.acknowledged,
                outcome.acknowledged_attempt_begun,
                outcome.is_durable,
                outcome.unknown_attempts,
            )
            for token in stage.revocable
        }

    return finish


def _collect(stage: Stage, outcomes: dict[str, Outcome]) -> dict[str, list[Sighting]]:
    verifiers = stage.verifiers
    found = call_all(list(verifiers.values()), "sightings", outcomes, stage.bound)
    return dict(zip(verifiers, found, strict=True))


def _judge_the_run(
    stage: Stage, outcomes: dict[str, Outcome], sightings: dict[str, list[Sighting]]
) -> None:
    for verifier, found in sightings.items():
        weak = [
            sighting.name
            for sighting in found
            if sighting.name in outcomes and not sighting.memory_before_revocation
        ]
        if weak:
            stage.problems.append(
                f"{verifier}: {len(weak)} tokens were not in memory before their revocation"
            )
