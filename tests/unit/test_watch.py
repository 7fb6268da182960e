"""The watch: what it reports to its observer, and how it reacts to replies of nodes."""

import asyncio
import time
from math import inf
from typing import cast

import pytest

from clusterpass.model.errors import StoreDenied
from clusterpass.store.address import Address
from clusterpass.store.drivers.link_openings import LinkOpenings
from clusterpass.store.drivers.nodes import Nodes
from clusterpass.store.outcomes import Fault, Replies, ServerError
from clusterpass.store.topology.slots import SLOTS, Shard, SlotMap

from .watch_scene import INFO, PULSE, A, B, Connection, Links, Scene, settle


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
