"""Whether a node was still the primary when it answered, or had been replaced unnoticed. Pure.

The question goes out after the node has answered. Where a majority of the primaries report the
epoch that the node itself reports, no replica of the node had been promoted when it answered: a
promotion needs the votes of a majority, and a primary raises its epoch before it votes.
"""

from collections.abc import Callable

from clusterpass.store.exchanges.steps import Exchange, Send
from clusterpass.store.location import Address
from clusterpass.store.outcomes import Replies
from clusterpass.store.randomness import chance
from clusterpass.store.topology.epoch import read_epoch
from clusterpass.store.topology.slots import SlotMap


def most_agree_with(
    node: Address, slots: SlotMap, clock: Callable[[], float], until: float
) -> Exchange[bool]:
    """Whether a majority of the primaries in ``slots`` report the epoch that ``node`` reports.

    ``until``: the time, in seconds of ``clock``, after which no further primary is asked. The
    exchange returns False where the majority is not reached, and where ``node`` reports no epoch.
    """
    own = yield from _epoch_of(node)
    if own is None:
        return False
    primaries = slots.primaries()
    others = [each for each in primaries if each != node]
    chance.shuffle(others)
    # Primaries missing from a majority; the node itself counts if it is a primary.
    missing = len(primaries) // 2 + (node not in primaries)
    for other in others:
        if not missing or clock() >= until:
            break
        epoch = yield from _epoch_of(other)
        if epoch is not None and epoch > own:
            return False
        missing -= epoch == own
    return not missing


def _epoch_of(node: Address) -> Exchange[int | None]:
    """The epoch that ``node`` reports; None where the node does not answer or reports none."""
    outcome = yield Send(node, ((b"CLUSTER", b"INFO"),))
    return read_epoch(outcome.values[0]) if isinstance(outcome, Replies) else None
