"""Refresh tokens while the release before runs beside this one: of version 2, and back again."""

import hashlib
import hmac
import secrets
from typing import Any

import pytest

from clusterpass import Config, ConfigurationError, KeyRing
from clusterpass.tokens.encoding import decode_base64url
from clusterpass.tokens.key_encryption import new_encryption_key
from clusterpass.tokens.keys import SigningKey
from clusterpass.tokens.refresh import RefreshToken, RefreshTokens, parse_refresh_token
from clusterpass.tokens.refresh_secrets import new_refresh_secret, read_refresh_secrets

SECRETS = read_refresh_secrets([new_refresh_secret()])
KEY, ROLLED = SigningKey.generate(), SigningKey.generate()
SESSION = b"s" * 16


def makes(**more: Any) -> RefreshTokens:
    bound = {"issuer": "https://auth.example", "audience": "shop", "older_keys": [KEY, ROLLED]}
    return RefreshTokens(SECRETS, secrets.token_bytes, **{**bound, **more})


TODAY, BESIDE = makes(), makes(for_previous=True)


def by_the_release_before(key: SigningKey, token: RefreshToken) -> RefreshToken:
    """The successor of a token, as the release before derives it."""
    link = SESSION + token.rotation.to_bytes(4, "big") + token.secret
    secret = hmac.digest(key.derive_secret("refresh token successor"), link, "sha256")
    rotation = token.rotation + 1
    signed = b"\x02" + SESSION + rotation.to_bytes(4, "big") + secret + b"alice"
    tag = hmac.digest(key.derive_secret("refresh token tag"), signed, "sha256")[:16]
    return RefreshToken("alice", SESSION, rotation, secret, tag)


def version_of(token: RefreshToken) -> int:
    return decode_base64url(token.encode()[4:])[0]


def test_what_is_made_is_of_version_2_and_comes_back_as_it_was() -> None:
    token = BESIDE.first("alice", SESSION)
    assert version_of(token) == 2
    assert parse_refresh_token(token.encode()) == token
    assert BESIDE.is_genuine(token)
    assert TODAY.is_genuine(token)
    signed = b"\x02" + SESSION + bytes(4) + token.secret + b"alice"
    tag = hmac.digest(KEY.derive_secret("refresh token tag"), signed, "sha256")
    assert token.tag == tag[:16], "the first signing key makes it"


def test_both_releases_derive_the_same_successor() -> None:
    token = BESIDE.first("alice", SESSION)
    expected = by_the_release_before(KEY, token)
    successor, chains = BESIDE.successor_and_chains(token)
    assert successor == BESIDE.successor(token) == expected
    assert successor.encode() == expected.encode()
    digests = [chains[start : start + 16] for start in range(0, len(chains), 16)]
    link = token
    for digest in digests[:4]:
        link = by_the_release_before(KEY, link)
        assert digest == link.digest


def test_what_another_signing_key_derived_is_found_again() -> None:
    token = BESIDE.first("alice", SESSION)
    expected = by_the_release_before(ROLLED, token)
    assert BESIDE.chains(token)[64:80] == expected.digest
    assert BESIDE.successor(token, key=1) == expected


def test_a_token_of_today_leads_to_version_2_with_the_secret_that_today_derives() -> None:
    """So a client whose answer was lost gets on wherever it asks again."""
    token = TODAY.first("alice", SESSION)
    assert version_of(token) == 3
    assert BESIDE.is_genuine(token)
    there, here = TODAY.successor(token), BESIDE.successor(token)
    assert version_of(here) == 2
    assert BESIDE.is_genuine(here)
    assert here.secret == there.secret
    assert BESIDE.successor_and_chains(token)[0] == here
    assert BESIDE.chains(token) == TODAY.chains(token)


def test_a_token_of_version_2_leads_to_one_of_today_afterwards() -> None:
    token = BESIDE.first("alice", SESSION)
    assert version_of(TODAY.successor(token)) == 3
    # What the other derived meanwhile is found: after those of the secret come those of the keys.
    chains = TODAY.chains(token)
    assert chains[64:80] == BESIDE.successor(token).digest
    assert TODAY.successor(token, key=1).secret == BESIDE.successor(token).secret


@pytest.mark.parametrize("here", [TODAY, BESIDE])
@pytest.mark.parametrize("there", [TODAY, BESIDE])
def test_the_token_for_an_exchanged_one_is_found_by_every_server(
    here: RefreshTokens, there: RefreshTokens
) -> None:
    digest = hashlib.sha256(b"a token of another library").digest()
    (opened, *_) = here.first_of("alice", SESSION, digest)
    known = there.first_of("alice", SESSION, digest)
    (key,) = [number for number, each in enumerate(known) if each.digest == opened.digest]
    assert here.successor(opened).secret == there.successor(known[key], key=key).secret


def test_without_a_private_key_nothing_changes() -> None:
    """As in a process that only verifies."""
    assert version_of(makes(for_previous=True, older_keys=()).first("alice", SESSION)) == 3


CONFIG: dict[str, Any] = {"issuer": "https://auth.example", "compatibility": "previous"}


def test_notes_of_uses_decide_nothing_beside_the_release_before() -> None:
    keys = KeyRing.generate()
    assert not Config(keys=keys, **CONFIG).retries_until_used
    assert not Config(keys=keys, refresh_retry="grace", **CONFIG).retries_until_used
    assert Config(keys=keys, issuer="https://auth.example").retries_until_used


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"compatibility": "older"}, "'current' or 'previous'"),
        ({"compatibility": ["previous"]}, "'current' or 'previous'"),
        ({"refresh_retry": "until_used"}, "knows nothing"),
        (
            {"keys": KeyRing.in_store(), "key_encryption_keys": (new_encryption_key(),)},
            "nor in a KMS",
        ),
        ({"keys": KeyRing.with_signer(KEY.jwk(private=False), KEY)}, "nor in a KMS"),
    ],
)
def test_what_the_release_before_cannot_do_is_refused(settings: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Config(**{"keys": KeyRing.generate(), **CONFIG, **settings})
