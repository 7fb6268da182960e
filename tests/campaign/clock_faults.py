"""Faults of the clocks of servers: they jump, and replicas with a wrong one are promoted.

What is promised then is decision 19: a server's clock counts within five seconds of the time that
most clocks agree on.

A node of Valkey whose clock went back notices no failure of another one until the time that it had
seen has come again, and without it there may be no majority for a failover. So a node that was
ahead is restarted once its clock is right.
"""

import contextlib
from collections.abc import Iterator

from clusterpass.embedded import Node
from tests.cluster.clocks.servers import right_all_clocks, set_clock

from .nemesis import HANGING, Nemesis

_HOUR = 3600
_FURTHEST = 3 * _HOUR


@contextlib.contextmanager
def _wrong(nemesis: Nemesis, node: Node, seconds: int) -> Iterator[None]:
    """Within, the clock of ``node`` is ``seconds`` ahead; it is right again afterwards."""
    try:
        set_clock(nemesis.cluster, node, seconds)
        yield
    finally:
        right_all_clocks(nemesis.cluster)
    nemesis.cluster.wait_until_healthy(HANGING)
    if seconds > 0:
        nemesis.cluster.kill(node)
        nemesis.cluster.restart(node)


@contextlib.contextmanager
def _the_one_to_promote(nemesis: Nemesis, replica: Node, key: bytes) -> Iterator[None]:
    """Within, no other replica is promoted; this one also if by its clock its data is hours old."""
    others = [node for node in nemesis.cluster.replicas_of(key) if node != replica]
    with contextlib.ExitStack() as stack:
        stack.enter_context(_setting(nemesis, replica, "cluster-replica-validity-factor", "0"))
        for node in others:
            stack.enter_context(_setting(nemesis, node, "cluster-replica-no-failover", "yes"))
        yield


@contextlib.contextmanager
def _setting(nemesis: Nemesis, node: Node, name: str, value: str) -> Iterator[None]:
    with nemesis.cluster.client(node) as client:
        usual = client.config_get(name)[name]
        client.config_set(name, value)
    try:
        yield
    finally:
        with nemesis.cluster.client(node) as client:
            client.config_set(name, usual)


def jump_server_clock(nemesis: Nemesis) -> str:
    """The clock of a primary or a replica jumps by up to three hours, and is put right again."""
    node = nemesis.random.choice(nemesis.shard()[:2])
    seconds = nemesis.random.randint(-_FURTHEST, _FURTHEST)
    with _wrong(nemesis, node, seconds):
        lasted = nemesis.pause(2, 5)
    return f"{node.port} by {seconds:+d} s for {lasted:.1f} s"


def promote_replica_with_wrong_clock(nemesis: Nemesis) -> str:
    """A replica whose clock is hours off is promoted, as its primary is killed."""
    primary, replica, key = nemesis.shard()
    seconds = nemesis.random.randint(_HOUR, _FURTHEST) * nemesis.random.choice((-1, 1))
    with _the_one_to_promote(nemesis, replica, key), _wrong(nemesis, replica, seconds):
        nemesis.cluster.wait_until_healthy(HANGING)
        nemesis.cluster.kill(primary)
        nemesis.cluster.wait_until_primary_changes(key, primary, HANGING)
        lasted = nemesis.pause(2, 5)
        nemesis.cluster.restart(primary)
        nemesis.cluster.wait_until_healthy(HANGING)
    return f"{replica.port} by {seconds:+d} s, the primary for {lasted:.1f} s"


OF_CLOCKS = {each.__name__: each for each in (jump_server_clock, promote_replica_with_wrong_clock)}
