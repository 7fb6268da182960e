"""Matching of scopes with wildcards for whole parts."""

from typing import Any

import pytest

from clusterpass import Session
from clusterpass.model.scopes import granted_scopes


def session(**claims: Any) -> Session:
    return Session("alice", "s" * 22, None, 1, 1, 2, claims=claims)


@pytest.mark.parametrize(
    ("granted", "covered", "not_covered"),
    [
        ("orders:read", ["orders:read"], ["orders", "orders:write", "orders:read:all", "read"]),
        ("orders", ["orders"], ["orders:read", "order", "orders:", "Orders"]),
        ("orders:*", ["orders:read", "orders:read:all", "orders:*"], ["orders", "users:read"]),
        ("*", ["orders", "orders:read", "orders:read:all", "*"], []),
        ("a:*:c", ["a:b:c", "a:*:c"], ["a:c", "a:b", "a:b:d", "a:b:c:d", "x:b:c"]),
        ("a:*:*", ["a:b:c", "a:b:c:d"], ["a:b", "a"]),
        ("a:b:*", ["a:b:c", "a:b:c:d"], ["a:b", "a:c:d", "x:b:c"]),
        ("*:read", ["orders:read", "users:read"], ["orders:write", "read", "orders:eu:read"]),
        ("orders:wr*", ["orders:wr*"], ["orders:write"]),
        ("a b:*", ["a", "b:c"], ["b", "a:c"]),
        ("", [], ["a", "*"]),
    ],
)
def test_what_a_granted_scope_covers(
    granted: str, covered: list[str], not_covered: list[str]
) -> None:
    own = session(scope=granted)
    assert [each for each in (*covered, *not_covered) if own.has_scope(each)] == covered


@pytest.mark.parametrize(
    ("claims", "granted"),
    [
        ({}, ()),
        ({"scope": " a  b\n"}, ("a", "b")),
        ({"scope": ["a", "b c", 1, None]}, ("a", "b c")),
        ({"scope": {"a": 1}}, ()),
        ({"scope": None}, ()),
        ({"scopes": "a"}, ()),
    ],
)
def test_scopes_are_words_or_a_list(claims: dict[str, Any], granted: tuple[str, ...]) -> None:
    assert granted_scopes(claims) == granted
