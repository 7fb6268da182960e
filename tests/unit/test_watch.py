"""The watch: what it reports to its observer, and how it reacts to replies of nodes."""

import asyncio
import logging
import time
from collections.abc import Callable
from math import inf
from typing import Any, cast

import pytest

from clusterpass.model.errors import StoreDenied
from clusterpass.store.address import Address
from clusterpass.store.drivers.base import StoreBase
from clusterpass.store.drivers.link_openings import LinkOpenings
from clusterpass.store.drivers.nodes import Nodes
from clusterpass.store.drivers.watch import Watch
from clusterpass.store.outcomes import Fault, Replies, ServerError
from clusterpass.store.store_url import parse_store_url
from clusterpass.store.topology.slots import SLOTS, Shard, SlotMap
from clusterpass.store.wire.background import BackgroundTasks

A, B = Address("a", 1), Address("b", 2)
INFO = b"cluster_state:ok\r\ncluster_current_epoch:7\r\ncluster_my_epoch:5\r\n"
PULSE = [b"17", INFO, [b"1800000000", b"123456"]]


class Observer:
    """Notes what it is told, in order."""

    def __init__(self, prefixes: tuple[bytes, ...] = (b"cp:{",)) -> None:
        self.prefixes = prefixes
        self.wants_all = False
        self.is_followed = True
        self.held = self.activity = 0
        self.refusal = "before"
        self.journal = None
        self.told: list[tuple[Any, ...]] = []
        self.moved: list[Any] = []
        self.is_urgent = self.has_changed = False

    def connected(self, node: Any, *, pushes: bool = True) -> None:
        self.told.append(("connected", node, pushes))

    def lost(self, node: Any) -> None:
        self.told.append(("lost", node))

    def unjudged(self, node: Any) -> None:
        self.told.append(("unjudged", node))

    def set_primaries(self, nodes: Any, journals: Any = frozenset()) -> None:
        self.told.append(("primaries", sorted(nodes), sorted(journals)))

    def pushed(self, node: Any, keys: Any) -> bool:
        self.told.append(("pushed", node, keys))
        return self.is_urgent

    def beat_sent(self, node: Any) -> int:
        self.told.append(("beat", node))
        return 41

    def time_told(self, node: Any, number: int, milliseconds: int) -> None:
        self.told.append(("time", node, number, milliseconds))

    def mapped(self, seconds: float, moved: Any) -> None:
        self.moved.append(moved)

    def beat_answered(self, *answer: Any, own_epoch: int | None = None) -> bool:
        self.told.append(("answered", *answer))
        return self.has_changed


class Connection:
    """A connection on which the test answers."""

    def __init__(self) -> None:
        self.is_open, self.is_plain = True, False
        self.asked: list[tuple[bytes, int, bool]] = []
        self.futures: list[asyncio.Future[Any]] = []

    def ask(self, packed: bytes, count: int, *, urgent: bool = False) -> Any:
        self.asked.append((packed, count, urgent))
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]


class Links:
    """The nodes of an event loop, of which the test says which are connected."""

    def __init__(self) -> None:
        self.background = BackgroundTasks()
        self.connections: dict[Address, Connection] = {}
        self.dropped: list[Address] = []
        self.opened: list[Address] = []
        self.looked_up: list[Any] = []
        self.failure: Exception | None = None
        self.fault: Fault | None = None
        self.found: Callable[[], None] | None = None
        """What a look-up does."""

    def connection(self, address: Address) -> Connection | None:
        return self.connections.get(address)

    def drop(self, address: Address) -> None:
        self.dropped.append(address)

    def link(self, address: Address) -> "Links":
        self.opened.append(address)
        return self

    async def open(self) -> Fault | None:
        if self.failure is not None:
            raise self.failure
        return self.fault

    async def look_up(self, wanted: Any, search: Any) -> None:
        self.looked_up.append(wanted)
        if self.failure is not None:
            raise self.failure
        if self.found is not None:
            self.found()


