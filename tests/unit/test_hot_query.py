"""The query of GET /verify, where it is read without the framework."""

import pytest

from clusterpass.service.hot.query import read_query


def test_every_condition() -> None:
    query = (
        b"level=2&max_auth_age=60&scope=a%3Ab&scope=c&not_banned=d&not_banned=e&ban_level=7"
        b"&verification=strict&outage_grace=5"
    )
    found = read_query(query)
    assert found is not None
    assert (found.level, found.max_auth_age, found.ban_level) == ("2", 60, 7)
    assert (found.scope, found.not_banned) == (["a:b", "c"], ["d", "e"])
    assert (found.verification, found.outage_grace) == ("strict", 5)


def test_no_condition() -> None:
    found = read_query(b"")
    assert found is not None
    assert (found.level, found.max_auth_age, found.ban_level) == (None, None, None)
    assert (found.scope, found.not_banned, found.outage_grace) == ([], [], None)


@pytest.mark.parametrize(
    "query",
    [
        b"level=1&level=2",
        b"max_auth_age=x",
        b"max_auth_age=-1",
        b"max_auth_age=",
        b"verification=cached",
        b"levle=2",
        b"scope=a" + b"&scope=b" * 64,
    ],
)
def test_what_the_framework_has_to_say_something_about(query: bytes) -> None:
    assert read_query(query) is None


@pytest.mark.parametrize(("length", "is_read"), [(512, True), (513, False)])
def test_a_long_query_is_left_to_the_framework(length: int, is_read: bool) -> None:
    assert (read_query(b"level=".ljust(length, b"x")) is not None) is is_read
