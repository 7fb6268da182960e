"""Faults of processes: load, stalls, and managers that come and go in the middle of others."""

import time

from .nemesis import HANGING, Nemesis

STALL = 0.7
"""Seconds."""
_BURST, _LARGE_BURST = 400, 1200


def burst(nemesis: Nemesis) -> str:
    """Hundreds of verifies at once, on one manager."""
    name = nemesis.application.names()[0]
    return f"{name}: {nemesis.application.burst(name, _BURST)}"


def stall(nemesis: Nemesis) -> str:
    """The event loop, or all threads, stand still; whatever waited comes at once, with a burst."""
    name = nemesis.application.names()[0]
    for _ in range(2):
        nemesis.application.stall(name, STALL)
        nemesis.pause(0.1, 0.3)
    nemesis.application.stall(name, STALL)
    return f"{name}: {nemesis.application.burst(name, _LARGE_BURST)}"


def suspend_process(nemesis: Nemesis) -> str:
    """A whole process stands still while a primary is replaced, and goes on with what it knew."""
    primary, _, key = nemesis.shard()
    name = nemesis.application.names()[0]
    nemesis.cluster.kill(primary)
    nemesis.application.suspend(name, nemesis.random.uniform(0.5, 3) * nemesis.node_timeout)
    nemesis.cluster.wait_until_primary_changes(key, primary, HANGING)
    nemesis.cluster.restart(primary)
    return f"{name}, while {primary.port} was away"


def close_with_pending(nemesis: Nemesis) -> str:
    """A manager is closed while a replica, or a primary, does not confirm what it wants to end."""
    primary, replica, _ = nemesis.shard()
    node = nemesis.random.choice((primary, replica))
    name = nemesis.application.names()[0]
    nemesis.cluster.pause(node)
    try:
        began = time.monotonic()
        nemesis.pause(0.5, 1.0)
        said = nemesis.application.close(name)
        seconds = time.monotonic() - began
    finally:
        nemesis.cluster.resume(node)
    return f"{name} while {node.port} stood still for {seconds:.1f} s: {said}"


def join_in_the_middle(nemesis: Nemesis) -> str:
    """A process begins while a primary is away, and is used at once."""
    primary, _, key = nemesis.shard()
    name = nemesis.application.names()[0]
    nemesis.cluster.kill(primary)
    nemesis.application.kill(name)
    nemesis.cluster.wait_until_primary_changes(key, primary, HANGING)
    nemesis.pause(0, 1)
    nemesis.cluster.restart(primary)
    return f"in place of {name}, while {primary.port} was away"


OF_PROCESSES = {
    each.__name__: each
    for each in (burst, stall, suspend_process, close_with_pending, join_in_the_middle)
}
