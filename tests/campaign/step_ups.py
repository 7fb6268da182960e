"""The checker's rule for step-ups: they apply to the tokens issued after them, to no older one."""

from collections.abc import Iterator
from dataclasses import dataclass

from .history import History, Operation
from .lifelines import Lifeline, Violation, end_of

_ROUNDING = 1.0
"""Seconds: the store keeps whole ones."""


@dataclass(slots=True)
class _Tokens:
    """The tokens that a step-up applies to, by their digests."""

    access: dict[str, Operation]
    refresh: dict[str, Operation]


def step_ups(history: History, lifelines: dict[str, Lifeline]) -> Iterator[Violation]:
    """Tokens that rose, levels that outlived their time or were lost, and tokens that outlived."""
    for life in lifelines.values():
        if not life.step_ups and not any(each.acr or each.level for each in life.verifies):
            continue
        tokens = _tokens_of(life)
        for each in life.verifies:
            yield from _judge(life, each, tokens, history.bound)


def _tokens_of(life: Lifeline) -> _Tokens:
    """A refresh hands the step-up of its token on."""
    tokens = _Tokens({}, {})
    for each in sorted((*life.step_ups, *life.refreshes), key=lambda one: one.began):
        step_up = each if each.verb == "elevate" else tokens.refresh.get(each.presented)
        if each.outcome == "ok" and step_up is not None:
            tokens.access[each.access] = tokens.refresh[each.successor] = step_up
    return tokens


def _judge(life: Lifeline, verify: Operation, tokens: _Tokens, bound: float) -> Iterator[Violation]:
    step_up = tokens.access.get(verify.token)
    if verify.outcome == "ok" and (verify.acr or verify.level):
        if step_up is None:
            yield life.violation("an older token rose with a step-up", verify, _first(life))
        elif verify.began > _over_at(life, step_up, verify) + bound:
            yield life.violation("a step-up outlived its time", verify, step_up)
    if (
        verify.outcome == "step_up_required"
        and step_up is not None
        and end_of(verify) < _safe_until(life, step_up)
    ):
        yield life.violation("a step-up was lost", verify, step_up)
    if verify.outcome == "token_superseded" and not any(
        each.ends_older and verify.ended is not None and each.began < verify.ended
        for each in life.step_ups
    ):
        yield life.violation("superseded without a step-up", verify, None)
    if verify.outcome == "ok":
        yield from _outlived(life, verify, step_up, bound)


def _outlived(
    life: Lifeline, verify: Operation, step_up: Operation | None, bound: float
) -> Iterator[Violation]:
    """An older token was accepted although a step-up had ended it."""
    late = 0.0 if verify.is_strict else bound
    if verify.in_grace:
        late += verify.outage_grace or 0.0
    for each in life.step_ups:
        if not each.ends_older or each.outcome != "ok" or not each.durable:
            continue
        # Of tokens of another step-up nothing is certain: a later one may have taken its place.
        if step_up is None and verify.began > end_of(each) + late:
            yield life.violation("an older token outlived a step-up", verify, each)


def _safe_until(life: Lifeline, step_up: Operation) -> float:
    """Return the time until which the level is certain: another step-up may replace it."""
    if not step_up.durable:
        return 0.0
    others = [
        each.began for each in life.step_ups if each is not step_up and _may_follow(each, step_up)
    ]
    over = step_up.began + (step_up.seconds or 0) - _ROUNDING
    return min([over - life.clocks.off(step_up.began, over), *others])


def _over_at(life: Lifeline, step_up: Operation, verify: Operation) -> float:
    """Return the time until which ``verify`` may still see the level."""
    over = end_of(step_up) + (step_up.seconds or 0) + _ROUNDING
    return over + life.clocks.off(step_up.began, verify.began)


def _may_follow(other: Operation, step_up: Operation) -> bool:
    return other.outcome != "ok" or end_of(other) > step_up.began


def _first(life: Lifeline) -> Operation | None:
    return life.step_ups[0] if life.step_ups else None
