"""Validation of arguments: device types, levels, lifetimes, methods, reasons and scopes."""

from collections.abc import Callable
from typing import Any

import pytest

from clusterpass.model.check_values import check_ban_level, check_scope
from clusterpass.model.errors import InvalidInput, SubjectBanned
from clusterpass.model.values import Ban, Session
from clusterpass.sessions.check_arguments import (
    check_device_type,
    check_level,
    check_lifetime,
    check_methods,
    check_reason,
    check_seconds,
)

LONGEST = 10 * 366 * 86_400
Check = Callable[[Any], Any]


def lifetime(value: Any) -> int:
    return check_lifetime("idle_lifetime", value)


def lifetime_or_none(value: Any) -> int:
    return check_lifetime("idle_lifetime", value, may_be_zero=True)


def level(value: Any) -> str:
    return check_level(("1", "2"), value)


def reason_that_must_be_given(value: Any) -> str:
    return check_reason(value, may_be_empty=False)


NOT_WHOLE: list[Any] = [True, False, 10.0, "10", None, [10], float("nan")]
ACCEPTED: list[tuple[Check, list[Any]]] = [
    (lambda value: check_seconds("for_seconds", value, 3, 5), [3, 4, 5]),
    (lifetime, [10, LONGEST]),
    (lifetime_or_none, [0, 10, LONGEST]),
    (check_device_type, [None, "a", "A9_.-", "x" * 16]),
    (level, ["1", "2"]),
    (check_ban_level, [1, 1000]),
    (check_scope, ["!", "~", "x" * 255, "a:b/#[]"]),
    (check_reason, ["", "x", "x" * 200, "é" * 100, " "]),
    (reason_that_must_be_given, ["x", "x" * 200]),
    (check_methods, [(), ("pwd",), ("x" * 16,), tuple("abcdefgh")]),
]
REFUSED: list[tuple[Check, str, list[Any]]] = [
    (
        lambda value: check_seconds("for_seconds", value, 3, 5),
        r"^for_seconds must be a whole number of seconds from 3 to 5",
        [2, 6, -1, 10**30, *NOT_WHOLE],
    ),
    (lifetime, r"^idle_lifetime must be .* from 10 to 316224000", [0, 9, LONGEST + 1, *NOT_WHOLE]),
    (lifetime_or_none, r"^idle_lifetime must be ", [1, 9, -1, LONGEST + 1, 0.0, *NOT_WHOLE]),
    (
        check_device_type,
        r"^device_type must be 1 to 16 ",
        ["", "x" * 17, "a b", "é", "a\n", 5, b"a", ["a"]],
    ),
    (level, r"^level must be one of 1, 2$", ["", "3", 1, None, ["1"]]),
    (check_ban_level, r"^level must be a whole number from 1 to 1000", [0, 1001, -1, *NOT_WHOLE]),
    (
        check_scope,
        r"^a scope must be 1 to 255 ",
        ["", "x" * 256, "a b", 'a"', "a\\", "\x7f", "é", "a\n", None, 5, b"a"],
    ),
    (
        check_reason,
        r"^reason (must take at most 200 bytes|must be a string|is not valid)",
        ["x" * 201, "é" * 101, "a\n", "\0", "\ud800", None, 5, b"a"],
    ),
    (reason_that_must_be_given, r"^a reason must be given", [""]),
    (
        check_methods,
        r"^amr must be a sequence of at most 8 ",
        [tuple("abcdefghi"), ("",), ("x" * 17,), ("a b",), "pwd", {"pwd"}, None, (5,), 5],
    ),
]


@pytest.mark.parametrize(
    ("check", "value"), [(check, value) for check, values in ACCEPTED for value in values]
)
def test_what_is_accepted_comes_back(check: Check, value: Any) -> None:
    assert check(value) == value


@pytest.mark.parametrize(
    ("check", "saying", "value"),
    [(check, saying, value) for check, saying, values in REFUSED for value in values],
)
def test_what_is_refused_is_named(check: Check, saying: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=saying):
        check(value)


def test_methods_come_back_as_a_tuple() -> None:
    assert check_methods(["pwd", "otp"]) == ("pwd", "otp")


def test_what_a_session_is_asked_about_bans_is_checked() -> None:
    session = Session("alice", "s" * 22, None, 1, 2, 3, bans=(Ban("chat", 5, None, "spam", 1),))
    session.require_not_banned("chat", 1000)
    session.require_not_banned("mail")
    for level in (1, 5):
        with pytest.raises(SubjectBanned):
            session.require_not_banned("chat", level)
    for wrong in (0, 1001, True):
        with pytest.raises(InvalidInput, match="level"):
            session.require_not_banned("mail", wrong)
    with pytest.raises(InvalidInput, match="scope"):
        session.require_not_banned("two words")
