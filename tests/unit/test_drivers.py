"""The drivers ``SyncStore`` and ``AsyncStore`` against one scripted server, and without one."""

import asyncio
import dataclasses
import threading
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass import Config, KeyRing, ManagedKeys
from clusterpass.model.errors import StoreDenied, StoreFailed, StoreUnavailable
from clusterpass.protocol.calls import directory, session
from clusterpass.protocol.calls.subject_change import Housekeeping
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import Answer, Rest, Work
from clusterpass.sessions.flows import Flows
from clusterpass.store.address import Address
from clusterpass.store.drivers import sync
from clusterpass.store.drivers.aio import AsyncStore
from clusterpass.store.drivers.sync import SyncStore
from clusterpass.store.exchanges.steps import Agree, Drop, Pause, Probe
from clusterpass.store.store_url import parse_store_url
from clusterpass.tokens.key_encryption import new_encryption_key

from .fake_node import echo, fake_node

KEYSPACE = Keyspace()
COUNT = directory.count_attempt(b"key", most=10, window_seconds=300)
"""A write."""
TOUCH = session.touch(KEYSPACE, Housekeeping(60), "alice", session_id=b"i" * 16)
"""A write that nobody has to confirm."""
NOBODY = Address("127.0.0.1", 1)


class Server:
    """The replies of the server."""

    def __init__(self) -> None:
        self.role = b"master"
        self.replicas = 0
        self.confirms = 1
        self.script = b":5\r\n"
        self.pages = {b"0": (b"7", [b"a", b"b"]), b"7": (b"0", [b"c"])}

    async def __call__(self, request: list[bytes], writer: asyncio.StreamWriter) -> None:
        match request[0]:
            case b"ROLE":
                replicas = b"*3\r\n$1\r\nh\r\n$1\r\n1\r\n$1\r\n0\r\n" * self.replicas
                writer.write(b"*3\r\n$%d\r\n%b\r\n" % (len(self.role), self.role))
                writer.write(b":0\r\n*%d\r\n%b" % (self.replicas, replicas))
            case b"CLUSTER":
                writer.write(b"-ERR This instance has cluster support disabled\r\n")
            case b"PING":
                writer.write(b"+PONG\r\n")
            case b"SCAN":
                cursor, names = self.pages[request[1]]
                found = b"".join(b"$1\r\n%b\r\n" % name for name in names)
                writer.write(b"*2\r\n$1\r\n%b\r\n*%d\r\n%b" % (cursor, len(names), found))
            case b"EVALSHA" | b"EVAL":
                writer.write(self.script)
            case b"WAIT":
                writer.write(b":%d\r\n" % self.confirms)
            case _:
                await echo(request, writer)


class Driver:
    """A store of either kind, driven in the same way."""

    def __init__(self, kind: Any, address: Address, options: str = "timeout=2&deadline=2") -> None:
        self.closed: list[int] = []
        url = f"redis://{address}?{options}"
        self.store = kind(parse_store_url(url), lambda: self.closed.append(1))

    async def _call(self, method: Any, *arguments: Any) -> Any:
        if isinstance(self.store, AsyncStore):
            return await method(*arguments)
        return await asyncio.to_thread(method, *arguments)

    async def run(self, flow: Any) -> Any:
        return await self._call(self.store.run, flow)

    async def ping(self) -> None:
        await self._call(self.store.ping)

    async def close(self) -> None:
        await self._call(self.store.close)

    async def names(self, pattern: str) -> list[bytes]:
        if isinstance(self.store, AsyncStore):
            return [name async for name in self.store.scan_names(pattern)]
        return await asyncio.to_thread(lambda: list(self.store.scan_names(pattern)))


@pytest.fixture(params=[AsyncStore, SyncStore])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
async def scene(kind: Any) -> AsyncIterator[tuple[Server, Any, Driver]]:
    server = Server()
    async with fake_node(server) as (node, address):
        driver = Driver(kind, address)
        yield server, node, driver
        await driver.close()


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
async def test_a_store_that_was_closed_before_its_first_call_says_so_at_once(
    kind: Any, scheme: str
) -> None:
    driver = Driver(kind, NOBODY)
    driver.store = kind(parse_store_url(f"{scheme}://{NOBODY}?deadline=20"))
    await driver.close()
    for call in (lambda: driver.run(asking_strictly(COUNT)), driver.ping):
        with pytest.raises(StoreUnavailable) as caught:
            async with asyncio.timeout(10):
                await call()
        assert caught.value.reason == "closed"


