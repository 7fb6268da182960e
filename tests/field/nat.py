"""A proxy on loopback that forgets connections without a word, as a NAT or a load balancer does."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from clusterpass.store.address import Address

HOST = "127.0.0.1"


class Nat:
    """Passes connections on to ``target``; those that :meth:`forget` has met swallow everything."""

    def __init__(self, target: Address) -> None:
        self._target = target
        self._forgotten: set[int] = set()
        self._numbers: set[int] = set()
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self.address = Address(HOST, 0)
        self.swallowed: set[int] = set()
        """The numbers of forgotten connections over which the client has sent something."""

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.address = Address(HOST, self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    @property
    def opened(self) -> int:
        """Return the number of connections that were opened."""
        return len(self._numbers)

    def forget(self) -> None:
        """Forget all connections that are open now."""
        self._forgotten.update(self._numbers)
        self.swallowed.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self._numbers)
        self._numbers.add(number)
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers += [writer, far_writer]
        await asyncio.gather(
            self._pump(number, reader, far_writer, swallowed=self.swallowed.add),
            self._pump(number, far_reader, writer, swallowed=lambda _: None),
        )

    async def _pump(
        self,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        swallowed: Callable[[int], None],
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                if number in self._forgotten:
                    swallowed(number)
                    continue
                writer.write(data)
        if number not in self._forgotten:
            writer.close()


@contextmanager
def nats(*targets: Address) -> Iterator[list[Nat]]:
    """A NAT in front of each of ``targets``, in an event loop of their own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, loop).result(30)

    made = [Nat(target) for target in targets]
    for nat in made:
        run(nat.open())
    try:
        yield made
    finally:
        run(_close(made))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _close(made: list[Nat]) -> None:
    for nat in made:
        nat.close()
    await asyncio.sleep(0)
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
