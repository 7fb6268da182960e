"""Single servers with options of their own."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

from tests.cluster.stored import eventually
from tests.ports import free_port


class Servers:
    """Starts servers; all of them end with the test."""

    def __init__(self, stack: ExitStack, program: str) -> None:
        self._stack = stack
        self._program = program
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, *options: str, port: int | None = None) -> int:
        """The port of a new server, which is ready."""
        port = port or free_port()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        fixed = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder)
        process = subprocess.Popen(
            [self._program, *fixed, *options], stdout=subprocess.DEVNULL, cwd=Path(folder)
        )
        self._stack.callback(_end, process)
        self._processes[port] = process
        eventually(lambda: _answers(port))
        return port

    def stop(self, port: int) -> None:
        """Kill the server at ``port``."""
        _end(self._processes.pop(port))

    def ask(self, port: int, *command: str) -> object:
        """The reply of a server that needs no password."""
        with redis.Redis(port=port, protocol=2) as client:
            return client.execute_command(*command)

    def replicas(self, port: int) -> int:
        """How many replicas a server has, which follow it by now."""
        role = self.ask(port, "ROLE")
        assert isinstance(role, list)
        return len(role[2]) if role[0] in {b"master", "master"} else 0


@contextmanager
def servers(program: str) -> Iterator[Servers]:
    """Starts servers that run ``program``."""
    with ExitStack() as stack:
        yield Servers(stack, program)


def _answers(port: int) -> bool:
    try:
        with redis.Redis(port=port, protocol=2) as client:
            client.ping()
    except redis.AuthenticationError:
        return True
    except redis.ConnectionError:
        return False
    return True


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
