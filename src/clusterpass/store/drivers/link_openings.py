"""The links that a watch opens to nodes, one attempt for each node at a time."""

import asyncio
from collections.abc import Callable

from clusterpass.model.errors import ClusterPassError
from clusterpass.store.address import Address
from clusterpass.store.drivers.nodes import Nodes


class LinkOpenings:
    """The attempts of one watch."""

    def __init__(
        self,
        *,
        failed: Callable[[], None],
        refused: Callable[[Address, str], None],
        take_end: Callable[["asyncio.Task[None]"], None],
    ) -> None:
        """``failed``: called when a node cannot be reached; ``refused``: called with a node that
        refuses the connection, and why; ``take_end``: called with a task that has ended."""
        self._failed = failed
        self._refused = refused
        self._take_end = take_end
        self._opening: dict[Address, asyncio.Task[None]] = {}

    def begin(self, nodes: Nodes, address: Address) -> None:
        """Begin to open the link to the node at ``address``, unless that is under way."""
        if address not in self._opening:
            task = nodes.background.begin(self._open(nodes, address))
            self._opening[address] = task
            task.add_done_callback(lambda _: self._opening.pop(address, None))
            task.add_done_callback(self._take_end)

    def cancel(self) -> None:
        """Cancel the attempts that are under way."""
        for task in self._opening.values():
            task.cancel()

    async def _open(self, nodes: Nodes, address: Address) -> None:
        try:
            if await nodes.link(address).open() is not None:
                self._failed()
        except ClusterPassError as error:
            self._refused(address, str(error))
