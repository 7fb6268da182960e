"""Renews the slot map of a store: which nodes are asked, and how their answer is applied."""

import time
from collections.abc import Callable, Hashable

from clusterpass.store.address import Address
from clusterpass.store.drivers.store_state import StoreState
from clusterpass.store.exchanges.look_up_by_sentinels import look_up_service
from clusterpass.store.exchanges.node_queries import count_replicas, look_up, reach_primary
from clusterpass.store.exchanges.probe import probe
from clusterpass.store.exchanges.sentinels import Sentinels
from clusterpass.store.exchanges.steps import Exchange, LookUp, Probe
from clusterpass.store.exchanges.unavailable import unavailable
from clusterpass.store.outcomes import Fault
from clusterpass.store.randomness import chance


class SlotSearches(StoreState):
    """The look-ups of a store, as exchanges."""

    def search(self, wanted: LookUp) -> Exchange[None]:
        """Look up the slots, unless another caller did so while this one waited for its turn.

        Raises StoreUnavailable when the store is closed.
        """
        if self._closed:
            raise unavailable(Fault("closed"), None)
        if self.slots.version != wanted.seen:
            return
        if self._sentinels is not None:
            yield from self._search_service(self._sentinels, wanted)
            return
        if not self.location.is_cluster:
            counted = yield from count_replicas(
                self.location.seeds[0], self.slots, time.monotonic, self.missing
            )
            self.slots = counted or self.slots
            return
        slots, untold = None, dict[Address, Fault]()
        try:
            slots = yield from look_up(
                self._candidates(),
                wanted.suspect,
                wanted.seen + 1,
                time.monotonic,
                wanted.until,
                unanswered=self._note_silence(untold),
            )
        finally:
            self._untold = {} if slots is not None else untold
        if slots is not None:
            self.slots = slots
            self.breakers.keep_only({*slots.primaries()})

    def _search_service(self, sentinels: Sentinels, wanted: LookUp) -> Exchange[None]:
        sent_at = self._steady()
        found = yield from look_up_service(sentinels, wanted.seen + 1, time.monotonic, wanted.until)
        if found is None:
            return
        self.slots, named = found
        self.breakers.keep_only({named.primary})
        if self._observer is not None:
            self._observer.agreed(named.primary, sent_at, epoch=named.epoch)

    def _note_silence(self, untold: dict[Address, Fault]) -> Callable[[Address, Fault], None]:
        """Return what a look-up is to call with each node that does not tell the slots, which
        ``untold`` gets."""
        began = time.monotonic()
        silent: set[Hashable] = set()

        def note(node: Address, fault: Fault) -> None:
            untold[node] = fault
            if fault.kind not in {"timeout", "connection"}:
                return
            silent.add(node)
            primaries = self.slots.primaries()
            if primaries and {*primaries} <= {*silent, *list(self.breakers.silent)}:
                self.breakers.failed_together(primaries, "timeout", began)

        return note

    def probe(self, wanted: Probe) -> Exchange[None]:
        """Find out whether a node that has been silent for long answers again."""
        until = time.monotonic() + self.location.patience.deadline
        return probe(wanted, self._current, self.breakers, self.keyspace, until)

    def _candidates(self) -> list[Address]:
        """The nodes to ask for the slots: primaries first, then seeds, then replicas; silent nodes
        last.

        A seed that hangs would cost the caller a timeout with each look-up, and a node stays a seed
        after a failover has replaced it. All nodes may have got other addresses by now, one after
        the other: whichever is reached under an old one knows those of the others.
        """
        primaries = self.slots.primaries()
        seeds = list(set(self.location.seeds) - set(primaries))
        others = list(self.slots.members - {*primaries, *seeds})
        for each in (primaries, seeds, others):
            chance.shuffle(each)
        silent = self.breakers.silent
        return sorted([*primaries, *seeds, *others], key=lambda node: node in silent)

    def _reach(self) -> Exchange[None]:
        """Return when a primary answers; raise StoreUnavailable when none answers in time."""
        until = time.monotonic() + self.location.patience.deadline
        addresses = yield from self._find_primaries(until)
        yield from reach_primary(addresses, time.monotonic, until)

    def _find_primaries(self, until: float) -> Exchange[list[Address]]:
        """Return the addresses of the primaries, or of who should know them; at least one.

        ``until``: the time, in seconds of the monotonic clock, after which nobody is asked. Raises
        StoreUnavailable.
        """
        if not self.slots.version:
            yield LookUp(0, None, until)
        addresses = self.slots.primaries()
        if not addresses and self._sentinels is not None:
            raise unavailable(self._sentinels.blame("connection"), None)
        return addresses or list(self.location.seeds)
