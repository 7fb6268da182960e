"""Known attacks on the JSON of a token: texts that parsers read differently."""

import json

import pytest

from clusterpass.model.authentication_errors import TokenMalformed

from .keys import ABSENT, key_of
from .tokens import as_bytes, payload, refuse, signed


@pytest.mark.parametrize(
    "text",
    [
        b'{"alg":"none","alg":"EdDSA","kid":"key-EdDSA","typ":"at+jwt"}',
        b'{"alg":"EdDSA","alg":"EdDSA","kid":"key-EdDSA","typ":"at+jwt"}',
        b'{"alg":"EdDSA","kid":"other","kid":"key-EdDSA","typ":"at+jwt"}',
        b'{"alg":"EdDSA","k\\u0069d":"other","kid":"key-EdDSA","typ":"at+jwt"}',
        b'{"alg":"EdDSA","kid":"key-EdDSA","typ":"JWT","typ":"at+jwt"}',
        b'\xef\xbb\xbf{"alg":"EdDSA","kid":"key-EdDSA","typ":"at+jwt"}',
        '{"alg":"EdDSA","kid":"key-EdDSA","typ":"at+jwt"}'.encode("utf-16"),
        b'{"alg":"EdDSA","kid":"key-EdDSA","typ":"at+jwt"}{}',
        b'{"alg":"EdDSA","kid":"key-EdDSA","typ":"at+jwt"} x',
        b'{"alg":"EdDSA","kid":"key-EdDSA","typ":"at+jwt",}',
        b'[{"alg":"EdDSA","kid":"key-EdDSA","typ":"at+jwt"}]',
        b"{'alg':'EdDSA','kid':'key-EdDSA','typ':'at+jwt'}",
        b'{"alg":"EdDSA","kid":"key-EdDSA","typ":"at+jwt","\xff":1}',
        b'{"alg":"EdDSA","kid":"\\ud800","typ":"at+jwt"}',
        b'"at+jwt"',
        b"null",
        b"5",
        b" ",
    ],
)
def test_header_that_is_no_plain_json_object(text: bytes) -> None:
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, text), key)


def body_with(text: str) -> bytes:
    return json.dumps(payload()).encode()[:-1] + b"," + text.encode() + b"}"


@pytest.mark.parametrize(
    "text",
    [
        '"sub":"admin"',
        '"s\\u0075b":"admin"',
        '"exp":9999999999',
        '"sid":"x"',
        '"aud":"https://api.example"',
        '"own":{"role":"user","role":"admin"}',
        '"own":[{"a":1,"a":1}]',
    ],
)
def test_duplicate_member_in_the_payload(text: str) -> None:
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, None, body_with(text)), key)


@pytest.mark.parametrize(
    "number",
    ["1" * 20, "1" * 4000, "-" + "1" * 4000, "1e400", "-1e400", "NaN", "Infinity", "-Infinity"],
)
def test_number_that_is_huge_or_none(number: str) -> None:
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, None, body_with(f'"own":{number}')), key)
    for name in ("exp", "iat", "nbf"):
        body = as_bytes(payload(**{name: ABSENT}))[:-1] + f',"{name}":{number}}}'.encode()
        refuse(TokenMalformed, signed(key, None, body), key)


@pytest.mark.parametrize("opening", ['{"a":', "["])
def test_deep_json_in_header_and_payload(opening: str) -> None:
    closing = "}" if opening.startswith("{") else "]"
    depth = 4000 // (len(opening) + 1)
    deep = opening * depth + "1" + closing * depth
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, None, body_with(f'"own":{deep}')), key)
    refuse(TokenMalformed, signed(key, f'{{"alg":{deep}'.encode()), key)
    unclosed = opening * (5000 // len(opening))
    refuse(TokenMalformed, signed(key, unclosed.encode()), key)
    refuse(TokenMalformed, signed(key, None, unclosed.encode()), key)


@pytest.mark.parametrize("text", [b"[]", b'"x"', b"null", b"1", b"{", b"\xff\xfe", b"{}}", b"\0"])
def test_payload_that_is_no_json_object(text: bytes) -> None:
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, None, text), key)


def test_lone_surrogate_in_a_name_is_not_passed_on() -> None:
    # Such a text cannot be a key name of the store; it must fail as a token, not as a crash.
    key = key_of("EdDSA")
    for name in ("sub", "jti", "sid"):
        refuse(TokenMalformed, signed(key, None, payload(**{name: "\ud800"})), key)
