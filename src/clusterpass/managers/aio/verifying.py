"""Lets concurrent verifies share work: the warm-up of a process, and the loads of one token."""

from contextlib import suppress
from typing import Final, Protocol

from clusterpass.managers.aio.running import AsyncRunning
from clusterpass.managers.single_flight import AsyncSingleFlight
from clusterpass.model.errors import StoreUnavailable
from clusterpass.model.values import Session
from clusterpass.protocol.script import Flow
from clusterpass.sessions.flows import Flows

_WARM_UP: Final = "warm-up"
"""No access token: the flight of the first caller of a process."""
_MOST_WAITS: Final = 3


class Verification(Protocol):
    """Makes the flow that verifies a token."""

    def __call__(self, *, is_late: bool) -> Flow[Session]:
        """``is_late``: as for ``Verify.verify``."""


class AsyncVerifying:
    """The loads that are under way in one manager, which concurrent verifies share."""

    def __init__(self, running: AsyncRunning, flows: Flows, *, deadline: float) -> None:
        """``deadline``: seconds after which the store gives up a call."""
        self._running: Final = running
        self._deadline: Final = deadline
        self._flows: Final = flows
        self._near: Final = flows.memory.near
        self._loads: Final = AsyncSingleFlight()

    async def warm_up(self) -> None:
        """Let one caller find the store, and what all verifies need, while the others wait."""
        if await self._loads.join(_WARM_UP, self._deadline):
            return
        try:
            # Where that fails, each verify says so, or answers within its grace.
            with suppress(StoreUnavailable):
                await self._running.run(self._flows.verify.warm_up())
        finally:
            self._loads.land(_WARM_UP)

    async def share(self, access_token: str, begin: Verification, *, is_late: bool) -> Session:
        """Verify ``access_token`` by the flow of ``begin``, or share what another caller loads.

        ``is_late``: whether the caller has waited in vain already. Who waits here for half of the
        deadline, and in vain, does not wait again.
        """
        began, patience = self._near.now(), self._deadline
        for _ in range(_MOST_WAITS):
            if is_late:
                break
            if not await self._loads.join(access_token, patience):
                try:
                    return await self._running.run(begin(is_late=False))
                finally:
                    self._loads.land(access_token)
            session = self._near.shared(access_token, began)
            if session is not None:
                return session
            is_late = self._near.now() - began >= patience / 2
        return await self._running.run(begin(is_late=is_late))
