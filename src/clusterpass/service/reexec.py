"""The two replacements, by exec, of the program in the workers' parent process.

- Once the workers run, the small ``supervisor.py`` takes its place; when a worker has to be forked,
  the whole service does so again.
- A process keeps its id, its children and its blocked signals when it replaces its program.
- Settings and the search path of modules go along in a file in memory, so that a worker that is
  replaced later gets what the others have, whatever the environment and the files say by then. The
  keys go along in another one, in case their file is broken by then.
- Each worker accepts from a listening socket that outlives it and goes to its replacement, with all
  connections that wait in it. The system resets those of a socket that is closed.
"""

import gc
import os
import pickle
import signal
import sys
import time
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Self

from granian._granian import ListenerSpec, SocketHolder
from granian.server.mp import MPServer

from clusterpass.service import supervisor
from clusterpass.service.asgi.leaving import LEAVE
from clusterpass.service.last_keys import LastKeys
from clusterpass.service.supervisor import WAITED, Worker

_START_SECONDS: Final = 2.0
"""How long a worker that is to be replaced goes on while the new one starts."""
_LEAVE_SECONDS: Final = 1.5
"""How long it then tells its clients to connect anew, before it closes what idles."""
# The search path first: it says where this package is.
_AGAIN: Final = """
import pickle, sys
with open(int(sys.argv[1]), "rb", closefd=False) as file:
    file.seek(0)
    sys.path[:] = pickle.load(file)
    from clusterpass.service.server import serve_again
    from clusterpass.service.reexec import Succession
    serve_again(Succession.read(file, int(sys.argv[1]), sys.argv[2:]))
"""


@dataclass(slots=True)
class Succession:
    """The data that the programs of one process hand on to each other."""

    settings: Any
    """The settings of the service."""
    address: str
    """The IP address that the workers listen on."""
    file: int
    """The descriptor of the file in memory."""
    workers: list[Worker]
    """The workers, in order."""
    last_keys: LastKeys
    """The keys in force."""
    sockets: list[int]
    """The descriptors of the sockets that workers listen on, one for each."""
    is_first: bool = False
    """Whether no worker has run yet."""

    @classmethod
    def begin(
        cls, settings: Any, address: str, workers: int, last_keys: LastKeys, backlog: int
    ) -> Self:
        """A succession that begins with this program, which has the address from now on; the first
        workers listen there.

        ``workers``: how many are to run. ``backlog``: how many connections may wait for each.
        """
        spec = ListenerSpec(address, settings.port, backlog)
        sockets = [os.dup(spec.build().get_fd()) for _ in range(workers)]
        file = os.memfd_create("clusterpass-settings")
        with open(file, "wb", closefd=False) as written:
            pickle.dump(sys.path, written)
            pickle.dump((settings, address, last_keys.file, sockets), written)
        due = [Worker(0, is_due=True) for _ in range(workers)]
        return cls(settings, address, file, due, last_keys, sockets, is_first=True)

    @classmethod
    def read(cls, written: Any, file: int, workers: list[str]) -> Self:
        """The succession in ``written``, the file of the descriptor ``file``, after the search
        path; ``workers``: as texts."""
        settings, address, keys, sockets = pickle.load(written)  # noqa: S301 (by this process)
        for each in (file, keys, *sockets):
            os.set_inheritable(each, False)
        due = [Worker.parse(text) for text in workers]
        return cls(settings, address, file, due, LastKeys(keys), sockets)

    def hand_on(self) -> NoReturn:
        """Become the supervisor of the workers. All signals that it waits for are blocked."""
        sys.stdout.flush()
        sys.stderr.flush()
        again = [sys.executable, "-P", "-c", _AGAIN, str(self.file)]
        small = [sys.executable, "-I", "-S", supervisor.__file__]
        small += ["clusterpass serve", str(len(self.workers))]
        for each in (self.file, self.last_keys.file, *self.sockets):
            os.set_inheritable(each, True)
        os.execv(sys.executable, [*small, *map(str, self.workers), *again])  # noqa: S606


class SucceededServer(MPServer):
    """A server of granian that starts the workers that are due, and leaves the rest to a successor.

    What it overrides is internal to granian; tests/service/test_server.py notices when that
    changes.
    """

    def __init__(self, *arguments: Any, succession: Succession, **options: Any) -> None:
        """``succession``: which workers are due; the others as for granian's."""
        super().__init__(*arguments, **options)
        self._succession = succession

    def startup(self, spawn_target: Any, target_loader: Any) -> None:
        """Start the workers, with all signals of the supervisor blocked.

        They stay pending, for a worker until it has its own handlers, and for this process until it
        is the supervisor. A handler of Python would be inherited by a worker that has none of
        its own yet, and the signal would be lost there.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, WAITED)
        super().startup(spawn_target, target_loader)  # type: ignore[no-untyped-call]

    def _init_shared_socket(self) -> None:
        """Make none: the succession has had them since the first program."""
        self._ssp = self._shd = self._sso = None

    def _spawn_workers(self, spawn_target: Any, target_loader: Any) -> None:
        succession = self._succession
        # So that a worker that has no handler yet lives.
        signal.signal(LEAVE, signal.SIG_IGN)
        # The collector leaves alone what is there now, and thereby the pages that workers share.
        gc.collect()
        gc.freeze()
        now = 0.0 if succession.is_first else time.monotonic()
        self._outgoing = [worker for worker in succession.workers if worker.is_due and worker.pid]
        for index, worker in enumerate(succession.workers):
            if worker.is_due:
                # Its stub lacks the constructor, by which it is pickled.
                held: Any = SocketHolder
                self._shd = held(os.dup(succession.sockets[index]), False, self.backlog)
                process = self._spawn_worker(
                    idx=index,
                    target=spawn_target,
                    callback_loader=target_loader,
                )
                # Without granian's thread that waits for its end: that would get the signals that
                # this one blocks, and they would be lost with this program.
                process.inner.start()
                succession.workers[index] = Worker(process.inner.pid, now)

    def _serve_loop(self, spawn_target: Any, target_loader: Any) -> NoReturn:
        if self._outgoing and not _is_called_within(_START_SECONDS):
            supervisor.signal_all(self._outgoing, LEAVE)
            _is_called_within(_LEAVE_SECONDS)
        supervisor.stop(self._outgoing)
        # A thread that an application started in the first program blocks no signal. What it takes
        # is raised for this thread, which does, so that the successor gets it.
        if self.interrupt_signal:
            signal.raise_signal(signal.SIGTERM)
        elif self.reload_signal:
            signal.raise_signal(signal.SIGHUP)
        self._succession.hand_on()


def _is_called_within(seconds: float) -> bool:
    """Wait for a signal to the supervisor; return whether one came, which stays pending.

    All are blocked.
    """
    received = signal.sigtimedwait(WAITED - {signal.SIGCHLD}, seconds)
    if received is not None:
        signal.raise_signal(received.si_signo)
    return received is not None
