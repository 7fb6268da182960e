"""The parent process of running workers: passes signals on, and has dead workers replaced.

The process that loaded the service and forked the workers replaces itself with this program
(``server.py``), so it keeps its process id and its children but none of its memory. When a worker
dies, or SIGHUP asks for new workers, this program replaces itself with the service again, which
forks the workers that are due and then comes back here.

Only the interpreter is loaded: the program runs with ``python -I -S``, and imports nothing of ours.
Its arguments: a text that describes the process in process listings, the number of workers, a
:class:`Worker` for each, and the command that turns this process into the service again, to which
the workers are appended.
"""

import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

GRACE_SECONDS = 10
"""How long a worker may take to stop before it is killed."""
ACCEPTING_SECONDS = 2
"""How long a worker may accept connections after it was asked to stop."""
POLLING_SECONDS = 0.005
CRASH_LOOP_SECONDS = 5.5
"""A worker that dies so soon after it was replaced is not replaced again."""
WAITED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD})
"""Blocked before this program begins, so that none is lost between the two."""


class Worker:
    """A worker: its process id, and when it replaced another one."""

    __slots__ = ("is_due", "pid", "replaced_at")

    def __init__(self, pid: int, replaced_at: float = 0.0, *, is_due: bool = False) -> None:
        """``pid``: 0 for one that died. ``replaced_at``: seconds of the monotonic clock; 0: it is
        the first one. ``is_due``: whether another one is to take its place."""
        self.pid = pid
        self.replaced_at = replaced_at
        self.is_due = is_due

    def __str__(self) -> str:
        return f"{self.pid}:{self.replaced_at!r}:{int(self.is_due)}"

    @classmethod
    def parse(cls, text: str) -> "Worker":
        """The worker that ``str`` made ``text`` of."""
        pid, replaced_at, is_due = text.split(":")
        return cls(int(pid), float(replaced_at), is_due=is_due == "1")

    def has_ended(self) -> bool:
        """Whether the process has ended; it then leaves the table of processes."""
        try:
            return os.waitpid(self.pid, os.WNOHANG)[0] != 0
        except ChildProcessError:  # its end was seen already
            return True


def stop(workers: "list[Worker]") -> None:
    """Ask ``workers`` to stop, and kill those that have not after the grace.

    SIGCHLD has to be blocked.
    """
    signal_all(workers, signal.SIGTERM)
    wait_for(workers)


def wait_for(workers: "list[Worker]") -> None:
    """Wait until ``workers``, which were asked to stop, have, and kill those that take too long."""
    give_up_at = time.monotonic() + GRACE_SECONDS
    left = [worker for worker in workers if worker.pid and not worker.has_ended()]
    while left and (seconds := give_up_at - time.monotonic()) > 0:
        signal.sigtimedwait({signal.SIGCHLD}, seconds)
        left = [worker for worker in left if not worker.has_ended()]
    signal_all(left, signal.SIGKILL)
    for worker in left:
        sys.stderr.write(f"[ERROR] Killed worker {worker.pid}, which did not stop in time\n")
        os.waitpid(worker.pid, 0)


def stop_for_good(workers: "list[Worker]") -> None:
    """Stop ``workers``, whom nobody replaces; nobody listens as soon as they accept no more.

    A client whose connection is refused asks another server. One that connects to a socket from
    which nobody accepts would wait, and be reset: workers hold the sockets until they have answered
    their last request. A worker that accepts from one that is shut down would do so for ever.
    """
    held = listening()
    before = {worker.pid: copies(worker.pid, held) for worker in workers if worker.pid}
    signal_all(workers, signal.SIGTERM)
    give_up_at = time.monotonic() + ACCEPTING_SECONDS
    while time.monotonic() < give_up_at and any(
        copies(pid, held) >= count > 0 for pid, count in before.items()
    ):
        time.sleep(POLLING_SECONDS)
    for each in held.values():
        each.shutdown(2)
        each.close()
    wait_for(workers)


def listening() -> "dict[str, Any]":
    """The sockets that this process holds and that listen, by what the system calls them."""
    import socket  # noqa: PLC0415 (it takes memory)

    found = {}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 (pathlib takes memory)
        try:
            held = socket.socket(fileno=int(name))
        except OSError:  # none of a socket, or that by which the folder was read
            continue
        if held.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            found[os.readlink(f"/proc/self/fd/{name}")] = held  # noqa: PTH115
        else:
            held.detach()
    return found


def copies(pid: int, held: "dict[str, Any]") -> int:
    """Count the descriptors of the sockets ``held`` that the process ``pid`` has."""
    try:
        names = os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208 (as above)
    except OSError:  # it has ended
        return 0
    count = 0
    for name in names:
        try:
            count += os.readlink(f"/proc/{pid}/fd/{name}") in held  # noqa: PTH115
        except OSError:  # closed meanwhile
            continue
    return count


def signal_all(workers: "list[Worker]", number: int) -> None:
    """Send a signal to those of ``workers`` that run."""
    for worker in workers:
        if worker.pid:
            try:
                os.kill(worker.pid, number)
            except ProcessLookupError:
                continue


def main() -> int:
    """Supervise until a signal to stop, or a crash loop; return the exit status."""
    first = 3 + int(sys.argv[2])
    workers = [Worker.parse(text) for text in sys.argv[3:first]]
    again = sys.argv[first:]
    while True:
        now = time.monotonic()
        for number, worker in enumerate(workers, 1):
            if worker.has_ended():
                sys.stderr.write(f"[ERROR] Unexpected exit from worker-{number}\n")
                if worker.replaced_at and now - worker.replaced_at <= CRASH_LOOP_SECONDS:
                    sys.stderr.write("[ERROR] Worker crash loop detected, exiting\n")
                    worker.pid = 0
                    stop_for_good(workers)
                    return 1
                worker.pid, worker.is_due = 0, True
        if not any(worker.is_due for worker in workers):
            received = signal.sigwait(WAITED)
            if received == signal.SIGCHLD:
                continue
            if received != signal.SIGHUP:
                stop_for_good(workers)
                return 0
            for worker in workers:
                worker.is_due = True
        os.execv(again[0], [*again, *map(str, workers)])  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
