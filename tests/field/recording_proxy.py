"""Proxies that keep what clients send through them."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class RecordingProxy:
    """Leads from a port of its own to a port of this machine."""

    def __init__(self, target: int) -> None:
        self.heard = bytearray()
        """What clients have sent, of all connections."""
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Close the port and all connections."""
        for each in [self._listening, *self._open]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self._open.append(client)
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open.append(server)
                for ends in ((client, server, self.heard), (server, client, bytearray())):
                    threading.Thread(target=_lead, args=ends, daemon=True).start()


def _lead(source: socket.socket, target: socket.socket, heard: bytearray) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            heard += data
            target.sendall(data)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def proxies(*targets: int) -> Iterator[dict[int, RecordingProxy]]:
    """A proxy for each port, by that port."""
    made: dict[int, RecordingProxy] = {}
    try:
        for each in targets:
            made[each] = RecordingProxy(each)
        yield made
    finally:
        for proxy in made.values():
            proxy.close()
