"""Known attacks on the signature of a token."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from clusterpass.model.authentication_errors import TokenMalformed, TokenSignatureInvalid
from clusterpass.tokens.encoding import encode_base64url
from clusterpass.tokens.keys import SigningKey

from .keys import ALGORITHMS, key_of, native_private
from .tokens import SESSION_ID, header, payload, refuse, signed, signing_input, verifier

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

# --- The control: what the forgeries differ from -------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_token_that_the_forgeries_start_from_is_accepted(algorithm: str) -> None:
    key = key_of(algorithm)
    claims = verifier(key).verify(signed(key))
    assert (claims.subject, claims.session_id) == ("alice", SESSION_ID)


# --- Signatures ----------------------------------------------------------------------------------


def with_signature(key: SigningKey, signature: bytes) -> str:
    return f"{signing_input(header(key), payload())}.{encode_base64url(signature)}"


def raw(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@pytest.mark.parametrize(
    ("r", "s"),
    [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
        (P256_ORDER, 0),
        (0, P256_ORDER),
        (P256_ORDER, P256_ORDER),
        (P256_ORDER, 1),
        (1, P256_ORDER - 1),
        (2**256 - 1, 2**256 - 1),
    ],
)
def test_ecdsa_signature_at_the_edges(r: int, s: int) -> None:
    # CVE-2022-21449: r = s = 0 was a signature of everything.
    key = key_of("ES256")
    refuse(TokenSignatureInvalid, with_signature(key, raw(r, s)), key)


def test_ecdsa_signature_in_der() -> None:
    key = key_of("ES256")
    message = signing_input(header(key), payload()).encode()
    der = native_private(key).sign(message, ec.ECDSA(hashes.SHA256()))
    refuse(TokenSignatureInvalid, with_signature(key, der), key)
    assert verifier(key).verify(with_signature(key, raw(*decode_dss_signature(der))))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_signature_of_another_length(algorithm: str) -> None:
    key = key_of(algorithm)
    good = key.sign(signing_input(header(key), payload()).encode())
    for signature in (
        good[:-1],
        good + b"\0",
        b"\0" + good,
        good[1:],
        good[: len(good) // 2],
        good + good,
        b"\0",
        b"\0" * len(good),
        b"\xff" * len(good),
    ):
        refuse(TokenSignatureInvalid, with_signature(key, signature), key)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_empty_signature(algorithm: str) -> None:
    key = key_of(algorithm)
    refuse(TokenMalformed, with_signature(key, b""), key)
    assert key.verify(b"message", b"") is False


def test_ed25519_signature_with_a_scalar_beyond_the_order() -> None:
    # RFC 8032 section 5.1.7: S must be below the order, or one signature has several spellings.
    key = key_of("EdDSA")
    order = 2**252 + 27742317777372353535851937790883648493
    good = key.sign(signing_input(header(key), payload()).encode())
    scalar = int.from_bytes(good[32:], "little") + order
    refuse(
        TokenSignatureInvalid, with_signature(key, good[:32] + scalar.to_bytes(32, "little")), key
    )


def test_parts_of_two_tokens_do_not_mix() -> None:
    key = key_of("EdDSA")
    first = signed(key).split(".")
    second = signed(key, None, payload(sub="admin")).split(".")
    refuse(TokenSignatureInvalid, ".".join([first[0], second[1], first[2]]), key)
