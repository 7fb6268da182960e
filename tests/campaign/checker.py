"""Reads a history and says which promise was broken, by which session and which events.

Only what is certain is reported. An operation that did not return, that said 503, or that is
pending may have been carried out at any time from its begin on: it obliges nobody but the process
that made it, and it may explain any end that follows.
"""

from collections.abc import Iterator

from . import impersonations, limits, operation_ids, scope_bans, step_ups
from .certain_ends import ends_with_delays, known_ends
from .clock_tolerance import ServerClocks
from .history import History, Operation
from .lifelines import REFUSED, Lifeline, Violation, end_of, read_lifelines


def check(history: History) -> list[Violation]:
    """Every violation that is certain, in order of time."""
    lifelines = read_lifelines(history, operation_ids.without_effect(history))
    found: list[Violation] = []
    for life in lifelines.values():
        found += _accepted_after_an_end(life, history.bound)
        found += _accepted_by_who_knew(life)
        found += _refused_without_an_end(life)
        found += _mixed_up(life)
        found += limits.accepted_past_its_end(life)
        found += limits.grace_without_having_seen(life)
    found += _accepted_by_who_knew_of_a_sweep(lifelines)
    found += _successors(history)
    found += limits.over_the_limit(lifelines, history.bound)
    found += limits.lists(history, lifelines)
    found += limits.unexplained(lifelines)
    found += impersonations.begun_after_an_end(history, lifelines)
    found += step_ups.step_ups(history, lifelines)
    found += scope_bans.scope_bans(history)
    found += operation_ids.operation_ids(history)
    return sorted(found, key=lambda each: each.operation.began)


def _accepted_after_an_end(life: Lifeline, bound: float) -> Iterator[Violation]:
    ends = list(ends_with_delays(life, bound))
    if not ends:
        return
    for each in (*life.verifies, *life.refreshes):
        if each.outcome != "ok":
            continue
        grace = (each.outage_grace or 0.0) if each.in_grace else 0.0
        is_strict = each.is_strict or each.verb == "refresh"
        for end, strictly, remembered in ends:
            late = (strictly if is_strict else remembered) + grace
            if each.began > end_of(end) + late:
                yield life.violation("accepted after an acknowledged end", each, end)
                break


def _accepted_by_who_knew(life: Lifeline) -> Iterator[Violation]:
    """Yield sessions accepted by a process that had ended them, or had seen their end."""
    known = known_ends(life)
    for each in (*life.verifies, *life.refreshes):
        end = known.get(each.process)
        if each.outcome == "ok" and end is not None and each.began > end_of(end):
            yield life.violation("accepted by who knew of the end", each, end)


def _accepted_by_who_knew_of_a_sweep(lifelines: dict[str, Lifeline]) -> Iterator[Violation]:
    """A process that has seen one session ended by a sweep knows that the others have ended too.

    That is what the highest generation is remembered for.
    """
    by_subject: dict[str, list[Lifeline]] = {}
    for life in lifelines.values():
        by_subject.setdefault(life.login.subject, []).append(life)
    for lives in by_subject.values():
        if len(lives) == 1 or not lives[0].sweeps or any(each.keep for each in lives[0].sweeps):
            continue
        for process, sweep, seen in _sweeps_seen(lives):
            for life in lives:
                if end_of(life.login) >= sweep.began:
                    continue
                for each in (*life.verifies, *life.refreshes):
                    if each.outcome == "ok" and each.process == process and each.began > seen:
                        yield life.violation("accepted by who knew of the end", each, sweep)


def _sweeps_seen(lives: list[Lifeline]) -> Iterator[tuple[str, Operation, float]]:
    """Yield a process, a sweep of which it has certainly seen this or a later one, and when."""
    for life in lives:
        if life.login.actor:
            continue  # it may have ended with whoever acts
        sweeps = list(life.sweeps_concerning())
        others = [*life.ends, *life.replacing, *life.used_up(), *life.cutoffs_concerning()]
        other = min((each.began for each in others), default=float("inf"))
        known: set[str] = set()
        for each in life.verifies:
            if each.outcome != "session_revoked" or each.process in known or each.ended is None:
                continue
            known.add(each.process)
            if sweeps and each.ended < min(other, life.over_at()):
                yield each.process, min(sweeps, key=_began), each.ended


def _began(operation: Operation) -> float:
    return operation.began


def _refused_without_an_end(life: Lifeline) -> Iterator[Violation]:
    """Yield durable sessions that were refused without an end, or because of a fault."""
    if not life.is_durable:
        return
    may_end = life.may_end()
    first = min((each.began for each in may_end), default=float("inf"))
    first = min(first, life.over_at())
    for each in life.verifies:
        if each.outcome in REFUSED and each.ended is not None and each.ended < first:
            yield life.violation("lost, or refused for a fault", each, None)
    for each in life.refreshes:
        others = [end.began for end in may_end if end is not each]
        before = min(others, default=float("inf"))
        before = min(before, life.over_at(), life.reuse_at(each))
        if each.outcome in REFUSED and each.ended is not None and each.ended < before:
            yield life.violation("refresh lost, or refused for a fault", each, None)


def _mixed_up(life: Lifeline) -> Iterator[Violation]:
    for each in (*life.verifies, *life.refreshes):
        if each.outcome == "ok" and each.answered != each.session:
            yield life.violation("an answer that was another's", each, None)


def _successors(history: History) -> Iterator[Violation]:
    """A refresh token has at most one successor, and none once its grace is over and that was used.

    Of the uses that end a token only the refresh of its successor is looked at: that an access
    token was used is noted without asking a replica. A retry after the grace counts as the exchange
    made anew.
    """
    first: dict[str, Operation] = {}
    made: dict[str, float] = {}
    clocks = ServerClocks(history.faults)
    for each in history.operations:
        if each.verb != "refresh" or each.outcome != "ok":
            continue
        known = first.setdefault(each.presented, each)
        if known.successor != each.successor:
            because = f"{known.process} got another successor at {known.ended:.3f}"
            yield Violation("two successors", each.session, each.subject, each, because)
            continue
        made_at = made.setdefault(each.presented, end_of(known))
        over = made_at + history.refresh_grace + 1 + clocks.off(known.began, each.began)
        later = first.get(known.successor or "")
        is_used = later is not None and later.durable and each.began > end_of(later)
        if known.durable and is_used and each.began > over:
            because = f"{known.process} had used it at {known.ended:.3f}, and its successor"
            yield Violation("a used token was accepted", each.session, each.subject, each, because)
        elif not is_used and each.began > made_at + history.refresh_grace - 1:
            made[each.presented] = end_of(each)