class Observer:
    """Counts how often the store is asked; anything else means nothing to it."""

    prefixes: tuple[bytes, ...] = ()
    journal = None
    refusal = ""
    activity, is_followed, held, wants_all = 0, True, 0, False

    def __init__(self) -> None:
        self.uses = 0

    def note_use(self) -> None:
        self.uses += 1

    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: None


async def test_a_flow_rests_for_as_long_as_it_says(kind: Any) -> None:
    driver, began = Driver(kind, NOBODY), time.monotonic()
    await driver.run(asking_strictly(Rest(0.05)))
    assert time.monotonic() - began > 0.04
    await driver.close()


async def test_a_call_wakes_a_watch_that_rests(kind: Any) -> None:
    observer = Observer()
    driver = Driver(kind, NOBODY, "timeout=0.1&deadline=0.1&replica_wait=0.01")
    driver.store.observe(observer, 0.5)
    with pytest.raises(StoreUnavailable):
        await driver.run(asking_strictly(COUNT))
    assert observer.uses >= 1
    await driver.close()


def asking_strictly(step: Any) -> Any:
    """A flow that yields this step."""
    yield step


def asking(*steps: Any) -> Any:
    """A flow that yields these steps and returns what came back, errors included."""
    outcomes: list[Any] = [None] * len(steps)
    for number, step in enumerate(steps):
        try:
            outcomes[number] = yield step
        except (StoreUnavailable, StoreFailed, StoreDenied) as error:
            outcomes[number] = error
    return outcomes


def names_of(node: Any) -> list[bytes]:
    """Return the commands that the node got, without the greetings of connections."""
    return [each[0] for each in node.requests if each[0] not in {b"HELLO", b"CLIENT", b"AUTH"}]


async def test_a_flow_gets_the_answers_to_its_calls(scene: Any) -> None:
    _, node, driver = scene
    first, rested, second = await driver.run(asking(COUNT, Rest(0.0), TOUCH))
    assert (first.reply, first.durable, second.reply, second.durable) == (5, False, 5, False)
    assert rested is None
    assert str(first.node) == str(driver.store.location.seeds[0])
    assert names_of(node) == [b"ROLE", b"CLUSTER", b"EVALSHA", b"EVALSHA"]
    assert node.requests[-1][1] == TOUCH.script.sha1


async def test_work_of_a_flow_holds_up_no_event_loop(scene: Any) -> None:
    _, _, driver = scene
    (ran_in,) = await driver.run(asking(Work(threading.get_ident)))
    assert ran_in != threading.get_ident()


def test_an_rsa_key_is_work() -> None:
    keys = KeyRing.in_store(ManagedKeys(algorithm="RS256"))
    config = Config(issuer="i", keys=keys, key_encryption_keys=(new_encryption_key(),))
    flow = Flows(config, Keyspace(), deadline=1.0, tell=lambda _: None).context.signing
    assert flow is not None
    steps = flow.ensure()
    step = next(steps)
    while not isinstance(step, Work):
        step = steps.send(Answer(step.read([]), durable=False))
    assert b'"RS256"' in next(iter(step.compute().values()))


