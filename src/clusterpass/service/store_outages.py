"""Logs the beginning of a store outage with its cause, and its end, once each.

- After one ping at the start, an outage is noticed only by calls that fail: nothing is sent to
  detect one.
- During an outage the store is asked every second, by reads of random subjects, which reach all
  shards in their turn.
"""

import asyncio
import secrets
from typing import Any, Final

from clusterpass import AsyncSessionManager, ClusterPassError, StoreUnavailable

_SECONDS: Final = 1.0
_READS: Final = 16
_OF_THE_STORE: Final = frozenset(
    {
        *("refused", "name_unknown", "timed_out", "unreachable", "lost", "tls"),
        *("authentication", "rights", "read_only", "no_quorum", "loading"),
    }
)
"""The causes that say that the store is down, and not that it is busy or moving a slot."""


class StoreOutageLog:
    """Logs the outages of the store as one worker notices them."""

    def __init__(self, sessions: AsyncSessionManager, logger: Any) -> None:
        """``logger``: gets the lines."""
        self._sessions: Final = sessions
        self._logger: Final = logger
        self._is_down: Final = asyncio.Event()
        store: Any = sessions.store
        store.on_unavailable = self.note

    def note(self, error: StoreUnavailable) -> None:
        """Log that the store is down, because of ``error``, unless that is known."""
        if self._is_down.is_set() or error.cause not in _OF_THE_STORE:
            return
        self._is_down.set()
        told = {"node": error.node, "address": error.address, "cause": error.cause}
        self._logger.error(
            "store_unavailable",
            **{name: value for name, value in told.items() if value is not None},
            detail=error.describe(),
        )

    async def watch(self) -> None:
        """Ask the store once, and whenever it is down; until cancelled."""
        if await self._is_there():
            await self._is_down.wait()
        while True:
            await asyncio.sleep(_SECONDS)
            if self._is_down.is_set() and await self._serves():
                self._is_down.clear()
                self._logger.info("store_available")
                await self._is_down.wait()

    async def _is_there(self) -> bool:
        try:
            await self._sessions.ping()
        except ClusterPassError:  # what counts was noted
            return False
        return True

    async def _serves(self) -> bool:
        """Whether every shard answers. A read that meets a silent node has it probed."""
        if not await self._is_there():
            return False
        try:
            for _ in range(_READS):
                await self._sessions.sessions(f"nobody-{secrets.token_hex(8)}")
        except ClusterPassError:
            return False
        return not self._sessions.stats().silent_nodes
