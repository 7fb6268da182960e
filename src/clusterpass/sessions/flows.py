"""All flows of a manager, with the dependencies that they share."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from secrets import SystemRandom
from typing import Any, Final

from clusterpass.config import Config
from clusterpass.model.clock import Clock, clock_in_use
from clusterpass.model.counters import Counters
from clusterpass.model.errors import ConfigurationError
from clusterpass.model.events import SessionEvent
from clusterpass.model.statistics import ManagerStats
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.sessions.audit_recorder import WRITER_BYTES, AuditTrail
from clusterpass.sessions.context import Context
from clusterpass.sessions.issue_tokens import Minting
from clusterpass.sessions.memory.known_keys import KnownKeys
from clusterpass.sessions.memory.known_secrets import KnownSecrets
from clusterpass.sessions.memory.memory import Memory
from clusterpass.sessions.read_secrets import RefreshSecrets
from clusterpass.sessions.revocations.confirm import Confirm
from clusterpass.sessions.signing_keys import SigningKeys
from clusterpass.sessions.verbs.audit import AuditFlows
from clusterpass.sessions.verbs.end import End
from clusterpass.sessions.verbs.exchange import Exchange
from clusterpass.sessions.verbs.get import Get
from clusterpass.sessions.verbs.login import Login
from clusterpass.sessions.verbs.old_tokens import OldTokens
from clusterpass.sessions.verbs.online import Online
from clusterpass.sessions.verbs.refresh import Refresh
from clusterpass.sessions.verbs.step_up_and_shorten import Adjust
from clusterpass.sessions.verbs.subject import SubjectFlows
from clusterpass.sessions.verbs.subject_data import SubjectData
from clusterpass.sessions.verbs.verify import Verify
from clusterpass.tokens.keyring import KeyRing

_system_random: Final = SystemRandom()


class Flows:
    """The flows of one manager, grouped by topic. A manager passes each flow to its store."""

    def __init__(
        self,
        config: Config,
        keyspace: Keyspace,
        *,
        deadline: float,
        tell: Callable[[SessionEvent], None],
        lock: Callable[[], AbstractContextManager[Any]] = nullcontext,
        has_epochs: bool = True,
        clock: Clock | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
        jitter: Callable[[], float] = _system_random.random,
    ) -> None:
        """``deadline``: seconds after which the store gives up on a call.

        ``tell``: reports an event to the listeners. ``lock``: creates a reentrant lock.
        ``has_epochs``: whether the store is a cluster. ``random_bytes``: returns n unpredictable
        bytes. ``jitter``: returns a random number from 0 to 1.

        Raises ConfigurationError when ``Config.refresh_grace`` is not longer than ``deadline``: a
        retried refresh could then arrive after the grace and count as reuse.
        """
        clock = clock_in_use(for_tests=keyspace.is_for_tests) if clock is None else clock
        if config.refresh_grace and config.refresh_grace <= deadline:
            raise ConfigurationError(
                f"refresh_grace ({config.refresh_grace} s) must be longer than the store's deadline"
                f" ({deadline:g} s), or 0"
            )
        self.counters: Final = Counters()
        self.memory: Final = Memory(
            config,
            keyspace,
            clock,
            lock=lock,
            has_epochs=has_epochs,
            jitter=jitter,
            keeping=lambda: context.keeping(),  # noqa: PLW0108 (made below)
        )
        self.known_keys: Final = (
            None if config.keys.managed is None else KnownKeys(config, keyspace, clock, lock=lock)
        )
        self.known_secrets: Final = KnownSecrets(config, keyspace, clock, random_bytes, lock=lock)
        self.trail: Final = (
            None
            if config.audit is None
            else AuditTrail(config.audit, config, keyspace, clock, random_bytes(WRITER_BYTES))
        )
        signing = (
            None
            if self.known_keys is None
            else SigningKeys(self.known_keys, keyspace, deadline, self.trail)
        )
        self.memory.near.counters = self.counters
        count = self.counters.events

        def counted(event: SessionEvent) -> None:
            count[event.kind] += 1
            tell(event)

        context = Context(
            config=config,
            keyspace=keyspace,
            clock=clock,
            random_bytes=random_bytes,
            tell=counted,
            deadline=deadline,
            memory=self.memory,
            minting=Minting(config, random_bytes),
            secrets=RefreshSecrets(self.known_secrets, keyspace, deadline, signing, self.trail),
            signing=signing,
            counters=self.counters,
        )
        self.context: Final = context
        self.memory.near.on_secrets = self._forget_secrets
        self.audit: Final = AuditFlows(context, self.trail)
        confirm = Confirm(context)
        self.login: Final = Login(context, confirm)
        self.verify: Final = Verify(context, confirm)
        self.get: Final = Get(context, confirm)
        self.refresh: Final = Refresh(context, confirm)
        self.end: Final = End(context, self.refresh, confirm)
        self.adjust: Final = Adjust(context)
        self.subject: Final = SubjectFlows(context, confirm)
        self.data: Final = SubjectData(context, self.subject, self.end)
        self.online: Final = Online(context)
        self.exchange: Final = Exchange(context, self.login, confirm)
        self.old_tokens: Final = OldTokens(context)

    def _forget_secrets(self, is_certain: bool) -> None:
        """Have the keys and secrets in the store read anew; if they have certainly changed, before
        any token is served from memory."""
        if is_certain:
            self.known_secrets.changed()
        if self.known_keys is not None:
            self.known_keys.changed()
            if is_certain:
                self.memory.near.forget_tokens()

    def replace_keys(self, before: KeyRing, keys: KeyRing) -> None:
        """Go on with ``keys`` instead of those ``before``.

        Tokens that a removed key has signed are no longer remembered as verified.
        """
        self.context.minting.replace_keys(keys)
        self.context.secrets.replace_keys(keys)
        self.verify.replace_keys(keys)
        self.end.replace_keys(keys)
        if any(keys.find(key.kid) != key for key in before.all()):
            self.memory.near.forget_tokens()

    def stats(self) -> ManagerStats:
        """Return how sessions are verified, and the statistics of cache, leases and revocations."""
        config, memory = self.context.config, self.memory
        return ManagerStats(
            verification=config.verification,
            staleness_bound=config.staleness_bound,
            cache=memory.near.stats(),
            nodes=memory.near.node_stats(),
            refusal=memory.near.refusal,
            durability=config.durability,
            pending=memory.pending.stats(),
            rollbacks=memory.denials.rollbacks,
            grace_accepted=memory.grace_accepted,
            audit=None if self.trail is None else self.trail.queue.stats(),
        )
