"""The signing keys of the store that this process knows, and when the store is asked again."""

import math
from collections.abc import Callable, Mapping
from typing import Final

from clusterpass.config import Config
from clusterpass.model.clock import Clock
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.tokens.key_encryption import KeyEncryptionKeys
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.managed_keys import (
    KeySchedule,
    ManagedKeys,
    StoredKey,
    make_key,
    rewrapped,
    ring_of,
)

KIND: Final = "k:"
_ASK_AGAIN_AFTER: Final = 1.0
_SEARCH_AGAIN_AFTER: Final = 1.0


class KnownKeys:
    """Keeps what copies hold, and makes the ring of it."""

    def __init__(self, config: Config, keyspace: Keyspace, clock: Clock) -> None:
        self.how: Final = config.keys.managed or ManagedKeys()
        self._clock = clock
        self._purpose: Final = f"clusterpass signing key {keyspace.namespace} ".encode()
        self._wrapping: Final = KeyEncryptionKeys(config.key_encryption_keys)
        self._token_seconds = config.access_lifetime + config.expiry_leeway
        self._stored: dict[str, StoredKey] = {}
        self._used: tuple[StoredKey, ...] = ()
        self.asks_all = True
        """Whether all copies are to be read: who was told of a change does not know which copy has
        it already."""
        self._due_at = self._searched_at = -math.inf
        self.adopt: Callable[[KeyRing], None] = _nowhere
        """Takes the ring when it has changed."""
        self.copy = 0
        """The number of the copy that is read next."""

    @property
    def is_known(self) -> bool:
        """Whether there is a key to sign with."""
        return bool(self._used)

    @property
    def is_due(self) -> bool:
        """Whether the store has to be asked, or another key begins to sign."""
        if self._clock.steady() >= self._due_at:
            return True
        return tuple(self.schedule().usable()) != self._used

    def may_search(self) -> bool:
        """Whether the store may be asked for a key that a token names: at most once a second."""
        now = self._clock.steady()
        if now < self._searched_at + _SEARCH_AGAIN_AFTER:
            return False
        self._searched_at = now
        return True

    def changed(self) -> None:
        """Ask again with the next call: somebody has changed the keys."""
        self._due_at, self.asks_all = -math.inf, True

    def now(self) -> int:
        """Seconds since the epoch."""
        return int(self._clock.wall())

    def schedule(self) -> KeySchedule:
        """Which key is used for what now."""
        return KeySchedule(self._stored.values(), self._clock.wall(), self._token_seconds)

    def learn(self, values: Mapping[str, bytes]) -> None:
        """Take note of a copy. Raises StoreFailed when a key in it cannot be read."""
        for name, value in values.items():
            if name.startswith(KIND):
                key = StoredKey.decode(name.removeprefix(KIND), value)
                known = self._stored.get(name)
                if known is None or not known.revoked:
                    self._stored[name] = key
        self._due_at = self._clock.steady() + _ASK_AGAIN_AFTER

    def lacking(self, values: Mapping[str, bytes]) -> dict[str, bytes]:
        """What is known here and not in the copy that ``values`` are, or revoked only here."""
        found = {}
        for name, key in self._stored.items():
            value = values.get(name)
            if value is None or (key.revoked and not StoredKey.decode(key.kid, value).revoked):
                found[name] = key.encode()
        return found

    def rewrapped(self) -> dict[str, bytes]:
        """The keys that another key from outside than the first one wraps, wrapped by that."""
        found = {}
        for name, key in self._stored.items():
            newer = None if key.revoked else rewrapped(key, self._wrapping, self._purpose)
            if newer is not None:
                found[name] = newer.encode()
        return found

    def made(self, signs_from: int) -> dict[str, bytes]:
        """A new key that signs from a second on, by its name."""
        key = make_key(
            self.how, self._wrapping, self._purpose, now=self.now(), signs_from=signs_from
        )
        return {KIND + key.kid: key.encode()}

    def find(self, kid: str) -> StoredKey | None:
        """Return the key of an id; None: there is none."""
        return self._stored.get(KIND + kid)

    def use(self) -> None:
        """Sign and verify with what is known now.

        Raises ConfigurationError when the private half of the key that signs does not open.
        """
        usable = tuple(self.schedule().usable())
        if usable and usable != self._used:
            self.adopt(ring_of(usable, self._wrapping, self._purpose, self.how))
            self._used = usable


def _nowhere(ring: KeyRing) -> None:
    """Nobody uses the keys yet."""
