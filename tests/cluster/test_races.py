"""Concurrent operations on one session: one lineage of refresh tokens, and final endings.

``RACE_ROUNDS`` sets how many rounds there are.
"""

import asyncio
import dataclasses
import os
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from clusterpass import (
    Config,
    EmbeddedCluster,
    SessionManager,
    SessionPolicy,
    TokenPair,
)
from clusterpass.model.authentication_errors import (
    InvalidRefreshToken,
    RefreshTokenReused,
    SessionRevoked,
)
from clusterpass.model.errors import StoreUnavailable
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.service.settings.loading import load_settings

from ..service.conftest import ServerProcess, keys_file, serve
from .conftest import Facade

__all__ = ["keys_file", "serve"]

ROUNDS = int(os.environ.get("RACE_ROUNDS", "12"))
AT_ONCE = 64
HANGING = 60.0
PATIENT = "?timeout=10&deadline=25"
"""Options with time enough for the last of 64 concurrent calls."""
KEYSPACE = Keyspace()

pytestmark = pytest.mark.timeout(240 if ROUNDS <= 20 else 0)


class Call(NamedTuple):
    """A verb and its arguments; the verb of a group has a dot."""

    verb: str
    arguments: tuple[Any, ...]


def verb_of(manager: Any, name: str) -> Callable[..., Any]:
    for part in name.split("."):
        manager = getattr(manager, part)
    return manager


class Threads:
    """All at once on a SessionManager: each call in a thread, held back until all are there."""

    def __init__(self, url: str, config: Config) -> None:
        self.manager: Any = SessionManager.from_url(url, config)
        self.pool = ThreadPoolExecutor(AT_ONCE + 8)

    def run(self, *calls: Call) -> list[Any]:
        """Return the result or the error of each call."""
        barrier = threading.Barrier(len(calls), timeout=HANGING)

        def one(call: Call) -> Any:
            barrier.wait()
            return verb_of(self.manager, call.verb)(*call.arguments)

        return [self.result(future) for future in [self.pool.submit(one, call) for call in calls]]

    @staticmethod
    def result(future: Future[Any]) -> Any:
        return future.exception(HANGING) or future.result()

    def close(self) -> None:
        self.pool.shutdown()
        self.manager.close()


class Tasks:
    """All at once on an AsyncSessionManager: each call in a task."""

    def __init__(self, url: str, config: Config) -> None:
        self.manager = Facade(url, config)

    def run(self, *calls: Call) -> list[Any]:
        async def all_of_them() -> list[Any]:
            each = [self.one(call) for call in calls]
            return await asyncio.gather(*each, return_exceptions=True)

        return self.wait_for(all_of_them())

    def wait_for(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.manager.loop).result(HANGING)

    async def one(self, call: Call) -> Any:
        return await verb_of(self.manager.manager, call.verb)(*call.arguments)

    def close(self) -> None:
        self.manager.close()


class Requests(Tasks):
    """Refreshes all at once by HTTP at two processes; the other verbs in the library."""

    def __init__(self, url: str, config: Config, server: ServerProcess) -> None:
        super().__init__(url, config)
        self.server = server
        self.client: httpx.AsyncClient | None = None

    def run(self, *calls: Call) -> list[Any]:
        """The library is faster than HTTP: its calls wait for one answer to those before them."""
        running: list[asyncio.Task[Any]] = []

        async def in_turn(call: Call, before: list[asyncio.Task[Any]]) -> Any:
            if call.verb != "refresh" and before:
                await asyncio.wait(before, return_when=asyncio.FIRST_COMPLETED)
            return await self.one(call)

        async def all_of_them() -> list[Any]:
            for call in calls:
                running.append(asyncio.create_task(in_turn(call, running[:])))
            return await asyncio.gather(*running, return_exceptions=True)

        return self.wait_for(all_of_them())

    async def one(self, call: Call) -> Any:
        if call.verb != "refresh":
            return await super().one(call)
        if self.client is None:
            limits = httpx.Limits(max_connections=AT_ONCE)
            self.client = httpx.AsyncClient(
                base_url=self.server.url, timeout=HANGING, limits=limits
            )
        answer = await self.client.post("/refresh", json={"refresh_token": call.arguments[0]})
        body = answer.json()
        if answer.status_code == 401:
            raise InvalidRefreshToken(reason=body["reason"])
        assert answer.status_code == 200, answer.text
        names = ("access_token", "refresh_token", "expires_in", "session_id", "durable")
        return TokenPair(subject="", **{name: body[name] for name in names})

    def close(self) -> None:
        if self.client:
            self.wait_for(self.client.aclose())
        super().close()


@pytest.fixture(params=["sync", "async", "http"])
def racers(
    request: pytest.FixtureRequest, cluster_url: str, keys_file: Path
) -> Iterator[Threads | Tasks]:
    config = load_settings(None, {"keys_file": keys_file}).session_config()
    url = cluster_url + PATIENT
    made: Threads | Tasks
    if request.param == "sync":
        made = Threads(url, config)
    elif request.param == "async":
        made = Tasks(url, config)
    else:
        server = request.getfixturevalue("serve")("--workers", "2")
        made = Requests(url, config, server)
    yield made
    made.close()


