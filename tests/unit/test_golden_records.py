"""Golden records of this release and of earlier ones, as Python reads and writes them."""

import pytest

from clusterpass.model.errors import UnreadableRecord
from clusterpass.protocol.records import LIVE_SCHEMA, TOMBSTONE_SCHEMA, parse_record
from clusterpass.protocol.replies import (
    read_bans,
    read_details,
    read_elevation,
    read_listed,
    read_object,
    read_stored,
)
from tests import golden


def test_every_schema_is_here() -> None:
    assert {value[0] for value in golden.RECORDS.values()} == {
        *(1, LIVE_SCHEMA),
        *(129, TOMBSTONE_SCHEMA),
    }


@pytest.mark.parametrize("name", golden.RECORDS)
def test_record_is_read(name: bytes) -> None:
    assert parse_record(golden.RECORDS[name]) == golden.PARSED[name]


@pytest.mark.parametrize("name", golden.RECORDS)
def test_record_of_this_release_is_written_like_that(name: bytes) -> None:
    value = golden.RECORDS[name]
    packed = golden.PARSED[name].pack()
    if value[0] in {LIVE_SCHEMA, TOMBSTONE_SCHEMA}:
        assert packed == value
    else:
        assert packed[0] == value[0] + 1
        assert parse_record(packed) == golden.PARSED[name]


def test_values_beside_a_record_are_read_and_written() -> None:
    assert read_details(golden.DETAILS) == golden.DETAILS_PARSED
    assert golden.DETAILS_PARSED.encode() == golden.DETAILS
    assert read_elevation(golden.ELEVATION) == golden.ELEVATION_PARSED
    assert read_elevation(golden.ELEVATION_BOUND) == golden.ELEVATION_BOUND_PARSED
    assert read_bans(golden.BANS) == golden.BANS_PARSED
    assert read_object(golden.CLAIMS) == {"plan": "gold"}


@pytest.mark.parametrize(
    ("flags", "older_rotation", "ends_older"),
    [(0, None, False), (1, 3, False), (2, None, True), (3, 3, True)],
)
def test_a_step_up_says_what_becomes_of_the_tokens_of_before(
    flags: int, older_rotation: int | None, ends_older: bool
) -> None:
    value = bytearray(golden.ELEVATION_BOUND)
    value[9] = flags
    step_up = read_elevation(bytes(value))
    assert (step_up.older_rotation, step_up.ends_older) == (older_rotation, ends_older)


def test_without_a_history_there_is_no_last_line() -> None:
    nothing = read_listed([1_750_000_100_000, [], []])
    assert (nothing.history, nothing.newest_line) == ([], -1)
    assert read_listed([1_750_000_100_000, golden.FIELDS, []]).newest_line >= 0


def test_a_note_that_was_cut_within_a_character_is_read() -> None:
    head = bytes.fromhex("04 684ee196 0002") + bytes(16) + b"\x00"
    fields = [b"h", b"0", b"h\x00", head + "Café".encode()[:-1]]
    (line,) = read_listed([1_750_000_100_000, fields, []]).history
    assert line.text == "Caf"


@pytest.mark.parametrize("is_map", [False, True], ids=["RESP2", "RESP3"])
def test_whole_subject_is_read(is_map: bool) -> None:
    flat = [part for pair in golden.FIELDS.items() for part in pair]
    seen = {golden.LIVE_1_IDLE: bytes.fromhex("684ee1a0")}
    activity = seen if is_map else [part for pair in seen.items() for part in pair]
    listed = read_listed([1_750_000_100_000, golden.FIELDS if is_map else flat, activity])
    assert listed.history == golden.HISTORY_PARSED
    assert listed.sessions.keys() == golden.PARSED.keys()
    for name, stored in listed.sessions.items():
        seen_at = 1_750_000_032 if name == golden.LIVE_1_IDLE else 0
        assert stored.record == parse_record(golden.RECORDS[name], seen_at)
        assert stored.bans == golden.BANS_PARSED
        assert stored.generation == golden.GENERATION
        assert stored.live_claims == {"plan": "gold"}
    assert listed.sessions[golden.LIVE_2].details == golden.DETAILS_PARSED
    assert listed.sessions[golden.LIVE_2].elevation == golden.ELEVATION_PARSED


def test_answer_about_one_session_is_read() -> None:
    raw = [
        *(1_750_000_100_000, golden.RECORDS[golden.LIVE_2], golden.DETAILS, golden.ELEVATION),
        *(golden.CLAIMS, golden.BANS, 1_750_000_050, b"1749999999999"),
    ]
    stored = read_stored(raw)
    assert stored.record == parse_record(golden.RECORDS[golden.LIVE_2], 1_750_000_050)
    assert (stored.now, stored.generation) == (1_750_000_100, golden.GENERATION)


@pytest.mark.parametrize(
    "value", [b"", golden.ELEVATION[:7], golden.ELEVATION_BOUND[:20], golden.ELEVATION + b"\xff"]
)
def test_a_step_up_that_cannot_be_read_says_so(value: bytes) -> None:
    with pytest.raises(UnreadableRecord):
        read_elevation(value)
