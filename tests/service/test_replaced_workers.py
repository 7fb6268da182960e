"""Replacement of workers under load: no request of an idle or a busy client is lost."""

import http.client
import os
import re
import signal
import socket
import threading
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from .conftest import ServerProcess
from .test_key_file_reload import await_that

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def children(server: ServerProcess) -> set[int]:
    return set(server.children())


def is_stopped(pid: int) -> bool:
    """Whether every thread of a process has stopped."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return all((each / "stat").read_text().rsplit(")", 1)[1].split()[0] == "T" for each in threads)


def pending(pid: int) -> set[int]:
    """The signals that wait for a process."""
    found = re.findall(r"^(?:Sig|Shd)Pnd:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.M)
    bits = int(found[0], 16) | int(found[1], 16)
    return {number for number in range(1, 65) if bits >> (number - 1) & 1}


def connect(server: ServerProcess, stack: ExitStack, count: int) -> list[socket.socket]:
    """Connections with a request in each, which is not awaited."""
    made = []
    for _ in range(count):
        one = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 60))
        one.sendall(REQUEST)
        made.append(one)
    return made


@pytest.mark.sampled(1)
@pytest.mark.parametrize("is_killed", [True, False])
def test_connections_that_wait_for_a_worker_go_to_its_replacement(serve, is_killed):
    server = serve("--workers", "2")
    before = children(server)
    for pid in before:
        os.kill(pid, signal.SIGSTOP)
    await_that(lambda: all(is_stopped(pid) for pid in before))
    with ExitStack() as stack:
        waiting = connect(server, stack, 40)
        if is_killed:
            for pid in before:
                os.kill(pid, signal.SIGKILL)
        else:
            server.process.send_signal(signal.SIGHUP)
        for one in waiting:
            assert one.recv(64).startswith(b"HTTP/1.1 200"), "no reset"
    await_that(lambda: not children(server) & before)
    assert server.stop() == 0


def test_a_signal_to_stop_while_workers_are_forked_is_not_lost(serve):
    """The process that forks them hands the signal on to the one that waits for signals."""
    server = serve("--workers", "2")
    before = children(server)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    await_that(lambda: children(server) - before)
    assert server.stop() == 0


def test_a_signal_to_stop_waits_for_the_handlers_of_a_worker(serve):
    """A worker that is asked to stop between its fork and its handlers stops, and is not killed."""
    server = serve("--workers", "1")
    (old,) = children(server)
    os.kill(old, signal.SIGKILL)
    while not (new := children(server) - {old}):
        continue
    os.kill(*new, signal.SIGSTOP)
    server.process.send_signal(signal.SIGTERM)
    # Once its parent is the supervisor, it has asked it to stop.
    await_that(lambda: signal.SIGTERM in pending(*new))
    os.kill(*new, signal.SIGCONT)
    assert server.process.wait(30) == 0
    assert "Killed worker" not in server.log_file.read_text()


class Clients:
    """Threads that ask without a pause, each in its way, and count what happens."""

    def __init__(self, server: ServerProcess) -> None:
        self._port = server.port
        self.seen: Counter[str] = Counter()
        self._is_over = threading.Event()
        kinds = [self._keep_alive, self._keep_alive, self._anew, self._anew]
        self._threads = [threading.Thread(target=self._ask, args=(kind,)) for kind in kinds]

    def __enter__(self) -> "Clients":
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for each in self._threads:
            each.join()

    def _ask(self, kind) -> None:
        while not self._is_over.is_set():
            try:
                kind()
            except (OSError, http.client.HTTPException) as error:
                self.seen[type(error).__name__] += 1

    def _keep_alive(self) -> None:
        """As a pool does: the next request goes over the same connection while that is open."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            while not self._is_over.is_set():
                connection.request("GET", "/healthz")
                answer = connection.getresponse()
                answer.read()
                self.seen[str(answer.status)] += 1
                if answer.will_close:
                    self.seen["asked to close"] += 1
        finally:
            connection.close()

    def _anew(self) -> None:
        """As clients do: what is idempotent is sent once more where nothing was answered.

        A worker that stops closes a connection that it has just accepted, if it has not read the
        request yet (RFC 9110 section 9.2.2).
        """
        answer = self._answer_of_a_new_connection() or self._answer_of_a_new_connection()
        self.seen[answer or "nothing"] += 1

    def _answer_of_a_new_connection(self) -> str:
        with socket.create_connection(("127.0.0.1", self._port), 30) as one:
            one.sendall(REQUEST)
            word = one.recv(64).split(b" ")
            return word[1].decode() if len(word) > 1 else ""


@pytest.mark.alternating
def test_busy_clients_lose_nothing_while_workers_are_replaced(serve):
    server = serve("--workers", "2")
    with Clients(server) as clients:
        for _ in range(2):
            before = children(server)
            server.process.send_signal(signal.SIGHUP)
            await_that(lambda before=before: not children(server) & before)
        enough = clients.seen["200"] + 50
        await_that(lambda: clients.seen["200"] > enough)
    seen = dict(clients.seen)
    assert seen.pop("asked to close") >= 2
    assert seen.keys() == {"200"}, seen
    assert server.stop() == 0


@pytest.mark.alternating
def test_a_worker_that_has_no_handler_yet_lives(serve):
    server = serve("--workers", "1")
    server.process.send_signal(signal.SIGHUP)
    server.process.send_signal(signal.SIGHUP)
    (old,) = children(server)
    await_that(lambda: old not in children(server) and len(children(server)) == 1)
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    assert server.stop() == 0
    assert "Unexpected exit" not in Path(server.log_file).read_text()


def test_the_socket_goes_with_the_service(serve):
    server = serve("--workers", "2")
    server.process.send_signal(signal.SIGHUP)
    before = children(server)
    await_that(lambda: not children(server) & before)
    assert server.stop() == 0
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", server.port), 5).close()
    again = serve("--workers", "1", port=server.port)
    assert httpx.get(f"{again.url}/healthz").status_code == 200