async def test_each_call_adds_its_share_to_the_retries_of_its_node_once(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, _, driver = scene
    server.replicas = 1
    node, noted = driver.store.location.seeds[0], []
    monkeypatch.setattr(driver.store.breakers, "note_call", noted.append)
    for number, call in enumerate((TOUCH, TOUCH, COUNT, COUNT), 1):
        await driver.run(asking(call))
        assert noted == [node] * number


async def test_a_write_waits_for_every_replica(scene: Any) -> None:
    server, node, driver = scene
    server.replicas = server.confirms = 2
    (answer,) = await driver.run(asking(COUNT))
    assert (answer.reply, answer.durable, answer.is_confirmed) == (5, True, True)
    assert node.requests[-2:] == [[b"WAIT", b"2", b"250"], [b"ROLE"]]
    server.confirms = 1
    (answer,) = await driver.run(asking(COUNT))
    assert (answer.reply, answer.durable, answer.is_confirmed) == (5, False, False)
    before = len(names_of(node))
    await driver.run(asking(TOUCH))
    assert names_of(node)[before:] == [b"EVALSHA"]


async def test_an_error_is_thrown_into_the_flow_which_goes_on(scene: Any) -> None:
    server, _, driver = scene
    server.script = b"-WRONGTYPE no\r\n"
    failure, again = await driver.run(asking(TOUCH, TOUCH))
    assert isinstance(failure, StoreFailed)
    assert isinstance(again, StoreFailed)
    server.script = b"-NOPERM no\r\n"
    (failure,) = await driver.run(asking(TOUCH))
    assert isinstance(failure, StoreDenied)
    server.script = b":6\r\n"
    assert (await driver.run(asking(TOUCH)))[0].reply == 6


async def test_a_script_that_the_server_does_not_know_is_sent_in_full(scene: Any) -> None:
    server, node, driver = scene

    async def forget(request: list[bytes], writer: asyncio.StreamWriter) -> None:
        server.script = b":5\r\n" if request[0] == b"EVAL" else b"-NOSCRIPT No matching script.\r\n"
        await server(request, writer)

    node._answer = forget
    (answer,) = await driver.run(asking(TOUCH))
    assert answer.reply == 5
    assert names_of(node) == [b"EVALSHA", b"EVAL"]
    assert node.requests[-1][1] == TOUCH.script.source


async def test_a_ping_finds_a_primary(scene: Any) -> None:
    server, node, driver = scene
    await driver.ping()
    assert names_of(node) == [b"PING", b"ROLE"]
    server.role = b"slave"
    with pytest.raises(StoreUnavailable) as caught:
        await driver.ping()
    assert caught.value.reason == "cluster_down"


async def test_a_primary_that_is_silent_holds_up_no_ping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own attempt would take until the end of the test: the others are asked meanwhile."""

    async def say_nothing(request: list[bytes], _: asyncio.StreamWriter) -> None:
        return

    async with fake_node(say_nothing) as (silent, first), fake_node(Server()) as (node, second):
        driver = Driver(AsyncStore, first, "timeout=300&deadline=300")

        def find(_: float) -> Any:
            yield from ()
            return [first, first, second]

        monkeypatch.setattr(driver.store, "_find_primaries", find)
        async with asyncio.timeout(20):
            await driver.ping()
        assert silent.requests and names_of(node) == [b"PING", b"ROLE"]
        await driver.close()


async def test_names_are_scanned_to_the_end(scene: Any) -> None:
    _, node, driver = scene
    assert await driver.names("cp:{*}:user") == [b"a", b"b", b"c"]
    assert names_of(node) == [b"PING", b"ROLE", b"SCAN", b"SCAN"]
    pages = [each[1:] for each in node.requests if each[0] == b"SCAN"]
    pattern = [b"MATCH", b"cp:{*}:user", b"COUNT", b"1000"]
    assert pages == [[b"0", *pattern], [b"7", *pattern]]


async def test_where_nobody_listens_a_call_ends_at_its_deadline(kind: Any) -> None:
    driver = Driver(kind, NOBODY)
    with pytest.raises(StoreUnavailable) as caught:
        await driver.ping()
    assert caught.value.reason == "connection"
    with pytest.raises(StoreUnavailable):
        await driver.names("*")
    (failure,) = await driver.run(asking(TOUCH))
    assert isinstance(failure, StoreUnavailable)
    assert driver.store.silent_nodes() == ("127.0.0.1:1",)
    await driver.close()


async def test_a_store_is_closed_once_and_says_so(scene: Any) -> None:
    _, node, driver = scene
    await driver.run(asking(TOUCH))
    await driver.close()
    await driver.close()
    assert driver.closed == [1]
    (failure,) = await driver.run(asking(TOUCH))
    assert isinstance(failure, StoreUnavailable)
    assert failure.reason == "closed"
    assert names_of(node) == [b"EVALSHA"]


async def test_a_flow_that_raises_is_closed(scene: Any) -> None:
    _, _, driver = scene
    ended = []

    def flow() -> Any:
        try:
            yield TOUCH
            raise LookupError
        finally:
            ended.append(True)

    with pytest.raises(LookupError):
        await driver.run(flow())
    assert ended == [True]


async def test_connections_are_kept_from_call_to_call(scene: Any) -> None:
    _, node, driver = scene
    for _ in range(3):
        await driver.run(asking(TOUCH))
    assert node.connections == 1


async def test_the_child_of_a_fork_opens_connections_of_its_own(scene: Any) -> None:
    _, node, driver = scene
    await driver.run(asking(TOUCH))
    driver.store.begin_anew()
    await driver.run(asking(TOUCH))
    assert node.connections == 2


async def test_a_node_without_a_connection_may_be_dropped(kind: Any) -> None:
    """As where a redirection names one that was never asked."""

    def steps() -> Any:
        yield Drop(Address("127.0.0.1", 1))
        return "gone on"

    store = kind(parse_store_url("redis://127.0.0.1:1"))
    if kind is AsyncStore:
        assert await store._drive(store._nodes(), steps(), None) == "gone on"
        await store.close()
    else:
        assert store._drive(steps()) == "gone on"
        store.close()


def test_an_exchange_that_is_interrupted_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once: who holds the error holds the exchange, and with it a place among the waiting."""
    ended = []

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    def steps() -> Any:
        try:
            yield Pause(60.0)
        finally:
            ended.append(True)

    store = SyncStore(parse_store_url("redis://127.0.0.1:1"))
    monkeypatch.setattr(sync, "time", SimpleNamespace(sleep=interrupted))
    with pytest.raises(KeyboardInterrupt) as held:
        store._drive(steps())
    assert ended == [True], held
    store.close()


async def test_a_connection_is_waited_for_until_the_deadline_of_the_call() -> None:
    """Not for the time limit of one attempt: here until the end of the test."""
    is_asked, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Server):
        async def __call__(self, request: list[bytes], writer: asyncio.StreamWriter) -> None:
            if request[0] == b"EVALSHA":
                is_asked.set()
                await go_on.wait()
            await super().__call__(request, writer)

    async with fake_node(Slow()) as (_, address):
        driver = Driver(SyncStore, address, "timeout=300&deadline=300&max_connections=1")
        user = asyncio.create_task(driver.run(asking(TOUCH)))
        await is_asked.wait()
        try:
            async with asyncio.timeout(10):
                (failure,) = await driver.run(asking(dataclasses.replace(TOUCH, deadline=0.05)))
        finally:
            go_on.set()
            (answer,) = await user
            await driver.close()
    assert isinstance(failure, StoreUnavailable)
    assert (failure.reason, answer.reply) == ("busy", 5)


