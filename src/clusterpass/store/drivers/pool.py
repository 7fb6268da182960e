"""The connections of a synchronous store to one node. Threads share them, one call at a time each.

- The connection used last is used first, so that the others may idle and be closed by the node.
- A load balancer or firewall on the way may drop idle connections silently. If a connection gets no
  reply, those that have idled as long are closed too, and none is used after a minute of idling.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from redis.connection import AbstractConnection
from redis.exceptions import ResponseError

from clusterpass.store.address import Address
from clusterpass.store.location import StoreLocation
from clusterpass.store.outcomes import Command, Fault, Replies
from clusterpass.store.wire.idle_connections import LONGEST_IDLE
from clusterpass.store.wire.redis_py import (
    CONNECTION_ERRORS,
    fault_of,
    make_connection,
    renew_login,
    server_error,
)

_SHORTEST_READ: Final = 0.001


class Pool:
    """The connections to one node."""

    def __init__(
        self, connect: Callable[[], AbstractConnection], most: int, patience: float
    ) -> None:
        """``connect``: makes a connection, which is not open yet; ``most``: how many calls may be
        under way; ``patience``: the seconds that another call waits."""
        self._connect = connect
        self._idle: deque[tuple[AbstractConnection, float]] = deque()
        """With the time since which each idles; the one used last stands last."""
        self._free = threading.BoundedSemaphore(most)
        self._patience = patience
        self._closed = False

    def send(
        self,
        commands: tuple[Command, ...],
        limit: float | None = None,
        *,
        until: float | None = None,
        urgent: bool = False,
        fresh: bool = False,
    ) -> Replies | Fault:
        """Send ``commands`` on one connection; a Fault "busy" when none is free by ``until``.

        ``limit``: seconds for all replies together; None: the timeout, for each reply. ``until``:
        seconds of the monotonic clock; None: after the patience of the pool. ``urgent``: use a
        connection more than there may be, rather than wait for one. ``fresh``: open a new one.
        """
        if urgent:
            return self._exchange(commands, limit, fresh=fresh)
        patience = self._patience if until is None else max(0.0, until - time.monotonic())
        if not self._free.acquire(timeout=patience):
            return Fault("busy")
        try:
            return self._exchange(commands, limit, fresh=fresh)
        finally:
            self._free.release()

    def _exchange(
        self, commands: tuple[Command, ...], limit: float | None, *, fresh: bool
    ) -> Replies | Fault:
        connection, idle_since = (None, None) if fresh else self._take()
        if connection is None:
            connection = self._connect()
        done = False
        try:
            if idle_since is None:
                connection.connect()
            else:
                renew_login(connection)
            # Packed together, a write and its WAIT leave in one packet.
            connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            if limit is None:
                values = [_read(connection) for _ in commands]
            else:
                until = time.monotonic() + limit
                values = [_read_until(connection, until) for _ in commands]
            done = True
        except (*CONNECTION_ERRORS, ResponseError) as error:
            fault = fault_of(error, reused=idle_since is not None)
            if fault.stale:
                self.clear()  # the other idle connections are as old
            elif fault.kind == "timeout" and idle_since is not None:
                self.retire(idle_since)
                return replace(fault, idle_since=idle_since)
            return fault
        finally:
            # A connection with an unread reply is never used again.
            if done:
                self._give_back(connection)
            else:
                connection.disconnect()
            if self._closed:
                self.clear()
        return Replies(values)

    def _take(self) -> tuple[AbstractConnection, float] | tuple[None, None]:
        """The connection that idles for the shortest time, and since when."""
        try:
            connection, since = self._idle.pop()
        except IndexError:
            return None, None
        if time.monotonic() - since < LONGEST_IDLE:
            return connection, since
        connection.disconnect()
        self.clear()  # the others have idled for longer
        return None, None

    def _give_back(self, connection: AbstractConnection) -> None:
        now = time.monotonic()
        self._idle.append((connection, now))
        self.retire(now - LONGEST_IDLE)

    def retire(self, since: float) -> None:
        """Close the connections that idle since ``since`` or for longer, in monotonic seconds."""
        while self._idle and self._idle[0][1] <= since:
            try:
                self._idle.popleft()[0].disconnect()
            except IndexError:  # another thread has taken the last one
                return

    def close(self) -> None:
        """Close the idle connections. A connection in use is closed at the end of its call."""
        self._closed = True
        self.clear()

    def clear(self) -> None:
        """Close the idle connections."""
        while self._idle:
            try:
                self._idle.pop()[0].disconnect()
            except IndexError:
                return


def make_pool(location: StoreLocation, address: Address) -> Pool:
    """The connections to the node at ``address``, as ``location`` says. None is opened yet."""
    patience, location = location.patience, location.reaching(address)
    return Pool(
        lambda: make_connection(location, address), patience.max_connections, patience.timeout
    )


def _read(connection: AbstractConnection) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return server_error(error)


def _read_until(connection: AbstractConnection, until: float) -> Any:
    try:
        return connection.read_response(timeout=max(_SHORTEST_READ, until - time.monotonic()))
    except ResponseError as error:
        return server_error(error)
