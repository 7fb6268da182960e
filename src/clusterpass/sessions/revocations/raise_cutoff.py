"""The revocation of a whole namespace: raises the cutoff, which the store holds in three copies.

- The first copy determines the time by its own clock; the other copies take that time.
- Each attempt raises the copies that are not confirmed yet.
- If the first attempt reaches no copy, the cutoff is the time that most clocks agree on.
"""

from collections.abc import Hashable
from typing import Final

from clusterpass.limits import MOST_CLOCKS_APART
from clusterpass.model.errors import StoreDenied, StoreUnavailable
from clusterpass.protocol.calls import cutoff as cutoff_calls
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF
from clusterpass.protocol.script import Answer, Flow
from clusterpass.sessions.context import Context
from clusterpass.sessions.revocations.retry_call import retry_of

_CLOCKS_APART: Final = 2 * 1000 * MOST_CLOCKS_APART
"""The largest difference between the clocks of two primaries that the caller may believe, in
milliseconds: one may be ahead of its own clock, the other behind."""


class RaiseCutoff:
    """The revocation of all sessions of the namespace that were opened before a cutoff.

    The store holds the cutoff in three copies, in different slots.
    """

    def __init__(self, context: Context, milliseconds: int | None) -> None:
        """``milliseconds``: the cutoff, in milliseconds since the epoch; None: now."""
        self._context = context
        self._milliseconds = milliseconds
        self._ahead = 0
        clocks = context.memory.clocks
        self._asked_at = clocks.call_time().milliseconds if clocks.is_agreed else None
        """When it was asked for, by the time that most clocks agree on; None: none is agreed on."""
        self._left = list(SLOTS_WITH_CUTOFF)
        self._durable = True
        self.nodes: set[Hashable] = set()
        """The primaries that have confirmed a copy."""
        self.failure: StoreUnavailable | None = None
        """Why the latest attempt could not reach a copy; None when it reached every copy."""

    def attempt(self, *, is_retry: bool = False) -> Flow[bool]:
        """Raise the copies that are not confirmed; return whether all are confirmed now.

        ``is_retry``: whether this attempt is one in the background, or one that the journals back
        up, which does not insist.
        Raises StoreDenied when the store rejects the credentials or the command.
        """
        keyspace, cutoff = self._context.keyspace, self._context.memory.cutoff
        self.failure = None
        for slot in list(self._left):
            began = cutoff.now()
            call = cutoff_calls.raise_cutoff(
                keyspace,
                slot,
                milliseconds=self._milliseconds,
                ahead=self._ahead,
                time=self._context.memory.clocks.call_time(),
            )
            try:
                answer: Answer[int] = yield (retry_of(call) if is_retry else call)
            except StoreDenied:
                raise
            except StoreUnavailable as error:
                self.failure = error
                continue
            # The other copies take the time that the first one accepted by its own clock.
            self._milliseconds, self._ahead = answer.reply, _CLOCKS_APART
            cutoff.learn(answer.reply, began)
            if answer.is_confirmed:
                self._left.remove(slot)
                self.nodes.add(answer.node)
                self._durable = self._durable and answer.durable
        return not self._left

    def enforce(self) -> None:
        """Enforce the cutoff in this process although no copy was reached.

        The time that most clocks agree on becomes that of the copies, too: whoever asks for an end
        sees it at once, and sees no other one later. Without an agreement nothing is enforced: a
        wrong clock would refuse everybody for good.
        """
        asked_at = self._asked_at
        if self._ahead or asked_at is None:
            return
        wanted = asked_at if self._milliseconds is None else self._milliseconds
        self._milliseconds = min(wanted, asked_at)
        self._ahead = _CLOCKS_APART
        self._context.memory.cutoff.raise_to(self._milliseconds)

    @property
    def milliseconds(self) -> int | None:
        """The cutoff, in milliseconds since the epoch; None: no copy has told it yet."""
        return self._milliseconds if self._ahead else None

    @property
    def is_durable(self) -> bool:
        """Whether every copy would survive the loss of a node."""
        return self._durable and not self._left
