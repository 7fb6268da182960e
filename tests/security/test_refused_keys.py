"""Keys that are weak, broken or meant for something else are refused."""

import hashlib
import json
import math
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed448, rsa, x25519
from joserfc.jwk import ECKey, OctKey, OKPKey

from clusterpass.model.errors import ConfigurationError, KeyRejected
from clusterpass.tokens.encoding import encode_base64url
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.keys import SigningKey

from .keys import ABSENT, ALGORITHMS, changed, key_of, other_key_of, secret_jwk
from .public_key_texts import CONFUSIONS, public_texts


def number(value: int) -> str:
    return encode_base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


SPREAD = hashlib.sha256(b"no secret at all").digest()[:31]
"""Bytes that look random, without the lottery of random ones."""
RSA_PRIVATE = ("d", "p", "q", "dp", "dq", "qi")


def rsa_jwk(key: rsa.RSAPrivateKey) -> dict[str, Any]:
    own = key.private_numbers()
    values = {
        "n": own.public_numbers.n,
        "e": own.public_numbers.e,
        "d": own.d,
        "p": own.p,
        "q": own.q,
        "dp": own.dmp1,
        "dq": own.dmq1,
        "qi": own.iqmp,
    }
    return {"kty": "RSA", **{name: number(value) for name, value in values.items()}}


@cache
def weak_keys() -> dict[str, dict[str, Any]]:
    small = rsa.generate_private_key(65_537, 1024)
    three = rsa.generate_private_key(3, 2048)
    good = key_of("EdDSA").jwk(private=True)
    ec_good = key_of("ES256").jwk(private=True)
    huge = {"kty": "RSA", "kid": "huge", "e": "AQAB", "n": number(2**16_383 + 2**64 + 1)}
    return {
        "HS256 of 31 bytes": secret_jwk(bytes(range(31))),
        "HS256 of 8 bytes": secret_jwk(b"geheim!!"),
        "HS256 of 1 byte": secret_jwk(b"x"),
        "HS256 of 0 bytes": secret_jwk(b""),
        "HS256 of one character": secret_jwk(b"a" * 64),
        "HS256 of zeros": secret_jwk(bytes(32)),
        "HS256 of eleven characters": secret_jwk(b"abcdefghijk" * 5),
        "RSA 1024": rsa_jwk(small),
        "RSA 1024, public": {**rsa_jwk(small), **dict.fromkeys(RSA_PRIVATE, ABSENT)},
        "RSA exponent 3": rsa_jwk(three),
        "RSA exponent 3, public": {**rsa_jwk(three), **dict.fromkeys(RSA_PRIVATE, ABSENT)},
        "RSA exponent 1": {**key_of("RS256").jwk(private=False), "e": "AQ"},
        "RSA 16384": huge,
        "P-384": ECKey.generate_key("P-384").as_dict(private=True),
        "P-521": ECKey.generate_key("P-521").as_dict(private=True),
        "Ed448": OKPKey.import_key(ed448.Ed448PrivateKey.generate()).as_dict(private=True),
        "X25519": OKPKey.import_key(x25519.X25519PrivateKey.generate()).as_dict(private=True),
        "EC off the curve": {**ec_good, "x": ec_good["y"], "d": ABSENT},
        "EC with the halves of two keys": {
            **ec_good,
            **{m: other_key_of("ES256").jwk(private=False)[m] for m in "xy"},
        },
        "Ed25519 with the halves of two keys": {
            **good,
            "x": other_key_of("EdDSA").jwk(private=False)["x"],
        },
        "RSA with the halves of two keys": {
            **key_of("RS256").jwk(private=True),
            "n": other_key_of("RS256").jwk(private=False)["n"],
        },
        "use enc": {**good, "use": "enc"},
        "use unknown": {**good, "use": "SIG"},
        "use no text": {**good, "use": ["sig"]},
        "key_ops without sign and verify": {**good, "use": ABSENT, "key_ops": ["encrypt"]},
        "key_ops without verify": {**good, "use": ABSENT, "key_ops": ["sign"]},
        "key_ops empty": {**good, "use": ABSENT, "key_ops": []},
        "key_ops no list": {**good, "use": ABSENT, "key_ops": "verify"},
        "alg HS256 on an Ed25519 key": {**good, "alg": "HS256"},
        "alg EdDSA on a P-256 key": {**ec_good, "alg": "EdDSA"},
        "alg ES384 on a P-256 key": {**ec_good, "alg": "ES384"},
        "alg HS256 on an RSA key": {**key_of("RS256").jwk(private=False), "alg": "HS256"},
        "alg PS256 on an RSA key": {**key_of("RS256").jwk(private=False), "alg": "PS256"},
        "alg RS256 on a secret": secret_jwk(bytes(range(32)), alg="RS256"),
        "alg HS512 on a secret": secret_jwk(bytes(range(64)), alg="HS512"),
        "alg null": {**good, "alg": None},
        "alg list": {**good, "alg": ["EdDSA"]},
        "kty missing": {**good, "kty": ABSENT},
        "kty unknown": {**good, "kty": "AKP"},
        "kty of another kind": {**good, "kty": "EC"},
        "kty in lower case": {**good, "kty": "okp"},
        "kty list": {**good, "kty": ["OKP"]},
        "x missing": {**good, "x": ABSENT, "d": ABSENT},
        "x no text": {**good, "x": 5},
        "x too short": {**good, "x": "AAAA", "d": ABSENT},
        "d no text": {**good, "d": 5},
        "d too short": {**good, "d": "AAAA"},
        "k no text": secret_jwk(b"", k=5),
        "k missing": secret_jwk(b"", k=ABSENT),
    }


