"""One key with exactly one algorithm (RFC 8725 section 3.1), and the checks it must pass.

joserfc does the cryptography and parses JWKs. This module checks what joserfc leaves to its users:
key lengths, the curve, ``use`` and ``key_ops``, that no encoded public key serves as a secret, and
what ``key_strength`` and ``secret_strength`` find.
"""

import json
import re
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from hmac import compare_digest
from typing import Any, Final, Self, cast, get_args

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc.errors import JoseError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import ECKey, JWKRegistry, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from clusterpass.model.errors import ConfigurationError, KeyRejected
from clusterpass.tokens.algorithms import SigningAlgorithm
from clusterpass.tokens.encoding import decode_base64url
from clusterpass.tokens.key_strength import ed25519_fault, p256_fault, rsa_fault
from clusterpass.tokens.secret_strength import check_secret
from clusterpass.tokens.signer import Signer, in_jws_form

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
UNSUPPORTED: Final = "unsupported"  # as in keyring.py, which loads this module late
"""The reason of a KeyRejected for a key that is sound, but not for us."""
_ANOTHER: Final = "replace it by one made with: clusterpass keys generate"
_OTHER_HALF: Final = (
    "its private half is malformed or does not match its public half; take both from the same key"
)
_KID: Final = re.compile(r"[A-Za-z0-9._~+=:-]{1,128}")
_SMALLEST_RSA_BITS: Final = 2048
_LARGEST_RSA_BITS: Final = 8192
_TRIAL: Final = b"clusterpass tries a signer"


