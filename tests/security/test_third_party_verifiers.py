"""Third-party JWT libraries accept our access tokens, given our published keys."""

import time
from typing import Any

import jwt
import pytest
from authlib.oauth2.rfc6750.errors import InvalidTokenError
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc.jwk import KeySet

from clusterpass.tokens.issuer import TokenIssuer
from clusterpass.tokens.keyring import KeyRing

from .keys import PUBLIC_ALGORITHMS, key_of
from .tokens import AUDIENCE, ISSUER, SESSION_ID, payload, signed

# PyJWT knows Ed25519 by its older name alone.
ALGORITHMS = [each for each in PUBLIC_ALGORITHMS if each != "Ed25519"]


class Validator(JWTBearerTokenValidator):
    """Authlib's, which requires all that RFC 9068 requires."""

    def __init__(self, ring: KeyRing) -> None:
        super().__init__(issuer=ISSUER, resource_server=AUDIENCE)
        self.ring = ring

    def get_jwks(self) -> KeySet:
        return KeySet.import_key_set(self.ring.public_jwks())

    def claims(self, token: str) -> Any:
        claims = self.authenticate_token(token)
        self.validate_token(claims, ["orders:read"], None)
        return claims


def issued(ring: KeyRing) -> str:
    issuer = TokenIssuer(ring.signing_key, issuer=ISSUER, audience=AUDIENCE, random_bytes=bytes)
    now = int(time.time())
    return issuer.issue(
        "alice",
        SESSION_ID,
        issued_at=now,
        expires_at=now + 900,
        claims={"scope": "orders:read"},
        authentication={"auth_time": now, "acr": "1", "amr": ["pwd"]},
    )


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])  # it takes no EdDSA
def test_authlib_accepts_our_token(algorithm: str) -> None:
    ring = KeyRing([key_of(algorithm)])
    claims = Validator(ring).claims(issued(ring))
    assert (claims["sub"], claims["client_id"]) == ("alice", ISSUER)


def test_authlib_refuses_a_token_without_a_client() -> None:
    """Otherwise the test above would show nothing."""
    key = key_of("ES256")
    now = int(time.time())
    members = payload(iat=now, exp=now + 900, scope="orders:read")
    named = signed(key, None, {**members, "client_id": "shop"})
    assert Validator(KeyRing([key])).claims(named)["client_id"] == "shop"
    token = signed(key, None, members)
    with pytest.raises(InvalidTokenError):
        Validator(KeyRing([key])).claims(token)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_pyjwt_accepts_our_token(algorithm: str) -> None:
    ring = KeyRing([key_of(algorithm)])
    (key,) = jwt.PyJWKSet.from_dict(ring.public_jwks()).keys
    required = ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"]
    claims = jwt.decode(
        issued(ring),
        key.key,
        algorithms=[algorithm],
        audience=AUDIENCE,
        issuer=ISSUER,
        options={"require": required},
    )
    assert claims["client_id"] == ISSUER
