"""The network between processes and servers: latency with jitter, loss, and partitions."""

from dataclasses import dataclass, field
from typing import Any

from .clock import Clock


@dataclass
class Network:
    """Connections deliver in order. A lost packet is sent again, so the connection waits for it."""

    clock: Clock
    latency: float = 0.0003
    """Seconds one way, at least."""
    jitter: float = 0.0004
    loss: float = 0.0
    """The share of the packets that are lost."""
    resent_after: float = 0.2
    cut: set[tuple[Any, Any]] = field(default_factory=set)
    """Pairs of a process and a server between which nothing passes any more."""

    def delay(self) -> float:
        """Seconds until a packet arrives that is sent now."""
        random = self.clock.random
        seconds = self.latency + self.jitter * random.random()
        while self.loss and random.random() < self.loss:
            seconds += self.resent_after
        return seconds

    def passes(self, process: Any, server: Any) -> bool:
        return not self.cut or (process, server) not in self.cut

    def part(self, processes: Any, servers: Any) -> None:
        """From now on nothing passes between these; what is connected stays silent."""
        self.cut |= {(process, server) for process in processes for server in servers}

    def heal(self) -> None:
        self.cut.clear()
