"""TCP proxies, and the faults that they bring about.

What a fault does to a direction:

- ``hold``: nothing is read any more. This is what dropped packets are to TCP: nothing arrives, and
  when the fault is over all of it does, late and in its order.
- ``discard``: what arrives is thrown away. A connection that has lost bytes is reset when the fault
  is over, since TCP never delivers a stream with a gap.
"""

import asyncio
import random
import socket
import struct
from collections import deque
from dataclasses import dataclass
from typing import Literal

from clusterpass.store.address import Address

HOST = "127.0.0.1"
Way = Literal["forward", "hold", "discard"]
Direction = Literal["to_client", "to_server"]
_PUSHES_ARE_ASKED_FOR = b"TRACKING"
_LINGER_NOT_AT_ALL = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Behaviour:
    """The treatment of the data that passes a proxy."""

    to_client: Way = "forward"
    to_server: Way = "forward"
    delay: float = 0.0
    """Seconds by which each direction is late."""
    lifetime: float = 0.0
    """Seconds after which, on average, each connection is reset; 0: none is."""
    only_pushing: bool = False
    """Whether connections on which a node pushes are concerned alone."""


FORWARD = Behaviour()
HOLD = Behaviour(to_client="hold", to_server="hold")
HOLD_TO_CLIENT = Behaviour(to_client="hold")
HOLD_TO_SERVER = Behaviour(to_server="hold")
DISCARD = Behaviour(to_client="discard", to_server="discard")


class _End(asyncio.Protocol):
    """One of the two connections of a pair."""

    def __init__(self, pair: "Pair", sends: Direction) -> None:
        self.pair = pair
        self.sends = sends
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.pair.made(self)

    def data_received(self, data: bytes) -> None:
        self.pair.received(self.sends, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.pair.end()


class Pair:
    """A connection of a client, and ours to the node."""

    def __init__(self, proxy: "Proxy") -> None:
        self._proxy = proxy
        self._loop = asyncio.get_running_loop()
        self.client = _End(self, "to_server")
        self.server = _End(self, "to_client")
        self.is_pushing = False
        self.sender = b""
        """The id of the node that opened it, on a cluster bus."""
        self._held: dict[Direction, list[bytes]] = {"to_client": [], "to_server": []}
        self._has_gap = False
        self._late: dict[Direction, deque[tuple[float, bytes]]] = {
            "to_client": deque(),
            "to_server": deque(),
        }
        self._ending: asyncio.TimerHandle | None = None
        self._connecting: asyncio.Task[None] | None = None
        self.is_over = False

    def made(self, end: _End) -> None:
        if end is self.client:
            self._proxy.pairs.add(self)
            assert end.transport is not None
            end.transport.pause_reading()
            self._connecting = self._loop.create_task(self._connect())
        if self.is_over and end.transport is not None:
            end.transport.abort()

    async def _connect(self) -> None:
        target = self._proxy.target
        try:
            await self._loop.create_connection(lambda: self.server, target.host, target.port)
        except OSError:
            self.end()
        else:
            self.adapt()

    def adapt(self) -> None:
        """The behaviour of the proxy has changed, or the pair is new."""
        behaviour = self._proxy.behaviour_for(self)
        if self.is_over or self.server.transport is None:
            return
        if self._has_gap and "discard" not in {behaviour.to_client, behaviour.to_server}:
            self.reset()
            return
        for end, way in ((self.client, behaviour.to_server), (self.server, behaviour.to_client)):
            assert end.transport is not None
            if way == "hold":
                end.transport.pause_reading()
            else:
                held, self._held[end.sends] = self._held[end.sends], []
                for data in held:
                    self._pass_on(end.sends, data, behaviour)
                end.transport.resume_reading()
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        if behaviour.lifetime:
            seconds = self._proxy.random.expovariate(1 / behaviour.lifetime)
            self._ending = self._loop.call_later(seconds, self.reset)

    def received(self, direction: Direction, data: bytes) -> None:
        if direction == "to_server" and self._proxy.learn(self, data):
            self._loop.call_soon(self.adapt)
        behaviour = self._proxy.behaviour_for(self)
        way = behaviour.to_client if direction == "to_client" else behaviour.to_server
        if way == "discard":
            self._has_gap = True
        elif way == "hold":
            self._held[direction].append(data)
        else:
            self._pass_on(direction, data, behaviour)

    def _pass_on(self, direction: Direction, data: bytes, behaviour: Behaviour) -> None:
        late = self._late[direction]
        if behaviour.delay or late:
            earliest = late[-1][0] if late else 0.0
            at = max(earliest, self._loop.time() + behaviour.delay)
            late.append((at, data))
            self._loop.call_at(at, self._deliver, direction)
        else:
            self._write(direction, data)

    def _deliver(self, direction: Direction) -> None:
        late = self._late[direction]
        if late:
            self._write(direction, late.popleft()[1])

    def _write(self, direction: Direction, data: bytes) -> None:
        transport = (self.client if direction == "to_client" else self.server).transport
        if transport is not None and not transport.is_closing():
            transport.write(data)

    def reset(self) -> None:
        """End both connections by a reset."""
        for end in (self.client, self.server):
            if end.transport is not None:
                connection = end.transport.get_extra_info("socket")
                if connection is not None and connection.fileno() >= 0:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT_AT_ALL)
        self.end()

    def end(self) -> None:
        """One of the connections has ended: so does the other."""
        if self.is_over:
            return
        self.is_over = True
        self._proxy.pairs.discard(self)
        if self._ending is not None:
            self._ending.cancel()
        for end in (self.client, self.server):
            if end.transport is not None:
                end.transport.abort()


class Proxy:
    """In front of one node, for one client process."""

    def __init__(self, target: Address, seed: int) -> None:
        self.target = target
        self.random = random.Random(seed)
        self.behaviour = FORWARD
        self.pairs: set[Pair] = set()
        self.server: asyncio.Server | None = None

    async def open(self) -> Address:
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: Pair(self).client, HOST, 0)
        return Address(HOST, self.server.sockets[0].getsockname()[1])

    def learn(self, pair: Pair, data: bytes) -> bool:
        """What a client sends tells what it is; whether that makes a difference."""
        if pair.is_pushing or _PUSHES_ARE_ASKED_FOR not in data:
            return False
        pair.is_pushing = True
        return self.behaviour.only_pushing

    def behaviour_for(self, pair: Pair) -> Behaviour:
        """Return the behaviour for this connection."""
        return self.behaviour if pair.is_pushing or not self.behaviour.only_pushing else FORWARD

    def behave(self, behaviour: Behaviour) -> None:
        """Behave so from now on."""
        self.behaviour = behaviour
        self.adapt()

    def adapt(self) -> None:
        """Every connection may be treated otherwise from now on."""
        for pair in list(self.pairs):
            pair.adapt()
