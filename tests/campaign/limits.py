"""Promises beyond ends: lifetimes, the limit of sessions, grace, lists, and explained ends."""

from collections import defaultdict
from collections.abc import Iterator

from .certain_ends import CUTOFF_SECONDS
from .history import History, Operation
from .lifelines import Lifeline, Violation, end_of

_ROUNDING = 1.0
"""Seconds: the store keeps whole ones."""
_HURRY = 0.5
"""Seconds between a look at the clock there and its record here."""
_ALIVE = frozenset({"ok", "step_up_required"})
"""Outcomes by which a process has seen that a session is alive."""
_TOMBSTONES = 60
"""So many ends of a subject are explained at least."""


def accepted_past_its_end(life: Lifeline) -> Iterator[Violation]:
    """Nothing is accepted past its lifetime, by no process, whatever its clock says."""
    if life.login.lifetime is None:
        return
    over = end_of(life.login) + life.login.lifetime + _ROUNDING
    for each in (*life.verifies, *life.refreshes):
        late = life.clocks.off(life.login.began, each.began)
        if each.outcome == "ok" and each.began > over + late:
            yield life.violation("accepted past its lifetime", each, None)


def grace_without_having_seen(life: Lifeline) -> Iterator[Violation]:
    """Grace is given only by a process that saw the session alive a moment ago."""
    for each in life.verifies:
        if not each.in_grace:
            continue
        if life.login.actor:
            yield life.violation("grace for an impersonation", each, None)
        earliest = each.began - (each.outage_grace or 0.0) - _HURRY
        has_seen = any(
            earliest <= end_of(other) and other.began <= end_of(each)
            for other in (life.login, *life.verifies, *life.refreshes, *life.step_ups)
            if other.process == each.process and other.outcome in _ALIVE and not other.in_grace
        )
        if not has_seen:
            yield life.violation("grace by who had not seen it alive", each, None)


def over_the_limit(lifelines: dict[str, Lifeline], bound: float) -> Iterator[Violation]:
    """At no moment more sessions of a subject live than its policy allows."""
    by_subject: dict[str, list[Lifeline]] = defaultdict(list)
    for life in lifelines.values():
        # One that is not durable may be lost, and those that left for it are back then.
        if life.login.limit is not None and life.login.durable:
            by_subject[life.login.subject].append(life)
    for lives in by_subject.values():
        changes: list[tuple[float, int, Lifeline]] = []
        for life in lives:
            last = _lived_until(life, bound)
            if last > end_of(life.login):
                changes += [(end_of(life.login), 1, life), (last, -1, life)]
        alive = 0
        for _, change, life in sorted(changes, key=lambda each: (each[0], each[1])):
            alive += change
            limit = life.login.limit
            if change > 0 and limit is not None and alive > limit:
                yield life.violation("more sessions than the limit", life.login, None)


def _lived_until(life: Lifeline, bound: float) -> float:
    """The last moment of which it is certain that it lived."""
    moments = [
        each.began - (0.0 if each.is_strict or each.verb == "refresh" else bound)
        for each in (*life.verifies, *life.refreshes)
        if each.outcome == "ok" and not each.in_grace
    ]
    return max(moments, default=0.0)


def lists(history: History, lifelines: dict[str, Lifeline]) -> Iterator[Violation]:
    """A list holds what lives for certain, and nothing that has ended for certain."""
    by_subject: dict[str, list[Lifeline]] = defaultdict(list)
    for life in lifelines.values():
        by_subject[life.login.subject].append(life)
    for each in history.operations:
        if each.verb != "list" or each.outcome != "ok":
            continue
        listed = set(each.listed.split())
        for life in by_subject[each.subject]:
            if life.login.session in listed:
                end, cutoff = life.certain_end(), life.certain_cutoff()
                if end is not None and end_of(end) < each.began:
                    yield life.violation("listed after its end", each, end)
                elif cutoff is not None and end_of(cutoff) + CUTOFF_SECONDS < each.began:
                    yield life.violation("listed after its end", each, cutoff)
            elif _lives_for_certain(life, each):
                yield life.violation("missing in a list", each, None)


def _lives_for_certain(life: Lifeline, listing: Operation) -> bool:
    until = end_of(listing)
    return (
        life.is_durable
        and end_of(life.login) < listing.began
        and until < life.over_at()
        and all(each.began > until for each in life.may_end())
    )


def unexplained(lifelines: dict[str, Lifeline]) -> Iterator[Violation]:
    """Yield verifies that found a session unknown although its end was acknowledged."""
    for life in lifelines.values():
        end = life.certain_end()
        if end is None or len(life.logins) > _TOMBSTONES or life.login.lifetime is not None:
            continue
        if not life.is_durable:  # it may have been lost before it was ended
            continue
        # A cutoff leaves nothing behind.
        until = min((each.began for each in life.cutoffs_concerning()), default=float("inf"))
        for each in life.verifies:
            is_known = end_of(end) < each.began and each.ended is not None and each.ended < until
            if each.outcome == "session_unknown" and is_known:
                yield life.violation("an end that is not explained", each, end)
