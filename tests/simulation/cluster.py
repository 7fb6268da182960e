"""The cluster: shards, who owns which slot, epochs, failovers, and slots that move."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from clusterpass.protocol.keyspace import JOURNAL_SLOTS, SLOTS, slot_of
from clusterpass.store.address import Address

from .clock import Clock
from .costs import Costs, Design
from .journals import StoredJournal
from .server import Server
from .server_load import Meter

_RUNS = re.compile(rb"(.)\1*", re.DOTALL)
_HEARD_WITHIN = 0.1
"""Seconds within which servers hear of a new epoch that they did not vote for."""


@dataclass
class Shard:
    """A primary and its replicas."""

    primary: Server
    replicas: list[Server]
    failed: list[Server] = field(default_factory=list)


class Cluster:
    """All servers, and what they agree on."""

    def __init__(
        self, clock: Clock, meter: Meter, costs: Costs, design: Design, shards: int = 3
    ) -> None:
        self.clock, self.meter, self.costs, self.design = clock, meter, costs, design
        self.epoch = shards
        self.shards: list[Shard] = []
        self.servers: dict[Address, Server] = {}
        for number in range(shards):
            self.add_shard(number + 1)
        self.owners = [number * shards // SLOTS for number in range(SLOTS)]
        """The shard of each slot."""
        for slot in JOURNAL_SLOTS:
            primary = self.owner_of(slot)
            primary.journals[slot] = StoredJournal(primary.own_mark)
        self._view: tuple[list[Any], bytes] | None = None

    def add_shard(self, config_epoch: int) -> Shard:
        """Start two servers that own no slot yet."""
        number = len(self.shards)
        nodes = []
        for role in "pr":
            address = Address(f"{role}{number}", 7000 + len(self.servers))
            server = Server(self, address, number, clock=self.clock, meter=self.meter)
            server.epoch, server.config_epoch = self.epoch, config_epoch
            server.is_primary = role == "p"
            self.servers[address] = server
            nodes.append(server)
        self.shards.append(Shard(nodes[0], nodes[1:]))
        self._view = None
        return self.shards[-1]

    def owner_of(self, slot: int) -> Server:
        return self.shards[self.owners[slot]].primary

    def primaries(self) -> list[Server]:
        """Those that own slots."""
        return [self.shards[number].primary for number in sorted(set(self.owners))]

    def replicas_of(self, server: Server) -> list[Server]:
        """The replicas that have what ``server`` writes."""
        shard = self.shards[server.shard]
        return shard.replicas if shard.primary is server and not server.is_parted else []

    def store(self, key: bytes) -> None:
        """Put a live session where it belongs."""
        shard = self.shards[self.owners[slot_of(key)]]
        for server in (shard.primary, *shard.replicas):
            server.data[key] = (0, True)

    # Events.

    def promote(self, old: Server) -> Server:
        """Have a replica replace ``old``, which is down or cut off: most primaries have voted."""
        shard = self.shards[old.shard]
        new = shard.replicas.pop(0)
        shard.failed.append(old)
        shard.primary = new
        new.is_primary = True
        new.journals = {slot: journal.copy() for slot, journal in old.journals.items()}
        self._raise_epoch(new, [each.primary for each in self.shards])
        self.clock.note(f"{new} replaces {old} in epoch {self.epoch}")
        return new

    def cut_off(self, server: Server) -> None:
        """From now on ``server`` hears nothing of the others, and goes on answering."""
        server.view = self.view()
        server.is_parted = True

    def return_as_replica(self, server: Server) -> None:
        """``server`` hears of its successor, and copies its data."""
        shard = self.shards[server.shard]
        server.is_up, server.is_parted, server.is_primary, server.view = True, False, False, None
        server.epoch = self.epoch
        shard.failed.remove(server)
        shard.replicas.append(server)
        server.data = dict(shard.primary.data)
        self._view = None

    def move_slot(self, slot: int, target: int, keys: Iterable[bytes]) -> None:
        """Move a slot with its ``keys``; the server takes an epoch for it.

        It keeps the one that it has where that is the highest of all.
        """
        old, new = self.owner_of(slot), self.shards[target].primary
        for key in keys:
            value = old.data.pop(key)
            for server in (new, *self.shards[target].replicas):
                server.data[key] = value
            old.push(key)
        self.owners[slot] = target
        self._view = None
        if new.config_epoch < max(each.primary.config_epoch for each in self.shards):
            self._raise_epoch(new, [new, old])

    def _raise_epoch(self, new: Server, aware: list[Server]) -> None:
        """Let ``new`` take an epoch that nobody has; ``aware``: who knows of it at once.

        That is who has voted for it, or the server that has lost the slot by it.
        """
        self.epoch += 1
        new.config_epoch = self.epoch
        self._view = None
        for server in self.servers.values():
            if server.is_parted or not server.is_up:
                continue
            if server in aware:
                self._hear(server, self.epoch)
            else:
                delay = self.clock.random.uniform(0, _HEARD_WITHIN)
                self.clock.after(delay, self._hear, server, self.epoch)

    @staticmethod
    def _hear(server: Server, epoch: int) -> None:
        if not server.is_parted:
            server.epoch = max(server.epoch, epoch)

    # What servers tell.

    def view(self) -> tuple[list[Any], bytes]:
        """The replies to CLUSTER SLOTS and CLUSTER NODES."""
        if self._view is None:
            self._view = self._slots(), self._nodes()
        return self._view

    def _ranges(self) -> list[tuple[int, int, int]]:
        runs = _RUNS.finditer(bytes(self.owners))
        return [(each.start(), each.end() - 1, each[0][0]) for each in runs]

    def _slots(self) -> list[Any]:
        found = []
        for first, last, owner in self._ranges():
            shard = self.shards[owner]
            nodes = [
                [each.address.host.encode(), each.address.port, _id(each)]
                for each in (shard.primary, *shard.replicas)
            ]
            found.append([first, last, *nodes])
        return found

    def _nodes(self) -> bytes:
        lines, ranges = [], self._ranges()
        for number, shard in enumerate(self.shards):
            owned = [f"{a}-{b}" for a, b, owner in ranges if owner == number]
            lines.append(_line(shard.primary, "master", "-", " ".join(owned)))
            owner_id = _id(shard.primary).decode()
            lines += [_line(each, "slave", owner_id, "") for each in shard.replicas]
            lines += [_line(each, "master,fail", "-", "") for each in shard.failed]
        return "\n".join(lines).encode()


def _id(server: Server) -> bytes:
    return f"{server.address.port:040d}".encode()


def _line(server: Server, flags: str, primary: str, slots: str) -> str:
    host, port = server.address
    epoch = server.config_epoch
    return f"{_id(server).decode()} {host}:{port}@1 {flags} {primary} 0 0 {epoch} connected {slots}"
