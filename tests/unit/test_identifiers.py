"""Validation of subjects and device names; encoding of session ids."""

import unicodedata
from typing import Any

import pytest
from hypothesis import given, strategies as st

from clusterpass.model.authentication_errors import SessionUnknown
from clusterpass.model.errors import InvalidInput
from clusterpass.model.values import AccessClaims
from clusterpass.tokens.encoding import decode_base64url
from clusterpass.tokens.identifiers import (
    check_device,
    check_subject,
    decode_session_id,
    encode_session_id,
    session_of,
)


@pytest.mark.parametrize(
    "subject",
    ["a", "a" * 255, "é" * 127, "\U0001f600" * 63, "alice@example.com", "{}", "a b", "/", "\u2028"],
)
def test_subject_that_is_accepted(subject: str) -> None:
    assert check_subject(subject) is subject


REFUSED: list[Any] = [
    "",
    "\0",
    "a\n",
    "\x1b[31m",
    "\x7f",
    "\x85",
    "\ud800",
    "a\udfff",
    None,
    5,
    b"alice",
    ["alice"],
    True,
]


@pytest.mark.parametrize("subject", [*REFUSED, "a" * 256, "é" * 128, "\U0001f600" * 64])
def test_subject_that_is_refused(subject: Any) -> None:
    with pytest.raises(InvalidInput, match="subject "):
        check_subject(subject)


@pytest.mark.parametrize("device", [None, "a", "a" * 128, "é" * 64, "Firefox on Linux"])
def test_device_that_is_accepted(device: str | None) -> None:
    assert check_device(device) is device


@pytest.mark.parametrize(
    ("device", "kept"),
    [
        ("", None),
        ("a" * 129, "a" * 128),
        ("é" * 65, "é" * 64),
        ("x" + "é" * 64, "x" + "é" * 63),
        ("\U0001f600" * 33, "\U0001f600" * 32),
        ("xy" + "\U0001f600" * 40, "xy" + "\U0001f600" * 31),
        ("a" * 10_000_000, "a" * 128),
    ],
    ids=lambda text: repr(text)[:8],
)
def test_device_of_any_length_is_accepted(device: str, kept: str | None) -> None:
    assert check_device(device) == kept


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=300))
def test_device_is_kept_in_whole_characters(device: str) -> None:
    kept = check_device(device)
    assert kept
    assert device.startswith(kept)
    assert len(kept.encode()) <= 128
    assert kept == device or len((kept + device[len(kept)]).encode()) > 128


@pytest.mark.parametrize(
    "device",
    [*(text for text in REFUSED if text not in (None, "")), "a\n" + "a" * 200, "\ud800" * 200],
)
def test_device_that_is_refused(device: Any) -> None:
    with pytest.raises(InvalidInput, match="device "):
        check_device(device)


@given(st.text(max_size=300) | st.text(st.characters(codec="utf-8"), max_size=300))
def test_check_accepts_by_the_rule_alone(text: str) -> None:
    clean = all(unicodedata.category(character) not in ("Cc", "Cs") for character in text)
    size = len(text.encode("utf-8", "surrogatepass"))
    if clean and 1 <= size <= 255:
        assert check_subject(text) == text
    else:
        with pytest.raises(InvalidInput) as caught:
            check_subject(text)
        # Messages are shown to people and written to logs: they do not repeat the input.
        assert not text.strip("0123456789 abcdefghijklmnopqrstuvwxyzUTF-") or (
            text not in str(caught.value)
        )


@given(st.binary(min_size=16, max_size=16))
def test_session_id_round_trip(data: bytes) -> None:
    text = encode_session_id(data)
    assert len(text) == 22
    assert decode_session_id(text) == data


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A" * 21,
        "A" * 23,
        "A" * 21 + "B",
        "A" * 22 + "==",
        "A" * 20 + "==",
        "A" * 21 + "+",
        "A" * 21 + "\n",
        "\u0661" * 22,
        "\ud800" * 22,
        None,
        5,
        b"A" * 22,
        ["A"] * 22,
    ],
)
def test_text_that_is_no_session_id(text: Any) -> None:
    assert decode_session_id(text) is None


@given(st.text("AQgw_-0", min_size=22, max_size=22))
def test_session_id_has_one_spelling(text: str) -> None:
    data = decode_session_id(text)
    if data is None:
        with pytest.raises(ValueError, match="canonical"):
            decode_base64url(text)
    else:
        assert encode_session_id(data) == text


@pytest.mark.parametrize(
    ("subject", "session_id", "is_known"),
    [
        ("alice", encode_session_id(b"s" * 16), True),
        ("alice", "none", False),
        ("a\nb", encode_session_id(b"s" * 16), False),
        ("", encode_session_id(b"s" * 16), False),
    ],
)
def test_the_claims_of_a_session_name_it_and_its_subject(
    subject: str, session_id: str, is_known: bool
) -> None:
    claims = AccessClaims("https://auth.example", subject, (), 1, 2, "id", session_id)
    if is_known:
        assert session_of(claims) == b"s" * 16
    else:
        with pytest.raises(SessionUnknown):
            session_of(claims)
