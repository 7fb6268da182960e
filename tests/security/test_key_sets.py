"""Key sets that cannot be read, are ambiguous or mix kinds of keys are refused."""

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

from clusterpass.model.errors import KeyRejected
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.keys import SigningKey

from .keys import ABSENT, PUBLIC_ALGORITHMS, changed, key_of, other_key_of, secret_jwk


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
    text = json.dumps({"keys": [secret_jwk(hashlib.sha256(b"secret").digest())]})
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


def test_a_set_has_200_keys_at_most_with_those_that_are_not_for_us() -> None:
    ours = KeyRing([key_of("EdDSA")]).public_jwks()["keys"]
    foreign = [{"kid": f"other-{number}"} for number in range(200)]
    ring = KeyRing.from_jwks({"keys": [*foreign[:199], *ours]})
    assert (len(ring), len(ring.ignored)) == (1, 199)
    with pytest.raises(KeyRejected, match="201 keys"):
        KeyRing.from_jwks({"keys": [*ours, *foreign]})


RSA_KEY = {**key_of("RS256").jwk(private=False), "kid": "other"}
FOREIGN: dict[str, dict[str, Any]] = {
    "post-quantum": {"kty": "AKP", "alg": "ML-DSA-65", "pub": "AAAA", "kid": "other"},
    "post-quantum, private": {"kty": "AKP", "alg": "ML-DSA-65", "priv": "AAAA", "kid": "other"},
    "RSA-OAEP": {**RSA_KEY, "alg": "RSA-OAEP", "use": "enc"},
    "PS256": {**RSA_KEY, "alg": "PS256"},
    "P-384": {**ECKey.generate_key("P-384").as_dict(private=False), "kid": "other"},
    "P-384, private": {**ECKey.generate_key("P-384").as_dict(private=True), "kid": "other"},
    "for encryption": {**key_of("ES256").jwk(private=False), "kid": "other", "use": "enc"},
    "for wrapping": {**RSA_KEY, "use": ABSENT, "key_ops": ["wrapKey"]},
    "RSA of 1024 bits, public": {"kty": "RSA", "kid": "other", "e": "AQAB", "n": "x" * 171},
    "broken": {"kty": "EC", "kid": "other", "crv": "P-256", "x": "AA", "y": "AA"},
    "of no type": {"kid": "other"},
    "without a name": {**key_of("RS256").jwk(private=False), "kid": ABSENT},
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_key_that_is_not_for_us_is_ignored(name: str) -> None:
    foreign = changed({}, FOREIGN[name])
    ours = KeyRing([key_of("EdDSA")]).public_jwks()["keys"]
    for keys in ([foreign, *ours], [*ours, foreign]):
        ring = KeyRing.from_jwks({"keys": keys})
        assert [key.kid for key in ring.all()] == [key_of("EdDSA").kid]
        (why,) = ring.ignored
        assert "AAAA" not in why
        assert pickle.loads(pickle.dumps(ring)).ignored == ring.ignored
    with pytest.raises(KeyRejected) as caught:
        KeyRing.from_jwks({"keys": [foreign, foreign]})
    assert caught.value.message == why


@pytest.mark.parametrize(
    "own",
    [
        secret_jwk(b"geheim!!"),
        {**key_of("EdDSA").jwk(private=True), "x": other_key_of("EdDSA").jwk(private=False)["x"]},
        {**key_of("ES256").jwk(private=True), "kid": 5},
    ],
    ids=["short secret", "two halves", "no name"],
)
def test_a_private_key_that_is_broken_is_refused_whatever_is_beside_it(own: Any) -> None:
    ours = other_key_of("ES256").jwk(private=True)
    with pytest.raises(KeyRejected):
        KeyRing.from_jwks({"keys": [ours, own]})


def test_a_file_with_keys_that_are_ignored_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keys.json"
    ours = key_of("EdDSA").jwk(private=True)
    path.write_text(json.dumps({"keys": [ours, FOREIGN["post-quantum"]]}))
    path.chmod(0o600)
    with caplog.at_level("WARNING", "clusterpass.keys"):
        assert KeyRing.load(path).can_sign
    assert [record.getMessage() for record in caplog.records] == [
        f"ignored in {path}: key 'other' has the type 'AKP'; use OKP, EC, RSA or oct"
    ]


def test_a_long_text_in_a_foreign_key_is_cut() -> None:
    foreign = {"kty": "x" * 10_000, "kid": "other"}
    ring = KeyRing.from_jwks({"keys": [key_of("EdDSA").jwk(private=False), foreign]})
    assert len(ring.ignored[0]) == 300
