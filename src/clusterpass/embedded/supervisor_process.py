"""Launches the supervisor process, which is the parent of the servers, and sends it requests.

- Requests are sent one at a time, from any thread, and each is answered within ``ANSWER_SECONDS``.
- Only the process that launched the supervisor may use it. In a forked child, requests are refused
  and nothing is closed or stopped.
- When the object is garbage-collected or the program ends, the supervisor is told to stop.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from clusterpass.model.errors import EmbeddedClusterError

ANSWER_SECONDS: Final = 20.0  # the slowest: starting the interpreter on a busy machine
STOP_SECONDS: Final = 15.0  # longer than the supervisor waits for its servers
SCRIPT: Final = Path(__file__).with_name("supervisor.py")


class FolderInUse(EmbeddedClusterError):
    """Another cluster is running in the data folder."""


class SupervisorProcess:
    """A running supervisor process, and the pipes to it."""

    def __init__(self, folder: Path, *, temporary: bool = False, daemon: bool = False) -> None:
        """Launch the supervisor of ``folder`` and wait until it holds the lock of the folder.

        ``temporary``: whether the supervisor removes the folder when it ends. ``daemon``: whether
        the supervisor leaves this process's children, so that it can outlive it after ``detach``.
        Raises FolderInUse if another supervisor holds the lock, else EmbeddedClusterError.
        """
        if not sys.executable:
            raise EmbeddedClusterError(
                "The path of the Python interpreter is unknown (sys.executable is empty)."
            )
        argv = [sys.executable, "-I", "-S", "-B", str(SCRIPT), str(folder)]
        argv += ["--temporary"] * temporary + ["--daemon"] * daemon
        self.folder: Final = folder
        self._owner: Final = os.getpid()
        self._lock: Final = threading.Lock()
        self._buffer = b""
        self._requests = 0
        try:
            with (folder / "supervisor.log").open("wb") as log:
                self._process = subprocess.Popen(  # noqa: S603 - the supervisor script
                    argv,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    bufsize=0,
                    start_new_session=True,
                )
        except OSError as error:
            raise EmbeddedClusterError(f"The supervisor cannot be started: {error}.") from error
        self._finalizer: Final = weakref.finalize(
            self, _end, self._process, self._owner, daemon=daemon
        )
        try:
            hello = self._receive()
        except BaseException:
            self._finalizer()
            raise
        if not hello["ok"]:
            self._finalizer()
            if hello["error"] == "locked":
                raise FolderInUse(f"A cluster is already running in {folder}.")
            raise EmbeddedClusterError(f"The supervisor cannot start: {hello['error']}.")
        self.pid: Final[int] = hello["pid"]

    @property
    def alive(self) -> bool:
        """Whether the supervisor still answers."""
        if not self._finalizer.alive:
            return False
        try:
            self.request("status")
        except EmbeddedClusterError:
            return False
        return True

    def request(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Send one request and return the answer.

        Raises EmbeddedClusterError if the operation fails, or the supervisor does not answer.
        """
        if os.getpid() != self._owner:
            raise EmbeddedClusterError("Only the process that started the cluster can control it.")
        with self._lock:
            self._requests += 1
            request = {"id": self._requests, "op": operation, **arguments}
            message = json.dumps(request).encode() + b"\n"
            if not self._finalizer.alive:
                raise EmbeddedClusterError("The cluster is not running.")
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(message)
            except OSError as error:
                raise EmbeddedClusterError("The supervisor has exited.") from error
            while True:
                answer = self._receive()
                if (
                    answer.pop("id") == request["id"]
                ):  # skip answers to requests that were interrupted
                    break
        if not answer.pop("ok"):
            raise EmbeddedClusterError(answer["error"])
        return answer

    def spawn(self, node: int, server: Path, folder: Path) -> int:
        """Start ``server`` as server ``node`` with the configuration in ``folder``; its pid."""
        argv = [str(server), str(folder / "server.conf")]
        log = str(folder / "server.log")
        pid: int = self.request("spawn", node=node, argv=argv, folder=str(folder), log=log)["pid"]
        return pid

    def signal(self, node: int, number: int) -> None:
        """Send the signal ``number`` to server ``node``; no effect if it has exited."""
        self.request("signal", node=node, signal=int(number))

    def pids(self) -> dict[int, int | None]:
        """The process id of every server by node index; None if the server has exited."""
        nodes: Mapping[str, Mapping[str, Any]] = self.request("status")["nodes"]
        return {
            int(index): entry["pid"] if entry["exit"] is None else None
            for index, entry in nodes.items()
        }

    def detach(self, *, shared: bool = False) -> None:
        """Let the supervisor outlive this process. The object cannot be used afterwards.

        ``shared``: only while some process holds a shared lock on ``users`` in the folder.
        """
        self.request("share" if shared else "detach")
        if self._finalizer.detach() is not None:
            _close(self._process)
            self._process.wait()

    def stop(self) -> None:
        """Stop all servers and the supervisor, and wait until they have exited.

        No effect if the supervisor has been stopped before, or in a forked child.
        """
        if os.getpid() == self._owner:
            with self._lock:
                self._finalizer()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        deadline = time.monotonic() + ANSWER_SECONDS
        while b"\n" not in self._buffer:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not _readable(self._process.stdout.fileno(), remaining):
                raise EmbeddedClusterError("The supervisor does not answer.")
            chunk = self._process.stdout.read(65536)
            if not chunk:
                raise EmbeddedClusterError("The supervisor has exited." + self._last_words())
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self.folder / "supervisor.log").read_text(errors="replace").splitlines()
            return f" {lines[-1]}" if lines else ""
        return ""


def _end(process: "subprocess.Popen[bytes]", owner: int, *, daemon: bool) -> None:
    """Stop the supervisor and wait until it has exited; no effect in a forked child."""
    if os.getpid() != owner:
        return
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(OSError):
        process.stdin.write(b'{"id": -1, "op": "stop"}\n')
        process.stdin.close()
    deadline = time.monotonic() + STOP_SECONDS
    output = process.stdout.fileno()
    while True:  # the pipe closes when the supervisor exits
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not _readable(output, remaining):
            if not daemon and process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # the process group includes the servers
            break
        if not os.read(output, 65536):
            break
    _close(process)
    process.wait()


def _readable(descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(max(1, int(seconds * 1000))))


def _close(process: "subprocess.Popen[bytes]") -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
