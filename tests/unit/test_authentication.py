"""Authentication levels, methods and ages of a session, and the checks against them."""

from typing import Any

import pytest

from clusterpass import StepUpRequired, TokenSuperseded
from clusterpass.protocol.records import BY_PASSWORD
from clusterpass.protocol.replies import Details, Elevation, Stored
from clusterpass.sessions.authentication import (
    Authentication,
    as_token_sees,
    authentications,
    claimed_authentication,
    name_of_step_up,
    require_authentication,
)
from clusterpass.sessions.public_values import describe_session
from clusterpass.tokens.encoding import encode_base64url

from .driven_flows import NOW, config, live

CONFIG = config()
ID = b"s" * 8
NAME = encode_base64url(ID)


def step_up(level: str = "2", ends_at: int = NOW + 5, **more: Any) -> Elevation:
    return Elevation(NOW - 2, ends_at, level, ("otp",), **{"id": ID, **more})


def found(
    elevation: Elevation | None = None, level: str | None = None, **values: Any
) -> list[tuple[str, int]]:
    record = live(**values)
    stored = Stored(NOW * 1000, record, Details({}, level=level), elevation)
    return [(each.level, each.rank) for each in authentications(CONFIG, stored, record)]


def test_a_login_and_a_step_up_are_told_apart() -> None:
    record = live(flags=BY_PASSWORD)
    stored = Stored(NOW * 1000, record, elevation=step_up())
    assert authentications(CONFIG, stored, record) == (
        Authentication(NOW - 2, "2", 1, ("otp",), NOW + 5),
        Authentication(NOW, "1", 0, ("pwd",), record.ends_at),
    )


@pytest.mark.parametrize(
    ("elevation", "level", "expected"),
    [
        (None, None, [("1", 0)]),
        (None, "3", [("3", 2)]),
        (None, "gone", [("gone", -1)]),
        (step_up("2"), "3", [("3", 2), ("2", 1)]),
        (step_up("3"), "3", [("3", 2), ("3", 2)]),
        (step_up("gone"), None, [("1", 0), ("gone", -1)]),
        (step_up(ends_at=NOW), None, [("1", 0)]),
        (step_up(ends_at=NOW + 1), None, [("2", 1), ("1", 0)]),
        (step_up(id=b""), None, [("1", 0)]),
    ],
)
def test_the_strongest_comes_first(elevation: Any, level: Any, expected: Any) -> None:
    assert found(elevation, level) == expected


def test_of_equals_the_step_up_comes_first() -> None:
    record = live()
    stored = Stored(NOW * 1000, record, Details({}, level="2"), step_up("2"))
    first, second = authentications(CONFIG, stored, record)
    assert (first.time, second.time) == (NOW - 2, NOW)


def test_methods_of_the_login_come_before_the_flag() -> None:
    record = live(flags=BY_PASSWORD)
    stored = Stored(NOW * 1000, record, Details({}, methods=("otp",)))
    assert authentications(CONFIG, stored, record)[0].methods == ("otp",)
    assert authentications(CONFIG, Stored(NOW * 1000, live()), live())[0].methods == ()


def test_a_step_up_is_seen_by_the_tokens_after_it() -> None:
    plain = Stored(NOW * 1000, live())
    assert as_token_sees(plain, None) is plain
    assert as_token_sees(plain, NAME) is plain
    stepped = Stored(NOW * 1000, live(), elevation=step_up())
    assert as_token_sees(stepped, NAME) is stepped
    assert as_token_sees(stepped, None) == plain
    assert as_token_sees(stepped, "other") == plain
    nameless = Stored(NOW * 1000, live(), elevation=step_up(id=b""))
    assert as_token_sees(nameless, None) == plain
    assert name_of_step_up(step_up(id=b"")) is None


def test_a_step_up_may_end_the_tokens_before_it() -> None:
    stored = Stored(NOW * 1000, live(), elevation=step_up(ends_older=True))
    assert as_token_sees(stored, NAME) is stored
    for other in (None, "other"):
        with pytest.raises(TokenSuperseded):
            as_token_sees(stored, other)


def test_what_a_session_claims() -> None:
    record = live(flags=BY_PASSWORD)
    stored = Stored(NOW * 1000, record, Details({}, level="3"))
    session = describe_session(CONFIG, "alice", "s" * 22, stored, record)
    claimed = Authentication(NOW, "3", 2, ("pwd",), record.ends_at)
    assert claimed_authentication(CONFIG, session) == claimed


WEAK = Authentication(NOW - 10, "1", 0, (), NOW + 60)
STRONG = Authentication(NOW - 100, "3", 2, (), NOW + 60)
GONE = Authentication(NOW - 10, "gone", -1, (), NOW + 60)


@pytest.mark.parametrize(
    ("given", "level", "age", "suffices"),
    [
        ([WEAK], None, None, True),
        ([WEAK], "1", None, True),
        ([WEAK], "2", None, False),
        ([STRONG], "2", None, True),
        ([STRONG], "3", None, True),
        ([WEAK], None, 10, True),
        ([WEAK], None, 9, False),
        ([STRONG, WEAK], None, 10, True),
        ([STRONG, WEAK], "3", 10, False),
        ([STRONG, WEAK], "3", 100, True),
        ([GONE], None, None, True),
        ([GONE], "1", None, False),
        ([], None, None, False),
    ],
)
def test_what_suffices(given: Any, level: Any, age: Any, suffices: bool) -> None:
    if suffices:
        require_authentication(CONFIG, tuple(given), NOW, level, age)
        return
    with pytest.raises(StepUpRequired) as caught:
        require_authentication(CONFIG, tuple(given), NOW, level, age)
    levels = {None: (), "1": ("1", "2", "3"), "2": ("2", "3"), "3": ("3",)}
    assert (caught.value.acr_values, caught.value.max_age) == (levels[level], age)
