"""A link to one node: a connection that opens on demand, and opens again after it was lost.

- The connection speaks RESP3. Where a node refuses that, it speaks RESP2: the node then answers
  requests and heartbeats, and pushes nothing.
- One caller opens the connection; the others wait for the result.
- A failure is followed by a pause (:class:`Backoff`). Callers get the failure meanwhile.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from clusterpass.store.address import Address
from clusterpass.store.credentials import Credentials
from clusterpass.store.location import StoreLocation
from clusterpass.store.outcomes import Fault, FaultKind, ServerError
from clusterpass.store.wire.ask_for_credentials import ask_for_credentials
from clusterpass.store.wire.background import BackgroundTasks
from clusterpass.store.wire.backoff import Backoff
from clusterpass.store.wire.faults import fault_of_connection
from clusterpass.store.wire.handshake import (
    Pushes,
    following,
    greeting,
    judge_greeting,
    judge_plain_greeting,
    plain_greeting,
)
from clusterpass.store.wire.idle_connections import LONGEST_IDLE
from clusterpass.store.wire.link_listener import LinkListener
from clusterpass.store.wire.multiplexed import MultiplexedConnection, Outcome
from clusterpass.store.wire.open_transport import open_transport
from clusterpass.store.wire.reauthentication import Reauthentication
from clusterpass.store.wire.resp import pack


class Link:
    """Requests to one node over one connection that is opened on demand."""

    def __init__(
        self,
        location: StoreLocation,
        address: Address,
        context: Callable[[], ssl.SSLContext | None] | None,
        listener: LinkListener | None = None,
        *,
        limit: float | None = None,
        silent: Callable[[Address, float, float], None] | None = None,
        background: BackgroundTasks | None = None,
    ) -> None:
        """``context``: makes that of the next connection; None for no TLS. ``listener``: gets
        what the node pushes; None: the node is not asked to push. ``limit``: seconds for a reply;
        None: the timeout of the store URL.
        ``silent``: called when no reply came over a connection that had worked, with the address,
        since when the connection had idled, and when the request was sent.
        ``background``: what runs the tasks; None: the link's own."""
        self.address: Final = address
        self._location = location
        self._context = context
        self._listener = listener
        self._silent = silent
        self._background = BackgroundTasks() if background is None else background
        self._login: Credentials | None = None
        """What the connection opened last has logged in with."""
        self._renewal: Reauthentication | None = None
        self._limit = location.patience.timeout if limit is None else limit
        self.connection: MultiplexedConnection | None = None
        """The connection opened last, which may be lost by now; None before the first."""
        self._opening: asyncio.Task[Fault | None] | None = None
        self._is_in_handshake = False
        """Whether the node is reached, and TLS is not agreed on yet."""
        self._backoff: Final = Backoff()
        self._closed = False
        self._why: FaultKind = "connection"

    @property
    def open_connection(self) -> MultiplexedConnection | None:
        """The connection; None unless it is open. One that has idled for a minute is closed."""
        connection = self.connection
        if connection is None or not connection.is_open:
            return None
        if connection.has_idled(asyncio.get_running_loop().time() - LONGEST_IDLE):
            connection.end()
            return None
        return connection

    def retire(self, since: float) -> None:
        """Close the connection if nothing was asked or heard over it since ``since``, in seconds of
        the loop's clock: something on the way may have dropped it. The next request opens another.
        """
        connection = self.connection
        if connection is not None and connection.is_open and connection.has_idled(since):
            connection.end()

    def renew(self) -> None:
        """Have the next request open a new connection, without a pause; unless something was heard
        over the present one within the time limit."""
        self._backoff.not_before = 0.0
        connection, now = self.connection, asyncio.get_running_loop().time()
        is_open = connection is not None and connection.is_open
        if connection is not None and is_open and not connection.was_heard(now - self._limit):
            connection.end()

    async def ask(self, packed: bytes, count: int, *, urgent: bool = False) -> Outcome:
        """Send ``packed``, opening the connection first where needed.

        Returns the ``count`` replies, or a Fault. Raises StoreDenied or StoreFailed where the node
        refuses the connection.
        """
        connection = self.open_connection
        if connection is None:
            fault = await self.open()
            if fault is not None:
                return fault
            connection = self.connection
            assert connection is not None
        return await connection.ask(packed, count, urgent=urgent)

    async def open(self) -> Fault | None:
        """Open the connection unless it is open.

        Returns None when the connection is open, or a Fault. Raises StoreDenied or StoreFailed
        where the node refuses the connection.
        """
        if self.open_connection is not None:
            return None
        if self._closed:
            return Fault(self._why)
        opening = self._opening
        if opening is None:
            loop = asyncio.get_running_loop()
            if loop.time() < self._backoff.not_before:
                return self._backoff.last_failure()
            opening = self._opening = self._background.begin(self._open())
            opening.add_done_callback(self._opened)
        # The cancellation of one caller leaves the task to the others.
        await asyncio.wait((opening,))
        return Fault(self._why) if opening.cancelled() else opening.result()

    def close(self, why: FaultKind) -> None:
        """Close the connection for good. Callers that wait get a Fault of the kind ``why``."""
        self._closed, self._why = True, why
        if self._opening is not None:
            self._opening.cancel()
        if self.connection is not None:
            self.connection.end(why)

    async def _open(self) -> Fault | None:
        source, patience = self._location.credential_source, self._location.patience
        self._login = (
            self._location.fixed_credentials
            if source is None
            else await ask_for_credentials(source, patience.deadline)
        )
        if self._closed:
            return Fault(self._why)
        connection = self._new_connection()
        try:
            async with asyncio.timeout(patience.timeout):
                await self._connect(connection)
                answer = await self._greet(connection)
                if isinstance(answer, ServerError):
                    # The old connection subscribed: over RESP2 it would take no requests.
                    connection.end()
                    connection = self._new_connection()
                    await self._connect(connection)
                    answer = await self._greet_plainly(connection, answer)
        except (OSError, TimeoutError) as error:
            connection.end()
            fault = fault_of_connection(error, reused=False)
            # A server without TLS may wait in silence for the end of a command.
            return replace(fault, cause="tls") if self._is_in_handshake else fault
        except BaseException:
            connection.end()
            raise
        if answer is not None or self._closed or not connection.is_open:
            connection.end()
            return answer or Fault(self._why)
        self.connection = connection
        self._keep_authenticated(connection)
        return None

    def _keep_authenticated(self, connection: MultiplexedConnection) -> None:
        """Have ``connection`` authenticate again before what it has used expires, if it does."""
        if self._renewal is not None:
            self._renewal.stop()
        self._renewal = None
        source, used = self._location.credential_source, self._login
        if source is not None and used is not None and used.expires_in is not None:
            seconds = self._location.patience.deadline
            self._renewal = Reauthentication(
                connection,
                self.address,
                source,
                used,
                seconds=seconds,
                background=self._background,
            )

    def _new_connection(self) -> MultiplexedConnection:
        patience = self._location.patience
        return MultiplexedConnection(
            asyncio.get_running_loop(),
            limit=self._limit,
            most_waiting=patience.max_pending,
            deadline=patience.deadline,
            pushed=self._pushed if self._listener is not None else None,
            ended=self._ended,
            silent=self._fell_silent,
        )

    async def _connect(self, connection: MultiplexedConnection) -> None:
        context = None if self._context is None else self._context()

        def reached() -> None:
            self._is_in_handshake = context is not None

        self._is_in_handshake = False
        name = self._location.certificate_name(self.address)
        await open_transport(
            connection,
            self._location.reach(self.address),
            tls=None if context is None else (context, name),
            seconds=self._location.patience.timeout,
            reached=reached,
        )
        self._is_in_handshake = False

    async def _greet(self, connection: MultiplexedConnection) -> Fault | ServerError | None:
        """Greet the node over RESP3. A ServerError: the node refuses RESP3."""
        listener = self._listener
        commands = [greeting(self._login)]
        asked: Pushes = "nothing" if listener is None else listener.pushes
        if listener is not None:
            commands.extend(following(asked, listener.prefixes, self._location.keyspace))
        outcome = await connection.ask(pack(tuple(commands)), len(commands))
        if isinstance(outcome, Fault):
            return outcome
        answer = judge_greeting(outcome.values[0])
        if answer is None:
            # That to CLIENT TRACKING, if it was sent.
            told = outcome.values[min(1, len(outcome.values) - 1)]
            self._tell(connection, told, asked)
        return answer

    async def _greet_plainly(
        self, connection: MultiplexedConnection, refusal: ServerError
    ) -> Fault | None:
        """Greet the node over RESP2; ``refusal``: why it refuses RESP3."""
        connection.is_plain = True
        commands = plain_greeting(self._login)
        outcome = await connection.ask(pack(commands), len(commands))
        if isinstance(outcome, Fault):
            return outcome
        fault = judge_plain_greeting(outcome.values)
        if fault is None:
            is_to_push = self._listener is not None and self._listener.pushes != "nothing"
            self._tell(connection, refusal if is_to_push else None)
        return fault

    def _tell(
        self,
        connection: MultiplexedConnection,
        answer: Any,
        asked: Pushes = "nothing",
    ) -> None:
        """Tell the listener, if any, whether the node pushes; a ServerError: that it refuses."""
        if self._listener is None:
            return
        if isinstance(answer, ServerError):
            self._listener.refused(self.address, answer)
        elif connection.is_open:
            self._listener.connected(self.address, asked)

    def _pushed(self, message: list[Any]) -> None:
        assert self._listener is not None
        self._listener.pushed(self.address, message)

    def _ended(self, connection: MultiplexedConnection) -> None:
        if self._renewal is not None and self._renewal.connection is connection:
            self._renewal.stop()
            self._renewal = None
        if self._listener is not None and self.connection in {connection, None}:
            self._listener.lost(self.address)

    def _fell_silent(self, idle_since: float, sent_at: float) -> None:
        if self._silent is not None:
            self._silent(self.address, idle_since, sent_at)

    def _opened(self, task: "asyncio.Task[Fault | None]") -> None:
        self._opening = None
        if not task.cancelled():
            self._backoff.note(task)
