"""What a store tells whoever remembers what was read from it, and asks them."""

from collections.abc import Hashable, Iterable, Sequence, Set
from typing import Protocol


class Observer(Protocol):
    """A cache that the cluster itself keeps true. Its methods return at once and never raise."""

    @property
    def prefixes(self) -> Sequence[bytes]:
        """Of the keys whose changes are to be pushed; the second one is the cutoff's."""

    refusal: str
    """Why nodes push nothing; empty while they do."""

    def set_primaries(self, nodes: Set[Hashable]) -> None:
        """These nodes own the slots."""

    def connected(self, node: Hashable) -> None:
        """``node`` pushes what changes, from now on."""

    def lost(self, node: Hashable) -> None:
        """``node`` does not push any more, or says that it is not the owner of its slots."""

    def pushed(self, node: Hashable, keys: Iterable[bytes] | None) -> bool:
        """``keys`` have changed (None: all of the node's). Whether a beat should follow at once."""

    def beat_sent(self, node: Hashable) -> int:
        """A heartbeat is about to be sent; returns its number."""

    def beat_answered(self, node: Hashable, number: int, epoch: int, cutoff: int | None) -> bool:
        """A heartbeat was answered; whether the epoch is another one since."""

    def doubts(self, node: Hashable) -> bool:
        """Whether what ``node`` answers now may be old: it may have been replaced meanwhile."""

    def changed(self, key: bytes) -> None:
        """This process has changed ``key``, or may have."""
