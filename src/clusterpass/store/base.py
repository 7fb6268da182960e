"""What both stores know, and what they do up to the sockets: all that need not wait itself."""

import os
import time
import weakref
from typing import Any, Final, Self

from clusterpass.protocol.script import Answer, ScriptCall
from clusterpass.store.agreement import most_agree_with
from clusterpass.store.chance import chance
from clusterpass.store.embedded import EmbeddedCluster
from clusterpass.store.exchange import Exchange, LookUp, ask_any, exchange, look_up
from clusterpass.store.observer import Observer
from clusterpass.store.opening import open_embedded
from clusterpass.store.routing import SlotMap
from clusterpass.store.url import Address, StoreLocation, parse_store_url


class StoreBase:
    """Runs flows against a Redis-protocol cluster or server."""

    def __init__(self, location: StoreLocation, embedded: EmbeddedCluster | None = None) -> None:
        """``embedded`` is stopped when the store is closed."""
        self.location = location
        self.keyspace = location.keyspace
        self._embedded = embedded
        self.slots = SlotMap.unknown() if location.is_cluster else SlotMap.single(location.seeds[0])
        """Who owns which slot, as far as it is known."""
        self._closed = False
        self._observer: Observer | None = None
        self._bound = 0.0
        _all_stores.add(self)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The store at ``url``; ConfigurationError when it cannot be understood.

        ``embedded://`` starts its cluster here, and blocks meanwhile.
        """
        location, embedded = open_embedded(parse_store_url(url))
        return cls(location, embedded)

    def observe(self, observer: Observer, bound: float) -> None:
        """Keep ``observer`` true from the first call on; ``bound``: seconds, see :class:`Watch`."""
        self._observer, self._bound = observer, bound

    def begin_anew(self) -> None:
        """Share nothing with the parent: for the child of a fork."""
        if self._observer is not None:
            self._observer.begin_anew()

    def search(self, wanted: LookUp) -> Exchange[None]:
        """Look up the slots, unless that was done while we waited for our turn."""
        if self.slots.version != wanted.seen:
            return
        candidates = list({*self.slots.primaries(), *self.location.seeds})
        chance.shuffle(candidates)
        slots = yield from look_up(
            candidates, wanted.suspect, wanted.seen + 1, time.monotonic, wanted.until
        )
        if slots is not None:
            self.slots = slots

    def _carry_out(
        self, call: ScriptCall[Any], began: float | None = None
    ) -> Exchange[Answer[Any]]:
        return exchange(
            call,
            self._current,
            self._adopt,
            self.location.patience,
            time.monotonic,
            believes=None if self._observer is None else self._believes,
            began=began,
        )

    def _note_change(self, call: ScriptCall[Any]) -> None:
        """After a write, whatever came of it: what is remembered of its key may be wrong."""
        if self._observer is not None and call.confirm:
            self._observer.changed(call.keys[0])

    def _reach(self) -> Exchange[None]:
        """Return when a primary answers."""
        until = time.monotonic() + self.location.patience.deadline
        if not self.slots.version:
            yield LookUp(0, None, until)
        addresses = self.slots.primaries() or list(self.location.seeds)
        yield from ask_any(addresses, (b"PING",), time.monotonic, until)

    def _current(self) -> SlotMap:
        return self.slots

    def _adopt(self, slots: SlotMap) -> None:
        self.slots = slots

    def _believes(self, node: Address, until: float) -> Exchange[bool]:
        if not self._doubts(node):
            return True
        return (yield from most_agree_with(node, self.slots, time.monotonic, until))

    def _doubts(self, node: Address) -> bool:
        return self._observer is not None and self._observer.doubts(node)


_all_stores: Final[weakref.WeakSet[StoreBase]] = weakref.WeakSet()


def _begin_anew_after_fork() -> None:
    for store in list(_all_stores):
        store.begin_anew()


os.register_at_fork(after_in_child=_begin_anew_after_fork)
