"""The first try of a call, which needs no exchange when its answer is beyond doubt."""

import dataclasses
from typing import Any

import pytest

from clusterpass.protocol.script import Answer, ScriptCall
from clusterpass.store.exchanges.circuit_breaker import CircuitBreakers
from clusterpass.store.exchanges.first_try import first_answer, first_try
from clusterpass.store.exchanges.terms import Terms
from clusterpass.store.outcomes import Fault, Replies, ServerError
from clusterpass.store.topology.slots import Shard, SlotMap

from .driven_call import KEYS, PATIENCE, READ, WAIT, WRITE, A, call_of, owned_by

SLOTS = owned_by(A, replicas=1)
SHARD = Shard(A, 1)
BEGAN = 98.0
AHEAD: Any = {KEYS[0]: ("an ending",)}


class Doubts:
    """Doubts whatever a test says, and notes the questions."""

    def __init__(self, *, doubted: bool) -> None:
        self.doubted = doubted
        self.asked: list[tuple[Any, float, bool]] = []

    def __call__(self, node: Any, *, age: float, is_durable: bool = False) -> bool:
        self.asked.append((node, age, is_durable))
        return self.doubted


def terms(**changed: Any) -> Terms:
    breakers = CircuitBreakers(lambda: 100.0, patience=2.5, most_waiting=9)
    made = Terms(lambda: SLOTS, print, PATIENCE, lambda: 100.0, breakers, "replicated")
    return dataclasses.replace(made, **changed)


def call(script: Any, **changed: Any) -> ScriptCall[Any]:
    return dataclasses.replace(call_of(script), **changed)


def answer(script: Any, outcome: Any, *, of: Terms | None = None, wait: Any = WAIT, **more: Any):
    made = call(script, **more)
    return first_answer(made, of or terms(), SLOTS, SHARD, wait, outcome, BEGAN)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (call(READ), (SHARD, None)),
        (call(WRITE), (SHARD, WAIT)),
        (call(WRITE, confirm=False), (SHARD, None)),
        (call(READ, slot=7), (SHARD, None)),
    ],
)
def test_a_call_goes_to_the_owner_of_its_slot(made: Any, expected: Any) -> None:
    assert first_try(made, terms(), SLOTS) == expected


def test_a_call_that_needs_an_exchange_has_no_target() -> None:
    assert first_try(call(READ), terms(), SlotMap.unknown()) is None
    assert first_try(call(READ), terms(ahead=AHEAD), SLOTS) is None
    assert first_try(call(READ), terms(ahead={b"other": AHEAD}), SLOTS) == (SHARD, None)
    silent = terms()
    silent.breakers.failed(A, "timeout")
    assert first_try(call(READ), silent, SLOTS) is None


def test_the_slot_that_was_computed_decides() -> None:
    shards: list[Shard | None] = [None] * 16384
    shards[7] = SHARD
    assert first_try(call(READ, slot=7), terms(), SlotMap(shards, 1)) == (SHARD, None)
    assert first_try(call(READ), terms(), SlotMap(shards, 1)) is None


def test_a_read_is_answered_and_is_not_durable() -> None:
    assert answer(READ, Replies([b"x"]), wait=None) == Answer(("read", b"x"), False, A)
    doubts = Doubts(doubted=False)
    assert answer(READ, Replies([b"x"]), of=terms(doubts=doubts)) is not None
    assert doubts.asked == [(A, 2.0, False)]


def test_a_write_is_durable_once_it_is_confirmed() -> None:
    assert answer(WRITE, Replies([b"x"], 1)) == Answer(("read", b"x"), True, A)
    doubts = Doubts(doubted=False)
    assert answer(WRITE, Replies([b"x"], 1), of=terms(doubts=doubts)) is not None
    assert doubts.asked == [(A, 2.0, True)]


def test_a_write_that_nobody_has_to_confirm_is_not_durable() -> None:
    done = answer(WRITE, Replies([b"x"]), wait=None, confirm=False)
    assert done == Answer(("read", b"x"), False, A)


@pytest.mark.parametrize(
    ("script", "outcome", "more"),
    [
        (READ, Fault("timeout"), {}),
        (READ, Replies([ServerError("MOVED", "1 b:2")]), {}),
        (READ, Replies([b"x"]), {"of": terms(ahead=AHEAD)}),
        (READ, Replies([b"x"]), {"of": terms(doubts=Doubts(doubted=True))}),
        (WRITE, Replies([b"x"], 0), {}),
        (WRITE, Replies([b"x"], ServerError("UNBLOCKED", "x")), {}),
        (WRITE, Replies([b"x"], ServerError("ERR", "x")), {"wait": (b"WAITAOF", 1, 1, 250)}),
        (WRITE, Replies([b"x"], 1), {"wait": None}),
        (WRITE, Replies([b"x"], 1), {"of": terms(doubts=Doubts(doubted=True))}),
    ],
)
def test_what_needs_an_exchange(script: Any, outcome: Any, more: Any) -> None:
    assert answer(script, outcome, **more) is None


def test_an_ending_needs_no_evidence() -> None:
    doubts = Doubts(doubted=True)
    done = answer(WRITE, Replies([b"x"], 1), of=terms(doubts=doubts), is_ending=True)
    assert done == Answer(("read", b"x"), True, A)
    assert doubts.asked == []
