"""Pushes that a watch asks nodes for: changes of what was read, or all; switches between them."""

import logging

import pytest

from clusterpass.store.outcomes import Fault, Replies, ServerError

from .watch_scene import (
    ABORTED,
    BUSY,
    NO,
    A,
    B,
    Connection,
    Scene,
    settle,
)


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