class Scene:
    """A watch over two primaries, and its turns."""

    def __init__(self, prefixes: tuple[bytes, ...] = (b"cp:{",)) -> None:
        self.store = StoreBase(parse_store_url("redis+cluster://a:1"))
        half = SLOTS // 2
        self.store.slots = SlotMap(
            [Shard(A, 1)] * half + [Shard(B, 1)] * half, 3, is_replicated=True
        )
        self.observer = Observer(prefixes)
        self.watch = Watch(self.store, cast("Any", self.observer), 0.5)
        self.links = Links()

    def turn(self) -> list[tuple[Any, ...]]:
        """What the observer is told in one turn."""
        self.observer.told.clear()
        self.watch._turn(cast("Nodes", self.links))
        return self.observer.told.copy()

    async def answer(self, connection: Connection, outcome: Any) -> list[tuple[Any, ...]]:
        """What the observer is told when the latest request on a connection is answered."""
        self.observer.told.clear()
        connection.futures[-1].set_result(outcome)
        await settle()
        return self.observer.told.copy()

    async def met(self) -> Connection:
        """The connection of a node that pushes, with a heartbeat under way."""
        connection = self.links.connections[A] = Connection()
        self.turn()
        self.watch.connected(A, self.watch.pushes)
        self.turn()
        await settle()
        return connection


