"""The checker's rule for scope bans: every session of the subject sees an acknowledged ban."""

from collections import defaultdict
from collections.abc import Iterator

from .clock_tolerance import ServerClocks
from .history import History, Operation
from .lifelines import Violation, end_of

_ROUNDING = 1.0
"""Seconds: the store keeps whole ones."""


def scope_bans(history: History) -> Iterator[Violation]:
    """Verifies that did not see a ban."""
    changes: dict[str, list[Operation]] = defaultdict(list)
    verifies: dict[str, list[Operation]] = defaultdict(list)
    clocks = ServerClocks(history.faults)
    for each in history.operations:
        if each.verb in {"ban", "lift"} and each.scope:
            changes[each.subject].append(each)
    for each in history.operations:
        if each.verb == "verify" and each.outcome == "ok" and each.subject in changes:
            verifies[each.subject].append(each)
    for subject, found in changes.items():
        for ban in found:
            is_meant = ban.outcome in {"ok", "revocation_pending"} and not ban.is_moot
            if ban.verb == "ban" and is_meant:
                seen = verifies[subject]
                yield from _unseen(ban, found, seen, history.bound, clocks)


def _unseen(
    ban: Operation,
    changes: list[Operation],
    verifies: list[Operation],
    bound: float,
    clocks: ServerClocks,
) -> Iterator[Violation]:
    over = _over_at(ban, clocks)
    for each in changes:
        # It may have come later, and have lifted the ban or put an end to it that is earlier.
        is_later = each is not ban and (each.outcome != "ok" or end_of(each) > ban.began)
        if each.scope == ban.scope and is_later:
            over = min(over, max(_over_at(each, clocks), each.began))
    for each in verifies:
        if ban.outcome != "ok" and each.process != ban.process:
            continue  # a pending one is in force with who has asked for it
        late = 0.0 if each.is_strict or each.process == ban.process else bound
        if each.in_grace:
            late += each.outage_grace or 0.0
        is_meant = end_of(ban) + late < each.began and end_of(each) < over
        if is_meant and ban.scope not in each.bans.split():
            because = (
                f"{ban.process} had banned it from {ban.scope!r} for {ban.seconds} s, from"
                f" {ban.began:.3f} to {end_of(ban):.3f}, answered {ban.outcome}"
            )
            yield Violation(
                "a ban from a scope was not seen", each.session, each.subject, each, because
            )


def _over_at(change: Operation, clocks: ServerClocks) -> float:
    """The first moment at which a change may mean that there is no ban."""
    if change.verb == "lift":
        return change.began
    began = change.since or change.began  # a repetition does not prolong it
    over = began + (change.seconds or 0) - _ROUNDING
    return over - clocks.off(began, over)
