"""The signing keys in the store, checked for changes every second.

Calls notice changed keys by themselves. The checks keep what is derived from the keys up to date
(the published key set, assertions, proxy cookies), even in an idle worker.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from clusterpass import (
    AsyncSessionManager,
    ClusterPassError,
    ConfigurationError,
    KeyRing,
    StoreUnavailable,
)

INTERVAL: Final = 1.0
"""Seconds between two looks at the keys."""


class FollowedKeys:
    """The keys of a manager whose keys are in the store."""

    def __init__(self, manager: AsyncSessionManager, logger: Any) -> None:
        self._manager: Final = manager
        self._logger: Final = logger
        self._seen: KeyRing = manager.config.keys
        self.told: Callable[[ConfigurationError], None] = lambda _: None
        """Takes what is wrong with changed keys, which are not used."""

    async def begin(self) -> KeyRing:
        """Return the keys as they are now; those that wait for the store while it is away."""
        with suppress(StoreUnavailable):
            await self._manager.keys.list()
        self._seen = self._manager.config.keys
        return self._seen

    async def watch(self, use: Callable[[KeyRing], None]) -> None:
        """Have the keys used whenever they have changed. ``use``: may raise ConfigurationError."""
        is_told = False
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self._manager.keys.list()
                ring = self._manager.config.keys
                if ring is not self._seen:
                    use(ring)
                    self._seen = ring
                    self._logger.info(
                        "keys_changed",
                        signing=ring.signing_key.kid,
                        kids=[key.kid for key in ring.all()],
                    )
                is_told = False
            except StoreUnavailable:
                continue  # the log says so already
            except ClusterPassError as error:
                if not is_told:
                    self._logger.error("keys_kept", error=str(error))  # noqa: TRY400
                    if isinstance(error, ConfigurationError):
                        self.told(error)
                is_told = True
