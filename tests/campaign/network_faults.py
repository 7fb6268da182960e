"""Faults of the network and of clocks; see :mod:`.nemesis`."""

import contextlib
from collections.abc import Callable, Sequence

from clusterpass.embedded import Node
from tests.staleness.proxies import (
    DISCARD,
    FORWARD,
    HOLD,
    HOLD_TO_CLIENT,
    HOLD_TO_SERVER,
    Behaviour,
)

from .nemesis import HANGING, Nemesis
from .network import Buses

_JUMPS = (2.0, 20.0, 600.0, 7200.0)
_WAKING = 0.1
"""Seconds in which a process finds out that a node answers again."""
_VERIFIES_OF_THE_REPLACED = 200
_SETTLING = 0.3
"""Seconds in which a process connects anew, through proxies."""


def part_primary(nemesis: Nemesis) -> str:
    """A primary is parted from all other nodes, for less than a node timeout or until replaced."""
    return _cut_off_primary(nemesis, Buses.part)


def silence_primary(nemesis: Nemesis) -> str:
    """The other nodes do not hear a primary, which hears them."""
    return _cut_off_primary(nemesis, Buses.silence)


def deafen_primary(nemesis: Nemesis) -> str:
    """A primary does not hear the other nodes, which hear it."""
    return _cut_off_for_a_while(nemesis, nemesis.shard()[0], Buses.deafen)


def part_replica(nemesis: Nemesis) -> str:
    """A replica is parted from all other nodes: nobody confirms what its primary writes."""
    return _cut_off_for_a_while(nemesis, nemesis.shard()[1], Buses.part)


def _cut_off_primary(nemesis: Nemesis, cut: Callable[[Buses, Node], None]) -> str:
    primary, _, key = nemesis.shard()
    with nemesis.network.between_nodes() as buses:
        cut(buses, primary)
        seconds = _until_replaced_or_before(nemesis, buses, primary, key)
        buses.meet()
    return f"{primary.port} for {seconds}"


def _cut_off_for_a_while(nemesis: Nemesis, node: Node, cut: Callable[[Buses, Node], None]) -> str:
    with nemesis.network.between_nodes() as buses:
        cut(buses, node)
        seconds = nemesis.pause(0.5 * nemesis.node_timeout, 3 * nemesis.node_timeout)
        buses.meet()
    return f"{node.port} for {seconds:.1f} s"


def part_primary_with_a_process(nemesis: Nemesis) -> str:
    """Part a primary, which one process reaches alone; the others reach all nodes but that one."""
    primary, _, key = nemesis.shard()
    return _part_with_a_process(
        nemesis, [primary], lambda buses, _: _until_replaced_or_before(nemesis, buses, primary, key)
    )


def part_primary_with_a_replica(nemesis: Nemesis) -> str:
    """A primary, a replica of it and one process on one side, all others on the other side.

    Where that was the only replica, nobody can take over.
    """
    primary, replica, key = nemesis.shard()
    is_only_one = len(nemesis.cluster.replicas_of(key)) == 1

    def during(_: Buses, __: str) -> str:
        if is_only_one or nemesis.random.random() < 0.3:
            return f"{nemesis.pause(0.5 * nemesis.node_timeout, 3 * nemesis.node_timeout):.1f} s"
        nemesis.cluster.wait_until_primary_changes(key, primary, HANGING)
        return f"{nemesis.pause(0, 1.5):.1f} s after it was replaced"

    return _part_with_a_process(nemesis, [primary, replica], during)


def wake_replaced_primary(nemesis: Nemesis) -> str:
    """A primary stands still while it is replaced, and wakes up with a process that hears it alone.

    For a while it takes itself to be the primary.
    """
    primary, _, key = nemesis.shard()

    def during(buses: Buses, alone: str) -> str:
        nemesis.cluster.pause(primary)
        nemesis.cluster.wait_until_primary_changes(key, primary, HANGING)
        buses.follow_another(primary)
        asleep = nemesis.pause(1, 2)
        nemesis.cluster.resume(primary)
        nemesis.pause(_WAKING, _WAKING)
        told = nemesis.application.burst(alone, _VERIFIES_OF_THE_REPLACED)
        awake = nemesis.pause(0.5, 2)
        return f"{asleep:.1f} s after it was replaced, {awake:.1f} s awake: {told}"

    return _part_with_a_process(nemesis, [primary], during)


