"""The plan of a campaign: faults, seed, replicas, kinds of processes, options and mix."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .builds import BROKEN
from .faults import FAULTS
from .mix import USUAL, Mix

USUAL_KINDS = ("threads", "tasks", "strict", "full")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run on one cluster."""

    faults: int = 10
    names: Sequence[str] = tuple(FAULTS)
    seed: int = 1
    replicas: int = 1
    """Replicas of each of the three primaries."""
    kinds: Sequence[str] = USUAL_KINDS
    """Kinds of the processes, see :data:`.processes.KINDS`."""
    bound: float = 0.5
    node_timeout: float = 1.0
    options: str = ""
    """Options of the store URL."""
    server: str | None = None
    broken: str = ""
    """The name of a build that is broken on purpose."""
    mix: Mix = USUAL
    quiet_seconds: float = 1.0
    """Before the first fault."""
    soaks: bool = False
    """See :class:`.processes.Start`."""


def plan_of(broken: str, plan: Plan) -> Plan:
    """``plan`` for a build that is broken on purpose, and with what brings that to light."""
    build = BROKEN[broken]
    return replace(
        plan,
        broken=broken,
        names=build.faults,
        replicas=build.replicas,
        kinds=build.kinds,
        options=build.options,
        mix=build.mix,
        quiet_seconds=build.quiet_seconds,
    )
