"""Reads a history and says which promise was broken, by which session and which events.

Only what is certain is reported. An operation that did not return, that said 503, or that is
pending may have been carried out at any time from its begin on: it obliges nobody but the process
that made it, and it may explain any end that follows.
"""

from collections.abc import Iterator

from . import limits
from .history import History, Operation
from .lifelines import DEAD, PENDING, REFUSED, Lifeline, Violation, end_of, read_lifelines


def check(history: History) -> list[Violation]:
    """Every violation that is certain, in order of time."""
    lifelines = read_lifelines(history)
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
    return sorted(found, key=lambda each: each.operation.began)


def _accepted_after_an_end(life: Lifeline, bound: float) -> Iterator[Violation]:
    end = life.certain_end()
    if end is None:
        return
    for each in (*life.verifies, *life.refreshes):
        late = 0.0 if each.is_strict or each.verb == "refresh" else bound
        if each.in_grace:
            late += each.outage_grace or 0.0
        if each.outcome == "ok" and each.began > end_of(end) + late:
            yield life.violation("accepted after an acknowledged end", each, end)


def _accepted_by_who_knew(life: Lifeline) -> Iterator[Violation]:
    """By the process that had made an end, or had seen one."""
    known: dict[str, Operation] = {}
    made = [
        each
        for each in (*life.ends, *life.sweeps_after())
        if each.ended is not None and each.outcome in {"ok", *PENDING}
    ]
    seen = [
        each
        for each in life.verifies
        if each.outcome in DEAD - {"session_unknown"} and not _is_banned_meanwhile(life, each)
    ]
    for each in sorted((*made, *seen), key=end_of):
        known.setdefault(each.process, each)
    for each in (*life.verifies, *life.refreshes):
        end = known.get(each.process)
        if each.outcome == "ok" and end is not None and each.began > end_of(end):
            yield life.violation("accepted by who knew of the end", each, end)


def _is_banned_meanwhile(life: Lifeline, verify: Operation) -> bool:
    """Who waits for a ban refuses everybody, also who logs in after somebody else has lifted it."""
    return verify.reason == "banned" and any(
        each.verb == "ban"
        and each.process == verify.process
        and each.began < min(verify.began, end_of(life.login))
        and (each.ended is None or each.outcome in PENDING or each.ended > verify.began)
        for each in life.sweeps
    )


def _accepted_by_who_knew_of_a_sweep(lifelines: dict[str, Lifeline]) -> Iterator[Violation]:
    """A process that has seen one session ended by a sweep knows that the others have ended too.

    That is what the highest generation is remembered for.
    """
    by_subject: dict[str, list[Lifeline]] = {}
    for life in lifelines.values():
        by_subject.setdefault(life.login.subject, []).append(life)
    for lives in by_subject.values():
        if len(lives) == 1 or not lives[0].sweeps:
            continue
        for process, sweep, seen in _sweeps_seen(lives):
            for life in lives:
                if end_of(life.login) >= sweep.began:
                    continue
                for each in (*life.verifies, *life.refreshes):
                    if each.outcome == "ok" and each.process == process and each.began > seen:
                        yield life.violation("accepted by who knew of the end", each, sweep)


def _sweeps_seen(lives: list[Lifeline]) -> Iterator[tuple[str, Operation, float]]:
    """Which process has certainly seen which sweep, or a later one, and when."""
    for life in lives:
        sweeps = list(life.sweeps_concerning())
        others = [*life.ends, *life.replacing, *life.used_up()]
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
    """Of what was durable nothing is lost, and a fault is no 401."""
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
    """A refresh token has at most one successor, and none once its grace is over."""
    first: dict[str, Operation] = {}
    for each in history.operations:
        if each.verb != "refresh" or each.outcome != "ok":
            continue
        known = first.setdefault(each.presented, each)
        if known.successor != each.successor:
            because = f"{known.process} got another successor at {known.ended:.3f}"
            yield Violation("two successors", each.session, each.subject, each, because)
        elif known.durable and each.began > end_of(known) + history.refresh_grace + 1:
            because = f"{known.process} had used it at {known.ended:.3f}"
            yield Violation("a used token was accepted", each.session, each.subject, each, because)
