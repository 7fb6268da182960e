"""Keeps a multiplexed connection authenticated where credentials expire.

Before its credentials expire, the connection authenticates again, by AUTH between other requests.
If that fails, it tries again until they expire. It then closes, as the server would close it, and
new connections tell callers what is wrong.
"""

import asyncio
import logging
import math
from typing import Final

from clusterpass.model.errors import StoreUnavailable
from clusterpass.store.address import Address
from clusterpass.store.credentials import (
    Credentials,
    CredentialSource,
    pause_after_failure,
)
from clusterpass.store.outcomes import Fault, ServerError
from clusterpass.store.wire.ask_for_credentials import ask_for_credentials
from clusterpass.store.wire.background import BackgroundTasks
from clusterpass.store.wire.multiplexed import MultiplexedConnection
from clusterpass.store.wire.resp import pack_one

logger: Final = logging.getLogger("clusterpass.store")


class Reauthentication:
    """The task that keeps one connection authenticated, until the connection or it is ended."""

    def __init__(
        self,
        connection: MultiplexedConnection,
        address: Address,
        source: CredentialSource,
        used: Credentials,
        *,
        seconds: float,
        background: BackgroundTasks,
    ) -> None:
        """``used``: the credentials of the greeting; ``seconds``: how long ``source`` may take;
        ``background``: runs the task."""
        self.connection: Final = connection
        self._address = address
        self._source = source
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._renewal, self._end = used.renewal(self._loop.time()), used.end(self._loop.time())
        self._has_failed = False
        self._task = background.begin(self._run(), "clusterpass-credentials")

    def stop(self) -> None:
        """Authenticate no more."""
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._renewal - self._loop.time())
            if not self.connection.is_open:
                return
            failure = await self._authenticate()
            now = self._loop.time()
            if failure is None:
                self._has_failed = False
                if self._end == math.inf:
                    return
                continue
            if not self._has_failed:
                logger.warning("%s: a connection keeps its old login: %s", self._address, failure)
            self._has_failed = True
            if now >= self._end:
                self.connection.end()
                return
            self._renewal = now + pause_after_failure(now, self._end)

    async def _authenticate(self) -> str | None:
        """Authenticate again; return what has failed, or None."""
        try:
            credentials = await ask_for_credentials(self._source, self._seconds)
        except StoreUnavailable as error:
            return error.message
        packed = pack_one((b"AUTH", *credentials.pair()))
        outcome = await self.connection.ask(packed, 1, urgent=True)
        if isinstance(outcome, Fault):
            return "no answer to AUTH"
        reply = outcome.values[0]
        if isinstance(reply, ServerError):
            return f"the server answers {reply.code} to AUTH"
        now = self._loop.time()
        self._renewal, self._end = credentials.renewal(now), credentials.end(now)
        return None
