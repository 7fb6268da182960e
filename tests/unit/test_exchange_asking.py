"""How a command without a key is put to any node, or to one."""

import pytest

from clusterpass.model.errors import StoreDenied, StoreUnavailable
from clusterpass.store.exchanges.look_up import ask_any, ask_one
from clusterpass.store.exchanges.steps import Send
from clusterpass.store.outcomes import Fault, Replies, ServerError

from .driven_call import A, B, C, ending_of

PING = (b"PING",)


def test_one_answer_is_enough():
    steps = ask_any([A, B, C], PING, lambda: 0.0, 1.0)
    assert next(steps) == Send(A, (PING,))
    assert steps.send(Fault("timeout")) == Send(B, (PING,))
    assert ending_of(steps, Replies([b"PONG"])) is None


def test_nobody_answers():
    steps = ask_any([A, B], PING, lambda: 0.0, 1.0)
    next(steps)
    steps.send(Fault("connection"))
    with pytest.raises(StoreUnavailable) as ending:
        steps.send(Replies([ServerError("LOADING", "x")]))
    assert ending.value.reason == "loading"


def test_nobody_to_ask():
    with pytest.raises(StoreUnavailable):
        next(ask_any([], PING, lambda: 0.0, 1.0))


def test_asking_ends_in_time():
    now = 0.0
    steps = ask_any([A, B, C], PING, lambda: now, 1.0)
    next(steps)
    now = 1.0
    with pytest.raises(StoreUnavailable) as ending:
        steps.send(Fault("timeout"))
    assert ending.value.reason == "timeout"


def test_asking_is_refused():
    steps = ask_any([A, B], PING, lambda: 0.0, 1.0)
    next(steps)
    with pytest.raises(StoreDenied):
        steps.send(Replies([ServerError("NOAUTH", "x")]))


def test_asking_over_a_stale_connection():
    steps = ask_one(A, PING)
    next(steps)
    assert steps.send(Fault("connection", stale=True)) == Send(A, (PING,))
    assert ending_of(steps, Replies([[b"0", []]])) == [b"0", []]
