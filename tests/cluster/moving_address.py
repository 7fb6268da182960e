"""An address that leads to one server and later to another, like the name of a managed service.

Connections that were opened before the move stay with the first server.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from clusterpass.store.address import Address
from tests.staleness.proxies import Proxy


class MovingName:
    """The address under which clients know the server."""

    def __init__(self, proxy: Proxy, address: Address) -> None:
        self._proxy = proxy
        self.url = f"redis://{address}"

    def move(self, target: Address) -> None:
        """Lead new connections to ``target``."""
        self._proxy.target = target


@contextmanager
def moving_name(target: Address) -> Iterator[MovingName]:
    """A name that leads to ``target``, until it is moved."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    proxy = Proxy(target, seed=1)
    try:
        yield MovingName(proxy, asyncio.run_coroutine_threadsafe(proxy.open(), loop).result(10))
    finally:
        asyncio.run_coroutine_threadsafe(_close(proxy), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _close(proxy: Proxy) -> None:
    if proxy.server is not None:
        proxy.server.close()
    for pair in list(proxy.pairs):
        pair.end()
