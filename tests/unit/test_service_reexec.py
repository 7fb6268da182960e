"""Re-execution of the service: handover to a successor without losing a signal."""

import asyncio
import os
import pickle
import signal
import socket
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass.service import reexec
from clusterpass.service.asgi.leaving import LEAVE, Leaving
from clusterpass.service.last_keys import LastKeys
from clusterpass.service.reexec import SucceededServer, Succession
from clusterpass.service.settings.loading import make_settings
from clusterpass.service.supervisor import WAITED, Worker
from tests.ports import free_port


def test_what_a_successor_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings({"port": free_port()})
    keys = LastKeys.begin()
    first = Succession.begin(settings, "127.0.0.1", 2, keys, 16)
    assert len(first.sockets) == 2
    assert first.is_first
    assert [(each.pid, each.is_due) for each in first.workers] == [(0, True), (0, True)]
    first.workers[0] = Worker(17, 2.5)
    with open(first.file, "rb", closefd=False) as written:
        written.seek(0)
        assert pickle.load(written) == sys.path
        again = Succession.read(written, first.file, [str(each) for each in first.workers])
    assert not os.get_inheritable(first.file)
    assert again.last_keys.file == keys.file
    assert (again.settings, again.address, again.file) == (settings, "127.0.0.1", first.file)
    assert again.sockets == first.sockets
    assert [(w.pid, w.replaced_at, w.is_due) for w in again.workers] == [
        (17, 2.5, False),
        (0, 0.0, True),
    ]
    assert not again.is_first
    became: list[Any] = []
    monkeypatch.setattr(reexec.os, "execv", lambda *given: became.append(given))
    again.hand_on()
    ((program, arguments),) = became
    assert os.get_inheritable(first.file)
    assert os.get_inheritable(keys.file)
    for each in first.sockets:
        assert os.get_inheritable(each)
        with socket.socket(fileno=each) as listening:
            assert listening.getsockname() == ("127.0.0.1", settings.port)
    os.close(first.file)
    os.close(keys.file)
    assert program == sys.executable
    small, rest = arguments[:6], arguments[6:]
    assert small == [
        *(sys.executable, "-I", "-S", reexec.supervisor.__file__),
        *("clusterpass serve", "2"),
    ]
    assert rest[:2] == ["17:2.5:0", "0:0.0:1"]
    assert rest[2:5] == [sys.executable, "-P", "-c"]
    assert rest[6:] == [str(first.file)]
    assert "serve_again(Succession.read(file, int(sys.argv[1]), sys.argv[2:]))" in rest[5]


CALLS = WAITED - {signal.SIGCHLD}
"""A child of this process may end at any time."""


class Started:
    """A worker of granian, whose process is started, and not the thread that waits for its end."""

    pids = iter(range(100, 200))

    def __init__(self) -> None:
        self.inner = SimpleNamespace(pid=0, start=self._start)

    def _start(self) -> None:
        self.inner.pid = next(self.pids)


def starting(succession: Succession) -> tuple[Any, list[Any]]:
    """A server without granian's own part, and which workers it was asked for."""
    made = SucceededServer.__new__(SucceededServer)
    spawned: list[Any] = []

    def spawn(*, idx: int, target: Any, callback_loader: Any) -> Started:
        spawned.append((idx, target, callback_loader))
        return Started()

    made._succession = succession
    made._spawn_worker = spawn
    made.backlog = 16
    return made, spawned


@pytest.mark.parametrize("is_first", [True, False])
def test_only_the_workers_that_are_due_are_started(
    monkeypatch: pytest.MonkeyPatch, is_first: bool
) -> None:
    swept: list[str] = []
    collector = SimpleNamespace(
        collect=lambda: swept.append("collect"), freeze=lambda: swept.append("freeze")
    )
    monkeypatch.setattr(reexec, "gc", collector)
    workers = [Worker(1, 5.0), Worker(2, is_due=True), Worker(0, is_due=True)]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        sockets = [os.dup(listening.fileno()) for _ in workers]
    succession = Succession(None, "h", 3, list(workers), LastKeys(4), sockets, is_first)
    made, spawned = starting(succession)
    ignored = signal.getsignal(LEAVE)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WAITED)
    try:
        made._spawn_workers("target", "loader")
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) >= WAITED
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        assert signal.signal(LEAVE, ignored) == signal.SIG_IGN, "until a worker has a handler"
        for each in sockets:
            os.close(each)
    assert swept == ["collect", "freeze"], "so that workers share what is loaded"
    assert spawned == [(1, "target", "loader"), (2, "target", "loader")]
    kept, *new = succession.workers
    assert kept is workers[0]
    assert all(each.pid >= 100 and not each.is_due for each in new)
    assert [each.replaced_at == 0.0 for each in new] == [is_first] * 2
    assert made._outgoing == [workers[1]], "the other one has died already"