def _part_with_a_process(
    nemesis: Nemesis, side: Sequence[Node], during: Callable[[Buses, str], str]
) -> str:
    """``side``: a primary, and maybe one of its replicas. ``during``: is told who is with them."""
    others = [node for node in nemesis.cluster.nodes if node not in side]
    with contextlib.ExitStack() as stack:
        buses = stack.enter_context(nemesis.network.between_nodes())
        alone, *rest = nemesis.application.names()
        behave_alone = stack.enter_context(nemesis.network.before(alone))
        before_the_rest = [stack.enter_context(nemesis.network.before(name)) for name in rest]
        nemesis.pause(_SETTLING, _SETTLING)
        behave_alone(HOLD, others)
        for behave in before_the_rest:
            behave(HOLD, side)
        buses.part(*side)
        told = during(buses, alone)
        buses.meet()
    return f"{', '.join(str(node.port) for node in side)} with {alone} for {told}"


def _until_replaced_or_before(nemesis: Nemesis, buses: Buses, primary: Node, key: bytes) -> str:
    if nemesis.random.random() < 0.3:
        seconds = nemesis.pause(0.3 * nemesis.node_timeout, 0.9 * nemesis.node_timeout)
        return f"{seconds:.1f} s"
    nemesis.cluster.wait_until_primary_changes(key, primary, HANGING)
    buses.follow_another(primary)
    return f"{nemesis.pause(0, 1.5):.1f} s after it was replaced"


def part_process_from_node(nemesis: Nemesis) -> str:
    """Nothing passes between a process and a primary: as if packets were dropped."""
    primary, _, _ = nemesis.shard()
    return _before_process(nemesis, HOLD, [primary])


def part_process_from_all(nemesis: Nemesis) -> str:
    """Nothing passes between a process and the nodes."""
    return _before_process(nemesis, HOLD, nemesis.cluster.nodes)


def hold_answers(nemesis: Nemesis) -> str:
    """What a process asks is carried out, and it hears no answer."""
    primary, _, _ = nemesis.shard()
    return _before_process(nemesis, HOLD_TO_CLIENT, [primary])


def hold_requests(nemesis: Nemesis) -> str:
    """What a process asks arrives late, while it has given up; what is pushed does arrive."""
    primary, _, _ = nemesis.shard()
    return _before_process(nemesis, HOLD_TO_SERVER, [primary])


def lose_bytes(nemesis: Nemesis) -> str:
    """What passes between a process and a primary is lost, and the connections with it."""
    primary, _, _ = nemesis.shard()
    return _before_process(nemesis, DISCARD, [primary])


def slow_network(nemesis: Nemesis) -> str:
    """Everything between a process and the nodes is late."""
    late = Behaviour(delay=nemesis.random.uniform(0.02, 0.2))
    return f"{late.delay:.2f} s late, " + _before_process(nemesis, late, nemesis.cluster.nodes)


def hold_pushes(nemesis: Nemesis) -> str:
    """What the nodes push does not arrive, nor anything else on those connections."""
    silent = Behaviour(to_client="hold", only_pushing=True)
    return _before_process(nemesis, silent, nemesis.cluster.nodes)


def _before_process(nemesis: Nemesis, behaviour: Behaviour, nodes: Sequence[Node]) -> str:
    name = nemesis.random.choice(nemesis.application.names())
    with nemesis.network.before(name) as behave:
        nemesis.pause(_SETTLING, 2 * _SETTLING)
        behave(behaviour, nodes)
        seconds = nemesis.pause(0.5 * nemesis.node_timeout, 3 * nemesis.node_timeout)
        behave(FORWARD, nodes)
        nemesis.pause(0.1, 0.5)
    return f"{name} and {', '.join(str(node.port) for node in nodes)} for {seconds:.1f} s"


def jump_clock(nemesis: Nemesis) -> str:
    """The clock of a process jumps, and after a while back again."""
    name = nemesis.random.choice(nemesis.application.names())
    seconds = nemesis.random.choice(_JUMPS) * nemesis.random.choice((-1, 1))
    nemesis.application.jump(name, seconds)
    lasted = nemesis.pause(0.5, 3)
    nemesis.application.jump(name, 0.0)
    return f"{name} by {seconds:+g} s for {lasted:.1f} s"


FAULTS = {
    each.__name__: each
    for each in (
        part_primary,
        part_primary_with_a_process,
        part_primary_with_a_replica,
        wake_replaced_primary,
        part_replica,
        silence_primary,
        deafen_primary,
        part_process_from_node,
        part_process_from_all,
        hold_answers,
        hold_requests,
        lose_bytes,
        slow_network,
        hold_pushes,
        jump_clock,
    )
}
