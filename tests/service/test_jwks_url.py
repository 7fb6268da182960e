"""Verifiers elsewhere fetch the keys that the service publishes."""

import asyncio
from pathlib import Path

import httpx
import jwt
import pytest

from clusterpass import AsyncTokenVerifier, KeyRing, TokenKeyUnknown, TokenVerifier
from clusterpass.jwks.verifiers import UrlTokenVerifier
from tests.unit.jwks_issuer import Clock

from .conftest import PASSWORD

ISSUER = "http://127.0.0.1:8000"  # the service's default
OPTIONS = {"issuer": ISSUER, "audience": ISSUER}


def login(url: str, name: str) -> str:
    answer = httpx.post(f"{url}/login", json={"username": name, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


def jwks_url(server) -> str:
    return f"{server.url}/.well-known/jwks.json"


@pytest.mark.alternating
def test_the_keys_of_the_service_verify_its_tokens(serve, alice):
    server = serve()
    token = login(server.url, alice)
    verifier = TokenVerifier.from_jwks_url(jwks_url(server), timeout=30, **OPTIONS)
    claims = verifier.verify(token)
    assert (claims.subject, claims.client_id) == (alice, ISSUER)
    other = AsyncTokenVerifier.from_jwks_url(jwks_url(server), timeout=30, **OPTIONS)
    assert asyncio.run(other.verify(token)) == claims
    server.stop()
    assert verifier.verify(token) == claims, "as the set is fresh"


@pytest.mark.alternating
def test_pyjwt_verifies_the_tokens_of_the_service(serve, alice):
    server = serve()
    token = login(server.url, alice)
    key = jwt.PyJWKClient(jwks_url(server)).get_signing_key_from_jwt(token)
    claims = jwt.decode(token, key, algorithms=["EdDSA"], audience=ISSUER, issuer=ISSUER)
    assert (claims["sub"], claims["client_id"]) == (alice, ISSUER)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
def test_keys_are_rotated_under_a_verifier(serve, alice, tmp_path: Path, algorithm):
    old, new = KeyRing.generate(algorithm), KeyRing.generate("ES256")
    file, steady = tmp_path / "keys.json", Clock()

    def start(ring: KeyRing, port: int | None = None):
        file.unlink(missing_ok=True)
        ring.save(file)
        return serve(port=port, CLUSTERPASS_KEYS_FILE=str(file))

    server = start(old)
    verifier = UrlTokenVerifier(
        jwks_url(server), timeout=30.0, interval=10, ssl_context=None, steady=steady, **OPTIONS
    )
    first = login(server.url, alice)
    assert verifier.verify(first).subject == alice

    server.stop()
    server = start(KeyRing([*new.all(), *old.all()]), server.port)
    second = login(server.url, alice)
    steady.now += 10
    assert verifier.verify(second).subject == verifier.verify(first).subject == alice

    server.stop()
    steady.now += 4000
    assert verifier.verify(second).subject == alice, "the last good set, as nobody answers"

    server = start(new, server.port)
    steady.now += 4000
    assert verifier.verify(second).subject == alice
    with pytest.raises(TokenKeyUnknown):
        verifier.verify(first)
