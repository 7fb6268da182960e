"""No key, token or secret is published, printed or quoted in an error."""

import base64
import json
import traceback
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding

from clusterpass.config import Config
from clusterpass.model.authentication_errors import InvalidRefreshToken, InvalidToken
from clusterpass.model.errors import ClusterPassError, ConfigurationError, KeyRejected
from clusterpass.model.values import TokenPair
from clusterpass.tokens.encoding import encode_base64url
from clusterpass.tokens.issuer import TokenIssuer
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.keys import SigningKey
from clusterpass.tokens.refresh import RefreshToken, parse_refresh_token

from .keys import (
    ALGORITHMS,
    PRIVATE_MEMBERS,
    PUBLIC_ALGORITHMS,
    PUBLIC_MEMBERS,
    key_of,
    native_private,
    other_key_of,
    secret_jwk,
)
from .tokens import AUDIENCE, ISSUER, SESSION_ID, header, issue, payload, signed, verifier


@pytest.mark.parametrize("algorithm", PUBLIC_ALGORITHMS)
def test_published_set_holds_nothing_private(algorithm: str) -> None:
    published = KeyRing([key_of(algorithm)]).public_jwks()
    (jwk,) = published["keys"]
    assert jwk.keys() <= PUBLIC_MEMBERS
    text = json.dumps(published)
    for secret in secrets_of(key_of(algorithm)):
        assert secret not in text


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_published_set_holds_no_member_that_we_do_not_know(algorithm: str) -> None:
    jwk = {**key_of(algorithm).jwk(private=True), "seed": "geheim", "priv": "geheim", "k": "geheim"}
    published = KeyRing([SigningKey.from_jwk(jwk)]).public_jwks()
    assert published["keys"][0].keys() <= PUBLIC_MEMBERS
    assert "geheim" not in json.dumps(published)


def test_published_set_of_a_symmetric_set_is_empty() -> None:
    assert KeyRing([key_of("HS256")]).public_jwks() == {"keys": []}
    with pytest.raises(ConfigurationError):
        key_of("HS256").jwk(private=False)


def secrets_of(key: SigningKey) -> list[str]:
    jwk = key.jwk(private=True)
    secrets = [str(jwk[name]) for name in PRIVATE_MEMBERS & jwk.keys()]
    assert secrets
    return secrets


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_printed_of_keys_holds_no_secret(algorithm: str) -> None:
    key = key_of(algorithm)
    ring = KeyRing([key])
    config = Config(issuer=ISSUER, keys=ring)
    issuer = TokenIssuer(key, issuer=ISSUER, audience=AUDIENCE, random_bytes=bytes)
    things = (key, ring, ring.all(), config, issuer, verifier(key))
    printed = "".join(f"{thing!r}{thing!s}" for thing in things)
    assert key.kid in printed
    for secret in secrets_of(key):
        assert secret not in printed
        assert repr(base64.urlsafe_b64decode(secret + "==")) not in printed


def test_what_is_printed_of_tokens_holds_no_secret() -> None:
    secret = bytes(range(32))
    refresh = RefreshToken("alice", b"s" * 16, 0, secret, b"t" * 16)
    pair = TokenPair(
        access_token="the-access-token",
        refresh_token="the-refresh-token",
        expires_in=900,
        session_id=SESSION_ID,
        subject="alice",
        durable=True,
    )
    printed = f"{refresh!r}{refresh!s}{pair!r}{pair!s}"
    assert "alice" in printed
    for hidden in ("the-access-token", "the-refresh-token", repr(secret), refresh.encode()):
        assert hidden not in printed