def refreshes(token: str, count: int = AT_ONCE) -> list[Call]:
    return [Call("refresh", (token,))] * count


def the_one_successor(results: list[Any]) -> str:
    """The refresh token that all of them got."""
    tokens = {each.refresh_token if isinstance(each, TokenPair) else each for each in results}
    assert len(tokens) == 1, tokens
    (token,) = tokens
    assert isinstance(token, str), repr(token)
    return token


@pytest.mark.sampled(1)
def test_64_refreshes_of_one_token_have_one_successor_round_after_round(
    racers: Threads | Tasks, subject: str
) -> None:
    pair = racers.manager.login(subject)
    lineage = [pair.refresh_token]
    for _ in range(ROUNDS):
        results = racers.run(*refreshes(lineage[-1]))
        lineage.append(the_one_successor(results))
        accesses = {each.access_token for each in results}
        assert racers.manager.verify(accesses.pop()).session_id == pair.session_id
    assert len(set(lineage)) == ROUNDS + 1
    assert [each.session_id for each in racers.manager.sessions(subject)] == [pair.session_id]


@pytest.mark.sampled(6)
@pytest.mark.parametrize("verb", ["revoke", "revoke_all", "bans.add", "logout"])
def test_an_end_among_refreshes_is_the_end_whatever_came_first(
    racers: Threads | Tasks, new_subject: Callable[[], str], verb: str
) -> None:
    orders = set()
    for number in range(ROUNDS):
        subject = new_subject()
        pair = racers.manager.login(subject)
        arguments = {
            "revoke": (subject, pair.session_id),
            "logout": (pair.access_token,),
        }.get(verb, (subject,))
        calls = refreshes(pair.refresh_token, 7)
        place = number % 8
        results = racers.run(*calls[:place], Call(verb, arguments), *calls[place:])
        ended = results.pop(place)
        assert ended.count == 1, repr(ended)
        handed_out = [each for each in results if isinstance(each, TokenPair)]
        refused = [each for each in results if not isinstance(each, TokenPair)]
        assert all(isinstance(each, InvalidRefreshToken) for each in refused), refused
        orders.add((bool(handed_out), bool(refused)))
        for each in [pair, *handed_out]:
            with pytest.raises(SessionRevoked):
                racers.manager.verify(each.access_token)
        tokens = {pair.refresh_token, *(each.refresh_token for each in handed_out)}
        for refusal in racers.run(*(Call("refresh", (token,)) for token in tokens)):
            assert isinstance(refusal, InvalidRefreshToken), repr(refusal)
        assert racers.manager.sessions(subject) == []
    assert orders - {(False, True)}, "no refresh ever came before the end: this raced nothing"


@pytest.mark.sampled(2)
def test_who_refreshes_again_and_again_is_stopped_by_the_end(
    racers: Threads | Tasks, new_subject: Callable[[], str]
) -> None:
    for verb in ["revoke_all", "bans.add"]:
        subject = new_subject()
        pair = racers.manager.login(subject)
        latest = [pair]
        is_ended = threading.Event()

        def go_on(latest: list[Any] = latest, is_ended: threading.Event = is_ended) -> int:
            rounds_after = 0
            while True:
                was_ended = is_ended.is_set()
                (result,) = racers.run(Call("refresh", (latest[-1].refresh_token,)))
                if not isinstance(result, TokenPair):
                    assert isinstance(result, InvalidRefreshToken), repr(result)
                    return rounds_after
                latest.append(result)
                rounds_after += was_ended
                if rounds_after > 10:
                    return rounds_after

        with ThreadPoolExecutor(1) as pool:
            refresher = pool.submit(go_on)
            deadline = time.monotonic() + HANGING
            while len(latest) < 5:
                assert time.monotonic() < deadline
                assert not refresher.done(), refresher.exception()
                time.sleep(0)
            assert verb_of(racers.manager, verb)(subject).count == 1
            is_ended.set()
            assert refresher.result(HANGING) == 0, "refreshed although it had ended"
        for each in latest[-5:]:
            with pytest.raises(SessionRevoked):
                racers.manager.verify(each.access_token)


