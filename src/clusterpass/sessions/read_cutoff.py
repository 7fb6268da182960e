"""Reads the time before which every session has ended, when what is known of it is too old."""

from typing import Final

from clusterpass.model.errors import StoreUnavailable
from clusterpass.protocol.calls import namespace as namespace_calls
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace
from clusterpass.protocol.script import Answer, Flow
from clusterpass.sessions.memory.cutoff import Cutoff

_DEADLINE: Final = 0.3
"""Seconds for one copy; then the next one is asked."""


def read_cutoff(keyspace: Keyspace, cutoff: Cutoff) -> Flow[int]:
    """The cutoff in milliseconds since the epoch, as it was known a moment ago at the earliest.

    Usually no round trip; about two in ``Config.staleness_bound`` for the whole process. Raises
    StoreUnavailable when no copy can be read: a cutoff that is not known might be missed.
    """
    if cutoff.is_due():
        with cutoff.asking():
            yield from _ask(keyspace, cutoff)
    return cutoff.milliseconds


def _ask(keyspace: Keyspace, cutoff: Cutoff) -> Flow[None]:
    failure: StoreUnavailable | None = None
    first = cutoff.copy
    for copy in range(first, first + len(SLOTS_WITH_CUTOFF)):
        slot = SLOTS_WITH_CUTOFF[copy % len(SLOTS_WITH_CUTOFF)]
        began = cutoff.now()
        try:
            answer: Answer[int] = yield namespace_calls.read_cutoff(
                keyspace, slot, deadline=_DEADLINE
            )
        except StoreUnavailable as error:
            failure = error
        else:
            cutoff.copy = copy  # and stay with the one that answers
            cutoff.learn(answer.reply, began)
            return
    if failure is not None:
        raise failure
