"""The checker's rule for operation ids: each belongs to the first request about its subject.

Only subjects about which nobody else asks for a change are judged: the store keeps the latest
operations of a subject, and nothing is known of an id that it has forgotten.
"""

from collections import defaultdict
from collections.abc import Iterator

from .history import ENDS_ALL, IDS, History, Operation
from .lifelines import Violation, end_of

MISMATCH = "operation_mismatch"
_SECONDS_KEPT = 60.0
"""An id is known for longer."""


def without_effect(history: History) -> frozenset[int]:
    """The :func:`id` of requests that came to nothing: refused, or repeated without an effect."""
    found = set()
    for group in _groups(history).values():
        first = _first(group)
        for each in group:
            # What a request ends was decided when it was carried out first.
            each.since = min(one.began for one in group if one.request == each.request)
            # Who waits for it gives it up as soon as it learns of the other one.
            is_alone = all(one.request == each.request for one in group)
            each.is_moot = not is_alone and each.outcome != "ok"
            if first is None or each is first or each.began < end_of(first):
                continue
            is_refused = each.outcome == MISMATCH and each.request != first.request
            is_repeated = each.outcome == "ok" and each.verb in ENDS_ALL
            if is_refused or (is_repeated and each.request == first.request):
                found.add(id(each))
    return frozenset(found)


def operation_ids(history: History) -> Iterator[Violation]:
    """Requests that were carried out under the id of another one, and repeated ones refused."""
    for group in _groups(history).values():
        first = _first(group)
        for each in group:
            if each.outcome == MISMATCH and len({other.request for other in group}) == 1:
                yield _violation("a repeated request was refused", each, group[0])
            if first is None or not end_of(first) < each.began < end_of(first) + _SECONDS_KEPT:
                continue
            # Journals cannot know what the shard knows, which was away: both are carried out.
            if each.request != first.request and each.outcome == "ok" and not each.journaled:
                yield _violation("another request under a used operation id", each, first)


def _groups(history: History) -> dict[tuple[str, str], list[Operation]]:
    groups: dict[tuple[str, str], list[Operation]] = defaultdict(list)
    for each in history.operations:
        if each.operation_id and each.subject.startswith(IDS):
            groups[each.subject, each.operation_id].append(each)
    return groups


def _first(group: list[Operation]) -> Operation | None:
    """The request that the id certainly belongs to; None: nothing is certain."""
    first = group[0]
    return first if first.outcome == "ok" else None


def _violation(promise: str, operation: Operation, first: Operation) -> Violation:
    until = "its death" if first.ended is None else f"{first.ended:.3f}"
    because = (
        f"{operation.request!r} under the id {operation.operation_id}; {first.process} asked"
        f" {first.request!r} from {first.began:.3f} to {until}, answered {first.outcome}"
    )
    return Violation(promise, operation.session, operation.subject, operation, because)
