"""A peer on loopback that speaks RESP as it is told: for faults that a real server does not make.

What it answers is decided by the test; it holds no data and runs no script.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import hiredis

from clusterpass.store.address import Address

Answer = Callable[[list[bytes], asyncio.StreamWriter], Awaitable[None]]


class FakeNode:
    """Collects requests, and hands each to ``answer``."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.requests: list[list[bytes]] = []
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        parser = hiredis.Reader()
        try:
            while data := await reader.read(65536):
                parser.feed(data)
                while (request := parser.gets()) is not False:
                    self.requests.append(request)
                    await self._answer(request, writer)
        except ConnectionError:
            self.writers.remove(writer)  # the client has gone
        finally:
            writer.close()


@asynccontextmanager
async def fake_node(answer: Answer) -> AsyncIterator[tuple[FakeNode, Address]]:
    """The node, and where it listens."""
    node = FakeNode(answer)
    server = await asyncio.start_server(node.serve, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()
        yield node, Address(host, port)
    finally:
        server.close()
        for writer in node.writers:
            writer.transport.abort()


async def echo(request: list[bytes], writer: asyncio.StreamWriter) -> None:
    """The last argument of the request; greetings and WAITs as a server does."""
    if request[0] == b"HELLO":
        writer.write(b"%1\r\n+server\r\n+fake\r\n")
    elif request[0] == b"CLIENT":
        writer.write(b"+OK\r\n")
    elif request[0] == b"WAIT":
        writer.write(b":1\r\n")
    else:
        writer.write(b"$%d\r\n%b\r\n" % (len(request[-1]), request[-1]))
