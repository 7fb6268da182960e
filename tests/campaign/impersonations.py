"""The checker's rule for impersonation: none begins after the actor's session has ended."""

from collections.abc import Iterator

from .certain_ends import ends_with_delays, known_ends
from .history import History
from .lifelines import Lifeline, Violation, end_of


def begun_after_an_end(history: History, lifelines: dict[str, Lifeline]) -> Iterator[Violation]:
    """Impersonations that were opened although the actor's session had ended."""
    for each in history.operations:
        actor = lifelines.get(each.actor)
        if each.verb != "impersonate" or each.outcome != "ok" or actor is None:
            continue
        for end, late, _ in ends_with_delays(actor, history.bound):
            if each.began > end_of(end) + late:
                yield actor.violation("acts after an acknowledged end", each, end)
                break
        known = known_ends(actor).get(each.process)
        if known is not None and each.began > end_of(known):
            yield actor.violation("acts although the process knew of the end", each, known)
