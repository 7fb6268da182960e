"""Parsing of CLUSTER NODES: addresses, flags, links and slots of each member."""

import pytest

from clusterpass.store.topology.cluster_nodes import Member, parse_members

LINE = "a1 10.0.0.1:7000@17000,name myself,master - 0 0 17 connected 0-99 200 [5->-b2] [6-<-c3]"


def member(flags: str = "master", rest: str = "connected", primary: str = "-") -> Member:
    (found,) = parse_members(f"a1 10.0.0.1:7000@17000 {flags} {primary} 0 0 1 {rest}")
    return found


def test_every_column_is_read() -> None:
    assert parse_members(LINE) == (
        Member(
            id="a1",
            host="10.0.0.1",
            port=7000,
            flags=frozenset({"myself", "master"}),
            primary_id=None,
            epoch=17,
            connected=True,
            slots=((0, 99), (200, 200)),
            moving=("[5->-b2]", "[6-<-c3]"),
        ),
    )


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        (":0@0", "", 0),
        (":7000", "", 7000),
        ("::1:7000@17000", "::1", 7000),
        ("10.0.0.1:7000", "10.0.0.1", 7000),
        (":", "", 0),
    ],
)
def test_an_address_is_read(address: str, host: str, port: int) -> None:
    (found,) = parse_members(f"a1 {address} master - 0 0 1 connected")
    assert (found.host, found.port) == (host, port)


def test_a_line_with_too_few_columns_is_skipped() -> None:
    text = "a1 h:1 master - 0 0 1\n\nvars currentEpoch 6\nb2 h:2 master - 0 0 1 connected\n"
    assert [each.id for each in parse_members(text)] == ["b2"]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("myself,master", {"is_myself", "is_primary"}),
        ("master", {"is_primary"}),
        ("slave", {"is_replica"}),
        ("master,fail", {"is_primary", "has_failed", "failing"}),
        ("master,fail?", {"is_primary", "failing"}),
        ("handshake", {"failing"}),
        ("noaddr", {"failing"}),
        ("slave,nofailover", {"is_replica"}),
    ],
)
def test_what_flags_say(flags: str, says: set[str]) -> None:
    found = member(flags)
    asked = ("is_myself", "is_primary", "is_replica", "has_failed", "failing")
    assert {name for name in asked if getattr(found, name)} == says


def test_the_links_and_the_primary() -> None:
    assert member().connected
    assert not member(rest="disconnected").connected
    assert member("slave", primary="b2").primary_id == "b2"
    assert member().moving == ()


def test_slots_are_counted_and_found() -> None:
    found = member(rest="connected 5 10-12")
    assert found.slot_count == 4
    assert [slot for slot in range(20) if found.owns(slot)] == [5, 10, 11, 12]
    assert member().slot_count == 0
