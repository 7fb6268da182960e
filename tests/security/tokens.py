"""Tokens to attack with: their builders, and the verifier that refuses them.

A forged token here is genuine in all but one respect, wherever that is possible: it carries a
valid signature of the right key, so only the defence under test can refuse it.
"""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from clusterpass.model.authentication_errors import InvalidToken
from clusterpass.tokens.encoding import encode_base64url
from clusterpass.tokens.issuer import TokenIssuer
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.keys import SigningKey
from clusterpass.tokens.verifier import TokenVerifier

from .keys import changed, key_of

NOW = 1_800_000_000
ISSUER = "https://auth.example"
AUDIENCE = "https://api.example"
SESSION_ID = "AAECAwQFBgcICQoLDA0ODw"


def header(key: SigningKey, **changes: Any) -> dict[str, Any]:
    return changed({"alg": key.algorithm, "kid": key.kid, "typ": "at+jwt"}, changes)


def payload(**changes: Any) -> dict[str, Any]:
    base = {
        "iss": ISSUER,
        "sub": "alice",
        "aud": AUDIENCE,
        "iat": NOW,
        "exp": NOW + 900,
        "jti": "token-1",
        "sid": SESSION_ID,
    }
    return changed(base, changes)


def as_bytes(value: Mapping[str, Any] | bytes) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def signing_input(head: Mapping[str, Any] | bytes, body: Mapping[str, Any] | bytes) -> str:
    return f"{encode_base64url(as_bytes(head))}.{encode_base64url(as_bytes(body))}"


def signed(
    key: SigningKey,
    head: Mapping[str, Any] | bytes | None = None,
    body: Mapping[str, Any] | bytes | None = None,
) -> str:
    """A token with a valid signature of ``key``, whatever its header and payload say."""
    text = signing_input(header(key) if head is None else head, payload() if body is None else body)
    return f"{text}.{encode_base64url(key.sign(text.encode()))}"


def verifier(*keys: SigningKey, now: float = NOW, **options: Any) -> TokenVerifier:
    ring = KeyRing(keys or [key_of("EdDSA")])
    return TokenVerifier(ring, issuer=ISSUER, audience=AUDIENCE, clock=lambda: now, **options)


def refuse(kind: type[InvalidToken], token: Any, *keys: SigningKey, **options: Any) -> InvalidToken:
    with pytest.raises(InvalidToken) as caught:
        verifier(*keys, **options).verify(token)
    assert type(caught.value) is kind
    return caught.value


def issue(ring: KeyRing) -> str:
    issuer = TokenIssuer(
        ring.signing_key, issuer=ISSUER, audience=AUDIENCE, random_bytes=lambda count: b"r" * count
    )
    return issuer.issue("alice", SESSION_ID, issued_at=NOW, expires_at=NOW + 900, claims={})
