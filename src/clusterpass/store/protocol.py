"""The interface between a session manager and a store, which every driver implements.

``SyncStore`` and ``AsyncStore`` are the drivers of the library. Any other driver has to have the
members of :class:`Store` or :class:`AwaitableStore`, and to pass the conformance suite in
``clusterpass.store_conformance``.
"""

from collections.abc import AsyncIterator, Hashable, Iterator
from typing import Protocol, TypeVar

from clusterpass.config import Durability
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import Flow
from clusterpass.store.drivers.cache_observer import Observer

Result = TypeVar("Result")


class StoreBehaviour(Protocol):
    """The members that blocking and awaitable stores share."""

    @property
    def keyspace(self) -> Keyspace:
        """The key names of this store, under its namespace."""

    @property
    def deadline(self) -> float:
        """Seconds after which the store gives up a call, retries included."""

    @property
    def has_epochs(self) -> bool:
        """Whether the store is a cluster: each failover there raises the cluster's epoch."""

    def observe(self, observer: Observer, bound: float) -> None:
        """Report changes of the store to ``observer``, from the first call on.

        ``bound``: the staleness bound, in seconds. An observer that was told nothing for that long
        relies on nothing. A manager calls this method at most once, before the first call. Raises
        ConfigurationError where the store cannot be watched.
        """

    def confirm_by(self, durability: Durability) -> None:
        """Make every write wait for ``durability``. A manager sets this before the first call."""

    def describe_durability(self) -> str:
        """The durability that writes get in fact, as text for an operator."""

    def owner_of(self, slot: int) -> Hashable:
        """The primary that owns ``slot``, as far as is known; None while it is not known.

        The method sends nothing. A manager retries the revocations of each primary separately, so
        that one that does not answer delays no other.
        """

    def silent_nodes(self) -> tuple[str, ...]:
        """The nodes, as ``host:port``, that did not answer the latest request to them."""

    def missing_commands(self) -> tuple[str, ...]:
        """Commands that servers lack or refuse to the user, as ``COMMAND: what is left undone``."""


class Store(StoreBehaviour, Protocol):
    """A store whose calls block the calling thread. Threads may share one store."""

    def run(self, flow: Flow[Result]) -> Result:
        """Run ``flow`` to its end: send back the Answer to each call that it yields.

        For a :class:`Rest` the store waits, and sends back None; for :class:`Work` it calls
        ``compute`` and sends back the result, on an event loop by a thread.

        Returns the result of the flow and raises what the flow raises. An error in a call is thrown
        into the flow: StoreUnavailable when no answer comes before the deadline, StoreDenied or
        StoreFailed when a retry would not help.
        """

    def ping(self) -> None:
        """Return when a primary answers; raise StoreUnavailable when none answers in time."""

    def scan_names(self, pattern: str) -> Iterator[bytes]:
        """The keys that match the glob ``pattern``, from every primary.

        The scan visits all keys of the store: for administration only.
        """

    def close(self) -> None:
        """Close all connections. Later calls raise StoreUnavailable; closing again does nothing."""


class AwaitableStore(StoreBehaviour, Protocol):
    """A store whose calls are awaited. Any number of tasks may share one store."""

    async def run(self, flow: Flow[Result]) -> Result:
        """Run ``flow`` to its end: send back the Answer to each call that it yields.

        For a :class:`Rest` the store waits, and sends back None; for :class:`Work` it calls
        ``compute`` and sends back the result, on an event loop by a thread.

        Returns the result of the flow and raises what the flow raises. An error in a call is thrown
        into the flow: StoreUnavailable when no answer comes before the deadline, StoreDenied or
        StoreFailed when a retry would not help.
        """

    async def ping(self) -> None:
        """Return when a primary answers; raise StoreUnavailable when none answers in time."""

    def scan_names(self, pattern: str) -> AsyncIterator[bytes]:
        """The keys that match the glob ``pattern``, from every primary.

        The scan visits all keys of the store: for administration only.
        """

    async def close(self) -> None:
        """Close all connections. Later calls raise StoreUnavailable; closing again does nothing."""
