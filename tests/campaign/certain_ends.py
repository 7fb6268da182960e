"""Ends of a session that are certain: when each takes effect, and for which processes."""

from collections.abc import Iterator

from .history import Operation
from .lifelines import DEAD, PENDING, Lifeline, end_of

CUTOFF_SECONDS = 1.0
"""After so many seconds all processes know of the end of all sessions of the namespace."""


def ends_with_delays(life: Lifeline, bound: float) -> Iterator[tuple[Operation, float, float]]:
    """Acknowledged ends, each with the seconds after which it holds: strictly, and from memory."""
    end, cutoff = life.certain_end(), life.certain_cutoff()
    if end is not None:
        yield end, 0.0, bound
    if cutoff is not None:
        yield cutoff, CUTOFF_SECONDS, CUTOFF_SECONDS
    if life.actor is not None:
        yield from ends_with_delays(life.actor, bound)


def known_ends(life: Lifeline) -> dict[str, Operation]:
    """Return, for each process, the operation from which it first knew of the session's end."""
    known: dict[str, Operation] = {}
    made = [
        each
        for each in (*life.ends, *life.sweeps_after(), *life.cutoffs_after())
        if each.ended is not None and each.outcome in {"ok", *PENDING} and not each.is_moot
    ]
    seen = [
        each
        for each in life.verifies
        if each.outcome in DEAD - {"session_unknown"} and not _is_refused_meanwhile(life, each)
    ]
    others = [] if life.actor is None else known_ends(life.actor).values()
    for each in sorted((*made, *seen, *others), key=end_of):
        known.setdefault(each.process, each)
    return known


def _is_refused_meanwhile(life: Lifeline, verify: Operation) -> bool:
    """Return whether the process refused only for an ending of its own that it later gave up."""
    return _is_banned_meanwhile(life, verify) or any(
        each.is_moot and each.process == verify.process and each.began < end_of(verify)
        for each in (*life.ends, *life.sweeps)
    )


def _is_banned_meanwhile(life: Lifeline, verify: Operation) -> bool:
    """Return whether the process refused the session only because it waited for a ban of its own.

    Such a process refuses every session of the subject, also one that was opened after another
    process had lifted the ban.
    """
    return verify.reason == "banned" and any(
        each.verb == "ban"
        and each.process == verify.process
        and each.began < min(verify.began, end_of(life.login))
        and (each.ended is None or each.outcome in PENDING or each.ended > verify.began)
        for each in life.sweeps
    )
