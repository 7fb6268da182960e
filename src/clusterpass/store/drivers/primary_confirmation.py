"""Confirms that a node is still a primary: a majority of nodes or Sentinels, and the journals."""

import math
import time

from clusterpass.store.address import Address
from clusterpass.store.drivers.cache_observer import Observer
from clusterpass.store.drivers.store_state import StoreState
from clusterpass.store.exchanges.evidence import Inquiry, journal_nodes
from clusterpass.store.exchanges.primary_role import is_primary
from clusterpass.store.exchanges.sentinels import Sentinels
from clusterpass.store.exchanges.steps import Agree, Exchange


class PrimaryConfirmation(StoreState):
    """The questions that a store asks about its nodes, as exchanges."""

    def confirm_primary(self, observer: Observer) -> Exchange[bool | None]:
        """Whether a majority of the Sentinels names the primary in use; None: nobody is named now.

        The observer is told of an agreement.
        """
        sentinels, sent_at = self._sentinels, self._steady()
        if sentinels is None:
            return None
        until = time.monotonic() + self.location.patience.deadline
        named = yield from sentinels.inquire(time.monotonic, until)
        if named is None:
            return None
        if named.primary not in self.slots.primaries():
            return False
        observer.agreed(named.primary, sent_at, epoch=named.epoch)
        return True

    def agree(self, wanted: Agree) -> Exchange[bool]:
        """Whether others agree that a node was not replaced before it answered.

        A driver runs one such exchange for each node at a time: whoever has waited for one mostly
        finds the question answered, as it was asked after their own reply had come.
        """
        node, observer = wanted.node, self._observer
        age = self._steady() - wanted.made_at
        if observer is None or not observer.doubts(node, age=age, is_durable=wanted.is_durable):
            return True
        if self._disagreed_at.get(node, -math.inf) >= wanted.answered_at:
            return False
        sent_at = self._steady()
        if self.location.is_cluster:
            inquiry = self._inquiry(observer, wanted.until)
            is_believed = yield from inquiry.about(node)
            if observer.journal is not None:
                observer.set_journals(self.journal_nodes().keys())
            if inquiry.heads_at is not None:
                observer.heads_agreed(inquiry.heads_at, inquiry.epoch)
        else:
            is_believed = yield from is_primary(node)
        if is_believed and self._sentinels is not None:
            return (yield from self._agree_with(self._sentinels, wanted, sent_at))
        if is_believed:
            observer.agreed(node, sent_at)
        else:
            self._disagreed_at[node] = sent_at
        return is_believed

    def _agree_with(self, sentinels: Sentinels, wanted: Agree, sent_at: float) -> Exchange[bool]:
        """Whether a majority of the Sentinels names the node that is in doubt."""
        named = yield from sentinels.inquire(time.monotonic, wanted.until)
        if named is None or named.primary != wanted.node or self._observer is None:
            self._disagreed_at[wanted.node] = sent_at
            return False
        self._observer.agreed(wanted.node, sent_at, epoch=named.epoch)
        return True

    def read_journal(self, observer: Observer, node: Address) -> Exchange[None]:
        """Read what the journal of ``node`` holds beyond what the observer knows."""
        until = time.monotonic() + self.location.patience.deadline
        asked_at = yield from self._inquiry(observer, until).read_one(node)
        if asked_at is not None:
            observer.heads_heard(node, asked_at)

    def fill_journals(self, observer: Observer) -> Exchange[None]:
        """Fill the journals that may have lost entries from the others, where these suffice."""
        until = time.monotonic() + self.location.patience.deadline
        inquiry = self._inquiry(observer, until)
        yield from inquiry.fill()
        if inquiry.heads_at is not None:
            observer.heads_agreed(inquiry.heads_at, inquiry.epoch)

    def journal_nodes(self) -> dict[Address, int]:
        """The primaries that hold the journals, with the slot of each; empty: there are none."""
        return journal_nodes(self.slots) if self.location.is_cluster else {}

    def _inquiry(self, observer: Observer, until: float) -> Inquiry:
        return Inquiry(
            self.slots,
            self.keyspace,
            observer.journal,
            clock=time.monotonic,
            steady=self._steady,
            until=until,
            silent=self.breakers.silent,
            effective=observer.effective_epoch,
        )