def printed_error(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + str(error) + str(error.args)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_error_about_a_key_does_not_quote_it(algorithm: str) -> None:
    good = key_of(algorithm).jwk(private=True)
    name = "k" if algorithm == "HS256" else "d"
    broken = [
        {**good, "use": "enc"},
        {**good, "alg": "none"},
        {**good, "crv": "P-384"},
        {**good, "key_ops": ["encrypt"]},
        {**good, "kid": None},
        {**good, name: good[name][:20]},
        {**good, name: "geheimes Wort!" + good[name]},
        {**good, name: [good[name]]},
        {**good, name: good[name] + "é"},
    ]
    rejected = 0
    for jwk in broken:
        try:
            KeyRing.from_jwks({"keys": [jwk]})
        except ClusterPassError as error:
            rejected += 1
            printed = printed_error(error)
            assert "geheim" not in printed
            for secret in secrets_of(key_of(algorithm)):
                assert secret[:20] not in printed
    assert rejected >= 7


def test_error_about_a_weak_secret_does_not_quote_it() -> None:
    for secret in (b"hunter2-hunter2", b"abab" * 20, b'{"kty": "oct", "k": "hunter2"}          '):
        with pytest.raises(KeyRejected) as caught:
            KeyRing.from_jwks({"keys": [secret_jwk(secret)]})
        printed = printed_error(caught.value)
        for spelling in (secret.decode(), repr(secret), encode_base64url(secret), "hunter2"):
            assert spelling not in printed


def test_error_about_a_key_file_does_not_quote_it(tmp_path: Any) -> None:
    path = tmp_path / "keys.json"
    path.write_text('{"keys": [{"kty": "oct", "k": "hunter2hunter2", ')
    with pytest.raises(KeyRejected) as caught:
        KeyRing.load(path)
    assert "hunter2" not in printed_error(caught.value)


def test_error_about_a_token_does_not_quote_it() -> None:
    key = key_of("EdDSA")
    marker = "TheSecretMarker"
    tokens = [
        signed(key, header(key, typ=marker)),
        signed(key, header(key, kid=marker)),
        signed(key, header(key, alg=marker)),
        signed(key, header(key, **{marker: 1})),
        signed(key, None, payload(iss=marker)),
        signed(key, None, payload(aud=marker)),
        signed(key, None, payload(exp=marker)),
        signed(key, None, payload(sub=[marker])),
        signed(key, None, payload(exp=1, sub=marker)),
        signed(key, None, f'{{"{marker}"'.encode()),
        signed(other_key_of("EdDSA"), None, payload(sub=marker)),
        marker,
        f"{marker}.{marker}.{marker}",
        f"{marker}é",
    ]
    for token in tokens:
        with pytest.raises(InvalidToken) as caught:
            verifier(key).verify(token)
        printed = printed_error(caught.value)
        assert marker not in printed
        assert all(part not in printed for part in token.split(".") if len(part) > 10)


def test_error_about_a_refresh_token_does_not_quote_it() -> None:
    good = RefreshToken(
        "alice", b"s" * 16, 0, b"TheSecretMarkerTheSecretMarker!!", b"t" * 16
    ).encode()
    for token in (good[:-1], good + "=", good + "é", good.replace("cpr_", "cpx_"), good * 2):
        with pytest.raises(InvalidRefreshToken) as caught:
            parse_refresh_token(token)
        printed = printed_error(caught.value)
        assert "TheSecretMarker" not in printed
        assert good[4:40] not in printed


def test_derived_secret_reveals_neither_the_key_nor_another_purpose() -> None:
    for algorithm in ALGORITHMS:
        key = key_of(algorithm)
        cookies, forms = key.derive_secret("cookies"), key.derive_secret("forms")
        assert len(cookies) == len(forms) == 32
        assert cookies != forms
        assert cookies == SigningKey.from_jwk(key.jwk(private=True)).derive_secret("cookies")
        assert cookies != other_key_of(algorithm).derive_secret("cookies")
        for secret in secrets_of(key):
            assert base64.urlsafe_b64decode(secret + "==") not in (cookies, forms)


def test_private_set_can_be_saved_and_loaded(tmp_path: Any) -> None:
    for algorithm in ALGORITHMS:
        ring = KeyRing([key_of(algorithm)])
        path = tmp_path / f"{algorithm}.json"
        ring.save(path)
        loaded = KeyRing.load(path)
        assert loaded.can_sign
        verifier(*loaded.all()).verify(issue(ring))
        verifier(*ring.all()).verify(issue(loaded))


def test_serialized_private_key_is_no_key_file() -> None:
    pem = native_private(key_of("EdDSA")).private_bytes(
        Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(KeyRejected) as caught:
        KeyRing.from_jwks(pem)
    assert pem.decode().splitlines()[1] not in printed_error(caught.value)
