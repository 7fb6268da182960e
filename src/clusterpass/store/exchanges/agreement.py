"""Whether a node was still the primary when it answered, or had been replaced unnoticed. Pure.

The question goes out after the node has answered. Where a majority of the primaries report the
epoch that the node itself reports, no replica of the node had been promoted when it answered: a
promotion needs the votes of a majority, and a primary raises its epoch before it votes.

A single server is asked for its role. A server that was replaced behind its name, and does not
know, cannot be told from one that was not.
"""

from collections.abc import Callable
from typing import Any, Final

from clusterpass.store.exchanges.steps import Exchange, Send
from clusterpass.store.location import Address
from clusterpass.store.outcomes import Replies, ServerError
from clusterpass.store.randomness import chance
from clusterpass.store.topology.epoch import read_epoch
from clusterpass.store.topology.slots import SlotMap

_REFUSED: Final = frozenset({"NOPERM", "ERR"})


def most_agree_with(
    node: Address, slots: SlotMap, clock: Callable[[], float], until: float
) -> Exchange[bool]:
    """Whether a majority of the primaries in ``slots`` report the epoch that ``node`` reports.

    ``until``: the time, in seconds of ``clock``, after which no further primary is asked. The
    exchange returns False where the majority is not reached. A node that refuses to report an
    epoch at all, as an ACL forbids the question, cannot be judged: then the result is True.
    """
    answer = yield from _ask(node, (b"CLUSTER", b"INFO"))
    if isinstance(answer, ServerError):
        return answer.code in _REFUSED
    own = read_epoch(answer)
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
        epoch = read_epoch((yield from _ask(other, (b"CLUSTER", b"INFO"))))
        if epoch is not None and epoch > own:
            return False
        missing -= epoch == own
    return not missing


def is_primary(node: Address) -> Exchange[bool]:
    """Whether the single server ``node`` says that it is a primary, or refuses to tell its role."""
    answer = yield from _ask(node, (b"ROLE",))
    if isinstance(answer, ServerError):
        return answer.code in _REFUSED
    return isinstance(answer, list) and answer[:1] == [b"master"]


def _ask(node: Address, command: tuple[bytes, ...]) -> Exchange[Any]:
    """The reply of ``node``; None where it does not answer."""
    outcome = yield Send(node, (command,), urgent=True)
    return outcome.values[0] if isinstance(outcome, Replies) else None
