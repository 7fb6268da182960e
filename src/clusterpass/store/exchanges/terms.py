"""The settings and the state that all calls of a store share: slots, limits, breakers. Pure.

A store makes its terms once and replaces them when its durability or its observer changes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from clusterpass.config import Durability
from clusterpass.model.clock import steady_seconds
from clusterpass.protocol.script import ScriptCall
from clusterpass.store.address import Address
from clusterpass.store.exchanges.circuit_breaker import CircuitBreakers
from clusterpass.store.outcomes import Fault, FaultKind, Wait
from clusterpass.store.patience import Patience
from clusterpass.store.topology.attached import AttachedReplicas
from clusterpass.store.topology.slots import SlotMap


class Doubts(Protocol):
    """Tells, without I/O, whether a reply of ``node`` needs more evidence to be believed."""

    def __call__(self, node: Address, *, age: float, is_durable: bool = False) -> bool:
        """``age``: the seconds since the request was made; ``is_durable``: whether every replica
        has confirmed what ``node`` wrote."""


class Ahead(Protocol):
    """An ending that has to be carried out ahead of every call about its subject."""

    @property
    def make(self) -> Callable[[], ScriptCall[Any]]:
        """Makes the call that carries it out."""

    def refuse(self) -> None:
        """Note that the store knows another request under the id of the ending.

        The ending is then carried out under an id of its own.
        """


@dataclass(frozen=True, slots=True)
class Terms:
    """The settings and the shared state of a store that its calls use."""

    current: Callable[[], SlotMap]
    """Returns the store's slot map as it is now."""
    adopt: Callable[[SlotMap], None]
    """Replaces the store's slot map by a newer one."""
    patience: Patience
    clock: Callable[[], float]
    """A monotonic clock, in seconds."""
    breakers: CircuitBreakers
    durability: Durability = "primary"
    is_cluster: bool = True
    """Whether the store is meant to be a cluster; otherwise it is one server."""
    doubts: Doubts | None = None
    """Tells whether a reply needs more evidence; None: no check is made."""
    ahead: Mapping[bytes, tuple[Ahead, ...]] = field(default_factory=dict)
    """What has to be carried out ahead of every call about a subject, by the key of its sessions;
    changes as entries of the journals become known."""
    blame: Callable[[FaultKind], Fault] = Fault
    """Makes a fault of a kind that may have its reason in who was asked about the primaries."""
    steady: Callable[[], float] = steady_seconds
    """The clock of leases and evidence, in seconds; goes on while the machine sleeps."""
    attached: AttachedReplicas = field(default_factory=AttachedReplicas)
    """Which replicas the primaries said to have; changes with each confirmed write."""
    waits: dict[int, Wait | None] = field(default_factory=dict, init=False)
    """The command that confirms a write by the number of replicas, as far as it was needed."""

    def seconds(self, call: ScriptCall[Any]) -> float:
        """The seconds after which ``call`` is given up."""
        if call.deadline is None:
            return self.patience.deadline
        waits = call.script.writes and call.confirm and self.durability == "fsync"
        disk = self.patience.confirmation_wait(self.durability) if waits else 0.0
        return min(self.patience.deadline, call.deadline + disk)
