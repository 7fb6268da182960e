"""All faults, by name."""

from collections.abc import Callable

from .application_faults import OF_PROCESSES
from .clock_faults import OF_CLOCKS
from .nemesis import OF_NODES, Nemesis
from .network_faults import FAULTS as OF_THE_NETWORK

FAULTS: dict[str, Callable[[Nemesis], str]] = {
    **OF_NODES,
    **OF_THE_NETWORK,
    **OF_PROCESSES,
    **OF_CLOCKS,
}
