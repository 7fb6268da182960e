"""One key with exactly one algorithm (RFC 8725 section 3.1), which signs and verifies.

joserfc does the cryptography, or a :class:`Signer` that holds the private half. The checks of a new
key are in ``import_jwk``.
"""

import json
import warnings
from collections.abc import Callable, Mapping
from hmac import compare_digest
from typing import Any, Final, Self, cast, get_args

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from clusterpass.model.errors import ConfigurationError, KeyRejected, StoreUnavailable
from clusterpass.tokens.algorithms import SigningAlgorithm
from clusterpass.tokens.encoding import decode_base64url
from clusterpass.tokens.import_jwk import JoserfcKey, import_jwk
from clusterpass.tokens.signer import Signer, in_jws_form

_TRIAL: Final = b"clusterpass tries a signer"
_RETRY_AFTER: Final = 5


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

    def __init__(self, key: JoserfcKey, kid: str, algorithm: SigningAlgorithm) -> None:
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
        if isinstance(self._signer, _Locked):
            return type(self).locked, (self._whole(),)
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
        return cls(*import_jwk(jwk))

    @classmethod
    def with_signer(cls, jwk: Mapping[str, Any], signer: Signer) -> Self:
        """Return the key whose private half ``signer`` uses.

        ``jwk``: the public half (RFC 7517), with a ``kid``. The signer is tried once. Raises
        KeyRejected when the JWK is private, symmetric or weak, and when what the signer makes is
        not a signature of this key.
        """
        key = cls.from_jwk(jwk)
        if not isinstance(signer, Signer):
            raise KeyRejected(f"the signer of key {key.kid!r} has no method sign(message)")
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
    def locked(cls, jwk: Mapping[str, Any]) -> Self:
        """Return the key of a public JWK whose private half does not open here: others sign with
        it, and this process raises StoreUnavailable where it should."""
        key = cls.from_jwk(jwk)
        key._signer, key.is_private = _Locked(), True
        key._sign = key._signer.sign
        return key

    def require_open(self) -> None:
        """Raise StoreUnavailable when the private half does not open."""
        if isinstance(self._signer, _Locked):
            self._signer.sign(b"")

    @classmethod
    def generate(cls, algorithm: SigningAlgorithm = "EdDSA", *, kid: str | None = None) -> Self:
        """Return a new private key.

        ``kid``: by default the thumbprint of the key (RFC 7638). Raises ConfigurationError for an
        unknown algorithm.
        """
        if algorithm not in get_args(SigningAlgorithm):
            known = ", ".join(get_args(SigningAlgorithm))
            raise ConfigurationError(f"algorithm must be one of {known}, not {algorithm!r}")
        key: JoserfcKey
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


class _Locked:
    """Stands for the private half of a key that does not open."""

    def sign(self, message: bytes) -> bytes:
        """Raise StoreUnavailable; the log says why it does not open."""
        raise StoreUnavailable(
            "This server cannot open the key that signs; nothing was changed. Please try again.",
            reason="secrets",
            retry_after=_RETRY_AFTER,
        )


def _thumbprint(key: JoserfcKey) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return key.thumbprint()