WEAK_KEYS = [
    "HS256 of 31 bytes",
    "HS256 of 8 bytes",
    "HS256 of 1 byte",
    "HS256 of 0 bytes",
    "HS256 of one character",
    "HS256 of zeros",
    "HS256 of eleven characters",
    "RSA 1024",
    "RSA 1024, public",
    "RSA exponent 3",
    "RSA exponent 3, public",
    "RSA exponent 1",
    "RSA 16384",
    "P-384",
    "P-521",
    "Ed448",
    "X25519",
    "EC off the curve",
    "EC with the halves of two keys",
    "Ed25519 with the halves of two keys",
    "RSA with the halves of two keys",
    "use enc",
    "use unknown",
    "use no text",
    "key_ops without sign and verify",
    "key_ops without verify",
    "key_ops empty",
    "key_ops no list",
    "alg HS256 on an Ed25519 key",
    "alg EdDSA on a P-256 key",
    "alg ES384 on a P-256 key",
    "alg HS256 on an RSA key",
    "alg PS256 on an RSA key",
    "alg RS256 on a secret",
    "alg HS512 on a secret",
    "alg null",
    "alg list",
    "kty missing",
    "kty unknown",
    "kty of another kind",
    "kty in lower case",
    "kty list",
    "x missing",
    "x no text",
    "x too short",
    "d no text",
    "d too short",
    "k no text",
    "k missing",
]


def test_the_list_of_weak_keys_is_whole() -> None:
    assert sorted(WEAK_KEYS) == sorted(weak_keys())
    assert {form for _, form in CONFUSIONS} == set(public_texts("RS256"))


@pytest.mark.parametrize("name", WEAK_KEYS)
def test_key_that_is_refused(name: str) -> None:
    jwk = changed({"kid": "weak"}, weak_keys()[name])
    with pytest.raises(KeyRejected):
        SigningKey.from_jwk(jwk)
    with pytest.raises(KeyRejected):
        KeyRing.from_jwks(json.dumps({"keys": [jwk]}))


@pytest.mark.parametrize(
    "kid",
    [
        ABSENT,
        None,
        "",
        5,
        True,
        ["a"],
        "a" * 129,
        "../key",
        "a/b",
        "a b",
        "a\n",
        "\na",
        "a\0",
        "ключ",
        "a'b",
        '"',
        "\ud800",
    ],
)
def test_kid_that_is_refused(kid: Any) -> None:
    with pytest.raises(KeyRejected):
        SigningKey.from_jwk(changed(key_of("EdDSA").jwk(private=True), {"kid": kid}))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_key_that_may_only_verify_is_not_used_to_sign(algorithm: str) -> None:
    # RFC 7517 section 4.3: key_ops says what a key is for.
    jwk = changed(key_of(algorithm).jwk(private=True), {"use": ABSENT, "key_ops": ["verify"]})
    try:
        key = SigningKey.from_jwk(jwk)
    except KeyRejected:
        return
    assert not key.is_private
    with pytest.raises(ConfigurationError):
        key.sign(b"message")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_key_with_both_operations_is_accepted(algorithm: str) -> None:
    jwk = {**key_of(algorithm).jwk(private=True), "key_ops": ["sign", "verify"]}
    key = SigningKey.from_jwk(jwk)
    assert key.verify(b"message", key.sign(b"message"))


def test_random_secret_that_begins_like_a_text_is_accepted() -> None:
    # One random secret in 256 begins with each byte: refusing it would be a lottery.
    for start in (b"{", b"\n{", b"[", b"0\x82", b"0\x59", b"0*", b"-", b"s", b"e"):
        secret = start + SPREAD
        assert SigningKey.from_jwk(secret_jwk(secret)).is_symmetric, start


def test_new_secret_is_accepted_whatever_its_first_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    made = OctKey.import_key(b"{" + SPREAD)
    monkeypatch.setattr(OctKey, "generate_key", lambda *_, **__: made)
    assert len(KeyRing.generate("HS256")) == 1


@pytest.mark.parametrize(
    ("bits", "is_taken"), [(2047, False), (2048, True), (8192, True), (8193, False)]
)
def test_an_rsa_key_has_neither_too_few_bits_nor_too_many(bits: int, is_taken: bool) -> None:
    """A key that is too long makes every verify slow."""
    # Without a small factor, it looks like the product of two primes.
    small = math.prod(range(3, 10_000, 2))
    modulus = next(n for n in range(2 ** (bits - 1) + 1, 2**bits, 2) if math.gcd(n, small) == 1)
    jwk = {"kty": "RSA", "kid": "r", "alg": "RS256", "use": "sig", "e": "AQAB"}
    jwk["n"] = number(modulus)
    if is_taken:
        KeyRing.from_jwks({"keys": [jwk]})
        return
    with pytest.raises(ConfigurationError, match=rf"has {bits} bits; .* 2048 to 8192"):
        KeyRing.from_jwks({"keys": [jwk]})
