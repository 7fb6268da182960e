"""The packed records: what is packed is read, and garbage is refused in one way."""

import importlib.resources
import re

import pytest
from hypothesis import example, given, settings, strategies as st

from clusterpass.protocol.actor_prefix import join_actor, split_actor
from clusterpass.protocol.records import (
    IMPERSONATED,
    LONGEST_NOTE,
    LONGEST_SHORT_DEVICE,
    REASON_NUMBERS,
    SECONDS,
    LiveRecord,
    Tombstone,
    UnreadableRecord,
    parse_record,
    shorten_text,
)

seconds = st.integers(0, 2**32 - 1)
devices = st.text(st.characters(exclude_categories=("Cs",)), max_size=21).filter(
    lambda text: len(text.encode()) <= LONGEST_SHORT_DEVICE
)
live_records = st.builds(
    LiveRecord,
    created_milliseconds=st.integers(0, 2**48 - 1),
    absolute_end=seconds,
    refreshed_at=seconds,
    idle_seconds=seconds,
    rotation=seconds,
    refresh_digest=st.binary(min_size=16, max_size=16),
    device=devices,
    flags=st.integers(0, 255),
    burst=st.integers(0, 255),
    burst_span=st.integers(0, 2**16 - 1),
)
tombstones = st.builds(
    Tombstone,
    reason=st.sampled_from(sorted(REASON_NUMBERS)),
    ended_at=seconds,
    keep_until=seconds,
    # Reasons have no control characters; one says who gave the reason.
    note=st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=54).filter(
        lambda text: len(text.encode()) <= LONGEST_NOTE
    ),
)


@given(live_records | tombstones)
def test_round_trip(record: LiveRecord | Tombstone) -> None:
    packed = record.pack()
    assert len(packed) <= 64
    assert (packed[0] >= 128) == isinstance(record, Tombstone)
    assert parse_record(packed) == record
    if isinstance(record, LiveRecord):
        seen_at = min(record.refreshed_at + 7, 2**32 - 1)
        seen = parse_record(packed, seen_at + 3 * SECONDS)
        assert (seen.active_at, seen.used) == (seen_at, 3)
        assert seen.pack() == packed


def test_longest_device_fills_the_record() -> None:
    record = LiveRecord(1, 2, 3, 4, 5, b"d" * 16, "x" * LONGEST_SHORT_DEVICE)
    assert len(record.pack()) == 64


@settings(max_examples=300)
@given(
    st.binary(max_size=80)
    | st.binary(max_size=80).map(b"\x01".__add__)
    | st.binary(max_size=20).map(b"\x81".__add__)
    | st.binary(min_size=9, max_size=9).map(b"\x81".__add__)
    | st.binary(min_size=39, max_size=70).map(b"\x01".__add__)
    | st.binary(min_size=42, max_size=70).map(b"\x02".__add__)
    | st.binary(min_size=9, max_size=70).map(b"\x82".__add__)
)
@example(b"")
@example(b"\x01")
@example(b"\x81")
@example(b"\x81\x01")
@example(b"\x81\x00" + bytes(8))
@example(b"\x81\x04" + bytes(8))
@example(b"\x81\x01" + bytes(9))
@example(b"\x82\x01" + bytes(8))
@example(b"\x80" + bytes(39))
@example(b"\x00" + bytes(39))
@example(b"\x02" + bytes(39))
@example(b"\x01" + bytes(38))
@example(b"\x01" + bytes(39) + b"\xff")
@example(b"{}")
def test_garbage_is_unreadable_and_nothing_else(value: bytes) -> None:
    try:
        record = parse_record(value)
    except UnreadableRecord:
        return
    # Flags that this release does not know are kept.
    if value[0] == 1:
        assert record.pack()[1:40] == value[1:40]
        assert record.pack()[43:] == value[40:]
    elif value[0] == 129:
        assert record.pack()[1:] == value[1:]
    else:
        assert record.pack() == value