class SigningKey:
    """A key that signs or verifies with exactly one algorithm.

    :meth:`from_jwk` and :meth:`generate` create keys and check them.
    """

    __slots__ = ("_key", "_model", "_sign", "_signer", "_verify", "algorithm", "is_private", "kid")

    kid: str
    """The id of the key, which tokens name in their header."""
    algorithm: SigningAlgorithm
    """The only algorithm that the key is used with."""
    is_private: bool
    """Whether the key can sign."""

    def __init__(
        self, key: OctKey | RSAKey | ECKey | OKPKey, kid: str, algorithm: SigningAlgorithm
    ) -> None:
        self._key = key
        self._model: JWSAlgModel = JWSRegistry.algorithms[algorithm]
        self._sign: Callable[[bytes], bytes] | None = None
        self._signer: Signer | None = None
        self._verify: Callable[[bytes, bytes], None] | None = None
        if isinstance(key, OKPKey):
            # joserfc looks up the key and what it may do with each signature.
            public, private = key.public_key, key.private_key
            if isinstance(public, Ed25519PublicKey):
                self._verify = public.verify
            if isinstance(private, Ed25519PrivateKey):
                self._sign = private.sign
        self.kid = kid
        self.algorithm = algorithm
        self.is_private = key.is_private

    def __repr__(self) -> str:
        kind = "private" if self.is_private else "public"
        return f"<SigningKey {self.kid!r} {self.algorithm} {kind}>"

    def __eq__(self, other: object) -> bool:
        """Whether ``other`` is the same key, with the same half, id and algorithm."""
        if not isinstance(other, SigningKey):
            return NotImplemented
        if self.is_private != other.is_private:
            return False
        return compare_digest(*(json.dumps(key._whole(), sort_keys=True) for key in (self, other)))

    def __hash__(self) -> int:
        return hash((self.kid, self.algorithm, self.is_private))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the key as its JWK, private members included; a pickle must be kept secret."""
        if self._signer is not None:
            return type(self).with_signer, (self._whole(), self._signer)
        return type(self).from_jwk, (self._whole(),)

    def _whole(self) -> dict[str, Any]:
        return self.jwk(private=self.can_derive)

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> Self:
        """Return the key of a JWK (RFC 7517).

        ``kid`` is required. ``alg`` is optional, as each key type has a default algorithm. Raises
        KeyRejected, whose message names the ``kid`` and the problem but never key material.
        """
        kid = jwk.get("kid") if isinstance(jwk, Mapping) else None
        if not isinstance(kid, str) or not _KID.fullmatch(kid):
            raise KeyRejected(
                'each key needs a "kid" of 1 to 128 letters, digits or any of ._~+=:-'
            )
        algorithm = _algorithm_of(jwk, kid)
        _check_use(jwk, kid)
        if {"d", "k"} & jwk.keys() and "sign" not in jwk.get("key_ops", ["sign"]):
            raise KeyRejected(f"key {kid!r} is private but may not sign")
        key = _import_key(jwk, kid)
        _check_strength(key, jwk, kid)
        if isinstance(key, OKPKey) and OKPKey.import_key(key.public_key).get("x") != jwk.get("x"):
            raise KeyRejected(f"key {kid!r}: {_OTHER_HALF}")
        return cls(key, kid, algorithm)

    @classmethod
    def with_signer(cls, jwk: Mapping[str, Any], signer: Signer) -> Self:
        """Return the key whose private half ``signer`` uses.

        ``jwk``: the public half (RFC 7517), with a ``kid``. The signer is tried once. Raises
        KeyRejected when the JWK is private, symmetric or weak, and when what the signer makes is
        not a signature of this key.
        """
        key = cls.from_jwk(jwk)
        if key.is_private:
            raise KeyRejected(
                f"key {key.kid!r} has its private half in the JWK; a signer needs the public one"
            )
        key._signer, key.is_private = signer, True
        key._sign = lambda message: in_jws_form(signer.sign(message), key.algorithm)
        if not key.verify(_TRIAL, key.sign(_TRIAL)):
            raise KeyRejected(f"the signer of key {key.kid!r} signs with another key or algorithm")
        return key

    @classmethod
    def generate(cls, algorithm: SigningAlgorithm = "EdDSA", *, kid: str | None = None) -> Self:
        """Return a new private key.

        ``kid``: by default the thumbprint of the key (RFC 7638). Raises ConfigurationError for an
        unknown algorithm.
        """
        if algorithm not in get_args(SigningAlgorithm):
            known = ", ".join(get_args(SigningAlgorithm))
            raise ConfigurationError(f"algorithm must be one of {known}, not {algorithm!r}")
        key: OctKey | RSAKey | ECKey | OKPKey
        match algorithm:
            case "ES256":
                key = ECKey.generate_key("P-256")
            case "RS256":
                key = RSAKey.generate_key(3072)
            case "HS256":
                key = OctKey.generate_key(256)
            case _:
                key = OKPKey.generate_key("Ed25519")
        return cls.from_jwk(
            {**key.as_dict(private=True), "kid": kid or _thumbprint(key), "alg": algorithm}
        )

    @property
    def can_derive(self) -> bool:
        """Whether the private half is here, so that secrets can be derived from it."""
        return self.is_private and self._signer is None

    @property
    def is_symmetric(self) -> bool:
        """Whether the key is a shared secret (HS256), so that whoever verifies can also sign."""
        return isinstance(self._key, OctKey)

    def jwk(self, *, private: bool) -> dict[str, Any]:
        """Return the key as a JWK (RFC 7517).

        ``private``: include the private members; the result must then be kept secret. Raises
        ConfigurationError for the public half of a symmetric key.
        """
        if self.is_symmetric and not private:
            raise ConfigurationError(f"key {self.kid!r} is symmetric and has no public half")
        if private and self._signer is not None:
            raise ConfigurationError(
                f"the private half of key {self.kid!r} is not here, but with its signer"
            )
        members = dict(self._key.as_dict(private=private))
        members.pop("key_ops", None)
        return {**members, "kid": self.kid, "alg": self.algorithm, "use": "sig"}

    def sign(self, message: bytes) -> bytes:
        """Return the signature of ``message``; raise ConfigurationError when the key is public."""
        if not self.is_private:
            raise ConfigurationError(f"key {self.kid!r} is public and cannot sign")
        return self._sign(message) if self._sign else self._model.sign(message, self._key)

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Return whether ``signature`` is the signature of ``message`` under this key."""
        if self._verify is None:
            return self._model.verify(message, signature, self._key)
        try:
            self._verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def derive_secret(self, purpose: str) -> bytes:
        """Derive 32 bytes for ``purpose`` from the private key by HKDF-SHA256 (RFC 5869).

        Every server that holds the key derives the same bytes. Raises ConfigurationError when the
        key is public.
        """
        if not self.can_derive:
            raise ConfigurationError(
                f"the private half of key {self.kid!r} is not here, so no secret can be derived"
                " from it; give refresh_secrets"
            )
        secret = cast("str", self._key.as_dict(private=True)["k" if self.is_symmetric else "d"])
        info = b"clusterpass " + purpose.encode()
        return HKDF(hashes.SHA256(), 32, None, info).derive(decode_base64url(secret))


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


def _import_key(jwk: Mapping[str, Any], kid: str) -> OctKey | RSAKey | ECKey | OKPKey:
    members = {name: jwk[name] for name in _MEMBERS[jwk["kty"]] if name in jwk}
    key = _imported({**members, "kty": jwk["kty"]})
    if key is None:
        raise KeyRejected(f"key {kid!r}{_why_not_imported(members, jwk['kty'])}")
    return key


def _imported(members: Mapping[str, Any]) -> OctKey | RSAKey | ECKey | OKPKey | None:
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


def _check_strength(
    key: OctKey | RSAKey | ECKey | OKPKey, jwk: Mapping[str, Any], kid: str
) -> None:
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


def _thumbprint(key: OctKey | RSAKey | ECKey | OKPKey) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return key.thumbprint()