@pytest.fixture(params=[Threads, Tasks], ids=["sync", "async"])
def open_racers(request: pytest.FixtureRequest) -> Iterator[Callable[..., Threads | Tasks]]:
    opened: list[Threads | Tasks] = []

    def open_one(url: str, config: Config) -> Threads | Tasks:
        opened.append(request.param(url + PATIENT, config))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def test_64_logins_at_once_of_whom_one_may_live(
    open_racers: Callable[..., Threads | Tasks],
    cluster_url: str,
    config: Config,
    new_subject: Callable[[], str],
) -> None:
    single = dataclasses.replace(config, policy=SessionPolicy.single_session())
    racers = open_racers(cluster_url, single)
    for _ in range(max(1, ROUNDS // 10)):
        subject = new_subject()
        pairs = racers.run(*[Call("login", (subject,))] * AT_ONCE)
        (living,) = racers.manager.sessions(subject)
        reasons = [
            each.reason
            for each in racers.run(*(Call("verify", (p.access_token,)) for p in pairs))
            if isinstance(each, SessionRevoked)
        ]
        assert reasons == ["replaced"] * (AT_ONCE - 1)
        (newest,) = (pair for pair in pairs if pair.session_id == living.session_id)
        assert racers.manager.verify(newest.access_token) == living


def ten_rotations_in_one_second(manager: Any, subject: str) -> tuple[TokenPair, list[str]]:
    """The pair of the last, and the refresh tokens from the login's on."""
    deadline = time.monotonic() + HANGING
    while True:
        while time.time() % 1 > 0.1:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        pair = manager.login(subject)
        tokens = [pair.refresh_token]
        for _ in range(10):
            pair = manager.refresh(tokens[-1])
            tokens.append(pair.refresh_token)
        session = manager.verify(pair.access_token)
        if session.created_at == session.refreshed_at:
            return pair, tokens
        assert time.monotonic() < deadline, "never within one second"


@pytest.mark.parametrize("grace", [0, 30])
def test_rotations_of_one_second_use_up_their_tokens_one_by_one(
    open_racers: Callable[..., Threads | Tasks],
    cluster_url: str,
    config: Config,
    new_subject: Callable[[], str],
    grace: int,
) -> None:
    racers = open_racers(cluster_url, dataclasses.replace(config, refresh_grace=grace))
    for place in range(10):
        pair, tokens = ten_rotations_in_one_second(racers.manager, new_subject())
        assert len(set(tokens)) == 11
        (result,) = racers.run(Call("refresh", (tokens[place],)))
        if grace and place >= 6:  # at most four exchanges back
            assert result.refresh_token == tokens[place + 1]
            assert racers.manager.refresh(tokens[-1])
            continue
        assert isinstance(result, RefreshTokenReused), repr(result)
        assert result.reason == ("recent" if place == 9 else "stale")
        with pytest.raises(SessionRevoked):
            racers.manager.verify(pair.access_token)
        with pytest.raises(InvalidRefreshToken) as refusal:
            racers.manager.refresh(tokens[-1])
        assert refusal.value.reason == "reused"


@pytest.fixture(scope="module")
def shaken() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(nodes=6, node_timeout=1.0) as running:
        yield running


@pytest.fixture
def fragile(shaken: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    """A cluster whose nodes may die, whole before and after each test."""
    shaken.wait_until_healthy(HANGING)
    yield shaken
    for node in shaken.nodes:
        if node.pid is None:
            shaken.restart(node)
    shaken.wait_until_healthy(HANGING)


def refreshed_at_last(racers: Threads | Tasks, token: str) -> TokenPair:
    """As a client does that asks again while the store is away."""
    deadline = time.monotonic() + HANGING
    while True:
        (result,) = racers.run(Call("refresh", (token,)))
        if isinstance(result, TokenPair):
            return result
        assert isinstance(result, StoreUnavailable), repr(result)
        assert time.monotonic() < deadline


def await_replica(racers: Threads | Tasks, subject: str) -> None:
    deadline = time.monotonic() + HANGING
    while not racers.manager.login(subject).durable:
        assert time.monotonic() < deadline, "no replica confirms"


@pytest.mark.sampled(2)
@pytest.mark.parametrize("moment", ["between rounds", "within a round"])
def test_there_is_one_lineage_while_primaries_die_and_come_back(
    open_racers: Callable[..., Threads | Tasks],
    fragile: EmbeddedCluster,
    config: Config,
    subject: str,
    moment: str,
) -> None:
    racers = open_racers(fragile.url, dataclasses.replace(config, refresh_grace=300))
    key = KEYSPACE.sessions(subject)
    session_id = racers.manager.login(subject).session_id
    pair = racers.manager.login(subject)
    lineage = [pair.refresh_token]
    for _ in range(max(3, ROUNDS // 10)):
        await_replica(racers, f"{{{subject}}}")
        primary = fragile.primary_of(key)
        killer = threading.Thread(target=fragile.kill, args=(primary,))
        if moment == "between rounds":
            lineage.append(the_one_successor(racers.run(*refreshes(lineage[-1]))))
            killer.start()
            killer.join()
        else:
            killer.start()
        results = racers.run(*refreshes(lineage[-1]))
        killer.join()
        for each in results:
            assert isinstance(each, TokenPair | StoreUnavailable), repr(each)
        answered = [each for each in results if isinstance(each, TokenPair)]
        answered.append(refreshed_at_last(racers, lineage[-1]))
        lineage.append(the_one_successor(answered))
        fragile.wait_until_primary_changes(key, primary, HANGING)
        lineage.append(the_one_successor([refreshed_at_last(racers, lineage[-1])]))
        fragile.restart(primary)
        fragile.wait_until_healthy(HANGING)
        lineage.append(the_one_successor(racers.run(*refreshes(lineage[-1]))))
    assert len(set(lineage)) == len(lineage)
    listed = [each.session_id for each in racers.manager.sessions(subject)]
    assert listed == [pair.session_id, session_id]
