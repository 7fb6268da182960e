"""The keys of the attacks: ours, an attacker's, and how a set spells them."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from joserfc.jwk import JWKRegistry

from clusterpass.tokens.encoding import encode_base64url
from clusterpass.tokens.keys import SigningKey

ALGORITHMS = ("EdDSA", "Ed25519", "ES256", "RS256", "HS256")
PUBLIC_ALGORITHMS = ("EdDSA", "Ed25519", "ES256", "RS256")
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
PUBLIC_MEMBERS = {"kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"}
ABSENT = object()


@cache
def key_of(algorithm: str) -> SigningKey:
    return SigningKey.generate(algorithm, kid=f"key-{algorithm}")  # type: ignore[arg-type]


@cache
def other_key_of(algorithm: str) -> SigningKey:
    """A key of an attacker."""
    return SigningKey.generate(algorithm, kid=f"key-{algorithm}")  # type: ignore[arg-type]


def changed(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**base, **changes}.items() if value is not ABSENT}


@cache
def native_private(key: SigningKey) -> Any:
    return JWKRegistry.import_key(key.jwk(private=True)).private_key


def secret_jwk(secret: bytes, **changes: Any) -> dict[str, Any]:
    return changed({"kty": "oct", "kid": "shared", "k": encode_base64url(secret)}, changes)
