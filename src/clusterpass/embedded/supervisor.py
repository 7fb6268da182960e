"""The parent of all server processes; run by file path, as ``python -I -S supervisor.py``.

Rules of this program
- Standard library only, one thread, and one file, as ``-I`` leaves out the folder of the program:
  nothing of the package around it can be imported, and a user's files cannot take its place.
- The supervisor holds an exclusive lock on ``<folder>/lock`` for its whole life. Whoever can take
  that lock knows that no cluster is running there.
- An attached supervisor lives as long as its parent: when its standard input closes, or its parent
  process exits, the supervisor stops all servers. After ``detach``, only SIGTERM or the line
  ``stop`` in the named pipe ``<folder>/control`` stops it. After ``share``, it also stops when
  nobody has held a shared lock on ``<folder>/users`` for a few seconds.
- Servers never outlive the supervisor. The supervisor stops them (SIGTERM, SIGCONT, and SIGKILL
  after a grace period), and on Linux the kernel kills them if the supervisor itself is killed.
  Other systems lack that last resort.
- Every line on standard input is a request, a JSON object. Every request is answered with one line
  on standard output: ``{"ok": true, ...}`` or ``{"ok": false, "error": "..."}``, with the ``id`` of
  the request. The operations:

    {"op": "spawn", "node": 0, "argv": [...], "folder": "...", "log": "..."}   -> pid
    {"op": "signal", "node": 0, "signal": 9}        no effect on a server that has exited
    {"op": "status"}                                -> nodes: {"0": {"pid": 12, "exit": null}, ...}
    {"op": "reset"}                                 stop all servers and forget them
    {"op": "state", "state": {...}}                 keep it in <folder>/cluster.json, with live pids
    {"op": "detach"}                                outlive the parent
    {"op": "share"}                                 outlive the parent while somebody uses it
    {"op": "stop"}                                  stop all servers and exit
"""

import argparse
import contextlib
import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

GRACE_SECONDS = 5.0
PARENT_CHECK_SECONDS = 0.5
UNUSED_SECONDS = 5.0  # a reloader or a process manager starts the next process within that
LOCK_SECONDS = 1.0
PR_SET_PDEATHSIG = 1


