"""Programs that serve an application, each in processes of its own, stopped by SIGTERM."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.ports import free_port

ROOT = Path(__file__).parents[2]
STARTING = 60.0
STOPPING = 30.0
"""Seconds; a test fails after them."""
TROUBLE = ("Traceback", "was never awaited", "Task was destroyed", "never retrieved")
"""What no server writes that has been stopped in an orderly way."""


class Served:
    """A server that answers."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._log = log

    @property
    def output(self) -> str:
        return self._log.read_text()

    def stop(self) -> int:
        """End the server by SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOPPING)


@contextmanager
def served(
    arguments: Sequence[str],
    folder: Path,
    variables: dict[str, str],
    path: str = "/",
    search: Sequence[str] = (),
) -> Iterator[Served]:
    """Run ``python -m arguments``, where ``PORT`` stands for a free port, until ``path`` is there.

    ``search``: folders from which the server may import. When the body has ended, the server has to
    end by SIGTERM, with nothing to complain about.
    """
    port, log = free_port(), folder / "server.log"
    environment = {
        **os.environ,
        **variables,
        "PYTHONPATH": os.pathsep.join(filter(None, [*search, str(ROOT), *sys.path])),
        "PYTHONUNBUFFERED": "1",
    }
    command = [each.replace("PORT", str(port)) for each in arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
        )
    server = Served(process, port, log)
    try:
        _wait_for(server, path)
        yield server
        code = server.stop()
        assert code in {0, -signal.SIGTERM, 128 + signal.SIGTERM}, server.output
        assert not any(sign in server.output for sign in TROUBLE), server.output
    except BaseException:
        print(server.output)  # shown by pytest
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _wait_for(server: Served, path: str) -> None:
    deadline = time.monotonic() + STARTING
    while True:
        assert server.process.poll() is None, server.output
        try:
            httpx.get(server.url + path, timeout=STARTING)
        except httpx.TransportError:
            assert time.monotonic() < deadline, server.output
            time.sleep(0.05)
        else:
            return
