"""The interface through which a link reports what its node pushes."""

from collections.abc import Sequence
from typing import Any, Protocol

from clusterpass.store.address import Address
from clusterpass.store.outcomes import ServerError
from clusterpass.store.wire.handshake import Pushes


class LinkListener(Protocol):
    """The receiver of pushes, and of their start and end for each node. No method blocks."""

    @property
    def pushes(self) -> Pushes:
        """The changes that nodes are to push."""

    @property
    def prefixes(self) -> Sequence[bytes]:
        """The prefixes of the keys whose changes nodes are to push."""

    def connected(self, address: Address, pushes: Pushes) -> None:
        """Note that the node at ``address`` answers from now on, and ``pushes`` changes."""

    def refused(self, address: Address, error: ServerError) -> None:
        """Note that the node at ``address`` refuses to push, by ``error``; requests work all the
        same."""

    def pushed(self, address: Address, message: list[Any]) -> None:
        """Take ``message``, which the node at ``address`` pushed: the type, then the contents."""

    def lost(self, address: Address) -> None:
        """Note that the node at ``address`` no longer pushes changes."""
