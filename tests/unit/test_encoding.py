"""Base64url and JSON have one spelling, and nothing but ValueError comes out of the decoders."""

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from clusterpass.tokens.encoding import (
    MOST_LEVELS,
    decode_base64url,
    decode_json_object,
    encode_base64url,
    encode_json,
    is_deeper,
)

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.binary(max_size=100))
def test_base64url_round_trip(data: bytes) -> None:
    text = encode_base64url(data)
    assert set(text) <= set(ALPHABET)
    assert decode_base64url(text) == data


def canonical(text: str) -> bool:
    """Return whether the text is canonical by RFC 4648: alphabet, length, no stray bits."""
    if not set(text) <= set(ALPHABET) or len(text) % 4 == 1:
        return False
    unused_bits = {0: 0, 2: 4, 3: 2}[len(text) % 4]
    return not text or ALPHABET.index(text[-1]) % 2**unused_bits == 0


@settings(max_examples=300)
@given(
    st.text(ALPHABET, max_size=12)
    | st.text(ALPHABET + "+/=. \n", max_size=8)
    | st.text(max_size=6)
    | st.binary(max_size=9).map(lambda data: base64.urlsafe_b64encode(data).decode())
)
@example("AA==")
@example("AB")
@example("A")
@example("AAA=")
@example("AA\n")
@example("A A")
@example("++++")
@example("////")
@example("====")
@example("=")
@example("AAAA=AAA")
@example("AAAA====")
@example("\u0661\u0661")
@example("\ud800")
@example("")
def test_base64url_accepts_exactly_canonical_text(text: str) -> None:
    if canonical(text):
        assert encode_base64url(decode_base64url(text)) == text
    else:
        with pytest.raises(ValueError, match="base64url"):
            decode_base64url(text)


@given(st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), json_values))
def test_json_round_trip(value: dict[str, Any]) -> None:
    encoded = encode_json(value)
    assert encoded.isascii()
    assert decode_json_object(encoded) == value


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * depth + b"]" * depth + b"}"


def mutated(data: st.DataObject) -> bytes:
    text = bytearray(
        data.draw(json_values.map(lambda value: json.dumps({"a": value, "b": 1}).encode()))
    )
    for _ in range(data.draw(st.integers(0, 3))):
        position = data.draw(st.integers(0, len(text)))
        text[position : position + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=3) | st.sampled_from([b"{", b"[", b'"', b"\\u", b"9" * 30, b"NaN"])
        )
    return bytes(text)


@settings(max_examples=200)
@given(st.data())
def test_json_decoder_raises_nothing_but_value_error(data: st.DataObject) -> None:
    text = data.draw(st.binary(max_size=40)) if data.draw(st.booleans()) else mutated(data)
    with contextlib.suppress(ValueError):
        assert isinstance(decode_json_object(text), dict)


DOUBTFUL = {
    "empty": b"",
    "duplicate": b'{"a":1,"a":1}',
    "duplicate by an escape": b'{"a":1,"\\u0061":2}',
    "duplicate inside": b'{"x":[{"a":1,"a":2}]}',
    "list": b"[]",
    "text": b'"a"',
    "null": b"null",
    "number": b"1",
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":Infinity}',
    "minus Infinity": b'{"a":-Infinity}',
    "twenty digits": b'{"a":11111111111111111111}',
    "minus twenty digits": b'{"a":-11111111111111111111}',
    "five thousand digits": b'{"a":' + b"1" * 5000 + b"}",
    "a million digits": b'{"a":' + b"1" * 1_000_000 + b"}",
    "out of range": b'{"a":1e309}',
    "out of range with many digits": b'{"a":' + b"1" * 400 + b".0}",
    "not UTF-8": b'{"a":"\xff"}',
    "overlong UTF-8": b'{"a":"\xc0\xaf"}',
    "surrogate in UTF-8": b'{"a":"\xed\xa0\x80"}',
    "escaped lone surrogate": b'{"a":"\\ud800"}',
    "escaped lone surrogate as a name": b'{"\\udfff":1}',
    "escaped lone surrogate inside": b'{"a":[{"b":"x\\udc00"}]}',
    "byte order mark": b'\xef\xbb\xbf{"a":1}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "two values": b'{"a":1}{"b":2}',
    "comma at the end": b'{"a":1,}',
    "single quotes": b"{'a':1}",
    "comment": b'{"a":1/**/}',
    "control character": b'{"a":"\n"}',
    "leading zero": b'{"a":01}',
    "plus sign": b'{"a":+1}',
    "hexadecimal": b'{"a":0x1}',
    "unfinished": b'{"a":1',
    "deep": nested(100_000),
    "deep and unfinished": b'{"a":' * 50_000,
}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_doubtful_json_is_refused(name: str) -> None:
    with pytest.raises(ValueError):
        decode_json_object(DOUBTFUL[name])


def test_nesting_has_the_same_bound_on_every_python() -> None:
    assert MOST_LEVELS == 64
    assert decode_json_object(nested(MOST_LEVELS - 1)).keys() == {"a"}
    flat = b'{"a":[' + b"[]," * MOST_LEVELS + b"[]]}"
    assert len(decode_json_object(flat)["a"]) == MOST_LEVELS + 1
    objects = b'{"a":' * (MOST_LEVELS + 1) + b"1" + b"}" * (MOST_LEVELS + 1)
    for text in (nested(MOST_LEVELS), objects):
        with pytest.raises(ValueError, match="nested too deeply"):
            decode_json_object(text)


@pytest.mark.parametrize(
    "number", [0, 1, -1, 10**18, 10**19 - 1, -(10**18), -(10**19) + 1, 2**63 - 1, -(2**63)]
)
def test_integer_of_at_most_nineteen_digits(number: int) -> None:
    assert decode_json_object(b'{"a":%d}' % number) == {"a": number}


def test_surrogate_pair_is_one_character() -> None:
    assert decode_json_object(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": -float("inf")}])
def test_encoder_refuses_what_json_cannot_say(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        encode_json(value)
    with pytest.raises(TypeError):
        encode_json({"a": object()})


@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: {"a": value}])
def test_how_deeply_a_value_nests(wrap: Any) -> None:
    value: Any = 1
    for levels in range(5):
        assert not is_deeper(value, levels)
        value = wrap(value)
        assert is_deeper(value, levels)
        assert is_deeper([0, value], levels + 1)
        assert not is_deeper([0, value], levels + 2)
