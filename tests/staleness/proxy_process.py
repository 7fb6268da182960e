"""The process of all proxies: between each client process and each node, and between the nodes.

The cluster bus is parted without any right of an administrator: each node announces, as where its
bus is, a proxy of ours; and the first message on a connection says which node opened it.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence, Set
from typing import Any

from clusterpass.store.address import Address

from .proxies import FORWARD, HOLD, HOLD_TO_CLIENT, HOLD_TO_SERVER, Behaviour, Pair, Proxy
from .workers import LoopThread, Worker

Way = tuple[bytes, bytes]
"""From one node to another one, by their ids."""
_BEHAVIOURS = {
    (False, False): FORWARD,
    (True, False): HOLD_TO_CLIENT,
    (False, True): HOLD_TO_SERVER,
    (True, True): HOLD,
}
"""Whether the answers are held, and whether what is sent to the node is."""
_SIGNATURE = b"RCmb"
_SENDER = slice(40, 80)
"""Where a message of the bus has the id of the node that sent it."""


class BusProxy(Proxy):
    """In front of the bus of one node."""

    def __init__(self, target: Address, node: bytes, blocked: Set[Way]) -> None:
        """``node``: its id; ``blocked``: from which node to which one nothing passes."""
        super().__init__(target, 0)
        self._node = node
        self._blocked = blocked

    def learn(self, pair: Pair, data: bytes) -> bool:
        """Learn which node opened the connection; whether it was learnt now."""
        if pair.sender or data[:4] != _SIGNATURE:
            return False
        pair.sender = data[_SENDER]
        return True

    def behaviour_for(self, pair: Pair) -> Behaviour:
        """Return the behaviour in both directions: forward, unless a direction is blocked."""
        here, there = self._node, pair.sender
        return _BEHAVIOURS[(here, there) in self._blocked, (there, here) in self._blocked]


class ProxyProcess:
    """The object that runs in the process of the proxies."""

    def __init__(self, seed: int) -> None:
        self._thread = LoopThread(asyncio.new_event_loop)
        self._proxies: dict[tuple[str, Address], Proxy] = {}
        self._buses: list[BusProxy] = []
        self._blocked: set[Way] = set()
        self._seed = seed

    def open_buses(self, buses: Mapping[bytes, Address]) -> dict[bytes, Address]:
        """Proxies in front of the buses of nodes, by their ids; where each stands."""
        return {node: self._thread.run(self._open_bus(node, bus)) for node, bus in buses.items()}

    async def _open_bus(self, node: bytes, bus: Address) -> Address:
        proxy = BusProxy(bus, node, self._blocked)
        self._buses.append(proxy)
        return await proxy.open()

    def block(self, ways: Set[Way]) -> None:
        """Let nothing pass these ways between the nodes, and everything else."""
        self._thread.run(self._block(ways))

    async def _block(self, ways: Set[Way]) -> None:
        self._blocked.clear()
        self._blocked.update(ways)
        for proxy in self._buses:
            proxy.adapt()

    def open(self, client: str, targets: Sequence[Address]) -> dict[Address, Address]:
        """Proxies for ``client``; where each stands."""
        return {target: self._thread.run(self._open(client, target)) for target in targets}

    async def _open(self, client: str, target: Address) -> Address:
        self._seed += 1
        proxy = self._proxies[client, target] = Proxy(target, self._seed)
        return await proxy.open()

    def behave(
        self, behaviour: Behaviour, clients: Sequence[str], targets: Sequence[Address]
    ) -> None:
        """Let the proxies of these clients and nodes behave so from now on."""
        self._thread.run(self._behave(behaviour, clients, targets))

    async def _behave(
        self, behaviour: Behaviour, clients: Sequence[str], targets: Sequence[Address]
    ) -> None:
        for (client, target), proxy in self._proxies.items():
            if client in clients and target in targets:
                proxy.behave(behaviour)


class Proxies:
    """The parent's end."""

    def __init__(self, seed: int) -> None:
        self._worker = Worker("proxies", ProxyProcess, seed)
        self._clients: list[str] = []
        self._targets: list[Address] = []
        self._buses: list[bytes] = []

    def open(self, client: str, targets: Sequence[Address]) -> dict[Address, Address]:
        """Proxies between ``client`` and the nodes at ``targets``; where each stands."""
        self._clients.append(client)
        self._targets = list(targets)
        found: dict[Address, Address] = self._worker.call("open", client, targets)
        return found

    def behave(
        self,
        behaviour: Behaviour,
        *,
        clients: Sequence[str] | None = None,
        targets: Sequence[Address] | None = None,
    ) -> None:
        """Returns when the proxies behave so; of all clients or nodes unless some are named."""
        given: tuple[Any, Any] = (clients or self._clients, targets or self._targets)
        self._worker.call("behave", behaviour, *given)

    def open_buses(self, buses: Mapping[bytes, Address]) -> dict[bytes, Address]:
        """Proxies in front of the buses of nodes, by their ids; where each stands."""
        found: dict[bytes, Address] = self._worker.call("open_buses", buses)
        self._buses = list(buses)
        return found

    def part(self, sides: Mapping[bytes, int]) -> None:
        """Let nothing pass between nodes on different sides; who is not named is on side 0."""
        nodes = self._buses
        self.block({(a, b) for a in nodes for b in nodes if sides.get(a, 0) != sides.get(b, 0)})

    def block(self, ways: Set[Way]) -> None:
        """Let nothing pass these ways, from one node to another."""
        self._worker.call("block", ways)

    def stop(self) -> None:
        """End the process."""
        with contextlib.suppress(Exception):
            self._worker.stop()
