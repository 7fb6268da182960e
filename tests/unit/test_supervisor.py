"""The supervisor of the service's workers: how it stops them, and what it loads."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from clusterpass.service import supervisor
from clusterpass.service.supervisor import Worker, stop

STUBBORN = "trap '' TERM; echo ready; while :; do sleep 1; done"


@pytest.fixture(autouse=True)
def _blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def spawn(script: str) -> Worker:
    """A child that has begun: it has written a line."""
    read, write = os.pipe()
    pid = os.posix_spawn(
        "/bin/sh",
        ["sh", "-c", script],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, write, 1)],
        setsigmask=[],
    )
    os.close(write)
    with open(read, "rb") as output:
        assert output.readline() == b"ready\n"
    return Worker(pid)


def status(worker: Worker) -> str:
    try:
        os.kill(worker.pid, 0)
    except ProcessLookupError:
        return "gone"
    return "there"


def test_workers_are_asked_to_stop_and_waited_for() -> None:
    workers = [spawn("echo ready; exec sleep 60") for _ in range(2)]
    stop([*workers, Worker(0)])
    assert [status(worker) for worker in workers] == ["gone", "gone"]


def test_one_that_does_not_stop_is_killed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 0.1)
    stubborn = spawn(STUBBORN)
    stop([stubborn])
    assert status(stubborn) == "gone"
    written = capsys.readouterr().err
    assert written == f"[ERROR] Killed worker {stubborn.pid}, which did not stop in time\n"


def test_one_that_ended_before_is_left_alone() -> None:
    worker = spawn("echo ready")
    os.waitpid(worker.pid, 0)
    stop([worker])
    assert worker.has_ended()


@pytest.mark.parametrize("worker", [Worker(17), Worker(0, 12.5, is_due=True), Worker(5, 0.1)])
def test_a_worker_is_handed_on_as_text(worker: Worker) -> None:
    again = Worker.parse(str(worker))
    assert (again.pid, again.replaced_at, again.is_due) == (
        worker.pid,
        worker.replaced_at,
        worker.is_due,
    )


class Became(Exception):
    """The program was replaced by another one."""


LISTENING = """
import os, signal, socket, sys, time
from clusterpass.service import supervisor

server = socket.create_server(("127.0.0.1", 0))
port = server.getsockname()[1]
ready, told = os.pipe()
child = os.fork()
if not child:
    copy = os.dup(server.fileno())  # as a worker has several
    is_asked = []

    def leave(*_):
        is_asked.append(1)
        os.close(copy)

    signal.signal(signal.SIGTERM, leave)
    os.write(told, b".")
    give_up_at = time.monotonic() + 30
    while time.monotonic() < give_up_at:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if is_asked:
                print("refused, while a worker still answers", flush=True)
            os._exit(0)
        time.sleep(0.01)
    os._exit(1)
os.read(ready, 1)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
supervisor.stop_for_good([supervisor.Worker(child), supervisor.Worker(0)])
"""


def test_nobody_listens_when_workers_accept_no_more() -> None:
    """Clients are then refused and ask another server, while the last requests are answered."""
    done = subprocess.run(
        [sys.executable, "-c", LISTENING], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "refused, while a worker still answers\n"


def test_a_worker_that_has_ended_holds_nothing() -> None:
    worker = spawn("echo ready; exec sleep 60")
    stop([worker])
    assert supervisor.copies(worker.pid, {"socket:[1]": None}) == 0


class Process:
    """What the supervisor is told, one thing after the other, and what it does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *workers: Worker) -> None:
        self.signals: list[int] = []
        self.ended: set[int] = set()
        self.stopped: list[int] = []
        self.now = 100.0
        arguments = ["supervisor.py", "clusterpass serve", str(len(workers))]
        monkeypatch.setattr(sys, "argv", [*arguments, *map(str, workers), "python", "-c", "again"])
        monkeypatch.setattr(Worker, "has_ended", lambda worker: worker.pid in self.ended)
        monkeypatch.setattr(supervisor, "stop_for_good", self.stop)
        monkeypatch.setattr(supervisor.signal, "sigwait", self.wait)
        monkeypatch.setattr(supervisor.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(supervisor.os, "execv", self.become)

    def wait(self, waited: frozenset[int]) -> int:
        assert waited == {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
        number = self.signals.pop(0)
        if number == signal.SIGCHLD:
            self.ended.add(2)
        return number

    def stop(self, workers: list[Worker]) -> None:
        self.stopped = [each.pid for each in workers]

    def become(self, program: str, arguments: list[str]) -> None:
        raise Became(program, *arguments)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_stop_stops_every_worker(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    process = Process(monkeypatch, Worker(1), Worker(2))
    process.signals = [number]
    assert supervisor.main() == 0
    assert process.stopped == [1, 2]


def test_a_hangup_has_every_worker_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process(monkeypatch, Worker(1, 50.0), Worker(2))
    process.signals = [signal.SIGHUP]
    with pytest.raises(Became) as became:
        supervisor.main()
    assert became.value.args == ("python", "python", "-c", "again", "1:50.0:1", "2:0.0:1")


def test_a_worker_that_has_ended_is_replaced_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    process = Process(monkeypatch, Worker(1, 50.0), Worker(2))
    process.signals = [signal.SIGCHLD]
    with pytest.raises(Became) as became:
        supervisor.main()
    assert became.value.args[4:] == ("1:50.0:0", "0:0.0:1")
    assert capsys.readouterr().err == "[ERROR] Unexpected exit from worker-2\n"
    assert process.stopped == []


@pytest.mark.parametrize(("seconds", "is_loop"), [(5.5, True), (5.6, False)])
def test_a_worker_that_dies_again_at_once_ends_the_service(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    seconds: float,
    is_loop: bool,
) -> None:
    process = Process(monkeypatch, Worker(1), Worker(2, 100.0 - seconds))
    process.signals = [signal.SIGCHLD]
    if is_loop:
        assert supervisor.main() == 1
        assert process.stopped == [1, 0], "who has died is not waited for"
        assert "Worker crash loop detected" in capsys.readouterr().err
    else:
        with pytest.raises(Became):
            supervisor.main()


def test_it_loads_nothing_but_the_interpreter() -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "exec(compile(open(sys.argv[1]).read(), 'supervisor', 'exec'), {'__name__': 'x'})\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, supervisor.__file__],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "signal" in loaded
    assert not loaded & {"asyncio", "typing", "re", "clusterpass", "subprocess", "threading"}
