"""The set of keys: which one signs, which ones verify, what is published.

- The first private key signs; every key verifies. Keys are rolled by configuration: publish the
  new one behind the old one, then move it to the front, then drop the old one.
- A ``kid`` stands once; symmetric and asymmetric keys never share a ring.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Self

from clusterpass.model.errors import ConfigurationError, KeyRejected
from clusterpass.tokens.encoding import decode_json_object
from clusterpass.tokens.keys import SigningAlgorithm, SigningKey

_MOST_KEYS: Final = 100


class KeyRing:
    """An immutable set of keys, found by ``kid``."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Iterable[SigningKey]) -> None:
        """``keys`` in order; raises KeyRejected if they may not stand together."""
        ring: dict[str, SigningKey] = {}
        for key in keys:
            if key.kid in ring:
                raise KeyRejected(f"the kid {key.kid!r} stands twice in the key set")
            ring[key.kid] = key
        if not ring:
            raise KeyRejected("the key set is empty; make a key with: clusterpass keys generate")
        if len(ring) > _MOST_KEYS:
            raise KeyRejected(f"the key set has {len(ring)} keys; at most {_MOST_KEYS} are read")
        if len({key.is_symmetric for key in ring.values()}) > 1:
            raise KeyRejected("a key set must not mix symmetric (HS256) and public keys")
        self._keys: Final[Mapping[str, SigningKey]] = ring

    def __repr__(self) -> str:
        return f"KeyRing({list(self._keys.values())!r})"

    def __len__(self) -> int:
        return len(self._keys)

    @classmethod
    def generate(cls, algorithm: SigningAlgorithm = "EdDSA", *, kid: str | None = None) -> Self:
        """A ring with one new private key: EdDSA, Ed25519, ES256, RS256 or HS256."""
        return cls([SigningKey.generate(algorithm, kid=kid)])

    @classmethod
    def from_jwks(cls, jwks: Mapping[str, Any] | str | bytes) -> Self:
        """A ring from a JWK Set (RFC 7517 section 5), private or public, as a mapping or JSON text.

        Raises KeyRejected when the text is no JWK Set or a key in it is weak or unfit.
        """
        if isinstance(jwks, str | bytes):
            try:
                jwks = decode_json_object(jwks.encode() if isinstance(jwks, str) else jwks)
            except ValueError:
                raise KeyRejected("the key set is not a JSON object without duplicates") from None
        keys = jwks.get("keys") if isinstance(jwks, Mapping) else None
        if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
            raise KeyRejected('a key set is a JSON object with a list named "keys"')
        return cls(SigningKey.from_jwk(key) for key in keys)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """A ring from a file that holds a JWK Set; KeyRejected when it cannot be used."""
        try:
            text = Path(path).read_bytes()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "no such name"
            raise KeyRejected(
                f"the key file {path} cannot be read ({why});"
                " make one with: clusterpass keys generate"
            ) from None
        return cls.from_jwks(text)

    @property
    def signing_key(self) -> SigningKey:
        """The first private key; ConfigurationError when the ring can only verify."""
        for key in self._keys.values():
            if key.is_private:
                return key
        raise ConfigurationError("the key set holds no private key: it can verify, but not sign")

    @property
    def can_sign(self) -> bool:
        """Whether there is a private key."""
        return any(key.is_private for key in self._keys.values())

    def find(self, kid: str) -> SigningKey | None:
        """The key of that ``kid``."""
        return self._keys.get(kid)

    def all(self) -> tuple[SigningKey, ...]:
        """All keys, in order."""
        return tuple(self._keys.values())

    def public_jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The JWK Set to publish: no private member, no symmetric key."""
        return {
            "keys": [key.jwk(private=False) for key in self._keys.values() if not key.is_symmetric]
        }

    def private_jwks_text(self) -> str:
        """The whole set as JSON, private keys included: write it only where secrets live."""
        keys = [key.jwk(private=key.is_private) for key in self._keys.values()]
        return json.dumps({"keys": keys}, indent=2) + "\n"
