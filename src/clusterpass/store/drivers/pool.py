"""The connections of a synchronous store to one node. Threads share them, one call at a time each.

The connection used last is used first, so that the others may idle and be closed by the node.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from redis.connection import Connection, SSLConnection
from redis.exceptions import ResponseError
from redis.retry import Retry

from clusterpass.store.location import Address, StoreLocation
from clusterpass.store.outcomes import Command, Fault, Replies
from clusterpass.store.wire.redis_py import (
    CONNECTION_ERRORS,
    connection_options,
    fault_of,
    server_error,
)

_SHORTEST_READ: Final = 0.001


class Pool:
    """The connections to one node."""

    def __init__(self, connect: Callable[[], Connection], most: int, patience: float) -> None:
        """``connect``: makes a connection, which is not open yet; ``most``: how many calls may be
        under way; ``patience``: the seconds that another call waits."""
        self._connect = connect
        self._idle: deque[Connection] = deque()
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
    ) -> Replies | Fault:
        """Send ``commands`` on one connection; a Fault "busy" when none is free by ``until``.

        ``limit``: seconds for all replies together; None: the timeout, for each reply. ``until``:
        seconds of the monotonic clock; None: after the patience of the pool. ``urgent``: use a
        connection more than there may be, rather than wait for one.
        """
        if urgent:
            return self._exchange(commands, limit)
        patience = self._patience if until is None else max(0.0, until - time.monotonic())
        if not self._free.acquire(timeout=patience):
            return Fault("busy")
        try:
            return self._exchange(commands, limit)
        finally:
            self._free.release()

    def _exchange(self, commands: tuple[Command, ...], limit: float | None) -> Replies | Fault:
        try:
            connection, reused = self._idle.pop(), True
        except IndexError:
            connection, reused = self._connect(), False
        done = False
        try:
            if not reused:
                connection.connect()
            # Packed together, a write and its WAIT leave in one packet.
            connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            if limit is None:
                values = [_read(connection) for _ in commands]
            else:
                until = time.monotonic() + limit
                values = [_read_until(connection, until) for _ in commands]
            done = True
        except (*CONNECTION_ERRORS, ResponseError) as error:
            fault = fault_of(error, reused=reused)
            if fault.stale:
                self.clear()  # the other idle connections are as old
            return fault
        finally:
            # A connection with an unread reply is never used again.
            if done:
                self._idle.append(connection)
            else:
                connection.disconnect()
            if self._closed:
                self.clear()
        return Replies(values)

    def close(self) -> None:
        """Close the idle connections. A connection in use is closed at the end of its call."""
        self._closed = True
        self.clear()

    def clear(self) -> None:
        """Close the idle connections."""
        while self._idle:
            try:
                self._idle.pop().disconnect()
            except IndexError:
                return


def make_pool(location: StoreLocation, address: Address) -> Pool:
    """The connections to the node at ``address``, as ``location`` says. None is opened yet."""
    kind = Connection if location.tls_files is None else SSLConnection

    def connect() -> Connection:
        target = location.reached_at.get(address, address)
        return kind(**connection_options(location, target, Retry))

    patience = location.patience
    return Pool(connect, patience.max_connections, patience.timeout)


def _read(connection: Connection) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return server_error(error)


def _read_until(connection: Connection, until: float) -> Any:
    try:
        return connection.read_response(timeout=max(_SHORTEST_READ, until - time.monotonic()))
    except ResponseError as error:
        return server_error(error)
