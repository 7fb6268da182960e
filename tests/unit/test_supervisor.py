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


def test_one_that_does_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 0.1)
    stubborn = spawn(STUBBORN)
    stop([stubborn])
    assert status(stubborn) == "gone"


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
