"""A key file that changes under a running service: nothing is restarted, and no request is lost."""

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from clusterpass import KeyRing

from .conftest import PASSWORD, ServerProcess

# What waits for a worker that was killed is answered by its replacement, once that has started.
ONCE = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), verify=False, timeout=30)
"""Each request has a connection of its own, which any worker may accept."""
ENOUGH = 24
"""Answers in a row after which every worker has given one: each connection may meet any of two."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine" / "keys.json"


def put(file: Path, ring: KeyRing) -> None:
    """Have ``file`` hold ``ring``, all at once."""
    file.parent.mkdir(exist_ok=True)
    new = file.with_name("new.json")
    ring.save(new)
    new.replace(file)


def ring_of(*rings: KeyRing) -> KeyRing:
    return KeyRing([key for ring in rings for key in ring.all()])


def await_that(condition: Callable[[], Any], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def published(server: ServerProcess) -> list[str]:
    answer = ONCE.get(f"{server.url}/.well-known/jwks.json").raise_for_status()
    return [key["kid"] for key in answer.json()["keys"]]


def await_published(server: ServerProcess, ring: KeyRing) -> None:
    """Wait until every worker publishes ``ring``."""
    kids = [key.kid for key in ring.all()]
    await_that(lambda: all(published(server) == kids for _ in range(ENOUGH)))


def login(server: ServerProcess, name: str) -> dict[str, Any]:
    answer = ONCE.post(f"{server.url}/login", json={"username": name, "password": PASSWORD})
    tokens: dict[str, Any] = answer.raise_for_status().json()
    return tokens


def kid(tokens: dict[str, Any]) -> str:
    found: str = jwt.get_unverified_header(tokens["access_token"])["kid"]
    return found


def verify(server: ServerProcess, tokens: dict[str, Any]) -> int:
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    return ONCE.get(f"{server.url}/verify", headers=header).status_code


def refresh(server: ServerProcess, tokens: dict[str, Any]) -> httpx.Response:
    return ONCE.post(f"{server.url}/refresh", json={"refresh_token": tokens["refresh_token"]})


def lines(server: ServerProcess, event: str) -> list[dict[str, Any]]:
    found = []
    for line in server.log_file.read_text().splitlines():
        if line.startswith("{"):
            members = json.loads(line)
            if members.get("event") == event:
                found.append(members)
    return found


class Traffic:
    """Requests without a pause, whose statuses are counted."""

    def __init__(self, server: ServerProcess, tokens: dict[str, Any]) -> None:
        self.statuses: Counter[Any] = Counter()
        self._server, self._tokens = server, tokens
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(i,)) for i in range(3)]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        header = {"Authorization": f"Bearer {self._tokens['access_token']}"}
        with httpx.Client(base_url=self._server.url, headers=header) as kept:
            while not self._ends.is_set():
                try:
                    if number == 0:  # one connection for all
                        status: Any = kept.get("/verify").status_code
                    else:
                        status = verify(self._server, self._tokens)
                except httpx.TransportError as error:
                    status = repr(error)
                self.statuses[status] += 1


@pytest.fixture
def old() -> KeyRing:
    return KeyRing.generate()


@pytest.fixture
def new() -> KeyRing:
    return KeyRing.generate("ES256")


@pytest.fixture
def server(
    serve: Callable[..., ServerProcess], file: Path, old: KeyRing
) -> Iterator[ServerProcess]:
    put(file, old)
    yield serve("--workers", "2", CLUSTERPASS_KEYS_FILE=str(file))


@pytest.mark.alternating
def test_keys_are_rotated_without_a_restart(
    server: ServerProcess, file: Path, alice: str, old: KeyRing, new: KeyRing
) -> None:
    workers = set(server.children())
    first, spare = login(server, alice), login(server, alice)
    with Traffic(server, first) as traffic:
        put(file, ring_of(old, new))
        await_published(server, ring_of(old, new))
        assert kid(login(server, alice)) == old.signing_key.kid
        put(file, ring_of(new, old))
        await_published(server, ring_of(new, old))
        second = login(server, alice)
        assert kid(second) == new.signing_key.kid
        assert [verify(server, first), verify(server, second)] == [200, 200]
        exchanged = refresh(server, spare)
        assert exchanged.status_code == 200, exchanged.text
        assert kid(exchanged.json()) == new.signing_key.kid
    assert set(traffic.statuses) == {200}
    assert traffic.statuses[200] > 50
    put(file, new)
    await_published(server, new)
    assert {verify(server, first) for _ in range(ENOUGH)} == {401}, "also those in memory"
    assert {verify(server, second) for _ in range(ENOUGH)} == {200}
    assert refresh(server, first).status_code == 200, "refresh tokens have secrets of their own"
    assert set(server.children()) == workers
    told = lines(server, "keys_loaded")
    assert len(told) == 3 * len(workers)
    added, removed = new.signing_key.kid, old.signing_key.kid
    assert told[0]["added"] == [added]
    assert told[-1]["removed"] == [removed]
    assert told[-1]["kids"] == [added]
    assert told[-1]["signing"] == added


@pytest.mark.alternating
def test_a_broken_file_changes_nothing_and_is_told_once(
    server: ServerProcess, file: Path, alice: str, old: KeyRing, new: KeyRing
) -> None:
    tokens = login(server, alice)
    faults = (
        (lambda: file.write_text(file.read_text()[:100]), "not a JSON object"),
        (lambda: file.write_text(json.dumps(old.public_jwks())), "only public keys"),
        (file.unlink, "cannot be read"),
        (lambda: (put(file, new), file.chmod(0o644)), "chmod 600"),
    )
    for number, (break_it, word) in enumerate(faults, 1):
        break_it()
        await_that(lambda number=number: len(lines(server, "keys_kept")) >= 2 * number)
        assert word in lines(server, "keys_kept")[-1]["problem"]
        assert published(server) == [old.signing_key.kid]
        assert verify(server, tokens) == 200
        assert kid(login(server, alice)) == old.signing_key.kid
    put(file, ring_of(new, old))
    await_published(server, ring_of(new, old))
    assert verify(server, tokens) == 200
    assert len(lines(server, "keys_kept")) == 2 * len(faults), "once for each worker and change"


@pytest.mark.sampled(1)
@pytest.mark.parametrize("how", ["gone", "broken", "public"])
def test_a_worker_that_is_replaced_has_the_keys_of_the_others(
    server: ServerProcess, file: Path, alice: str, old: KeyRing, new: KeyRing, how: str
) -> None:
    put(file, ring_of(new, old))
    await_published(server, ring_of(new, old))
    tokens = login(server, alice)
    assert kid(tokens) == new.signing_key.kid
    if how == "gone":
        file.unlink()
    elif how == "public":
        file.write_text(json.dumps(new.public_jwks()))
    else:
        file.write_text("{")
    killed, other = server.children()
    os.kill(killed, signal.SIGKILL)
    await_that(lambda: len(set(server.children()) - {killed}) == 2)
    os.kill(other, signal.SIGTERM)  # so that the new one answers all
    await_that(lambda: other not in server.children())
    await_that(lambda: len(server.children()) == 2)
    assert {verify(server, tokens) for _ in range(ENOUGH)} == {200}
    assert published(server) == [key.kid for key in ring_of(new, old).all()]
    assert "Traceback" not in server.log_file.read_text()


@pytest.mark.alternating
def test_a_hangup_while_the_file_is_broken_goes_on_with_the_last_keys(
    server: ServerProcess, file: Path, alice: str, old: KeyRing, new: KeyRing
) -> None:
    before = set(server.children())
    tokens = login(server, alice)
    put(file, ring_of(new, old))
    server.process.send_signal(signal.SIGHUP)
    await_that(lambda: not set(server.children()) & before)
    await_published(server, ring_of(new, old))
    file.write_text("{")
    again = set(server.children())
    server.process.send_signal(signal.SIGHUP)
    await_that(lambda: not set(server.children()) & again)
    assert len(server.children()) == 2
    assert verify(server, tokens) == 200
    assert kid(login(server, alice)) == new.signing_key.kid
    assert server.stop() == 0
