"""What a session manager needs of a store: the interface that every driver has.

``SyncStore`` and ``AsyncStore`` are the drivers that come with the library. A driver of your own
has these members, and passes the suite in ``clusterpass.store_conformance``.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Protocol, TypeVar

from clusterpass.config import Durability
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import Flow
from clusterpass.store.drivers.observer import Observer

Result = TypeVar("Result")


class StoreBehaviour(Protocol):
    """What stores have in common, blocking or not."""

    @property
    def keyspace(self) -> Keyspace:
        """The names of the keys that this store uses."""

    @property
    def deadline(self) -> float:
        """Seconds after which the store gives up a call, all retries included."""

    @property
    def has_epochs(self) -> bool:
        """Whether the store is a cluster, whose primaries are replaced under a rising epoch."""

    def observe(self, observer: Observer, bound: float) -> None:
        """Tell ``observer`` what changes, from the first call on.

        ``bound``: seconds after which it may rely on nothing that it was not told again. Called at
        most once, before the first call. Raises ConfigurationError where nothing can be watched.
        """

    def confirm_by(self, durability: Durability) -> None:
        """Let every write wait for ``durability`` from now on; called before the first call."""

    def describe_durability(self) -> str:
        """What writes really wait for, in words for people."""

    def silent_nodes(self) -> tuple[str, ...]:
        """The nodes that did not answer when they were asked last."""


class Store(StoreBehaviour, Protocol):
    """A store whose calls block the calling thread; safe to share between threads."""

    def run(self, flow: Flow[Result]) -> Result:
        """Run ``flow`` to its end: send each call that it yields, and send it the Answer.

        Returns its result, and raises what it raises. An error of the library in a call is thrown
        into the flow: StoreUnavailable when there is no answer by the deadline, StoreDenied,
        StoreFailed.
        """

    def ping(self) -> None:
        """Return when a primary answers; raises StoreUnavailable otherwise."""

    def scan_names(self, pattern: str) -> Iterator[bytes]:
        """The keys that match a glob, on every primary; for administration only."""

    def close(self) -> None:
        """Close all connections; calls raise StoreUnavailable after that. May be repeated."""


class AwaitableStore(StoreBehaviour, Protocol):
    """A store whose calls are awaited, by any number of tasks."""

    async def run(self, flow: Flow[Result]) -> Result:
        """Run ``flow`` to its end: send each call that it yields, and send it the Answer.

        Returns its result, and raises what it raises. An error of the library in a call is thrown
        into the flow: StoreUnavailable when there is no answer by the deadline, StoreDenied,
        StoreFailed.
        """

    async def ping(self) -> None:
        """Return when a primary answers; raises StoreUnavailable otherwise."""

    def scan_names(self, pattern: str) -> AsyncIterator[bytes]:
        """The keys that match a glob, on every primary; for administration only."""

    async def close(self) -> None:
        """Close all connections; calls raise StoreUnavailable after that. May be repeated."""
