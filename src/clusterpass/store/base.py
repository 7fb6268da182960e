"""What both stores know, and what they do up to the sockets: all that need not wait itself."""

import random
import time
from typing import Any, Self

from clusterpass.protocol.script import Answer, ScriptCall
from clusterpass.store.embedded import EmbeddedCluster
from clusterpass.store.exchange import Exchange, LookUp, ask_any, exchange, look_up
from clusterpass.store.opening import open_embedded
from clusterpass.store.routing import SlotMap
from clusterpass.store.url import StoreLocation, parse_store_url


class StoreBase:
    """Runs flows against a Redis-protocol cluster or server."""

    def __init__(self, location: StoreLocation, embedded: EmbeddedCluster | None = None) -> None:
        """``embedded`` is stopped when the store is closed."""
        self.location = location
        self.keyspace = location.keyspace
        self._embedded = embedded
        self._slots = (
            SlotMap.unknown() if location.is_cluster else SlotMap.single(location.seeds[0])
        )
        self._closed = False

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The store at ``url``; ConfigurationError when it cannot be understood.

        ``embedded://`` starts its cluster here, and blocks meanwhile.
        """
        location, embedded = open_embedded(parse_store_url(url))
        return cls(location, embedded)

    def _carry_out(self, call: ScriptCall[Any]) -> Exchange[Answer[Any]]:
        patience = self.location.patience
        return exchange(call, lambda: self._slots, self._adopt, patience, time.monotonic)

    def _reach(self) -> Exchange[None]:
        """Return when a primary answers."""
        until = time.monotonic() + self.location.patience.deadline
        if not self._slots.version:
            yield LookUp(0, None, until)
        addresses = self._slots.primaries() or list(self.location.seeds)
        yield from ask_any(addresses, (b"PING",), time.monotonic, until)

    def _search(self, wanted: LookUp) -> Exchange[None]:
        """Look up the slots, unless that was done while we waited for our turn."""
        if self._slots.version != wanted.seen:
            return
        candidates = list({*self._slots.primaries(), *self.location.seeds})
        random.shuffle(candidates)
        slots = yield from look_up(
            candidates, wanted.suspect, wanted.seen + 1, time.monotonic, wanted.until
        )
        if slots is not None:
            self._slots = slots

    def _adopt(self, slots: SlotMap) -> None:
        self._slots = slots
