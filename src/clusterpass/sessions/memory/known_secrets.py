"""The refresh secrets that this process knows: those of its configuration, and those of the store.

The store holds three copies of one hash, on three primaries. ``stored_secret.py`` describes how a
secret is written there, and ``announced_secrets.py`` the other fields. A process that finds a field
in one copy and not in another adds it there. A secret that is given up therefore leaves its name
behind: otherwise a process that still knows the secret would bring it back.
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any, Final

from clusterpass.config import Config
from clusterpass.model.clock import Clock
from clusterpass.model.errors import ClusterPassError, ConfigurationError, StoreFailed
from clusterpass.protocol.calls.secrets import COPIES
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.sessions.memory.announced_secrets import AnnouncedSecrets, last_seen
from clusterpass.sessions.memory.stored_secret import (
    KIND,
    StoredForm,
    given_up_at,
    is_retired,
    name_of,
    purpose,
    retirement,
)
from clusterpass.sessions.memory.unknown_key_lookups import Searches
from clusterpass.tokens.key_encryption import KeyEncryptionKeys
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.refresh import RefreshTokens
from clusterpass.tokens.refresh_secrets import (
    RefreshSecret,
    are_first,
    read_refresh_secrets,
    refresh_secret,
)

logger: Final = logging.getLogger("clusterpass.keys")
_READ_AGAIN_AFTER: Final = 60.0
_READ_THE_FIRST_TIMES_AFTER: Final = 1.0
"""Seconds until the next copy is read, until this process has seen each one: who finds one empty
fills it."""
_PUT_OFF: Final = 5.0
_PUBLISHED_FOR: Final = 90_000
"""Milliseconds for which a secret is known before it makes tokens, unless there is no other: each
process has read a copy by then. One that had not would take a token for stolen whose successor the
secret has derived."""
_KEPT: Final = 30 * 86_400
"""Seconds for which the name of a retired secret stays, beyond the life of a session."""
_SOON: Final = 86_400
"""Seconds by which clocks may differ of whoever removes a name, and whoever might put it back."""
_OLD_AFTER: Final = 80.0
"""Seconds without a copy after which a process may lack a secret that makes tokens elsewhere."""


class KnownSecrets:
    """Makes and accepts refresh tokens with the secrets that are known at the moment."""

    def __init__(
        self,
        config: Config,
        keyspace: Keyspace,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        *,
        lock: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        """``random_bytes``: returns n unpredictable bytes. ``lock``: creates a reentrant lock."""
        self._config, self._clock, self._random_bytes = config, clock, random_bytes
        self._keys = config.keys
        wrapping = KeyEncryptionKeys(config.key_encryption_keys)
        self._form: Final = StoredForm(wrapping, purpose(keyspace.namespace))
        self._stored: dict[str, bytes] = {}
        self._read: dict[str, tuple[int, RefreshSecret]] = {}
        self._tokens: RefreshTokens | None = None
        self._due_at = self._learned_at = -math.inf
        self._lock = lock()
        self._told: set[str] = set()
        self._wrapped: set[tuple[int, str]] = set()
        self._kept: Final = _KEPT + max(
            *(config.idle_lifetime, config.remember_idle_lifetime),
            *(config.absolute_lifetime, config.remember_lifetime),
        )
        self._read_at = clock.wall()
        self.searches: Final = Searches(clock.steady)
        self._reads = 0

    @property
    def is_configured(self) -> bool:
        """Whether the secrets of the configuration make tokens, so that none is made in the
        store."""
        return are_first(self._config.refresh_secrets)

    @cached_property
    def _configured(self) -> tuple[RefreshSecret, ...]:
        return read_refresh_secrets(self._config.refresh_secrets)

    @cached_property
    def _announced(self) -> AnnouncedSecrets:
        return AnnouncedSecrets(
            [each.id for each in self._configured],
            f"{self._config.issuer}\0{self._config.audience}",
            self._milliseconds,
        )

    @property
    def latest(self) -> RefreshTokens | None:
        """The maker and verifier of refresh tokens; None: no secret is known yet."""
        if self._tokens is None and self.is_configured:
            with self._lock:
                self._tokens = self._tokens_of(self._in_order())
        return self._tokens

    @property
    def fresh(self) -> RefreshTokens | None:
        """The maker and verifier of refresh tokens; None: the store has to be asked first."""
        return self.latest if self._clock.steady() < self._due_at else None

    @property
    def knows_all(self) -> bool:
        """Whether no secret makes tokens elsewhere that this process lacks, or cannot open, as far
        as it can tell."""
        with self._lock:
            is_old = self._clock.steady() >= self._learned_at + _OLD_AFTER
            has_closed = bool(self._told) and bool(self._closed())
            return not (is_old or has_closed or self._announced.has_others)

    def is_elsewhere(self, secret_id: bytes) -> bool:
        """Whether the secret of this id is in the configuration of other processes only."""
        with self._lock:
            return self._announced.is_elsewhere(secret_id)

    def announcements(self) -> dict[str, bytes]:
        """The announcements of configured secrets for every copy, by name; mostly none."""
        with self._lock:
            return self._announced.overdue()

    def changed(self) -> None:
        """Ask again with the next call: somebody has changed the secrets, or may have."""
        self._due_at = -math.inf

    def replace_keys(self, keys: KeyRing) -> None:
        """Accept tokens of version 2 by the private keys in ``keys`` from now on."""
        self._keys = keys
        with self._lock:
            if self._tokens is not None:
                self._tokens = self._tokens_of(self._in_order())

    def is_closed(self, secret_id: bytes) -> bool:
        """Whether the store has a secret of this id that does not open here: a token of it is no
        forgery."""
        with self._lock:
            return name_of(secret_id) in self._closed()

    def put_off(self) -> None:
        """Go on with what is known, and ask again soon: the store was unavailable."""
        self._due_at = self._clock.steady() + _PUT_OFF

    def proposal(self) -> dict[str, bytes]:
        """A new secret, by its name, for a store that has none."""
        secret = refresh_secret(self._random_bytes(32))
        return {name_of(secret.id): self._form.write(secret.value, self._milliseconds())}

    def retirement(self, *, besides: str) -> dict[str, bytes]:
        """Marks that retire every secret known in the store, except the one of a name; also those
        that do not open here, which others may accept."""
        retired = retirement(self._milliseconds())
        with self._lock:
            return dict.fromkeys((self._read.keys() | self._closed()) - {besides}, retired)

    def learn(self, values: Mapping[str, bytes]) -> None:
        """Take note of a copy.

        A secret that was opened once stays open, whatever wraps it now. Raises ConfigurationError
        when a secret is wrapped by a key that is not configured, and StoreFailed when one cannot be
        read, unless there are others: then the log says so, once for each.
        """
        with self._lock:
            failure: ClusterPassError | None = None
            self._forget_if_long_away()
            self._announced.learn(values)
            for name, value in values.items():
                if not name.startswith(KIND) or is_retired(self._stored.get(name, b"")):
                    continue
                try:
                    self._learn_one(name, value)
                except (ConfigurationError, StoreFailed) as error:
                    failure = failure if name in self._read else error
                    if name not in self._told:
                        self._told.add(name)
                        why = str(error)
                        logger.warning("a refresh secret in the store cannot be used: %s", why)
            if failure is not None and not self._read and not self.is_configured:
                raise failure
            self._reads += 1
            is_early = self._reads < COPIES
            seconds = _READ_THE_FIRST_TIMES_AFTER if is_early else _READ_AGAIN_AFTER
            self._learned_at = self._clock.steady()
            self._due_at = self._learned_at + seconds
            if self._read or self.is_configured:
                self._tokens = self._tokens_of(self._in_order())
            elif not self._closed():
                self._tokens = None  # all were retired: nothing is made or accepted by them

    def stale(self, values: Mapping[str, bytes]) -> dict[str, tuple[bytes, int]]:
        """The names of retired secrets in a copy that can no longer matter, and since when; also of
        secrets of configurations that nobody has announced for as long."""
        now, found = self._clock.wall(), {}
        for name, value in values.items():
            given_up = given_up_at(value) if name.startswith(KIND) else last_seen(name, value)
            due = None if given_up is None else given_up + self._kept
            if due is not None and due <= now:
                found[name] = value, int(due)
        return found

    def is_in(self, values: Mapping[str, bytes]) -> bool:
        """Whether a copy has a secret that was not retired, or none is needed."""
        with self._lock:
            return self.is_configured or any(
                name.startswith(KIND) and not is_retired(value)
                for name, value in values.items()
                if not is_retired(self._stored.get(name, b""))
            )

    def lacking(self, values: Mapping[str, bytes]) -> dict[str, bytes]:
        """The secrets known here and missing in the copy ``values``, or retired only here; none
        where the configuration has the secrets."""
        if self.is_configured:
            return {}
        soon = self._clock.wall() + _SOON
        with self._lock:
            return {
                name: value
                for name, value in self._stored.items()
                if name not in values or (is_retired(value) and not is_retired(values[name]))
                if (given_up_at(value) or math.inf) + self._kept > soon
            }

    def rewrapped(self, copy: int, values: Mapping[str, bytes]) -> dict[str, bytes]:
        """The secrets that a copy holds otherwise than the configuration asks for, as it does.

        Each once: a process that has the keys in another order would wrap it back.
        """
        if self.is_configured or not self._form.wraps:
            return {}
        found = {}
        with self._lock:
            for name, (created, secret) in self._read.items():
                if (copy, name) in self._wrapped or name in self._told or name not in values:
                    continue
                if not self._form.is_wrapped(values[name]):
                    found[name] = self._form.write(secret.value, created)
        return found

    def has_rewrapped(self, copy: int, names: Iterable[str]) -> None:
        """Take note that a copy has these as the configuration asks for."""
        with self._lock:
            self._wrapped.update((copy, name) for name in names)

    def _forget_if_long_away(self) -> None:
        """Forget all where nothing was read for so long that a secret may have been retired, and
        the name of it removed: this process would bring it back."""
        now = self._clock.wall()
        if abs(now - self._read_at) > self._kept / 2 and self._stored:
            self._stored.clear()
            self._read.clear()
            self._told.clear()
            self._tokens = None
        self._read_at = now

    def _closed(self) -> set[str]:
        """The names of the secrets in the store that do not open here."""
        return {
            name
            for name in self._told - self._read.keys()
            if not is_retired(self._stored.get(name, b""))
        }

    def _learn_one(self, name: str, value: bytes) -> None:
        if self._stored.get(name) == value:
            return
        found = self._form.read(name, value)
        if found is None:
            self._read.pop(name, None)
        else:
            self._read[name] = found
        self._stored[name] = value

    def _in_order(self) -> tuple[RefreshSecret, ...]:
        """All secrets; the first one makes tokens.

        Those that every process has had the time to hear of come first, and among them those of the
        configuration, or of the store where ``store`` precedes these; the newest one of the store
        before the older ones. The others follow by age: where all are new, processes agree.
        """
        settled = self._milliseconds() - _PUBLISHED_FOR
        own = [(self._announced.since(each.id), each) for each in self._configured]
        newest = sorted(self._read.items(), key=lambda each: (each[1][0], each[0]), reverse=True)
        stored = [found for _, found in newest]
        wanted = own + stored if self.is_configured else stored + own
        old = [each for since, each in wanted if since <= settled]
        young = sorted(
            ((since, each) for since, each in wanted if since > settled), key=lambda each: each[0]
        )
        return (*old, *(each for _, each in young))

    def _milliseconds(self) -> int:
        return int(self._clock.wall() * 1000)

    def _tokens_of(self, secrets: tuple[RefreshSecret, ...]) -> RefreshTokens:
        config = self._config
        return RefreshTokens(
            secrets,
            self._random_bytes,
            issuer=config.issuer,
            audience=config.audience,
            older_keys=[key for key in self._keys.all() if key.can_derive],
            for_previous=config.compatibility == "previous",
        )
