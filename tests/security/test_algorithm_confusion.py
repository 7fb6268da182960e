"""Known attacks on the algorithm of a token: public keys as secrets, foreign keys, ``none``."""

import hashlib
import hmac
from itertools import permutations
from typing import Any

import pytest

from clusterpass.model.authentication_errors import (
    TokenKeyUnknown,
    TokenMalformed,
    TokenSignatureInvalid,
)
from clusterpass.model.errors import ConfigurationError, KeyRejected
from clusterpass.tokens.encoding import encode_base64url
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.keys import SigningKey

from .keys import ABSENT, ALGORITHMS, PUBLIC_ALGORITHMS, key_of, other_key_of, secret_jwk
from .public_key_texts import CONFUSIONS, public_texts
from .tokens import header, payload, refuse, signed, signing_input


def keyed_hash(secret: bytes, text: str) -> str:
    return encode_base64url(hmac.new(secret, text.encode(), hashlib.sha256).digest())


# --- Algorithm confusion -------------------------------------------------------------------------


@pytest.mark.parametrize(("algorithm", "form"), CONFUSIONS)
def test_public_key_text_as_hmac_secret_of_a_token(algorithm: str, form: str) -> None:
    key = key_of(algorithm)
    text = signing_input(header(key, alg="HS256"), payload())
    forged = f"{text}.{keyed_hash(public_texts(algorithm)[form], text)}"
    refuse(TokenSignatureInvalid, forged, key)


@pytest.mark.parametrize(("algorithm", "form"), CONFUSIONS)
def test_public_key_text_as_hmac_secret_under_the_honest_algorithm(
    algorithm: str, form: str
) -> None:
    key = key_of(algorithm)
    text = signing_input(header(key), payload())
    forged = f"{text}.{keyed_hash(public_texts(algorithm)[form], text)}"
    refuse(TokenSignatureInvalid, forged, key)


@pytest.mark.parametrize(("algorithm", "form"), CONFUSIONS)
def test_public_key_text_is_no_secret_of_a_key_set(algorithm: str, form: str) -> None:
    secret = public_texts(algorithm)[form]
    assert len(secret) >= 32
    with pytest.raises(KeyRejected):
        KeyRing.from_jwks({"keys": [secret_jwk(secret)]})


@pytest.mark.parametrize(("claimed", "real"), list(permutations(ALGORITHMS, 2)))
def test_key_of_one_algorithm_used_with_another(claimed: str, real: str) -> None:
    key = key_of(real)
    refuse(TokenSignatureInvalid, signed(key, header(key, alg=claimed)), key)


@pytest.mark.parametrize(("named", "signer"), list(permutations(PUBLIC_ALGORITHMS, 2)))
@pytest.mark.parametrize("algorithm_of", ["named", "signer"])
def test_key_id_of_another_key_of_the_set(named: str, signer: str, algorithm_of: str) -> None:
    algorithm = named if algorithm_of == "named" else signer
    forged = signed(key_of(signer), header(key_of(named), alg=algorithm))
    refuse(TokenSignatureInvalid, forged, key_of(named), key_of(signer))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_signature_by_a_foreign_key_of_the_same_kind(algorithm: str) -> None:
    refuse(TokenSignatureInvalid, signed(other_key_of(algorithm)), key_of(algorithm))


@pytest.mark.parametrize(
    "algorithm",
    ["HS384", "HS512", "RS384", "RS512", "PS256", "ES384", "ES512", "ES256K", "Ed448", "eddsa"],
)
def test_algorithm_that_no_key_has(algorithm: str) -> None:
    key = key_of("EdDSA")
    refuse(TokenSignatureInvalid, signed(key, header(key, alg=algorithm)), key)


@pytest.mark.parametrize("algorithm", [ABSENT, None, 5, True, ["EdDSA"], {"EdDSA": 1}, ""])
def test_algorithm_that_is_missing_or_no_text(algorithm: Any) -> None:
    key = key_of("EdDSA")
    refuse(TokenSignatureInvalid, signed(key, header(key, alg=algorithm)), key)


# --- alg: none -----------------------------------------------------------------------------------


NONES = ["none", "None", "NONE", "nOnE", "noNe", "none ", " none", "n\uff4fne", ""]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("none", NONES)
def test_none_with_a_signature(none: str, algorithm: str) -> None:
    key = key_of(algorithm)
    refuse(TokenSignatureInvalid, signed(key, header(key, alg=none)), key)
    text = signing_input(header(key, alg=none), payload())
    refuse(TokenSignatureInvalid, f"{text}.AA", key)


@pytest.mark.parametrize("none", NONES)
def test_none_without_a_signature(none: str) -> None:
    key = key_of("EdDSA")
    text = signing_input(header(key, alg=none), payload())
    refuse(TokenMalformed, f"{text}.", key)
    refuse(TokenMalformed, text, key)


@pytest.mark.parametrize("none", NONES)
def test_none_without_a_key_id(none: str) -> None:
    key = key_of("EdDSA")
    text = signing_input(header(key, alg=none, kid=ABSENT), payload())
    refuse(TokenKeyUnknown, f"{text}.AA", key)


def test_none_is_no_algorithm_of_a_key() -> None:
    for jwk in (secret_jwk(hashlib.sha256(b"secret").digest()), key_of("EdDSA").jwk(private=True)):
        with pytest.raises(KeyRejected):
            SigningKey.from_jwk({**jwk, "alg": "none"})
    with pytest.raises(ConfigurationError):
        SigningKey.generate("none")  # type: ignore[arg-type]
