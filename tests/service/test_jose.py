"""jose, which most programs on Node.js verify tokens with, and PyJWT take our keys and tokens."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from clusterpass import KeyRing

from .test_jwks_url import ISSUER, jwks_url, login

FOLDER = Path(__file__).parent / "node"
Verify = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="session")
def node() -> str:
    """The program, with jose beside ``verify.js``."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node.js, which make test does not install")
    if not (FOLDER / "node_modules" / "jose").is_dir():
        pytest.skip("needs jose: run make test-setup with npm, or npm ci in tests/service/node")
    return node


@pytest.fixture
def verifier(node: str) -> Iterator[Callable[..., Verify]]:
    """Starts a resource server on Node.js, which verifies one token after the other."""
    processes = []

    def start(url: str, *, issuer: str = ISSUER, audience: str = ISSUER) -> Verify:
        process = subprocess.Popen(
            [node, str(FOLDER / "verify.js"), url, issuer, audience],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)

        def verify(token: str) -> dict[str, Any]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{token}\n")
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(process.stdout.readline())
            return answer

        return verify

    yield start
    for process in processes:
        process.communicate(timeout=30)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("algorithm", ["EdDSA", "Ed25519", "ES256", "RS256"])
def test_jose_verifies_the_tokens_of_the_service(serve, alice, tmp_path, verifier, algorithm):
    ring, file = KeyRing.generate(algorithm), tmp_path / "keys.json"
    ring.save(file)
    server = serve(CLUSTERPASS_KEYS_FILE=str(file))
    token = login(server.url, alice)
    verify = verifier(jwks_url(server))
    wanted = {"subject": alice, "client": ISSUER, "kid": ring.signing_key.kid}
    assert verify(token) == wanted
    head, body, signature = token.split(".")
    forged = f"{head}.{body}.{signature[:-4]}{'AAAA' if signature[-4:] != 'AAAA' else 'BBBB'}"
    assert verify(forged)["code"] == "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"
    elsewhere = verifier(jwks_url(server), audience="https://other.example")
    assert elsewhere(token) == {"code": "ERR_JWT_CLAIM_VALIDATION_FAILED", "claim": "aud"}


@pytest.mark.alternating
def test_jose_and_pyjwt_follow_a_rotation(serve, alice, tmp_path, verifier):
    old, new, file = KeyRing.generate(), KeyRing.generate("ES256"), tmp_path / "keys.json"

    def start(ring: KeyRing, port: int | None = None):
        file.unlink(missing_ok=True)
        ring.save(file)
        return serve(port=port, CLUSTERPASS_KEYS_FILE=str(file))

    server = start(old)
    first = login(server.url, alice)
    verify = verifier(jwks_url(server))
    python = jwt.PyJWKClient(jwks_url(server), cooldown_duration=0)

    def by_python(token: str) -> str:
        key = python.get_signing_key_from_jwt(token)
        claims = jwt.decode(
            token, key, algorithms=["EdDSA", "ES256"], audience=ISSUER, issuer=ISSUER
        )
        return str(claims["sub"])

    assert verify(first)["subject"] == by_python(first) == alice
    server.stop()
    server = start(KeyRing([*new.all(), *old.all()]), server.port)
    second = login(server.url, alice)
    assert verify(second)["kid"] == new.signing_key.kid
    assert verify(first)["kid"] == old.signing_key.kid
    assert by_python(second) == by_python(first) == alice


@pytest.mark.alternating
def test_jose_takes_no_key_that_is_not_published(serve, alice, tmp_path, verifier):
    server = serve()
    verify = verifier(jwks_url(server))
    assert verify(login(server.url, alice))["subject"] == alice
    other = KeyRing.generate().signing_key
    claims = {"iss": ISSUER, "aud": ISSUER, "sub": alice, "exp": 2**33, "iat": 1, "jti": "1"}
    private = jwt.PyJWK(other.jwk(private=True), algorithm="EdDSA").key
    made = jwt.encode(
        {**claims, "client_id": ISSUER},
        private,
        algorithm="EdDSA",
        headers={"kid": other.kid, "typ": "at+jwt"},
    )
    assert verify(made)["code"] == "ERR_JWKS_NO_MATCHING_KEY"
