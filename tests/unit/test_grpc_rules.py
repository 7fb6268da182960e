"""The rules of the gRPC interceptors: requirements of methods, and the end of streams."""

from typing import Any

import pytest

from clusterpass import (
    ConfigurationError,
    ScopeMissing,
    Session,
    SessionChange,
    SessionRevoked,
    StoreUnavailable,
)
from clusterpass.integrations.grpc import (
    requires,
)
from clusterpass.integrations.grpc_calls import Call, Rules
from clusterpass.web.gate import NO_NEEDS, Needs

SESSION = Session("alice", "s" * 22, None, 1, 1, 2, claims={"scope": "orders:read"}, acr="mfa")

LEVELS = ("1", "2", "3")


def test_a_stream_is_judged_by_what_becomes_of_its_session() -> None:
    call, needs = Call(SESSION), requires("orders:read")
    outage, end = StoreUnavailable(), SessionRevoked(reason="revoked", ended_at=1)
    silent = SessionChange("unavailable", SESSION, outage)
    assert call.judge(silent, needs, "stay") is None
    assert call.judge(silent, needs, "close") is outage
    assert call.judge(SessionChange("available", SESSION), needs, "close") is None
    assert call.judge(SessionChange("ended", SESSION, end), needs, "stay") is end
    poorer = Session("alice", "s" * 22, None, 1, 0, 0, claims={"role": "guest"})
    assert call.judge(SessionChange("changed", poorer), NO_NEEDS, "stay") is None
    assert (call.session.claims, call.session.acr) == ({"role": "guest"}, "mfa")
    assert isinstance(call.judge(SessionChange("changed", poorer), needs, "stay"), ScopeMissing)


def test_the_most_specific_rule_counts() -> None:
    every, service, method = requires("a"), requires("b"), requires("c")
    rules = Rules(
        {"/*": every, "/shop.Orders/*": service, "/shop.Orders/Pay": method},
        ["/shop.Orders/Hello", "/grpc.health.v1.Health/*"],
        "stay",
        LEVELS,
    )
    assert rules.of("/shop.Orders/Pay") is method
    assert rules.of("/shop.Orders/List") is service
    assert rules.of("/shop.Orders/Hello") is None
    assert rules.of("/grpc.health.v1.Health/Check") is None
    assert rules.of("/grpc.health.v1.Healthy/Check") is every
    assert Rules({}, (), "stay", LEVELS).of("/shop.Orders/List") is NO_NEEDS


@pytest.mark.parametrize(
    ("needs", "public", "in_outage"),
    [
        ({"shop.Orders/List": NO_NEEDS}, (), "stay"),
        ({"/shop.Orders": NO_NEEDS}, (), "stay"),
        ({"/shop.Orders/Li*": NO_NEEDS}, (), "stay"),
        ({"/shop.Orders/List": NO_NEEDS}, ("/shop.Orders/List",), "stay"),
        ({}, ("/*",), "stay"),
        ({}, ("Health",), "stay"),
        ({}, "/grpc.health.v1.Health/*", "stay"),
        ({}, (), "leave"),
        ({"/shop.Orders/List": requires(level="9")}, (), "stay"),
        ({"/shop.Orders/List": "orders:read"}, (), "stay"),
        ({"/shop.Orders/List": None}, (), "stay"),
    ],
)
def test_a_list_that_may_not_mean_what_it_says_is_rejected(needs, public, in_outage) -> None:
    with pytest.raises(ConfigurationError):
        Rules(needs, public, in_outage, LEVELS)


def test_a_method_requires_what_is_said_and_no_more() -> None:
    assert requires() == NO_NEEDS
    everything: dict[str, Any] = {
        "level": "2",
        "max_auth_age": 60,
        "not_banned": "orders",
        "strict": True,
    }
    assert requires("a", "b", **everything) == Needs(scopes=("a", "b"), **everything)
