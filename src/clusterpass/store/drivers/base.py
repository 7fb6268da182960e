"""The state and the logic that both stores share: all but sending and waiting."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

from clusterpass.config import Durability
from clusterpass.model.clock import steady_seconds
from clusterpass.model.errors import ConfigurationError
from clusterpass.model.forks import renew_in_child
from clusterpass.protocol.script import Answer, ScriptCall
from clusterpass.store.drivers.observer import Observer
from clusterpass.store.exchanges.agreement import is_primary, most_agree_with
from clusterpass.store.exchanges.carry_out import carry_out
from clusterpass.store.exchanges.circuit_breaker import CircuitBreakers
from clusterpass.store.exchanges.durability import effective
from clusterpass.store.exchanges.look_up import count_replicas, look_up, reach_primary
from clusterpass.store.exchanges.steps import Agree, Exchange, LookUp
from clusterpass.store.exchanges.terms import Terms
from clusterpass.store.location import Address, StoreLocation, parse_store_url
from clusterpass.store.randomness import chance
from clusterpass.store.topology.slots import SlotMap


class StoreBase:
    """The base class of the synchronous and the asynchronous store."""

    def __init__(self, location: StoreLocation, on_close: Callable[[], None] | None = None) -> None:
        """``on_close``: a function that is called once, when the store is closed; it may block."""
        self.location = location
        self.keyspace = location.keyspace
        self._on_close = on_close
        self.slots = SlotMap.unknown() if location.is_cluster else SlotMap.single(location.seeds[0])
        """The owners of the slots, as of the latest look-up or redirect."""
        self.durability: Durability = "replicated"
        """What writes wait for. :meth:`confirm_by` sets it before the first call."""
        patience = location.patience
        self.breakers = CircuitBreakers(
            time.monotonic, patience=patience.deadline, most_waiting=patience.max_waiting
        )
        self._terms = Terms(
            self._current, self._adopt, patience, time.monotonic, self.breakers, self.durability
        )
        self._closed = False
        self._disagreed_at: dict[Address, float] = {}
        """When others were last asked about a node, and did not agree with it."""
        self._observer: Observer | None = None
        self._bound = 0.0
        renew_in_child(self)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The store at ``url``. No connection is opened before the first call.

        Raises ConfigurationError for a URL that cannot be parsed, and for ``embedded://``: only a
        session manager starts servers.
        """
        location = parse_store_url(url)
        if location.is_embedded:
            raise ConfigurationError("embedded:// is opened by a session manager")
        return cls(location)

    @property
    def deadline(self) -> float:
        """Seconds after which the store gives up a call, retries included."""
        return self.location.patience.deadline

    @property
    def has_epochs(self) -> bool:
        """Whether the store is a cluster: each failover there raises the cluster's epoch."""
        return self.location.is_cluster

    def observe(self, observer: Observer, bound: float) -> None:
        """Report changes to ``observer`` from the first call on; ``bound``: the staleness bound, in
        seconds."""
        self._observer, self._bound = observer, bound
        self._terms = replace(self._terms, doubts=self._doubts)

    def confirm_by(self, durability: Durability) -> None:
        """Make every write wait for ``durability`` from now on."""
        self.durability = durability
        self._terms = replace(self._terms, durability=durability)

    def describe_durability(self) -> str:
        """The durability that writes get in fact, as text for an operator."""
        return effective(self.durability, self.slots, self.location.patience)

    def silent_nodes(self) -> tuple[str, ...]:
        """The nodes, as ``host:port``, that did not answer the latest request to them."""
        return tuple(sorted(str(node) for node in list(self.breakers.silent)))

    def begin_anew(self) -> None:
        """Forget what the parent process knew of silent nodes, in the child of a fork."""
        self.breakers.silent.clear()
        self._disagreed_at.clear()

    def search(self, wanted: LookUp) -> Exchange[None]:
        """Look up the slots, unless another caller did so while this one waited for its turn."""
        if self.slots.version != wanted.seen:
            return
        if not self.location.is_cluster:
            counted = yield from count_replicas(self.location.seeds[0], self.slots, time.monotonic)
            self.slots = counted or self.slots
            return
        slots = yield from look_up(
            self._candidates(), wanted.suspect, wanted.seen + 1, time.monotonic, wanted.until
        )
        if slots is not None:
            self.slots = slots
            self.breakers.keep_only({*slots.primaries()})

    def _candidates(self) -> list[Address]:
        """The nodes to ask for the slots: primaries first, then seeds; silent nodes last.

        A seed that hangs would cost the caller a timeout with each look-up, and a node stays a seed
        after a failover has replaced it.
        """
        primaries = self.slots.primaries()
        others = list(set(self.location.seeds) - set(primaries))
        chance.shuffle(primaries)
        chance.shuffle(others)
        silent = self.breakers.silent
        return sorted([*primaries, *others], key=lambda node: node in silent)

    def _carry_out(
        self, call: ScriptCall[Any], began: float | None = None
    ) -> Exchange[Answer[Any]]:
        return carry_out(call, self._terms, began=began)

    def _note_change(self, call: ScriptCall[Any]) -> None:
        """Tell the observer, even after a failed write, that the key may have changed."""
        if self._observer is not None and call.confirm:
            self._observer.changed(call.keys[0])

    def _reach(self) -> Exchange[None]:
        """Return when a primary answers; raise StoreUnavailable when none answers in time."""
        until = time.monotonic() + self.location.patience.deadline
        if not self.slots.version:
            yield LookUp(0, None, until)
        addresses = self.slots.primaries() or list(self.location.seeds)
        yield from reach_primary(addresses, time.monotonic, until)

    def _current(self) -> SlotMap:
        return self.slots

    def _adopt(self, slots: SlotMap) -> None:
        self.slots = slots

    def agree(self, wanted: Agree) -> Exchange[bool]:
        """Whether others agree that a node was not replaced before it answered.

        A driver runs one such exchange for each node at a time: whoever has waited for one mostly
        finds the question answered, as it was asked after their own reply had come.
        """
        node = wanted.node
        if not self._doubts(node):
            return True
        if self._disagreed_at.get(node, -math.inf) >= wanted.answered_at:
            return False
        sent_at = steady_seconds()
        if self.location.is_cluster:
            ask = most_agree_with(node, self.slots, time.monotonic, wanted.until)
        else:
            ask = is_primary(node)
        if (yield from ask):
            if self._observer is not None:
                self._observer.agreed(node, sent_at)
            return True
        self._disagreed_at[node] = sent_at
        return False

    def _doubts(self, node: Address) -> bool:
        return self._observer is not None and self._observer.doubts(node)
