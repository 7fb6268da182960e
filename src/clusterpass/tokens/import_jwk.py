"""The key in a JWK (RFC 7517), and the checks that it must pass.

joserfc parses the JWK. This module checks what joserfc leaves to its users: key lengths, the curve,
``use`` and ``key_ops``, that no encoded public key serves as a secret, and what ``key_strength``
and ``secret_strength`` find.
"""

import re
import warnings
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OctKey, OKPKey, RSAKey

from clusterpass.model.errors import KeyRejected
from clusterpass.tokens.algorithms import SigningAlgorithm
from clusterpass.tokens.encoding import decode_base64url
from clusterpass.tokens.key_strength import ed25519_fault, p256_fault, rsa_fault
from clusterpass.tokens.secret_strength import check_secret

JoserfcKey = OctKey | RSAKey | ECKey | OKPKey
"""A key as joserfc holds it."""
_ALGORITHMS_BY_KEY_TYPE: Final[Mapping[str, tuple[SigningAlgorithm, ...]]] = {
    "OKP": ("EdDSA", "Ed25519"),
    "EC": ("ES256",),
    "RSA": ("RS256",),
    "oct": ("HS256",),
}
# The members that are read from a key; others are dropped, so they are never published.
_MEMBERS: Final = {
    "OKP": ("crv", "x", "d"),
    "EC": ("crv", "x", "y", "d"),
    "RSA": ("n", "e", "d", "p", "q", "dp", "dq", "qi"),
    "oct": ("k",),
}
_PUBLIC_MEMBERS: Final = frozenset({"crv", "x", "y", "n", "e"})
_CURVES: Final = {"OKP": "Ed25519", "EC": "P-256"}
UNSUPPORTED: Final = "unsupported"  # as in keyring.py, which loads this late
"""The reason of a KeyRejected for a key that is sound, but not for us."""
_ANOTHER: Final = "replace it by one made with: clusterpass keys generate"
_OTHER_HALF: Final = (
    "its private half is malformed or does not match its public half; take both from the same key"
)
_KID: Final = re.compile(r"[A-Za-z0-9._~+=:-]{1,128}")
_SMALLEST_RSA_BITS: Final = 2048
_LARGEST_RSA_BITS: Final = 8192


def import_jwk(jwk: Mapping[str, Any]) -> tuple[JoserfcKey, str, SigningAlgorithm]:
    """Return the key of ``jwk``, its ``kid``, and the only algorithm that it may be used with.

    Raises KeyRejected, whose message names the ``kid`` and the problem but never key material.
    """
    kid = jwk.get("kid") if isinstance(jwk, Mapping) else None
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        raise KeyRejected('each key needs a "kid" of 1 to 128 letters, digits or any of ._~+=:-')
    algorithm = _algorithm_of(jwk, kid)
    _check_use(jwk, kid)
    if {"d", "k"} & jwk.keys() and "sign" not in jwk.get("key_ops", ["sign"]):
        raise KeyRejected(f"key {kid!r} is private but may not sign")
    key = _import_key(jwk, kid)
    _check_strength(key, jwk, kid)
    if isinstance(key, OKPKey) and OKPKey.import_key(key.public_key).get("x") != jwk.get("x"):
        raise KeyRejected(f"key {kid!r}: {_OTHER_HALF}")
    return key, kid, algorithm


def _algorithm_of(jwk: Mapping[str, Any], kid: str) -> SigningAlgorithm:
    allowed = _ALGORITHMS_BY_KEY_TYPE.get(str(jwk.get("kty")))
    if allowed is None:
        raise KeyRejected(
            f"key {kid!r} has the type {jwk.get('kty')!r}; use OKP, EC, RSA or oct",
            reason=UNSUPPORTED,
        )
    named = jwk.get("alg", allowed[0])
    if named not in allowed:
        raise KeyRejected(
            f"key {kid!r} names the algorithm {named!r}; its type allows {' or '.join(allowed)}",
            reason=UNSUPPORTED,
        )
    return cast("SigningAlgorithm", named)


def _check_use(jwk: Mapping[str, Any], kid: str) -> None:
    if jwk.get("use", "sig") != "sig":
        raise KeyRejected(
            f'key {kid!r} is not meant for signatures ("use" is not "sig")', reason=UNSUPPORTED
        )
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise KeyRejected(
            f'key {kid!r} is not meant for signatures ("key_ops")', reason=UNSUPPORTED
        )


def _import_key(jwk: Mapping[str, Any], kid: str) -> JoserfcKey:
    members = {name: jwk[name] for name in _MEMBERS[jwk["kty"]] if name in jwk}
    key = _imported({**members, "kty": jwk["kty"]})
    if key is None:
        raise KeyRejected(f"key {kid!r}{_why_not_imported(members, jwk['kty'])}")
    return key


def _imported(members: Mapping[str, Any]) -> JoserfcKey | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the caller rejects what joserfc warns about
            return JWKRegistry.import_key(dict(members))
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        # The library's message may quote key material, so it is not passed on.
        return None


def _why_not_imported(members: Mapping[str, Any], kind: str) -> str:
    public = {name: value for name, value in members.items() if name in _PUBLIC_MEMBERS}
    if len(public) < len(members) and _imported({**public, "kty": kind}) is not None:
        return f": {_OTHER_HALF}"
    fault = None
    if members.get("crv") == _CURVES["EC"]:
        with suppress(ValueError, TypeError, AttributeError, KeyError):
            fault = p256_fault(*(decode_base64url(members[name]) for name in "xy"))
    return f" is not a valid JWK of type {kind}" if fault is None else f": {fault}; {_ANOTHER}"


def _check_strength(key: JoserfcKey, jwk: Mapping[str, Any], kid: str) -> None:
    curve = _CURVES.get(key.key_type)
    if curve is not None and jwk.get("crv") != curve:
        raise KeyRejected(
            f"key {kid!r} has the curve {jwk.get('crv')!r}; use {curve}", reason=UNSUPPORTED
        )
    if isinstance(key, RSAKey):
        bits = key.public_key.key_size
        if not _SMALLEST_RSA_BITS <= bits <= _LARGEST_RSA_BITS:
            raise KeyRejected(
                f"key {kid!r} has {bits} bits; an RSA key needs {_SMALLEST_RSA_BITS}"
                f" to {_LARGEST_RSA_BITS}"
            )
        if key.public_key.public_numbers().e < 65_537:
            raise KeyRejected(f"key {kid!r} has a small public exponent; use 65537")
        fault = rsa_fault(key.public_key.public_numbers().n)
        if fault is not None:
            raise KeyRejected(f"key {kid!r} is weak: {fault}; {_ANOTHER}")
    if isinstance(key, OKPKey) and isinstance(key.public_key, Ed25519PublicKey):
        fault = ed25519_fault(key.public_key.public_bytes_raw())
        if fault is not None:
            raise KeyRejected(f"key {kid!r} is weak: {fault}; {_ANOTHER}")
    if isinstance(key, OctKey):
        check_secret(key.raw_value, kid)
