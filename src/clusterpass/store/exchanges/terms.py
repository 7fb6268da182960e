"""What every call of one store is carried out with: slot map, limits, clock, breakers. Pure.

A store makes its terms once and replaces them when its durability or its observer changes.
"""

from collections.abc import Callable
from dataclasses import dataclass

from clusterpass.config import Durability
from clusterpass.model.clock import steady_seconds
from clusterpass.store.exchanges.circuit_breaker import CircuitBreakers
from clusterpass.store.location import Address, Patience
from clusterpass.store.topology.slots import SlotMap


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
    doubts: Callable[[Address], bool] | None = None
    """Tells, without I/O, whether a node may have been replaced without noticing; None: no check
    is made."""
    steady: Callable[[], float] = steady_seconds
    """The clock of beliefs, in seconds; goes on while the machine sleeps."""
