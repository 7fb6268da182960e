"""The login throttle: its counters, their order, and canonical account names."""

from hashlib import sha256
from typing import Any

import pytest

from clusterpass import ConfigurationError, InvalidInput, StoreUnavailable, TooManyAttempts
from clusterpass.model.counters import Counters
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import Answer
from clusterpass.users.throttle import Throttle, ThrottlePolicy, canonical_name

KEYSPACE = Keyspace("app")
POLICY = ThrottlePolicy(
    **{
        f"{layer}_{what}": 10 * number + ("attempts", "window").index(what)
        for number, layer in enumerate(("account", "address", "network", "total", "known"), 1)
        for what in ("attempts", "window")
    },
    known_total_attempts=60,
)
ACCOUNT, TOTAL = KEYSPACE.attempts_by_account("alice"), KEYSPACE.attempts_in_total()


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:32]


def counted(flow: Any, *answers: Any) -> list[Any]:
    """The calls of a flow: each gets its answer, or 0, or is made to fail."""
    calls, left = [], list(answers)
    try:
        call = next(flow)
        while True:
            calls.append((call.script.name, call.keys, call.arguments))
            answer = left.pop(0) if left else 0
            if isinstance(answer, Exception):
                call = flow.throw(answer)
            else:
                call = flow.send(Answer(answer, durable=True))
    except StopIteration:
        return calls


def admit(*answers: Any, name: str = "alice", **more: Any) -> list[Any]:
    return counted(Throttle(KEYSPACE, POLICY).admit(name, **({"address": None} | more)), *answers)


def test_a_stranger_is_counted_by_network_in_total_and_by_account() -> None:
    total, account = ("count_attempt", (TOTAL,), (40, 41)), ("count_attempt", (ACCOUNT,), (10, 11))
    by = KEYSPACE.attempts_by_address
    assert admit() == [total, account]
    ipv4 = ("count_attempt", (by("192.0.2.1"),), (20, 21))
    assert admit(address="192.0.2.1") == [ipv4, total, account]
    customer = ("count_attempt", (by("2001:db8:1:2::/64"),), (20, 21))
    site = ("count_attempt", (by("2001:db8:1::/48"),), (30, 31))
    assert admit(address="2001:db8:1:2::5") == [customer, site, total, account]


def test_who_is_known_is_counted_there_and_with_all_who_are_known() -> None:
    by = KEYSPACE.attempts_by_known
    own, together = by("alice", digest("device")), by("alice", "together")
    counts = [("count_attempt", (own,), (50, 51)), ("count_attempt", (together,), (60, 51))]
    assert admit(name=" Alice", address="192.0.2.1", known="device") == counts
    beyond = admit(0, 7, name=" Alice", known="device")
    assert beyond == [*counts, *admit()], "beyond the common limit as a stranger"
    throttle = Throttle(KEYSPACE, POLICY)
    assert [each[:2] for each in counted(throttle.forget("ALICE", known="device"))] == [
        ("forget_attempts", (own,)),
        ("return_attempt", (together,)),
    ]
    assert counted(throttle.forget("ALICE"))[0][:2] == ("return_attempt", (ACCOUNT,))
    assert admit(known="\ud800"), "any text may be an id"
    assert len(digest("device")) == 32


def test_who_is_known_may_have_no_limit_together() -> None:
    throttle = Throttle(KEYSPACE, ThrottlePolicy(known_total_attempts=None))
    assert len(counted(throttle.admit("alice", address=None, known="device"))) == 1
    assert len(counted(throttle.forget("alice", known="device"))) == 1
    with pytest.raises(ConfigurationError):
        ThrottlePolicy(known_total_attempts=0)


@pytest.mark.parametrize("refused_by", [1, 2, 3, 4])
def test_whoever_is_refused_is_counted_no_further(refused_by: int) -> None:
    calls = []
    flow = Throttle(KEYSPACE, POLICY).admit("alice", address="2001:db8::1")
    call = next(flow)
    with pytest.raises(TooManyAttempts) as caught:
        while True:
            calls.append(call)
            call = flow.send(Answer(9 if len(calls) == refused_by else 0, durable=True))
    assert (len(calls), caught.value.retry_after) == (refused_by, 9)


def test_the_total_alone_may_be_away() -> None:
    away = StoreUnavailable()
    assert admit(0, away, address="192.0.2.1")[-1][1] == (ACCOUNT,)
    for answers in ((away,), (0, 0, away)):
        with pytest.raises(StoreUnavailable):
            admit(*answers, address="192.0.2.1")
    with pytest.raises(TooManyAttempts):
        admit(3)


def test_what_cannot_be_a_name_is_not_counted() -> None:
    throttle = Throttle(KEYSPACE, POLICY)
    for flow in (throttle.admit("", address=None), throttle.forget("")):
        with pytest.raises(InvalidInput):
            next(flow)


@pytest.mark.parametrize(
    ("name", "counted_as"),
    [
        ("Alice", "alice"),
        ("  al\u200bi\tce ", "alice"),
        ("\uff21nn\u3000B", "ann b"),
        ("\u212a\u0130", "ki\u0307"),
        ("x" * 255, "x" * 255),
        ("x" * 256, digest("x" * 256)),
        ("é" * 128, digest("é" * 128)),
        ("\u200b", "\u200b"),
    ],
)
def test_the_name_under_which_an_account_is_counted(name: str, counted_as: str) -> None:
    assert canonical_name(name) == counted_as


@pytest.mark.parametrize("layer", ["account", "address", "network", "total", "known"])
def test_the_fewest_and_the_most_attempts_and_the_windows(layer: str) -> None:
    for what, most in (("attempts", 1_000_000), ("window", 86_400)):
        name = f"{layer}_{what}"
        for value in (1, most):
            assert getattr(ThrottlePolicy(**{name: value}), name) == value
        for value in (0, most + 1):
            with pytest.raises(ConfigurationError, match=f"1 to {most}"):
                ThrottlePolicy(**{name: value})


@pytest.mark.parametrize(
    ("refused_by", "limit"), [(1, "address"), (2, "network"), (3, "total"), (4, "account")]
)
def test_the_limit_that_refuses_is_counted(refused_by: int, limit: str) -> None:
    counters = Counters()
    flow = Throttle(KEYSPACE, POLICY, counters).admit("alice", address="2001:db8::1")
    with pytest.raises(TooManyAttempts):
        counted(flow, *([0] * (refused_by - 1)), 9)
    known = Throttle(KEYSPACE, POLICY, counters).admit("alice", address=None, known="device")
    with pytest.raises(TooManyAttempts):
        counted(known, 9)
    assert counters.throttled == {limit: 1, "known": 1}
