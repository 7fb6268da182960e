"""``Nodes``: the steps of an exchange on an event loop, against fake nodes."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from clusterpass.store.address import Address
from clusterpass.store.drivers.nodes import Nodes
from clusterpass.store.exchanges.steps import Agree, Drop, LookUp, Pause, Probe, Send
from clusterpass.store.outcomes import Fault, Replies
from clusterpass.store.store_url import parse_store_url
from clusterpass.store.wire import multiplexed

from .fake_node import echo, fake_node

A, B = Address("127.0.0.1", 1), Address("127.0.0.1", 2)
LATER = 2.0**40


def run(
    test: Callable[[Nodes], Coroutine[Any, Any, Any]], url: str = "redis+cluster://127.0.0.1:1"
) -> Any:
    async def scene() -> Any:
        nodes = Nodes(parse_store_url(url))
        try:
            return await test(nodes)
        finally:
            nodes.close()

    return asyncio.run(scene())


def nothing(_: Any) -> Any:
    yield from ()


def steps(*taken: Any) -> Any:
    """An exchange that takes these steps and returns their outcomes."""
    outcomes: list[Any] = [None] * len(taken)
    for number, each in enumerate(taken):
        outcomes[number] = yield each
    return outcomes


def test_what_was_sent_already_is_not_sent_again() -> None:
    async def test(nodes: Nodes) -> Any:
        sent = (A, Replies([b"OK"]))
        return await nodes.drive(steps(Send(A, ()), Send(A, ((b"PING",),))), nothing, sent)

    first, second = run(test)
    assert first == Replies([b"OK"])
    assert isinstance(second, Fault), "nobody listens there"


def test_what_was_sent_to_another_node_does_not_count() -> None:
    async def test(nodes: Nodes) -> Any:
        exchange = steps(Send(B, ((b"PING",),)), Send(A, ((b"PING",),)))
        return await nodes.drive(exchange, nothing, (A, Replies([b"OK"])))

    assert all(isinstance(each, Fault) for each in run(test))


@pytest.mark.parametrize("step", [Drop(A), Pause(0.0), LookUp(0, None, LATER)])
def test_steps_that_have_no_outcome(step: Any) -> None:
    async def test(nodes: Nodes) -> Any:
        exchange = steps(Send(A, ()), step)
        return await nodes.drive(exchange, nothing, (A, Replies([1])))

    assert run(test) == [Replies([1]), None]


def test_a_question_about_a_node_is_answered() -> None:
    asked: list[Agree] = []

    def agree(wanted: Agree) -> Any:
        asked.append(wanted)
        yield Pause(0.0)
        return len(asked) == 1

    async def test(nodes: Nodes) -> Any:
        exchange = steps(Agree(A, 1.0, LATER), Agree(A, 2.0, LATER))
        return await nodes.drive(exchange, nothing, agree=agree)

    assert run(test) == [True, False]
    assert [each.answered_at for each in asked] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("url", "counts", "times"),
    [
        ("redis+cluster://127.0.0.1:1", False, 1),
        ("redis+cluster://127.0.0.1:1", True, 1),
        ("redis://127.0.0.1:1", False, 0),
        ("redis://127.0.0.1:1", True, 1),
    ],
)
def test_one_server_is_looked_up_for_its_replicas_only(url: str, counts: bool, times: int) -> None:
    wanted = LookUp(0, None, LATER, counts_replicas=counts)
    searched: list[LookUp] = []

    def search(each: LookUp) -> Any:
        searched.append(each)
        yield from ()

    async def test(nodes: Nodes) -> None:
        await nodes.look_up(wanted, search)

    run(test, url)
    assert searched == [wanted] * times


def test_one_server_that_does_not_answer_is_asked_nothing_more() -> None:
    """Who looks up the slots after a fault does not ask for replicas."""
    searched: list[LookUp] = []

    def search(each: LookUp) -> Any:
        searched.append(each)
        yield from ()

    async def test(nodes: Nodes) -> Any:
        return await nodes.drive(steps(LookUp(0, None, LATER)), search)

    assert run(test, "redis://127.0.0.1:1") == [None]
    assert searched == []


def test_one_look_up_at_a_time_and_none_after_its_time() -> None:
    under_way, most = [0], [0]

    def search(_: LookUp) -> Any:
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        yield Pause(0.0)
        under_way[0] -= 1

    async def test(nodes: Nodes) -> None:
        late = LookUp(0, None, 0.0)
        on_time = LookUp(0, None, LATER)
        await asyncio.gather(*[nodes.look_up(each, search) for each in (on_time, late, on_time)])

    run(test)
    assert most == [1]


def test_an_exchange_that_fails_is_closed() -> None:
    closed = []

    def exchange() -> Any:
        try:
            yield Pause(0.0)
            raise LookupError
        finally:
            closed.append(True)

    async def test(nodes: Nodes) -> None:
        await nodes.drive(exchange(), nothing)

    with pytest.raises(LookupError):
        run(test)
    assert closed == [True]


def test_an_exchange_that_is_cancelled_is_closed() -> None:
    closed = []

    def exchange() -> Any:
        try:
            yield Pause(3600.0)
        finally:
            closed.append(True)

    async def test(nodes: Nodes) -> None:
        task = asyncio.ensure_future(nodes.drive(exchange(), nothing))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(test)
    assert closed == [True]


def test_after_a_close_every_request_is_told_so() -> None:
    async def test(nodes: Nodes) -> Any:
        nodes.close()
        return [
            await nodes.send(Send(A, ((b"PING",),))),
            await nodes.send(Send(A, ((b"PING",),), (b"WAIT", 1, 5))),
        ]

    assert run(test) == [Fault("closed"), Fault("closed")]


def test_a_link_and_a_commit_are_made_once_until_they_are_dropped() -> None:
    async def test(nodes: Nodes) -> None:
        link, commit = nodes.link(A), nodes.commit(A)
        assert nodes.link(A) is link
        assert nodes.commit(A) is commit
        assert nodes.link(B) is not link
        assert nodes.connection(A) is None, "nothing was sent on it"
        nodes.drop(A)
        assert nodes.link(A) is not link
        assert nodes.commit(A) is not commit
        nodes.drop(Address("never", 1))

    run(test)


def test_connections_use_tls_where_the_url_says_so() -> None:
    async def test(nodes: Nodes) -> Any:
        links = nodes.link(A), nodes.link(B), nodes.commit(A)._links[0]
        return [None if link._context is None else link._context() for link in links]

    assert run(test) == [None, None, None]
    first, *others = run(test, "rediss+cluster://127.0.0.1:1")
    assert first.check_hostname
    assert all(each is first for each in others), "it is made once"


def test_who_gets_pushes_and_how_long_a_reply_may_take() -> None:
    class Listener:
        prefixes = ()

        async def run(self, nodes: Nodes) -> None:
            await asyncio.sleep(3600)

    async def scene() -> None:
        listener: Any = Listener()
        nodes = Nodes(parse_store_url("redis://127.0.0.1:1"), listener, write_timeout=2.0)
        assert nodes.link(A)._listener is listener
        assert nodes.link(A)._limit == 0.5
        assert [link._listener for link in nodes.commit(A)._links] == [None, None]
        assert [link._limit for link in nodes.commit(A)._links] == [2.0, 2.0]
        nodes.close()

    asyncio.run(scene())


def test_who_waits_for_a_turn_gives_up_when_the_time_is_up() -> None:
    asked: list[float] = []

    def agree(wanted: Agree) -> Any:
        asked.append(wanted.answered_at)
        for _ in range(9):
            yield Pause(0.0)
        return True

    def search(wanted: LookUp) -> Any:
        asked.append(wanted.seen)
        for _ in range(9):
            yield Pause(0.0)

    async def test(nodes: Nodes) -> Any:
        questions = [steps(Agree(A, 1.0, LATER)), steps(Agree(A, 2.0, 0.0))]
        answers = await asyncio.gather(
            *[nodes.drive(each, nothing, agree=agree) for each in questions]
        )
        wanted = [LookUp(3, None, LATER), LookUp(4, None, 0.0)]
        await asyncio.gather(*[nodes.look_up(each, search) for each in wanted])
        return answers

    assert run(test) == [[True], [False]]
    assert asked == [1.0, 3]


def test_a_probe_that_is_under_way_ends_with_the_connections() -> None:
    """An event loop that is closed next would destroy it."""
    ended = []

    def probe(_: Probe) -> Any:
        try:
            yield Pause(3600.0)
        finally:
            ended.append(True)

    async def test(nodes: Nodes) -> None:
        await nodes.drive(steps(Probe(A, 0, 0.01)), nothing, probe=probe)
        assert not ended, "nobody waits for it any more"
        nodes.close()
        async with asyncio.timeout(10):
            await nodes.background.ended()
        assert ended == [True]

    run(test)


async def test_what_is_urgent_does_not_wait_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiplexed, "_FIRST_WINDOW", 2)
    heard = asyncio.Event()

    async def answer(request: list[bytes], writer: asyncio.StreamWriter) -> None:
        if request == [b"PING", b"urgent"]:
            heard.set()
        elif request[0] != b"PING":
            await echo(request, writer)

    async with fake_node(answer) as (node, address):
        nodes = Nodes(parse_store_url(f"redis://{address}?timeout=60&deadline=60"))
        sent = [
            asyncio.ensure_future(nodes.send(Send(address, ((b"PING", text),), urgent=is_urgent)))
            for text, is_urgent in [(b"1", False), (b"2", False), (b"3", False), (b"urgent", True)]
        ]
        async with asyncio.timeout(20):
            await heard.wait()
        assert [request[1] for request in node.requests[-3:]] == [b"1", b"2", b"urgent"]
        nodes.close()
        assert await asyncio.gather(*sent) == [Fault("closed")] * 4
