"""A set of keys: which key signs, which keys verify, and which are published.

- The first private key signs; every key verifies. Keys are rotated by configuration: publish the
  new key after the old one, then move it to the front, then remove the old one.
- A ``kid`` is unique. Symmetric and asymmetric keys never share a ring.
"""

import json
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from clusterpass.model.errors import ConfigurationError, KeyRejected
from clusterpass.tokens.algorithms import SigningAlgorithm
from clusterpass.tokens.encoding import decode_json_object

if TYPE_CHECKING:
    from clusterpass.tokens.key_file import KeyFileAccess
    from clusterpass.tokens.keys import SigningKey
    from clusterpass.tokens.managed_keys import ManagedKeys
    from clusterpass.tokens.signer import Signer

_MOST_KEYS: Final = 100
_LONGEST_WHY: Final = 300
_PRIVATE: Final = frozenset({"d", "k", "priv"})
_UNSUPPORTED: Final = "unsupported"


class KeyRing:
    """An immutable set of keys that are looked up by ``kid``."""

    __slots__ = ("_keys", "_waits", "ignored", "managed")

    ignored: tuple[str, ...]
    """Why members of the JWK Set are not in the ring, one text for each; without key material."""

    managed: "ManagedKeys | None"
    """How the keys in the store are rotated; None: the keys are those of this ring alone."""

    def __init__(
        self,
        keys: "Iterable[SigningKey]",
        *,
        ignored: Iterable[str] = (),
        managed: "ManagedKeys | None" = None,
    ) -> None:
        """``keys``: at most 100, in order; the first private key signs.

        ``ignored``: why members of the JWK Set are left out. ``managed``: how the keys in the store
        are rotated; None: there are no others than ``keys``.

        Raises KeyRejected when there is no key, when there are too many, when a ``kid`` appears
        twice, and when symmetric and asymmetric keys are mixed.
        """
        ring: dict[str, SigningKey] = {}
        for key in keys:
            if key.kid in ring:
                raise KeyRejected(f"the kid {key.kid!r} appears twice in the key set")
            ring[key.kid] = key
        if not ring:
            raise KeyRejected("the key set is empty; make a key with: clusterpass keys generate")
        if len(ring) > _MOST_KEYS:
            raise KeyRejected(f"the key set has {len(ring)} keys; the limit is {_MOST_KEYS}")
        if len({key.is_symmetric for key in ring.values()}) > 1:
            raise KeyRejected("a key set must not mix symmetric (HS256) and public keys")
        self._keys: Final[Mapping[str, SigningKey]] = ring
        self.ignored = tuple(ignored)
        self.managed = managed
        self._waits = False

    def __repr__(self) -> str:
        return f"KeyRing({list(self._keys.values())!r})"

    def __len__(self) -> int:
        return len(self._keys)

    def __eq__(self, other: object) -> bool:
        """Whether ``other`` has the same keys in the same order."""
        if not isinstance(other, KeyRing):
            return NotImplemented
        return self.all() == other.all()

    def __hash__(self) -> int:
        return hash(self.all())

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the ring with its private keys, for processes of one's own; keep it secret."""
        if self._waits:
            return type(self).in_store, (self.managed,)
        return partial(type(self), ignored=self.ignored, managed=self.managed), (self.all(),)

    @classmethod
    def generate(cls, algorithm: SigningAlgorithm = "EdDSA", *, kid: str | None = None) -> Self:
        """Return a ring with one new private key.

        ``algorithm``: EdDSA, Ed25519, ES256, RS256 or HS256. ``kid``: by default the thumbprint of
        the key (RFC 7638). Raises ConfigurationError for an unknown algorithm.
        """
        return cls([_signing_key().generate(algorithm, kid=kid)])

    @classmethod
    def from_jwks(cls, jwks: Mapping[str, Any] | str | bytes) -> Self:
        """Return the ring of a private or public JWK Set (RFC 7517 section 5).

        ``jwks``: a mapping, or JSON as text or bytes. A key that is not for us, such as one of
        another type, curve or use, is left out, and so is a public key that is weak or broken;
        ``ignored`` says why. Raises KeyRejected when it is not a JWK Set, when no key is left, and
        when a private or symmetric key is weak or broken.
        """
        if isinstance(jwks, str | bytes):
            try:
                jwks = decode_json_object(jwks.encode() if isinstance(jwks, str) else jwks)
            except ValueError:
                raise KeyRejected(
                    "the key set is not a JSON object, or has duplicate members"
                ) from None
        keys = jwks.get("keys") if isinstance(jwks, Mapping) else None
        if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
            raise KeyRejected('a key set is a JSON object with a list named "keys"')
        fit, refusals = [], []
        for key in keys[: 2 * _MOST_KEYS]:
            try:
                fit.append(_signing_key().from_jwk(key))
            except KeyRejected as error:
                is_own = bool(_PRIVATE & key.keys()) or key.get("kty") == "oct"
                if is_own and error.reason != _UNSUPPORTED:
                    raise
                refusals.append(error)
        if len(keys) > 2 * _MOST_KEYS:
            raise KeyRejected(f"the key set has {len(keys)} keys; the limit is {_MOST_KEYS}")
        if refusals and not fit:
            raise refusals[0]
        return cls(fit, ignored=[error.message[:_LONGEST_WHY] for error in refusals])

    @classmethod
    def in_store(cls, managed: "ManagedKeys | None" = None) -> Self:
        """Return a ring that stands for the keys that the store holds.

        A manager reads them before it issues or verifies anything, makes the first one, and follows
        their rotation; ``manager.keys`` lists, rotates and revokes them. They need
        ``Config.key_encryption_keys``. ``managed``: when keys are rotated; by default after 90
        days, published a day before. Until then the ring has a key that signs nothing.
        """
        from clusterpass.tokens.managed_keys import ManagedKeys  # noqa: PLC0415 (it loads this)

        how = managed if managed is not None else ManagedKeys()
        nobodys = _signing_key().generate(how.algorithm).jwk(private=False)
        ring = cls([_signing_key().locked(nobodys)], managed=how)
        ring._waits = True
        return ring

    @classmethod
    def with_signer(
        cls, jwk: Mapping[str, Any], signer: "Signer", *, others: "KeyRing | None" = None
    ) -> Self:
        """Return a ring whose signing key is in a KMS, an HSM or an agent.

        ``jwk``: the public half of that key (RFC 7517), with a ``kid``. ``signer``: signs with the
        private half; it is tried once. ``others``: keys that verify as well, such as the last one.
        With such a key alone, forms and cookies need ``Config.refresh_secrets``. Raises KeyRejected
        when the JWK is unfit, and when what the signer makes is not a signature of this key.
        """
        return cls([_signing_key().with_signer(jwk, signer), *(others.all() if others else ())])

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        access: "KeyFileAccess" = "private",
        passphrase: str | None = None,
    ) -> Self:
        """Return the ring of a file that holds a JWK Set, or keys in PEM.

        ``access``: ``private`` refuses a file with private keys that other users of the machine can
        read, or that belongs to another user than this one or root; ``any`` does not look.
        ``passphrase``: of encrypted PEM keys. In PEM, a key's ``kid`` is its thumbprint (RFC 7638).
        Raises KeyRejected when the file cannot be read, and when it holds an unfit key.
        """
        from clusterpass.tokens.key_file import KeyFile  # noqa: PLC0415 (it loads this module)

        ring = KeyFile(path, access=access, passphrase=passphrase).load()
        return cls(ring.all(), ignored=ring.ignored)

    def save(self, path: str | Path) -> None:
        """Write the whole set to a new file that only its owner can read, private keys included.

        Raises ConfigurationError when the file exists already or cannot be written; nothing is
        left of it then.
        """
        from clusterpass.tokens.write_secret import write_secret  # noqa: PLC0415 - seldom used

        write_secret(Path(path), self.private_jwks_text())

    @property
    def signing_key(self) -> "SigningKey":
        """The first private key; raises ConfigurationError when the ring has none."""
        for key in self._keys.values():
            if key.is_private:
                return key
        raise ConfigurationError("the key set has no private key, so it can verify but not sign")

    @property
    def can_sign(self) -> bool:
        """Whether the ring has a private key."""
        return any(key.is_private for key in self._keys.values())

    def find(self, kid: str) -> "SigningKey | None":
        """Return the key with the id ``kid``, or None when the ring has no such key."""
        return self._keys.get(kid)

    def all(self) -> "tuple[SigningKey, ...]":
        """Return all keys, in order."""
        return tuple(self._keys.values())

    def public_jwks(self) -> dict[str, list[dict[str, Any]]]:
        """Return the JWK Set to publish, without private members and symmetric keys.

        Empty while a manager has not read the keys from the store yet.
        """
        if self._waits:
            return {"keys": []}
        return {
            "keys": [key.jwk(private=False) for key in self._keys.values() if not key.is_symmetric]
        }

    def private_jwks_text(self) -> str:
        """Return the whole set as JSON, private keys included. The text must be kept secret."""
        keys = [key.jwk(private=key.is_private) for key in self._keys.values()]
        return json.dumps({"keys": keys}, indent=2) + "\n"


def _signing_key() -> "type[SigningKey]":
    # With the first ring, not with this module: what does the cryptography takes long to load.
    from clusterpass.tokens.keys import SigningKey  # noqa: PLC0415

    return SigningKey
