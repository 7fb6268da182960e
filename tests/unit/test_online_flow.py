"""The flows that count, list and prune online subjects, slot by slot."""

from typing import Any

import pytest

from clusterpass import InvalidInput, OnlineCount, OnlinePage
from clusterpass.protocol.calls.call_time import CallTime
from clusterpass.tokens.identifiers import encode_session_id

from .driven_flows import NOW, SESSION_ID, drive, life, live, refuse_at_once

MOST = "limit must be a whole number from 1 to 200"


def online(**values: Any) -> Any:
    return life(**values).flows.online


def slots_of(call: Any) -> int:
    """How many slots the call is about: each has a tag of four letters."""
    return len(call.arguments[2]) // 4


def test_everybody_is_counted_over_all_slots() -> None:
    answers = [[1024, 2, 3], [1000, 1, 1], *[[1024, 0, 0]] * 14, [24, 5, 7]]
    count, calls = drive(online().count(), *answers)
    assert count == OnlineCount(8, 11)
    assert [slots_of(call) for call in calls] == [*[1024] * 16, 24]


def test_who_is_online_is_judged_by_the_time_of_the_call() -> None:
    """The clock of the server may be wrong."""
    for flow in (online().count(), online().page(None, limit=1)):
        assert next(flow).arguments[-1] == CallTime(NOW * 1000, is_agreed=False).pack()


def test_a_page_goes_on_where_a_slot_was_left() -> None:
    flow = online().page("16000.7", limit=3)
    listed = [NOW * 1000, [SESSION_ID, live().pack()], []]
    page, calls = drive(
        flow, [300, b"0", b"ann"], [10, b"9", b"ann", b"bob", b"cid"], listed, listed, listed
    )
    assert [call.arguments[3:5] for call in calls[:2]] == [(7, 3), (0, 2)]
    assert [slots_of(call) for call in calls[:2]] == [384, 84]
    assert [each.subject for each in page.sessions] == ["ann", "bob", "cid"]
    assert {each.session_id for each in page.sessions} == {encode_session_id(SESSION_ID)}
    assert page.next_cursor == "16310.9"


def test_the_last_page_has_no_cursor() -> None:
    assert drive(online().page("16383.0", limit=1), [1, b"0"])[0] == OnlinePage((), None)
    listed = [NOW * 1000, [], []]
    assert drive(online().page("16383.0", limit=1), [1, b"0", b"ann"], listed)[0].sessions == ()


def test_a_page_begins_at_the_first_slot_and_ends_when_it_is_full() -> None:
    page, calls = drive(online().page(None, limit=1), [5, b"3", b"ann"], [NOW * 1000, [], []])
    assert (slots_of(calls[0]), calls[0].arguments[3:5]) == (1024, (0, 1))
    assert page.next_cursor == "5.3"


@pytest.mark.parametrize("limit", [0, 201, -1, True, 1.0, "1", None])
def test_what_a_limit_may_not_be(limit: Any) -> None:
    assert MOST in str(refuse_at_once(InvalidInput, online().page(None, limit=limit)))


@pytest.mark.parametrize("limit", [1, 200])
def test_what_a_limit_may_be(limit: int) -> None:
    assert next(online().page(None, limit=limit)).arguments[4] == limit


@pytest.mark.parametrize("cursor", ["0.0", "16383.0", f"0.{2**64 - 1}"])
def test_what_a_cursor_may_be(cursor: str) -> None:
    assert next(online().page(cursor, limit=1)).arguments[3] == int(cursor.partition(".")[2])


@pytest.mark.parametrize(
    "cursor", ["", "x", "5", "5.", ".5", "16384.0", "123456.0", f"0.{2**64}", "0.0\n", 5, b"0.0"]
)
def test_what_a_cursor_may_not_be(cursor: Any) -> None:
    error = refuse_at_once(InvalidInput, online().page(cursor, limit=1))
    assert "cursor must be the next_cursor" in str(error)


def test_without_an_index_nobody_is_found() -> None:
    flows = online(index_online=False)
    for flow in (flows.count(), flows.page(None, limit=1), flows.prune()):
        assert "index_online=False" in str(refuse_at_once(InvalidInput, flow))


def test_those_who_are_offline_are_removed() -> None:
    flow = online().prune()
    pages = [[16_383, b"0", b"ann", *[b"u%d" % each for each in range(199)]], [1, b"0", b"ann"]]
    count, calls = drive(flow, pages[0], 0, *[2] * 199, pages[1])
    assert count == 199
    assert [call.script.name for call in calls].count("settle") == 200, "nobody is asked twice"
    assert calls[0].arguments[4] == 200
    assert slots_of(calls[-1]) == 1


def test_the_rest_are_counted() -> None:
    assert drive(online().prune(), *[[1024, b"0"]] * 15, [1024, b"0", b"ann"], 3)[0] == 1
    assert drive(online().prune(), *[[1024, b"0"]] * 15, [1024, b"0", b"ann"], 0)[0] == 0
