"""The state of a store that both drivers share: slots, durability, breakers and Sentinels."""

import time
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any, Self

from clusterpass.config import Durability
from clusterpass.model.clock import clock_in_use
from clusterpass.model.counters import Counters
from clusterpass.model.errors import ConfigurationError, StoreUnavailable
from clusterpass.model.forks import renew_in_child
from clusterpass.store.address import Address, AddressRemap
from clusterpass.store.complete_location import located
from clusterpass.store.credentials import CredentialSource
from clusterpass.store.drivers.cache_observer import Observer
from clusterpass.store.exchanges.circuit_breaker import CircuitBreakers
from clusterpass.store.exchanges.durability import effective
from clusterpass.store.exchanges.sentinels import Sentinels
from clusterpass.store.exchanges.terms import Terms
from clusterpass.store.location import StoreLocation
from clusterpass.store.missing_commands import Missing
from clusterpass.store.outcomes import Fault
from clusterpass.store.store_url import parse_store_url
from clusterpass.store.topology.slots import SlotMap


class StoreState:
    """The state of a store."""

    def __init__(self, location: StoreLocation, on_close: Callable[[], None] | None = None) -> None:
        """``on_close``: a function that is called once, when the store is closed; it may block."""
        self.location = location
        self.keyspace = location.keyspace
        self._on_close = on_close
        self.slots = SlotMap.unknown() if location.looks_up else SlotMap.single(location.seeds[0])
        """The owners of the slots, as of the latest look-up or redirect."""
        self.durability: Durability = "replicated"
        """What writes wait for. :meth:`confirm_by` sets it before the first call."""
        self._sentinels = (
            None if location.service is None else Sentinels(location.service, location.seeds)
        )
        patience = location.patience
        self.breakers = CircuitBreakers(
            time.monotonic, patience=patience.deadline, most_waiting=patience.max_waiting
        )
        self._steady = clock_in_use(for_tests=location.keyspace.is_for_tests).steady
        """The clock of leases and evidence, in seconds; goes on while the machine sleeps."""
        self._terms = Terms(
            self._current,
            self._adopt,
            patience,
            time.monotonic,
            self.breakers,
            self.durability,
            is_cluster=location.is_cluster,
            blame=Fault if self._sentinels is None else self._sentinels.blame,
            steady=self._steady,
        )
        self._waits_long = False
        """Whether a write may wait for longer than an ordinary attempt takes."""
        self._closed = False
        self.missing = Missing()
        """The commands that nodes lack, without which something is left undone."""
        self._untold: dict[Address, Fault] = {}
        """The nodes that the latest look-up has asked in vain; empty: one has told the slots."""
        self._disagreed_at: dict[Address, float] = {}
        """When others were last asked about a node, and did not agree with it."""
        self.pushing_all: set[Address] = set()
        """The nodes that push all changes, whatever connection has read."""
        self.reads_elsewhere = False
        """Whether sessions are read over other connections than those on which nodes push. A node
        forgets what was read over a connection once that is lost, and does so unheard: all changes
        have to be pushed."""
        self.on_unavailable: Callable[[StoreUnavailable], None] | None = None
        """Called with each error by which a call ends because the store did not serve it."""
        self.counters = Counters()
        """The counters of the calls; those of the manager after :meth:`count_in`."""
        self.around: Callable[[Any], Any] | None = None
        """Returns a function that carries out a call by the one that it is given, and traces it;
        None: nobody does."""
        self._observer: Observer | None = None
        self._bound = 0.0
        renew_in_child(self)

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        credentials: CredentialSource | None = None,
        address_remap: AddressRemap | None = None,
    ) -> Self:
        """The store at ``url``. No connection is opened before the first call.

        ``credentials``, ``address_remap``: as for a session manager. Raises ConfigurationError for
        a URL that cannot be parsed, and for ``embedded://``: only a session manager starts servers.
        """
        location = parse_store_url(url)
        if location.is_embedded:
            raise ConfigurationError("embedded:// is opened by a session manager")
        return cls(located(location, credentials, address_remap))

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
        book = observer.journal
        ahead = {} if book is None else book.ahead
        self._terms = replace(self._terms, doubts=observer.doubts, ahead=ahead)
        if self._sentinels is not None:
            observer.rely_on_agreements()

    def count_in(self, counters: Counters) -> None:
        """Count calls in ``counters`` from now on."""
        self.counters = counters

    def confirm_by(self, durability: Durability) -> None:
        """Make every write wait for ``durability`` from now on.

        Raises ConfigurationError where the deadline of the store URL is shorter than the wait.
        """
        patience = self.location.patience
        patience.check(durability)
        self._waits_long = patience.write_timeout(durability) > patience.timeout
        self.durability = durability
        self._terms = replace(self._terms, durability=durability)

    def describe_durability(self) -> str:
        """The durability that writes get in fact, as text for an operator."""
        if self.missing.lacks_count:
            return "primary (the server does not tell how many replicas it has)"
        return effective(self.durability, self.slots, self.location.patience)

    def owner_of(self, slot: int) -> Hashable:
        """The primary that owns ``slot``, as far as is known; None while it is not known."""
        shard = self.slots.shard(slot)
        return None if shard is None else shard.primary

    def silent_nodes(self) -> tuple[str, ...]:
        """The nodes, as ``host:port``, that did not answer the latest request to them."""
        return tuple(sorted(str(node) for node in list(self.breakers.silent)))

    def missing_commands(self) -> tuple[str, ...]:
        """The commands that nodes lack, as ``COMMAND: what is left undone``."""
        return self.missing.told()

    def begin_anew(self) -> None:
        """Forget what the parent process knew of silent nodes, in the child of a fork."""
        self.breakers.silent.clear()
        self._untold = {}
        self._disagreed_at.clear()
        self.pushing_all.clear()

    def _current(self) -> SlotMap:
        return self.slots

    def _adopt(self, slots: SlotMap) -> None:
        self.slots = slots