@pytest.mark.parametrize("kind", [AsyncStore])
async def test_a_cancelled_call_leaves_its_flow(scene: Any) -> None:
    _, node, driver = scene
    ended, asked = [], asyncio.Event()

    async def silent(request: list[bytes], writer: asyncio.StreamWriter) -> None:
        if request[0] == b"EVALSHA":
            asked.set()
        else:
            await echo(request, writer)

    def flow() -> Any:
        try:
            yield TOUCH
        finally:
            ended.append(True)

    node._answer = silent
    task = asyncio.ensure_future(driver.run(flow()))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


def test_a_reply_is_not_believed_where_another_thread_asks_about_its_node_for_too_long() -> None:
    is_asked, go_on = threading.Event(), threading.Event()
    answers: list[bool] = []

    class Slow(SyncStore):
        def agree(self, wanted: Agree) -> Any:
            is_asked.set()
            go_on.wait(5)
            yield from ()
            return True

    store = Slow(parse_store_url("redis+cluster://127.0.0.1:1"))

    def ask(until: float) -> None:
        answers.append(store._agree(Agree(NOBODY, 0.0, until)))

    asking = threading.Thread(target=ask, args=(time.monotonic() + 5,))
    asking.start()
    assert is_asked.wait(5)
    ask(time.monotonic() + 0.01)
    assert answers == [False]
    go_on.set()
    asking.join(5)
    ask(time.monotonic() + 5)
    assert answers == [False, True, True]
    store.close()


def test_who_has_a_node_probed_waits_for_the_verdict_but_not_for_long() -> None:
    go_on, verdicts = threading.Event(), []

    class Slow(SyncStore):
        def probe(self, wanted: Probe) -> Any:
            if wanted.slot:
                go_on.wait(5)
            time.sleep(0.02)
            verdicts.append(wanted.slot)
            yield from ()

    store = Slow(parse_store_url("redis+cluster://127.0.0.1:1"))
    store._probe(Probe(NOBODY, 0, 5.0))
    assert verdicts == [0]
    store._probe(Probe(NOBODY, 1, 0.01))
    assert verdicts == [0]
    go_on.set()
    store.close()
