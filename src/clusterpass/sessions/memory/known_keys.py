"""The signing keys of the store that this process knows, and the time to ask the store again."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from clusterpass.config import Config
from clusterpass.model.clock import Clock
from clusterpass.model.errors import ConfigurationError, StoreFailed
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.sessions.memory.unknown_key_lookups import Searches
from clusterpass.tokens.key_encryption import KeyEncryptionKeys
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.managed_keys import (
    KeySchedule,
    ManagedKeys,
    OpenedKeys,
    StoredKey,
    make_key,
    rewrapped,
)

logger: Final = logging.getLogger("clusterpass.keys")
KIND: Final = "k:"
_ASK_AGAIN_AFTER: Final = 1.0
_OLD_AFTER: Final = 60.0
_SOON: Final = 86_400
"""Seconds by which clocks may differ of whoever removes a key, and whoever might put it back."""


class KnownKeys:
    """Keeps what copies hold, and makes the ring of it. Any thread may call it."""

    def __init__(
        self,
        config: Config,
        keyspace: Keyspace,
        clock: Clock,
        *,
        lock: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        """``lock``: creates a reentrant lock."""
        self.how: Final = config.keys.managed or ManagedKeys()
        self._clock = clock
        self._purpose: Final = purpose(keyspace.namespace)
        self._wrapping: Final = KeyEncryptionKeys(config.key_encryption_keys)
        self._opened: Final = OpenedKeys(self._wrapping, self._purpose, self.how)
        self._token_seconds = config.access_lifetime + config.expiry_leeway
        self._lock = lock()
        self._stored: dict[str, StoredKey] = {}
        self.used: tuple[StoredKey, ...] = ()
        """The keys that are in use, the one that signs first."""
        self._due_at = self._learned_at = -math.inf
        self._told: set[str] = set()
        self._has_failed = False
        """Whether the key that signs for others does not open here."""
        self._rewrapped: set[tuple[int, str]] = set()
        self._looked_at = -1
        """The second for which the keys in use are those of the schedule."""
        self.changes = 0
        """How often somebody was said to have changed the keys."""
        self.searches: Final = Searches(clock.steady)
        self.adopt: Callable[[KeyRing], None] = _nowhere
        """Takes the ring when it has changed."""
        self.asks_all = True
        """Whether all copies are to be read: who was told of a change does not know which copy has
        it already."""

    @property
    def is_known(self) -> bool:
        """Whether there is a key to sign with."""
        return bool(self.used)

    @property
    def is_due(self) -> bool:
        """Whether the store has to be asked, or another key begins to sign.

        Asked with each verify: the schedule, whose times are whole seconds, is looked at once in
        each.
        """
        if self._clock.steady() >= self._due_at:
            return True
        now = self.now()
        if now == self._looked_at:
            return False
        if tuple(self.schedule().usable()) != self.used:
            return True
        self._looked_at = now
        return False

    @property
    def is_old(self) -> bool:
        """Whether nothing was read for a minute."""
        return self._clock.steady() >= self._learned_at + _OLD_AFTER

    def changed(self) -> None:
        """Ask again with the next call: somebody has changed the keys, or may have."""
        with self._lock:
            self.changes += 1
            self._due_at, self.asks_all = -math.inf, True

    def settled(self, changes: int) -> None:
        """Ask again in a second, unless somebody has changed the keys since there were
        ``changes``."""
        with self._lock:
            if self.changes == changes:
                self._due_at = self._clock.steady() + _ASK_AGAIN_AFTER

    def now(self) -> int:
        """Seconds since the epoch."""
        return int(self._clock.wall())

    def schedule(self) -> KeySchedule:
        """The schedule of the keys: which one signs, and which ones verify, now."""
        with self._lock:
            keys = list(self._stored.values())
        return KeySchedule(keys, self._clock.wall(), self._token_seconds)

    def learn(self, values: Mapping[str, bytes]) -> None:
        """Take note of a copy. A key that cannot be read is left out, and the log says so once.

        Raises StoreFailed when there is no other.
        """
        failure: StoreFailed | None = None
        with self._lock:
            self._learned_at = self._clock.steady()
            for name, value in values.items():
                if not name.startswith(KIND):
                    continue
                try:
                    key = StoredKey.decode(name.removeprefix(KIND), value)
                except StoreFailed as error:
                    failure = error
                    self._tell(name, str(error))
                    continue
                known = self._stored.get(name)
                if known is None or not known.revoked:
                    self._stored[name], self._looked_at = key, -1
            if failure is not None and not self._stored:
                raise failure

    def lacking(self, values: Mapping[str, bytes]) -> dict[str, bytes]:
        """The keys known here and missing in the copy ``values``, or revoked only here; but
        none that can no longer matter, or may soon not: others remove it."""
        found = {}
        with self._lock:
            now = self._clock.wall() + _SOON
            stale = KeySchedule(self._stored.values(), now, self._token_seconds).stale()
            for name, key in self._stored.items():
                if key.kid in stale:
                    continue
                value = values.get(name)
                if value is None or (key.revoked and not _is_revoked(key.kid, value)):
                    found[name] = key.encode()
        return found

    def stale(self, values: Mapping[str, bytes]) -> dict[str, tuple[bytes, int]]:
        """The keys in a copy that can no longer matter, and since when."""
        with self._lock:
            stale = self.schedule().stale()
        return {
            KIND + kid: (values[KIND + kid], due)
            for kid, due in stale.items()
            if KIND + kid in values
        }

    def is_in(self, values: Mapping[str, bytes]) -> bool:
        """Whether a copy has a key."""
        return any(name.startswith(KIND) for name in values)

    def rewrapped(self, copy: int, values: Mapping[str, bytes]) -> dict[str, bytes]:
        """The keys that another key from outside than the first one wraps in a copy, wrapped by
        that.

        Each once: a process that has these keys in another order would wrap it back.
        """
        found = {}
        with self._lock:
            for name in self._stored.keys() & values.keys():
                if (copy, name) in self._rewrapped or self._stored[name].revoked:
                    continue
                try:
                    held = StoredKey.decode(name.removeprefix(KIND), values[name])
                    newer = None if held.revoked else rewrapped(held, self._wrapping, self._purpose)
                except (ConfigurationError, StoreFailed) as error:
                    self._tell(name, str(error))
                    continue
                if newer is not None:
                    found[name] = newer.encode()
        return found

    def has_rewrapped(self, copy: int, names: Iterable[str]) -> None:
        """Take note that a copy has these as the configuration asks for."""
        with self._lock:
            self._rewrapped.update((copy, name) for name in names)

    def made(self, signs_from: int) -> dict[str, bytes]:
        """A new key that signs from a second on, by its name. An RSA key takes a while."""
        key = make_key(
            self.how, self._wrapping, self._purpose, now=self.now(), signs_from=signs_from
        )
        return {KIND + key.kid: key.encode()}

    def find(self, kid: str) -> StoredKey | None:
        """Return the key of an id; None: there is none."""
        return self._stored.get(KIND + kid)

    def use(self) -> None:
        """Sign and verify with what is known now.

        A key that was opened once stays open, whatever wraps it now. Raises ConfigurationError when
        the private half of the key that signs does not open, and no key was in use here so far;
        later, what is revoked has to be refused here too.
        """
        with self._lock:
            usable = tuple(self.schedule().usable())
            if usable == self.used:
                return
            if not usable:
                self.adopt(self._opened.none())
                self.used = ()
                return
            ring, failure = self._opened.ring(usable)
            if failure is not None:
                why = f"{failure} (if it is lost: clusterpass keys revoke {usable[0].kid})"
                if not self.used:
                    raise ConfigurationError(why)
                self._tell(usable[0].kid, why)
            had_failed, self._has_failed = self._has_failed, failure is not None
            if had_failed or [key.kid for key in usable] != [key.kid for key in self.used]:
                self.adopt(ring)
            self.used = usable

    def _tell(self, name: str, why: str) -> None:
        if name not in self._told:
            self._told.add(name)
            logger.error("a signing key in the store cannot be used: %s", why)


def purpose(namespace: str) -> bytes:
    """The purpose for which a key of a namespace is wrapped; its id follows."""
    return f"clusterpass signing key {namespace} ".encode()


def _is_revoked(kid: str, value: bytes) -> bool:
    try:
        return bool(StoredKey.decode(kid, value).revoked)
    except StoreFailed:
        return True  # of a later release, which is left alone


def _nowhere(ring: KeyRing) -> None:
    """Nobody uses the keys yet."""
