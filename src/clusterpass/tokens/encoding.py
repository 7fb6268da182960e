"""Strict base64url and strict JSON, as signed tokens require.

Every value has one encoding and every encoding one meaning: padding, stray bits, duplicate members
and huge numbers are rejected.
"""

import binascii
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

encode_text: Final = json.encoder.encode_basestring_ascii
"""Encodes a text as a JSON string in ASCII, quotes included."""
MOST_LEVELS: Final = 64
"""How deep objects and arrays may be nested. The parser's own bound differs between Pythons."""

_LARGEST_INTEGER_DIGITS: Final = 19
_MORE_DIGITS: Final = re.compile(rb"[0-9]{20}")
_TO_STANDARD: Final = bytes.maketrans(b"-_+/=", b"+/   ")
_TO_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def encode_base64url(data: bytes) -> str:
    """Encode ``data`` as base64url without padding (RFC 7515 section 2)."""
    encoded = binascii.b2a_base64(data, newline=False)
    return encoded.translate(_TO_URL_SAFE).rstrip(b"=").decode("ascii")


def decode_base64url(text: str) -> bytes:
    """Decode canonical base64url without padding; raise ValueError for any other text."""
    try:
        standard = text.encode("ascii").translate(_TO_STANDARD) + b"=" * (-len(text) % 4)
        data = binascii.a2b_base64(standard, strict_mode=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ValueError("not base64url") from error
    # Unused bits in the last character would give one signature several encodings.
    if binascii.b2a_base64(data, newline=False) != standard:
        raise ValueError("not canonical base64url")
    return data


def encode_json(value: Any) -> bytes:
    """Encode ``value`` as compact ASCII JSON; raise ValueError or TypeError if that fails."""
    return _ENCODER.encode(value).encode("ascii")


def encode_members(members: Mapping[str, Any]) -> str:
    """Encode the members of a JSON object as :func:`encode_json` does, without the braces.

    Faster than that where most values are texts and whole numbers. Raises ValueError or TypeError.
    """
    parts = []
    for name, value in members.items():
        if type(value) is int:
            text: object = value
        else:
            text = encode_text(value) if type(value) is str else _ENCODER.encode(value)
        parts.append(f"{encode_text(name)}:{text}")
    return ",".join(parts)


def decode_json_object(data: bytes) -> dict[str, Any]:
    """Decode a JSON object (RFC 8259) in UTF-8; raise ValueError for anything ambiguous.

    Rejected are duplicate members (RFC 7515 section 4), integers of more than 19 digits, numbers
    out of range, NaN, lone surrogates, and nesting deeper than ``MOST_LEVELS``.
    """
    try:
        # Without 20 digits in a row no integer can be too large, so the faster decoder will do.
        decoder = _STRICT_DECODER if _MORE_DIGITS.search(data) else _DECODER
        value = decoder.decode(data.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    # Most texts have too few brackets to be deep, and counting them takes next to no time.
    if data.count(b"{") + data.count(b"[") > MOST_LEVELS and is_deeper(value, MOST_LEVELS):
        raise ValueError("nested too deeply")
    if b"\\u" in data:
        # A lone surrogate is not valid Unicode and could not be encoded again.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 (a parser speaks ValueError)
    return value


def is_deeper(value: object, levels: int) -> bool:
    """Return whether ``value`` nests mappings and lists in more than ``levels`` levels."""
    if isinstance(value, Mapping):
        return levels == 0 or any(is_deeper(each, levels - 1) for each in value.values())
    if isinstance(value, list | tuple):
        return levels == 0 or any(is_deeper(each, levels - 1) for each in value)
    return False


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _bounded_integer(digits: str) -> int:
    if len(digits.lstrip("-")) > _LARGEST_INTEGER_DIGITS:
        raise ValueError("integer too large")
    return int(digits)


def _finite_number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("number out of range")
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique_members,
    parse_float=_finite_number,
    parse_constant=_no_constant,
)
_STRICT_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique_members,
    parse_int=_bounded_integer,
    parse_float=_finite_number,
    parse_constant=_no_constant,
)
