"""Known attacks on the header of a token: parameters that bring a key, and ``kid``."""

import json
from typing import Any

import pytest

from clusterpass.model.authentication_errors import TokenKeyUnknown, TokenMalformed
from clusterpass.tokens.encoding import encode_base64url

from .keys import ABSENT, PUBLIC_ALGORITHMS, key_of, other_key_of
from .tokens import ISSUER, as_bytes, header, payload, refuse, signed

# --- Header parameters that bring a key, or change the rules -------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jku", "https://evil.example/jwks.json"),
        ("jku", "file:///etc/passwd"),
        ("x5u", "https://evil.example/chain.pem"),
        ("x5c", ["MIIB"]),
        ("x5t", "AAAA"),
        ("x5t#S256", "AAAA"),
        ("jwk", {}),
        ("jwk", None),
        ("crit", ["exp"]),
        ("crit", ["b64"]),
        ("crit", []),
        ("crit", "b64"),
        ("crit", None),
        ("http://example.com/UNDEFINED", True),
        ("b64", False),
        ("b64", True),
        ("zip", "DEF"),
        ("enc", "A256GCM"),
        ("cty", "JWT"),
        ("epk", {}),
        ("p2c", 2_000_000_000),
        ("nonce", "x"),
        ("iss", ISSUER),
    ],
)
def test_header_parameter_beside_the_three(name: str, value: Any) -> None:
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, header(key, **{name: value})), key)


@pytest.mark.parametrize("algorithm", PUBLIC_ALGORITHMS)
@pytest.mark.parametrize("kid", ["known", "unknown", "absent"])
def test_header_jwk_brings_the_key_of_the_attacker(algorithm: str, kid: str) -> None:
    attacker = other_key_of(algorithm)
    kids = {"known": attacker.kid, "unknown": "mine", "absent": ABSENT}
    head = header(attacker, jwk=attacker.jwk(private=False), kid=kids[kid])
    refuse(TokenMalformed, signed(attacker, head), key_of(algorithm))


def test_b64_false_with_an_unencoded_payload() -> None:
    key = key_of("EdDSA")
    for extra in ({"b64": False, "crit": ["b64"]}, {"b64": False}, {}):
        head = encode_base64url(as_bytes(header(key, **extra)))
        for body in (json.dumps(payload()), "plain"):
            text = f"{head}.{body}"
            forged = f"{text}.{encode_base64url(key.sign(text.encode()))}"
            refuse(TokenMalformed, forged, key)


# --- kid -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kid",
    [
        "../../../../dev/null",
        "/dev/null",
        "file:///proc/self/environ",
        "C:\\Windows\\win.ini",
        "https://evil.example/key",
        "' OR '1'='1",
        "x' UNION SELECT 'secret",
        "key-EdDSA'; DROP TABLE keys; --",
        "key-EdDSA\x00",
        "key-EdDSA ",
        " key-EdDSA",
        "KEY-EDDSA",
        "key-eddsa",
        "$(id)",
        "| id",
        "{{7*7}}",
        "%s%s%n",
        "key-EdDSA\n",
        "ключ",
        "key-EdDS\uff21",
        "\u202egnp",
        "",
        "__class__",
        "A" * 4000,
    ],
)
def test_kid_that_names_no_key(kid: str) -> None:
    key = key_of("EdDSA")
    error = refuse(TokenKeyUnknown, signed(key, header(key, kid=kid)), key)
    assert not kid or kid not in str(error)


@pytest.mark.parametrize(
    "kid", [ABSENT, None, 0, 1, 1.5, True, [], {}, ["key-EdDSA"], {"key-EdDSA": 1}]
)
def test_kid_that_is_missing_or_no_text(kid: Any) -> None:
    key = key_of("EdDSA")
    refuse(TokenKeyUnknown, signed(key, header(key, kid=kid)), key)


def test_token_without_kid_does_not_fall_back_to_the_only_key() -> None:
    key = key_of("HS256")
    refuse(TokenKeyUnknown, signed(key, header(key, kid=ABSENT)), key)
