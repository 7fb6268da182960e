"""Whether a node may be believed that may have been replaced without its knowledge. Pure.

Asked after the node has answered: if most primaries tell the epoch that it tells itself, no replica
of it had been promoted when it answered, as a promotion takes the votes of most of them, and who
votes raises its epoch before.
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
    """Whether most primaries tell the epoch of ``node``; nothing is asked after ``until``."""
    own = yield from _epoch_of(node)
    if own is None:
        return False
    primaries = slots.primaries()
    others = [each for each in primaries if each != node]
    chance.shuffle(others)
    # Of a majority; the node itself is one of them, if it is a primary.
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
    outcome = yield Send(node, ((b"CLUSTER", b"INFO"),))
    return read_epoch(outcome.values[0]) if isinstance(outcome, Replies) else None
