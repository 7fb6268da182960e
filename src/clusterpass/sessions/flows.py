"""All flows over sessions, built once for each manager."""

import secrets
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from clusterpass.config import Config
from clusterpass.model.clock import steady_seconds
from clusterpass.model.errors import ConfigurationError
from clusterpass.model.statistics import ManagerStats
from clusterpass.model.values import SessionEvent
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.sessions.context import Context
from clusterpass.sessions.endings.confirm import Confirmation
from clusterpass.sessions.verbs.adjust import Standing
from clusterpass.sessions.verbs.end import Ending
from clusterpass.sessions.verbs.login import Opening
from clusterpass.sessions.verbs.online import Online
from clusterpass.sessions.verbs.refresh import Rotation
from clusterpass.sessions.verbs.subject import Subjects
from clusterpass.sessions.verbs.verify import Verification

_system_random: Final = secrets.SystemRandom()


class Flows:
    """The flows by subject; a manager hands each to its store."""

    def __init__(
        self,
        config: Config,
        keyspace: Keyspace,
        *,
        deadline: float,
        tell: Callable[[SessionEvent], None],
        lock: Callable[[], AbstractContextManager[Any]] = nullcontext,
        has_epochs: bool = True,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = steady_seconds,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        jitter: Callable[[], float] = _system_random.random,
    ) -> None:
        """``deadline``: seconds after which the store gives up a call; ``tell``: the listeners;

        ``lock``: makes a lock that a thread can hold several times; ``has_epochs``: whether the
        store is a cluster.

        Raises ConfigurationError when a call may be repeated after the grace of its token.
        """
        if config.refresh_grace and config.refresh_grace <= deadline:
            raise ConfigurationError(
                f"refresh_grace ({config.refresh_grace} s) must be longer than the store's deadline"
                f" ({deadline:g} s), or 0"
            )
        context = Context(
            config,
            keyspace,
            clock=clock,
            monotonic=monotonic,
            random_bytes=random_bytes,
            tell=tell,
            lock=lock,
            has_epochs=has_epochs,
            deadline=deadline,
            jitter=jitter,
        )
        self.context: Final = context
        self.opening: Final = Opening(context)
        confirmation = Confirmation(context)
        self.verification: Final = Verification(context, confirmation)
        self.rotation: Final = Rotation(context, self.verification, confirmation)
        self.ending: Final = Ending(context, self.rotation, confirmation)
        self.standing: Final = Standing(context)
        self.subjects: Final = Subjects(context, confirmation)
        self.online: Final = Online(context)

    def stats(self) -> ManagerStats:
        """How sessions are verified, and what that stands on."""
        config, near = self.context.config, self.context.near
        return ManagerStats(
            verification=config.verification,
            staleness_bound=config.staleness_bound,
            cache=near.stats(),
            nodes=near.node_stats(),
            refusal=near.refusal,
            durability=config.durability,
            pending=self.context.pending.stats(),
            rollbacks=self.context.denials.rollbacks,
            grace_accepted=self.context.grace_accepted,
        )
