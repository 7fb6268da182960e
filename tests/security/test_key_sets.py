"""Key sets that cannot be read, are ambiguous or mix kinds of keys are refused."""

import json
from typing import Any

import pytest

from clusterpass.model.errors import KeyRejected
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.keys import SigningKey

from .keys import PUBLIC_ALGORITHMS, key_of, secret_jwk


@pytest.mark.parametrize(
    "jwks",
    [
        {"keys": []},
        {},
        {"keys": None},
        {"keys": {}},
        {"keys": "x"},
        {"keys": ["x"]},
        {"keys": [None]},
        {"keys": [[]]},
        "",
        "[]",
        "null",
        "{",
        b"\xff",
        "\ud800",
        '{"keys":[],"keys":[]}',
        "[" * 100_000,
        '{"keys":' + "1" * 100 + "}",
    ],
)
def test_key_set_that_is_none(jwks: Any) -> None:
    with pytest.raises(KeyRejected):
        KeyRing.from_jwks(jwks)


def test_duplicate_kid() -> None:
    first = SigningKey.generate("EdDSA", kid="same")
    second = SigningKey.generate("ES256", kid="same")
    with pytest.raises(KeyRejected):
        KeyRing([first, second])
    with pytest.raises(KeyRejected):
        KeyRing([first, first])


def test_duplicate_member_in_a_key_set() -> None:
    text = json.dumps({"keys": [secret_jwk(bytes(range(32)))]})
    assert KeyRing.from_jwks(text)
    with pytest.raises(KeyRejected):
        KeyRing.from_jwks(text.replace('"kid"', '"kid": "other", "kid"'))


@pytest.mark.parametrize("algorithm", PUBLIC_ALGORITHMS)
def test_symmetric_and_public_keys_do_not_mix(algorithm: str) -> None:
    for keys in ([key_of(algorithm), key_of("HS256")], [key_of("HS256"), key_of(algorithm)]):
        with pytest.raises(KeyRejected):
            KeyRing(keys)


def test_empty_key_set() -> None:
    with pytest.raises(KeyRejected):
        KeyRing([])


def test_more_than_100_keys() -> None:
    keys = [SigningKey.generate("EdDSA", kid=f"key-{number}") for number in range(101)]
    assert len(KeyRing(keys[:100])) == 100
    with pytest.raises(KeyRejected):
        KeyRing(keys)