@pytest.mark.parametrize("schema", [0, 3, 127, 128, 131, 255])
def test_schema_of_another_release_is_unreadable(schema: int) -> None:
    live = LiveRecord(1, 2, 3, 4, 5, b"d" * 16, "x").pack()
    dead = Tombstone("revoked", 1, 2).pack()
    for packed in (live, dead):
        with pytest.raises(UnreadableRecord):
            parse_record(bytes([schema]) + packed[1:])


@pytest.mark.parametrize("number", [0, 8, 255])
def test_reason_of_another_release_is_unreadable(number: int) -> None:
    packed = Tombstone("revoked", 1, 2).pack()
    with pytest.raises(UnreadableRecord):
        parse_record(packed[:1] + bytes([number]) + packed[2:])


@given(live_records)
def test_end_is_the_first_limit(record: LiveRecord) -> None:
    idle_end = record.refreshed_at + record.idle_seconds
    assert record.ends_at <= record.absolute_end
    assert record.ends_at == (
        min(record.absolute_end, idle_end) if record.idle_seconds else record.absolute_end
    )


def test_layout_is_the_documented_one() -> None:
    live = LiveRecord(0x0102030405, 0x11, 0x12, 0x13, 0x14, b"d" * 16, "web\0phone", 1, 0x22, 0x23)
    head = bytes([0, 1, 2, 3, 4, 5, 0, 0, 0, 0x11, 0, 0, 0, 0x12, 0, 0, 0, 0x13, 0, 0, 0, 0x14])
    tail = bytes([0x22, 0, 0x23])
    assert live.pack() == b"\x02\x01" + head + b"d" * 16 + tail + b"web\0phone"
    assert (live.device_type, live.device_name) == ("web", "phone")
    grave = Tombstone("replaced", 5, 6, "phone")
    assert grave.pack() == b"\x82\x02" + bytes([0, 0, 0, 5, 0, 0, 0, 6]) + b"phone"


def test_records_of_the_first_schema_are_read() -> None:
    head = bytes([0, 1, 2, 3, 4, 5, 0, 0, 0, 0x11, 0, 0, 0, 0x12, 0, 0, 0, 0x13, 0, 0, 0, 0x14])
    live = parse_record(b"\x01\x01" + head + b"d" * 16 + b"phone")
    assert live == LiveRecord(0x0102030405, 0x11, 0x12, 0x13, 0x14, b"d" * 16, "phone", 1)
    grave = parse_record(b"\x81\x02" + bytes([0, 0, 0, 5, 0, 0, 0, 6]))
    assert grave == Tombstone("replaced", 5, 6)


def test_scripts_know_the_same_layout() -> None:
    lua = importlib.resources.files("clusterpass.protocol") / "scripts/_include/record.lua"
    text = lua.read_text("utf-8")
    found = re.search(r"LIVE_BYTES = '(\S+)', (\d+)", text)
    assert found
    assert found[1] == ">BBI6I4I4I4I4c16BI2"
    assert int(found[2]) == len(LiveRecord(1, 2, 3, 4, 5, b"d" * 16, "").pack())
    assert f"LIVE_BYTES_1 = '>BBI6I4I4I4I4c16', {int(found[2]) - 3}" in text
    assert f"local IMPERSONATED = {IMPERSONATED}\n" in text


@pytest.mark.parametrize("text", ["", "plain", "é" * 40, "😀" * 40])
def test_text_is_cut_between_two_characters(text: str) -> None:
    cut = shorten_text(text, LONGEST_NOTE)
    assert text.encode().startswith(cut)
    assert LONGEST_NOTE - 4 < len(cut) <= LONGEST_NOTE or cut == text.encode()
    cut.decode()


@pytest.mark.parametrize(
    ("actor", "shown"),
    [
        ("alice", ""),
        (None, None),
        ("root", "root"),
        ("r" * 20, "r" * 20),
        ("r" * 21, "r" * 17 + "…"),
        ("é" * 10, "é" * 10),
        ("é" * 11, "é" * 8 + "…"),
        ("a\x1fb", "a\ufffdb"),
    ],
)
def test_who_gave_a_reason_is_read_beside_it(actor: str | None, shown: str | None) -> None:
    assert split_actor(join_actor(actor, "alice", "spam")) == (shown, "spam")