async def settle() -> None:
    """Let the tasks run that are ready."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_pushes_is_met() -> None:
    scene = Scene()
    scene.watch.connected(A, scene.watch.pushes)
    assert scene.observer.told == [("connected", A, True)]
    assert scene.observer.refusal == ""
    assert scene.watch.prefixes == (b"cp:{",)


async def test_without_prefixes_nobody_pushes() -> None:
    scene = Scene(prefixes=())
    scene.watch.connected(A, scene.watch.pushes)
    assert scene.observer.told == [("connected", A, False)]


async def test_who_refuses_to_push_is_said_and_met_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene()
    with caplog.at_level(logging.WARNING):
        scene.watch.refused(A, ServerError("NOPERM", "x" * 300))
        scene.watch.refused(B, ServerError("ERR", "no"))
    assert scene.observer.told[:2] == [("lost", A), ("connected", A, False)]
    assert scene.observer.refusal == "b:2: ERR no"
    assert [record.getMessage() for record in caplog.records] == [
        f"nothing is served from memory: a:1: NOPERM {'x' * 193}"
    ]
    scene.watch.connected(A, scene.watch.pushes)
    assert scene.observer.refusal == ""


async def test_changed_keys_are_reported_and_nothing_else() -> None:
    scene = Scene()
    scene.watch.pushed(A, [b"unsubscribe", b"channel", 0])
    scene.watch.pushed(A, [b"message", b"channel", b"cp:secrets:{a}"])
    assert scene.observer.told == [("pushed", A, [b"cp:secrets:{a}"])]
    scene.observer.told.clear()
    scene.watch.pushed(A, [b"invalidate", [b"key"]])
    scene.watch.pushed(A, [b"invalidate", None])
    assert scene.observer.told == [("pushed", A, [b"key"]), ("pushed", A, None)]
    assert not scene.watch._is_urgent.is_set()
    scene.observer.is_urgent = True
    scene.watch.pushed(A, [b"invalidate", [b"key"]])
    assert scene.watch._is_urgent.is_set()


async def test_primaries_are_taken_over_and_their_links_opened() -> None:
    scene = Scene()
    assert scene.turn() == [("primaries", [A, B], [])]
    assert scene.turn() == [], "the same map is taken over once"
    await settle()
    assert scene.links.opened == [A, B]
    scene.store.slots = SlotMap([Shard(B, 1)] * SLOTS, 4, is_replicated=True)
    assert scene.turn() == [("primaries", [B], [])]
    assert scene.links.dropped == [A]


async def test_the_slots_are_looked_up_at_first_and_when_a_link_is_not_opened() -> None:
    scene = Scene()
    scene.links.fault = Fault("connection")
    scene.turn()
    await settle()
    assert [(each.seen, each.suspect) for each in scene.links.looked_up] == [(3, None)]
    assert scene.watch._look_ups.is_wanted
    scene.turn()
    await settle()
    assert len(scene.links.looked_up) == 1, "not again at once"
    scene.watch._look_ups._looked_up_at -= 0.2
    scene.turn()
    await settle()
    assert len(scene.links.looked_up) == 2


async def test_a_map_that_was_asked_for_before_the_wish_does_not_fulfil_it() -> None:
    """Another caller had asked before the epoch changed; the watch has waited for its turn."""
    scene = Scene()
    scene.store.slots.asked_at = -1.0
    scene.turn()
    await settle()
    assert len(scene.links.looked_up) == 1
    assert scene.watch._look_ups.is_wanted
    scene.store.slots.asked_at = inf
    scene.watch._look_ups._looked_up_at -= 1.0
    scene.turn()
    await settle()
    assert len(scene.links.looked_up) == 2
    assert not scene.watch._look_ups.is_wanted


async def test_two_maps_of_one_version_are_both_taken_over() -> None:
    scene = Scene()
    scene.turn()
    before = scene.store.slots
    scene.store.slots = SlotMap([Shard(B, 1)] * SLOTS, before.version, is_replicated=True)
    assert ("primaries", [B], []) in scene.turn()
    assert scene.turn() == []


async def test_the_slots_are_looked_up_again_after_a_while() -> None:
    scene = Scene()
    scene.turn()
    await settle()
    assert not scene.watch._look_ups.is_wanted
    for seconds, times in ((29.0, 1), (1.5, 2)):
        scene.watch._look_ups._looked_up_at -= seconds
        scene.turn()
        await settle()
        assert len(scene.links.looked_up) == times


async def test_who_is_not_let_in_says_why() -> None:
    scene = Scene()
    scene.links.failure = StoreDenied(reason="wrongpass")
    scene.turn()
    await settle()
    assert str(scene.links.failure) in scene.observer.refusal
    assert ("lost", A) in scene.observer.told
    assert scene.watch._look_ups.is_wanted


async def test_who_is_connected_and_met_gets_a_heartbeat_each_turn() -> None:
    scene = Scene()
    connection = scene.links.connections[A] = Connection()
    scene.turn()
    assert connection.asked == [], "it has not answered yet"
    scene.watch.connected(A, scene.watch.pushes)
    assert scene.turn() == [("beat", A)]
    packed, count, urgent = connection.asked[0]
    assert (count, urgent) == (3, True)
    assert b"CLUSTER" in packed
    assert b"TIME" in packed


async def test_a_pulse_is_reported() -> None:
    scene = Scene()
    connection = await scene.met()
    scene.watch._is_urgent.clear()
    assert await scene.answer(connection, Replies(PULSE)) == [
        ("time", A, 41, 1_800_000_000_123),
        ("answered", A, 41, 7, 17, None),
    ]
    assert not scene.watch._is_urgent.is_set()
    assert not scene.watch._look_ups.is_wanted


async def test_another_epoch_is_a_reason_to_look_up_the_slots_at_once() -> None:
    scene = Scene()
    connection = await scene.met()
    scene.watch._is_urgent.clear()
    scene.observer.has_changed = True
    await scene.answer(connection, Replies(PULSE))
    assert scene.watch._is_urgent.is_set()
    assert scene.watch._look_ups.is_wanted


@pytest.mark.parametrize("outcome", [Fault("connection"), Fault("timeout")])
async def test_a_fault_is_left_to_the_link(outcome: Fault) -> None:
    scene = Scene()
    connection = await scene.met()
    assert await scene.answer(connection, outcome) == []
    connection.futures[-1] = asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("code", ["NOPERM", "ERR"])
async def test_who_may_not_tell_is_not_judged(code: str) -> None:
    scene = Scene()
    connection = await scene.met()
    told = await scene.answer(connection, Replies([b"1", ServerError(code, "no"), []]))
    assert told == [("lost", A), ("unjudged", A)]
    assert scene.observer.refusal == f"a:1: {code} no"
    assert scene.links.dropped == []


@pytest.mark.parametrize("code", ["MOVED", "READONLY", "CLUSTERDOWN"])
async def test_who_owns_its_slots_no_more_is_dropped(code: str) -> None:
    scene = Scene()
    connection = await scene.met()
    told = await scene.answer(connection, Replies([ServerError(code, "x"), INFO, []]))
    assert told == [("lost", A)]
    assert scene.links.dropped == [A]
    assert scene.watch._look_ups.is_wanted
    assert scene.turn() == [], "no heartbeat until it is met again"


async def test_a_node_that_is_lost_gets_no_heartbeat() -> None:
    scene = Scene()
    await scene.met()
    scene.watch._is_urgent.clear()
    scene.watch.lost(A)
    assert scene.observer.told[-1] == ("lost", A)
    assert scene.watch._look_ups.is_wanted
    assert scene.watch._is_urgent.is_set()
    assert scene.turn() == []


async def test_pushes_begin_when_somebody_is_interested() -> None:
    scene = Scene(prefixes=())
    connection = scene.links.connections[A] = Connection()
    scene.turn()
    scene.watch.connected(A, scene.watch.pushes)
    scene.observer.prefixes = (b"cp:{",)
    scene.turn()
    packed, _, urgent = connection.asked[0]
    assert b"TRACKING" in packed
    assert urgent
    scene.turn()
    assert sum(b"TRACKING" in asked[0] for asked in connection.asked) == 1
    connection.futures[0].set_result(Replies([b"OK", b"OK", b"OK"]))
    scene.observer.told.clear()
    await settle()
    assert scene.observer.told == [("connected", A, True)]
    assert scene.store.pushing_all == set()
    scene.turn()
    assert sum(b"TRACKING" in asked[0] for asked in connection.asked) == 1


@pytest.mark.parametrize("is_plain", [False, True])
async def test_who_cannot_push_is_not_asked_again(is_plain: bool) -> None:
    scene = Scene(prefixes=())
    connection = scene.links.connections[A] = Connection()
    connection.is_plain = is_plain
    scene.turn()
    scene.watch.connected(A, scene.watch.pushes)
    scene.observer.prefixes = (b"cp:{",)
    scene.turn()
    if not is_plain:
        connection.futures[0].set_result(Replies([b"OK", ServerError("NOPERM", "no")]))
        await settle()
    why = "NOPROTO changes are pushed over RESP3 only" if is_plain else "NOPERM no"
    assert scene.observer.refusal == f"a:1: {why}"
    asked = sum(b"TRACKING" in each[0] for each in connection.asked)
    scene.turn()
    assert sum(b"TRACKING" in each[0] for each in connection.asked) == asked


async def test_which_nodes_push_all_changes_is_known_to_the_store() -> None:
    scene = Scene()
    scene.turn()
    scene.watch.connected(A, "read")
    scene.watch.connected(B, "all")
    assert scene.store.pushing_all == {B}
    scene.watch.refused(B, ServerError("ERR", "no"))
    assert scene.store.pushing_all == set()
    scene.watch.connected(A, "all")
    assert scene.store.pushing_all == {A}
    scene.watch.lost(A)
    assert scene.store.pushing_all == set()


async def test_who_wants_all_changes_has_nodes_push_them() -> None:
    scene = Scene()
    connection = await scene.met()
    assert not any(b"BCAST" in asked[0] for asked in connection.asked)
    scene.observer.wants_all = True
    scene.turn()
    packed = next(asked[0] for asked in connection.asked if b"BCAST" in asked[0])
    assert packed.index(b"OFF") < packed.index(b"BCAST")
    number = next(n for n, asked in enumerate(connection.asked) if b"BCAST" in asked[0])
    generations = scene.observer.told.count(("connected", A, True))
    connection.futures[number].set_result(Replies([b"OK", b"QUEUED", b"QUEUED", [b"OK", b"OK"]]))
    await settle()
    assert scene.store.pushing_all == {A}
    assert scene.observer.told.count(("connected", A, True)) == generations, "nothing was missed"
    scene.turn()
    assert sum(b"BCAST" in asked[0] for asked in connection.asked) == 1


NO = ServerError("NOPERM", "no")
ABORTED = ServerError("EXECABORT", "no")


@pytest.mark.parametrize(
    ("replies", "begins", "pushes"),
    [
        ([NO, b"OK", b"OK", ServerError("ERR", "EXEC without MULTI")], True, True),
        ([NO, b"OK", NO, ServerError("ERR", "EXEC without MULTI")], True, False),
        ([b"OK", b"QUEUED", b"QUEUED", [b"OK", NO]], True, False),
        ([b"OK", b"QUEUED", b"QUEUED", [b"OK", b"OK"]], False, True),
    ],
)
async def test_a_node_that_does_not_switch_at_one_instant_begins_anew(replies, begins, pushes):
    scene = Scene()
    connection = await scene.met()
    scene.observer.wants_all = True
    scene.turn()
    number = next(n for n, asked in enumerate(connection.asked) if b"BCAST" in asked[0])
    scene.observer.told.clear()
    connection.futures[number].set_result(Replies(replies))
    await settle()
    begun = [told for told in scene.observer.told if told[0] == "connected"]
    assert begun == ([("connected", A, pushes)] if begins else [])
    assert (scene.store.pushing_all == {A}) is pushes


BUSY = ServerError("BUSY", "a script runs")


@pytest.mark.parametrize(
    "replies",
    [
        [b"OK", b"QUEUED", NO, ABORTED],
        [b"OK", b"QUEUED", b"QUEUED", ABORTED],
        [b"OK", b"QUEUED", b"QUEUED", NO],
        [NO, NO, b"OK", NO],
        [BUSY, BUSY, BUSY, BUSY],
    ],
)
async def test_a_node_that_did_not_switch_counts_as_before_and_is_asked_in_steps(replies):
    scene = Scene()
    connection = await scene.met()
    scene.observer.wants_all = True
    scene.turn()
    asked = [n for n, asked in enumerate(connection.asked) if b"BCAST" in asked[0]]
    scene.observer.told.clear()
    connection.futures[asked[-1]].set_result(Replies(replies))
    await settle()
    assert not scene.store.pushing_all
    assert not [told for told in scene.observer.told if told[0] in {"connected", "lost"}]
    for answers, is_met in (([BUSY, BUSY, BUSY], False), ([b"OK", b"OK", b"OK"], True)):
        scene.turn()
        number = max(n for n, asked in enumerate(connection.asked) if b"BCAST" in asked[0])
        assert number > asked[-1]
        assert b"MULTI" not in connection.asked[number][0]
        asked.append(number)
        connection.futures[number].set_result(Replies(answers))
        await settle()
        assert (scene.store.pushing_all == {A}) is is_met


async def test_a_new_connection_is_switched_at_one_instant_again() -> None:
    scene = Scene()
    connection = await scene.met()
    scene.observer.wants_all = True
    for is_new in (False, True):
        if is_new:
            scene.watch.lost(A)
            scene.watch.connected(A, "read")
        scene.turn()
        asked = [n for n, asked in enumerate(connection.asked) if b"BCAST" in asked[0]]
        assert b"MULTI" in connection.asked[asked[-1]][0]
        connection.futures[asked[-1]].set_result(Replies([BUSY] * 4))
        await settle()


async def test_where_sessions_are_read_elsewhere_nodes_push_all_changes() -> None:
    scene = Scene()
    assert scene.watch.pushes == "read"
    scene.store.reads_elsewhere = True
    assert scene.watch.pushes == "all"
    scene.watch.connected(A, "all")
    assert scene.store.pushing_all == {A}


async def test_who_was_too_busy_to_push_is_asked_again() -> None:
    scene = Scene()
    connection = await scene.met()
    scene.observer.wants_all = True
    for times in (1, 2):
        scene.turn()
        asked = [n for n, asked in enumerate(connection.asked) if b"BCAST" in asked[0]]
        assert len(asked) == times
        connection.futures[asked[-1]].set_result(Fault("busy"))
        await settle()


async def test_a_watch_that_has_ended_reports_nothing() -> None:
    """Its links are lost after its task, and another event loop may have a watch by then."""
    scene = Scene()
    await scene.met()
    running = asyncio.ensure_future(scene.watch.run(cast("Nodes", scene.links)))
    await settle()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ("lost", A) in scene.observer.told
    scene.observer.told.clear()
    scene.store.pushing_all.add(A)  # of the other watch
    scene.watch.lost(A)
    scene.watch.connected(A, "read")
    scene.watch.refused(A, ServerError("ERR", "no"))
    assert scene.observer.told == []
    assert scene.store.pushing_all == {A}


async def test_few_processes_that_hold_many_keys_hear_of_all_changes() -> None:
    scene = Scene()
    connection = await scene.met()
    scene.observer.held = 60_000
    scene.turn()
    number = next(n for n, asked in enumerate(connection.asked) if b"clients" in asked[0])
    connection.futures[number].set_result(Replies([b"tracking_clients:3\r\n"]))
    await settle()
    scene.turn()
    scene.turn()
    assert sum(b"BCAST" in asked[0] for asked in connection.asked) == 1
    assert sum(b"clients" in asked[0] for asked in connection.asked) == 1, "it is asked seldom"


async def test_what_the_observer_raises_ends_the_turns() -> None:
    scene = Scene()
    connection = await scene.met()
    scene.observer.beat_answered = None  # type: ignore[method-assign, assignment]
    await scene.answer(connection, Replies(PULSE))
    with pytest.raises(TypeError):
        scene.turn()


async def test_a_watch_that_begins_again_reports_who_was_met() -> None:
    scene = Scene()
    await scene.met()
    scene.watch.refused(B, ServerError("ERR", "no"))
    scene.observer.refusal = "failed"
    scene.observer.told.clear()
    running = asyncio.ensure_future(scene.watch._run_until_failure(cast("Nodes", scene.links)))
    await settle()
    assert scene.observer.told[:3] == [
        ("connected", A, True),
        ("connected", B, False),
        ("primaries", [A, B], []),
    ]
    assert scene.observer.refusal == "b:2: ERR no"
    scene.observer.told.clear()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert scene.observer.told == [("lost", A), ("lost", B)]


async def test_who_is_met_while_a_failed_watch_pauses_is_lost_when_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody would hear of its changes."""
    scene, failures = Scene(), list[BaseException]()

    def failed(error: BaseException) -> float:
        failures.append(error)
        return 60.0

    monkeypatch.setattr(scene.watch._restarts, "failed", failed)
    await scene.met()
    running = asyncio.ensure_future(scene.watch.run(cast("Nodes", scene.links)))
    await settle()
    scene.watch._fail(ValueError("x"))
    async with asyncio.timeout(10):
        while not failures:
            await asyncio.sleep(0.001)
    scene.watch.connected(A, "all")
    scene.observer.told.clear()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert scene.observer.told == [("lost", A)]
    assert scene.store.pushing_all == set()


