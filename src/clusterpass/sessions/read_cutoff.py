"""Reads the cutoff, before which every session has ended, when the known value is too old."""

from typing import Final

from clusterpass.model.errors import StoreUnavailable
from clusterpass.protocol.calls import namespace as namespace_calls
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace
from clusterpass.protocol.script import Answer, Flow
from clusterpass.sessions.memory.cutoff import Cutoff

_DEADLINE: Final = 0.3
"""Seconds to wait for one copy before the next one is read, in the first round."""


def read_cutoff(keyspace: Keyspace, cutoff: Cutoff) -> Flow[int]:
    """Return the cutoff in milliseconds since the epoch, at most ``Config.staleness_bound`` old.

    Usually no round trip: the whole process makes about two in each staleness bound. Raises
    StoreUnavailable when no copy can be read, as a newer cutoff could then be missed.
    """
    if cutoff.is_due():
        with cutoff.asking():
            yield from _ask(keyspace, cutoff)
    return cutoff.milliseconds


def _ask(keyspace: Keyspace, cutoff: Cutoff) -> Flow[None]:
    failure: StoreUnavailable | None = None
    first, copies = cutoff.copy, len(SLOTS_WITH_CUTOFF)
    # The last attempt is as patient as any call: the process may have stood still meanwhile, or
    # have to find its cluster first.
    for copy in range(first, first + copies + 1):
        deadline = _DEADLINE if copy < first + copies else None
        slot = SLOTS_WITH_CUTOFF[copy % len(SLOTS_WITH_CUTOFF)]
        began = cutoff.now()
        try:
            answer: Answer[int] = yield namespace_calls.read_cutoff(
                keyspace, slot, deadline=deadline
            )
        except StoreUnavailable as error:
            failure = error
        else:
            cutoff.copy = copy  # keep to the copy that answers
            cutoff.learn(answer.reply, began)
            return
    if failure is not None:
        raise failure
