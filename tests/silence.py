"""Helpers that freeze all nodes of a cluster, and that record the steps of a store's calls."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from clusterpass import EmbeddedCluster


@contextmanager
def frozen(cluster: EmbeddedCluster) -> Iterator[None]:
    """All nodes are stopped: connections stay open, and nobody answers."""
    for node in cluster.nodes:
        cluster.pause(node)
    try:
        yield
    finally:
        for node in cluster.nodes:
            cluster.resume(node)


def steps_of(store: Any) -> list[Any]:
    """Have the steps of all calls of ``store`` recorded from now on; the list that gets them.

    What goes out in the background is not among them.
    """
    taken: list[Any] = []
    carry_out = store._carry_out

    def recorded(*arguments: Any) -> Any:
        exchange, outcome = carry_out(*arguments), None
        while True:
            try:
                step = exchange.send(outcome)
            except StopIteration as stop:
                return stop.value
            taken.append(step)
            outcome = yield step

    store._carry_out = recorded
    return taken