@pytest.fixture
def blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WAITED)
    yield
    # What is pending here is nobody else's.
    while signal.sigtimedwait(WAITED, 0):
        continue
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.usefixtures("blocked")
@pytest.mark.parametrize("number", [None, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("outgoing", [[], [Worker(7)]])
def test_a_signal_that_comes_meanwhile_is_the_successors(
    monkeypatch: pytest.MonkeyPatch, number: int | None, outgoing: list[Worker]
) -> None:
    did: list[Any] = []
    succession: Any = SimpleNamespace(hand_on=lambda: did.append(signal.sigpending() & CALLS))
    made, _ = starting(succession)
    made._outgoing = outgoing
    made.interrupt_signal = made.reload_signal = False
    monkeypatch.setattr(reexec, "_START_SECONDS", 0.01)
    monkeypatch.setattr(reexec, "_LEAVE_SECONDS", 0.01)
    monkeypatch.setattr(reexec.supervisor, "stop", lambda workers: did.append(list(workers)))
    monkeypatch.setattr(
        reexec.supervisor, "signal_all", lambda workers, number: did.append((workers, number))
    )
    if number is not None:
        signal.raise_signal(number)
    made._serve_loop("target", "loader")
    told = [(outgoing, LEAVE)] if outgoing and number is None else []
    assert did == [*told, outgoing, {number} if number else set()]


@pytest.mark.usefixtures("blocked")
def test_a_signal_that_comes_while_clients_leave_is_the_successors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[set[int]] = []
    made, _ = starting(SimpleNamespace(hand_on=lambda: seen.append(signal.sigpending() & CALLS)))  # type: ignore[arg-type]
    made._outgoing = [Worker(7)]
    made.interrupt_signal = made.reload_signal = False
    monkeypatch.setattr(reexec, "_START_SECONDS", 0.01)
    monkeypatch.setattr(reexec.supervisor, "stop", lambda workers: None)
    monkeypatch.setattr(
        reexec.supervisor,
        "signal_all",
        lambda workers, number: signal.raise_signal(signal.SIGTERM),
    )
    made._serve_loop("target", "loader")
    assert seen == [{signal.SIGTERM}]


def test_how_long_a_worker_goes_on_while_its_replacement_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[Any] = []
    monkeypatch.setattr(reexec.signal, "sigtimedwait", lambda *given: waited.append(given))
    monkeypatch.setattr(reexec.supervisor, "stop", lambda workers: None)
    monkeypatch.setattr(reexec.supervisor, "signal_all", lambda workers, number: None)
    made, _ = starting(SimpleNamespace(hand_on=lambda: None))  # type: ignore[arg-type]
    made._outgoing = [Worker(7)]
    made.interrupt_signal = made.reload_signal = False
    made._serve_loop("target", "loader")
    assert waited == [(WAITED - {signal.SIGCHLD}, 2.0), (WAITED - {signal.SIGCHLD}, 1.5)]


@pytest.mark.usefixtures("blocked")
@pytest.mark.parametrize(
    ("interrupted", "reloaded", "sent"),
    [
        (False, False, set()),
        (True, False, {signal.SIGTERM}),
        (False, True, {signal.SIGHUP}),
        (True, True, {signal.SIGTERM}),
    ],
)
def test_a_signal_that_a_thread_of_an_application_took_is_the_successors(
    interrupted: bool, reloaded: bool, sent: set[int]
) -> None:
    seen: list[set[int]] = []
    made, _ = starting(SimpleNamespace(hand_on=lambda: seen.append(signal.sigpending())))  # type: ignore[arg-type]
    made._outgoing = []
    made.interrupt_signal, made.reload_signal = interrupted, reloaded
    made._serve_loop("target", "loader")
    assert seen[0] & CALLS == sent


def test_signals_are_blocked_before_a_worker_is_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def startup(_self: Any, *given: str) -> None:
        seen.append((given, signal.pthread_sigmask(signal.SIG_BLOCK, ()) >= WAITED))

    monkeypatch.setattr(reexec.MPServer, "startup", startup)
    made, _ = starting(SimpleNamespace())  # type: ignore[arg-type]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        made.startup("target", "loader")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert seen == [(("target", "loader"), True)]


async def test_a_worker_heeds_the_signals_that_waited_for_it() -> None:
    loop = asyncio.get_running_loop()
    came = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, came.set)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WAITED)
    try:
        signal.raise_signal(signal.SIGHUP)
        Leaving().heed()
        assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & WAITED
        await asyncio.wait_for(came.wait(), 10)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        loop.remove_signal_handler(signal.SIGHUP)
        loop.remove_signal_handler(LEAVE)
