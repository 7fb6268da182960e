"""Reads the cutoff, before which every session has ended, when the known value is too old."""

from typing import Final

from clusterpass.model.errors import StoreUnavailable
from clusterpass.protocol.calls import cutoff as cutoff_calls
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace
from clusterpass.protocol.script import Answer, Flow
from clusterpass.sessions.memory.cutoff import Cutoff

_FIRST_ROUND: Final = 0.3
"""Seconds to wait for one copy before the next one is read, in the first round, at most."""
_SHARE_OF_A_COPY: Final = 0.12
_LEAST_SHARE_OF_THE_LAST: Final = 0.5


def read_cutoff(keyspace: Keyspace, cutoff: Cutoff, seconds: float) -> Flow[int]:
    """Return the cutoff in milliseconds since the epoch, at most ``Config.staleness_bound`` old.

    ``seconds``: how long it may take, mostly the deadline of the store. Usually no round trip: the
    whole process makes about two in each staleness bound. Raises StoreUnavailable when no copy can
    be read, as a newer cutoff could then be missed.
    """
    if cutoff.is_due():
        with cutoff.asking():
            yield from _ask(keyspace, cutoff, seconds)
    return cutoff.milliseconds


def _ask(keyspace: Keyspace, cutoff: Cutoff, seconds: float) -> Flow[None]:
    failure: StoreUnavailable | None = None
    first, copies = cutoff.copy, len(SLOTS_WITH_CUTOFF)
    deadline, until = min(_FIRST_ROUND, seconds * _SHARE_OF_A_COPY), cutoff.now() + seconds
    for copy in range(first, first + copies + 1):
        if copy == first + copies:
            # The last attempt is patient: the process may have stood still meanwhile, or have to
            # find its cluster first.
            deadline = max(until - cutoff.now(), seconds * _LEAST_SHARE_OF_THE_LAST)
        slot = SLOTS_WITH_CUTOFF[copy % len(SLOTS_WITH_CUTOFF)]
        began = cutoff.now()
        try:
            answer: Answer[int] = yield cutoff_calls.read_cutoff(keyspace, slot, deadline=deadline)
        except StoreUnavailable as error:
            failure = error
        else:
            cutoff.copy = copy  # keep to the copy that answers
            cutoff.learn(answer.reply, began)
            return
    if failure is not None:
        raise failure
