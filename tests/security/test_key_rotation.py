"""Rotation of signing keys: keys added, moved and removed, and sets of public keys only."""

import json

import pytest

from clusterpass.model.authentication_errors import TokenKeyUnknown, TokenSignatureInvalid
from clusterpass.model.errors import ConfigurationError
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.keys import SigningKey
from clusterpass.tokens.verifier import TokenVerifier

from .keys import PRIVATE_MEMBERS, PUBLIC_ALGORITHMS, key_of, other_key_of
from .tokens import AUDIENCE, ISSUER, NOW, issue, refuse, signed, verifier


def test_key_that_was_removed_from_the_set() -> None:
    token = issue(KeyRing([key_of("ES256")]))
    refuse(TokenKeyUnknown, token, key_of("EdDSA"))


def test_removed_key_whose_id_was_given_away_again() -> None:
    token = issue(KeyRing([key_of("ES256")]))
    refuse(TokenSignatureInvalid, token, other_key_of("ES256"))


def test_key_is_rolled_by_configuration() -> None:
    old, new = key_of("ES256"), key_of("EdDSA")
    before = KeyRing([old])
    published = KeyRing([old, new])
    moved = KeyRing([new, old])
    after = KeyRing([new])
    old_token, new_token = issue(published), issue(moved)
    assert issue(before).split(".")[0] == old_token.split(".")[0]
    assert published.signing_key is old
    assert moved.signing_key is new
    for ring in (published, moved):
        for token in (old_token, new_token):
            verifier(*ring.all()).verify(token)
    verifier(*after.all()).verify(new_token)
    refuse(TokenKeyUnknown, old_token, *after.all())
    refuse(TokenKeyUnknown, new_token, *before.all())


@pytest.mark.parametrize("algorithm", PUBLIC_ALGORITHMS)
def test_public_set_refuses_to_sign(algorithm: str) -> None:
    ring = KeyRing.from_jwks(KeyRing([key_of(algorithm)]).public_jwks())
    assert not ring.can_sign
    with pytest.raises(ConfigurationError):
        _ = ring.signing_key
    key = ring.all()[0]
    with pytest.raises(ConfigurationError):
        key.sign(b"message")
    with pytest.raises(ConfigurationError):
        key.derive_secret("cookies")


@pytest.mark.parametrize("algorithm", PUBLIC_ALGORITHMS)
def test_verifier_needs_and_holds_no_private_key(algorithm: str) -> None:
    key = key_of(algorithm)
    ring = KeyRing.from_jwks(json.dumps(KeyRing([key]).public_jwks()))
    checker = TokenVerifier(ring, issuer=ISSUER, audience=AUDIENCE, clock=lambda: NOW)
    assert checker.verify(signed(key)).subject == "alice"
    for held in ring.all():
        assert not held.is_private
        assert not PRIVATE_MEMBERS & held.jwk(private=False).keys()
        with pytest.raises(ValueError, match="not a private key"):
            held.jwk(private=True)


def test_public_key_in_front_is_passed_over_when_signing() -> None:
    public = SigningKey.from_jwk(key_of("ES256").jwk(private=False))
    ring = KeyRing([public, key_of("EdDSA")])
    assert ring.signing_key is key_of("EdDSA")