def asked_now(owner: Address, version: int) -> SlotMap:
    """A slot map that was asked for now."""
    return SlotMap([Shard(owner, 1)] * SLOTS, version, time.monotonic(), is_replicated=True)


async def test_a_look_up_that_another_caller_was_making_before_is_made_again() -> None:
    scene = Scene()
    scene.store.slots = asked_now(A, 3)
    scene.turn()
    await settle()
    assert len(scene.links.looked_up) == 1, "it found what was asked for before it began"
    assert scene.watch._look_ups.is_wanted
    scene.links.found = lambda: setattr(scene.store, "slots", asked_now(A, 4))
    scene.watch._look_ups._looked_up_at -= 0.2
    scene.turn()
    await settle()
    assert len(scene.links.looked_up) == 2
    assert not scene.watch._look_ups.is_wanted


async def test_what_was_looked_up_is_taken_over_at_once_without_heartbeats() -> None:
    scene = Scene()
    connection = await scene.met()
    beats = len(connection.futures)
    scene.links.found = lambda: setattr(scene.store, "slots", asked_now(B, 4))
    scene.watch._look_ups.is_wanted = True
    scene.watch._look_ups._looked_up_at -= 0.2
    scene.watch._is_urgent.clear()
    scene.turn()
    scene.observer.told.clear()
    await settle()
    assert scene.observer.told == [("primaries", [B], [])]
    assert scene.links.opened.count(B) > 1, "its link is opened"
    assert scene.observer.moved[-1] == {A: list(range(SLOTS // 2))}
    assert len(connection.futures) == beats + 1, "that of the turn"
    assert not scene.watch._is_urgent.is_set()


async def test_a_watch_fails_by_a_map_that_it_cannot_take_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene()
    await scene.met()

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(scene.observer, "mapped", fail)
    scene.links.found = lambda: setattr(scene.store, "slots", asked_now(B, 4))
    scene.watch._look_ups.is_wanted = True
    scene.watch._look_ups._looked_up_at -= 0.2
    scene.turn()
    await settle()
    with pytest.raises(ZeroDivisionError):
        scene.turn()


async def test_what_a_failed_watch_was_connecting_to_tells_the_next_one_nothing() -> None:
    go_on, told = asyncio.Event(), []

    class Slow(Links):
        async def open(self) -> Fault | None:
            await go_on.wait()
            return Fault("timeout")

    links = Slow()
    openings = LinkOpenings(
        failed=lambda: told.append("failed"),
        refused=lambda *_: told.append("refused"),
        take_end=lambda task: told.append("cancelled" if task.cancelled() else "ended"),
    )
    openings.begin(cast("Nodes", links), A)
    await asyncio.sleep(0)
    openings.cancel()
    go_on.set()
    await links.background.ended()
    await asyncio.sleep(0)
    assert told == ["cancelled"]