def die_with_parent() -> Callable[[], None] | None:
    """A function for a server process to run before exec, so that it dies with the supervisor.

    None on systems other than Linux.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    supervisor = os.getpid()

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != supervisor:
            os._exit(1)

    return tie


class Supervisor:
    """The supervisor of one data folder, and the servers that are its children."""

    def __init__(self, folder: Path, *, watch_parent: bool) -> None:
        self.folder = folder
        self.parent = os.getppid() if watch_parent else None
        self.attached = True
        self.children: dict[int, subprocess.Popen[bytes]] = {}
        self.state: dict[str, Any] | None = None
        self.stopping = False
        self.users: int | None = None
        self.used_at = 0.0
        self.before_exec = die_with_parent()
        self.wake_read, self.wake_write = os.pipe()
        for end in (self.wake_read, self.wake_write):
            os.set_blocking(end, False)

    def take_lock(self) -> bool:
        """Take the lock of the folder; False if another supervisor holds it."""
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + LOCK_SECONDS  # a status query may hold it briefly
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.02)
            else:
                return True

    def open_control(self) -> int:
        """Create the named pipe that receives the command to stop; return its reading end."""
        path = self.folder / "control"
        path.unlink(missing_ok=True)
        os.mkfifo(path, 0o600)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.open(
            path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC
        )  # so that the pipe never reports end of file
        return reader

    def run(self) -> None:
        """Answer requests until told to stop; then stop all servers."""
        self.catch_signals()
        control = self.open_control()
        self.answer({"id": 0, "ok": True, "pid": os.getpid()})
        buffer = b""
        try:
            while not self.stopping:
                lifeline = [0] if self.attached else []
                ready, _, _ = select.select(
                    [self.wake_read, control, *lifeline], [], [], PARENT_CHECK_SECONDS
                )
                if self.wake_read in ready:
                    os.read(self.wake_read, 4096)
                self.reap()
                if control in ready and b"stop" in os.read(control, 4096):
                    return
                if 0 in ready:
                    chunk = os.read(0, 65536)
                    if not chunk:
                        return
                    buffer = self.answer_requests(buffer + chunk)
                if self.parent is not None and os.getppid() != self.parent:
                    return
                if self.users is not None and self.is_unused(self.users):
                    return
        finally:
            self.stop_servers()
            (self.folder / "control").unlink(missing_ok=True)

    def catch_signals(self) -> None:
        """Have each signal wake :meth:`run`, and those to stop end its loop."""
        signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self.on_stop_signal)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    def answer_requests(self, received: bytes) -> bytes:
        """Answer the requests in ``received``; return the beginning of the next one."""
        *lines, rest = received.split(b"\n")
        for line in lines:
            self.answer(self.handle(json.loads(line)))
        if not self.attached:
            self.cut_lifeline()
        return rest

    def on_stop_signal(self, *_: object) -> None:
        self.stopping = True

    def answer(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # standard input shows whether the parent is gone
            os.write(1, json.dumps(message).encode() + b"\n")

    def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out one request; its answer."""
        number = request.pop("id")
        try:
            answer = getattr(self, "do_" + request.pop("op"))(**request)
        except (OSError, subprocess.SubprocessError, KeyError) as error:
            return {"id": number, "ok": False, "error": str(error)}
        return {"id": number, "ok": True, **answer}

    def do_spawn(self, node: int, argv: list[str], folder: str, log: str) -> dict[str, Any]:
        child = self.children.get(node)
        if child is not None and child.poll() is None:
            return {"pid": child.pid}
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        output = os.open(log, flags, 0o600)
        try:
            self.children[node] = subprocess.Popen(  # noqa: S603 - from the parent program
                argv,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=self.before_exec,  # noqa: PLW1509 - this program has one thread
            )
        finally:
            os.close(output)
        self.write_state()
        return {"pid": self.children[node].pid}

    def do_signal(self, node: int, signal: int) -> dict[str, Any]:
        self.children[node].send_signal(signal)  # checks first whether the process has exited
        return {}

    def do_status(self) -> dict[str, Any]:
        self.reap()
        nodes = {
            str(node): {"pid": child.pid, "exit": child.returncode}
            for node, child in self.children.items()
        }
        return {"nodes": nodes}

    def do_reset(self) -> dict[str, Any]:
        self.stop_servers()
        self.children.clear()
        return {}

    def do_state(self, state: dict[str, Any]) -> dict[str, Any]:
        self.state = state
        self.write_state()
        return {}

    def do_detach(self) -> dict[str, Any]:
        self.attached = False
        return {}

    def do_share(self) -> dict[str, Any]:
        self.users = os.open(self.folder / "users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.used_at = time.monotonic()
        if self.state is not None:
            self.state["shared"] = True
            self.write_state()
        return self.do_detach()

    def is_unused(self, users: int) -> bool:
        """Whether nobody has used the cluster for a while; nobody can begin to from then on."""
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.used_at = time.monotonic()
            return False
        if time.monotonic() - self.used_at > UNUSED_SECONDS:
            return True  # whoever comes now waits for the end of this process
        fcntl.flock(users, fcntl.LOCK_UN)
        return False

    def cut_lifeline(self) -> None:
        """Close the connection to the parent, so that the supervisor outlives it."""
        self.parent = None
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1):
            os.dup2(nothing, descriptor)
        os.close(nothing)

    def do_stop(self) -> dict[str, Any]:
        self.stopping = True
        return {}

    def reap(self) -> None:
        """Reap the servers that have exited, and update the state file."""
        running = [child for child in self.children.values() if child.returncode is None]
        if any([child.poll() is not None for child in running]):  # noqa: C419 - poll them all
            with contextlib.suppress(OSError):
                self.write_state()

    def write_state(self) -> None:
        """Replace ``cluster.json`` atomically."""
        if self.state is None:
            return
        for entry in self.state["nodes"]:
            child = self.children.get(entry["index"])
            alive = child is not None and child.returncode is None
            entry["pid"] = child.pid if child is not None and alive else None
        self.state["supervisor_pid"] = os.getpid()
        target = self.folder / "cluster.json"
        fresh = self.folder / "cluster.json.new"
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:  # noqa: PTH123 - the mode at creation
            json.dump(self.state, stream, indent=2)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(target)

    def stop_servers(self) -> None:
        """Stop every server with SIGTERM, and with SIGKILL after a grace period.

        SIGCONT wakes paused servers, so that they can react to SIGTERM.
        """
        running = [child for child in self.children.values() if child.poll() is None]
        for child in running:
            child.send_signal(signal.SIGTERM)
            child.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + GRACE_SECONDS
        while running and time.monotonic() < deadline:
            running = [child for child in running if child.poll() is None]
            if running:
                time.sleep(0.005)
        for child in running:
            child.kill()
            child.wait()


def main() -> int:
    """Run one supervisor.

    The exit status is 0 after an orderly stop, 2 if the folder is locked, and 1 on other errors.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--temporary", action="store_true", help="remove the folder when the supervisor ends"
    )
    parser.add_argument(
        "--daemon",
        action="store_true",
        help="fork, so that the supervisor is not a child of the caller",
    )
    options = parser.parse_args()
    if options.daemon and os.fork():
        os._exit(0)
    os.chdir("/")
    supervisor = Supervisor(options.folder, watch_parent=not options.daemon)
    try:
        if not supervisor.take_lock():
            supervisor.answer({"ok": False, "error": "locked"})
            return 2
        try:
            supervisor.run()
        finally:
            if options.temporary:
                shutil.rmtree(options.folder, ignore_errors=True)
    except OSError as error:
        supervisor.answer({"ok": False, "error": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
