"""Requests for push notifications to the nodes of a watch, and the handling of replies."""

from typing import Any, cast

import pytest

from clusterpass.store.drivers.base import StoreBase
from clusterpass.store.drivers.cache_observer import Observer
from clusterpass.store.drivers.pushing import Pushing
from clusterpass.store.outcomes import Fault, Replies, ServerError
from clusterpass.store.store_url import parse_store_url
from clusterpass.store.wire.handshake import switching
from clusterpass.store.wire.resp import pack

from .watch_scene import A, B, Connection, Observer as Noted, settle

PREFIXES = (b"cp:{",)
OK = Replies([b"OK", b"OK", b"OK"])


class Scene:
    """What one node pushes, over a connection on which the test answers."""

    def __init__(self, prefixes: tuple[bytes, ...] = PREFIXES, held: int = 0) -> None:
        self.store = StoreBase(parse_store_url("redis+cluster://a:1"))
        self.observer = Noted(prefixes)
        self.observer.held = held
        self.told: list[tuple[Any, ...]] = []
        self.pushing = Pushing(
            self.store,
            cast("Observer", self.observer),
            connected=lambda *told: self.told.append(("connected", *told)),
            refused=lambda *told: self.told.append(("refused", *told)),
        )
        self.connection = Connection()

    def adjust(self, now: float = 100.0) -> list[bytes]:
        """Return the commands that the node gets."""
        before = len(self.connection.asked)
        self.pushing.adjust(A, cast("Any", self.connection), now)
        assert all(urgent for *_, urgent in self.connection.asked), "no request of users delays it"
        return [packed for packed, *_ in self.connection.asked[before:]]

    async def answer(self, outcome: Any) -> None:
        if outcome is None:
            self.connection.futures[-1].cancel()
        else:
            self.connection.futures[-1].set_result(outcome)
        await settle()

    async def rule(self, trackers: bytes, now: float) -> str:
        """What the node should push once it has told how many connections track."""
        (question,) = self.adjust(now)
        assert question == pack(((b"INFO", b"clients"),))
        assert self.connection.asked[-1][1] == 1
        await self.answer(Replies([b"tracking_clients:" + trackers + b"\r\n"]))
        return self.pushing.wanted(A)


async def test_a_node_is_asked_for_what_it_should_push_and_no_more() -> None:
    scene = Scene()
    scene.pushing.meet(A, "nothing")
    scene.observer.wants_all = True
    assert scene.adjust() == [pack(switching("all", PREFIXES, scene.store.keyspace))]
    assert scene.connection.asked[-1][1] == 3
    assert scene.adjust() == [], "it has not answered yet"
    await scene.answer(OK)
    assert scene.told == [("connected", A, "all")]
    scene.pushing.meet(A, "all")
    assert scene.adjust() == []
    scene.observer.wants_all = False
    assert scene.adjust() == [pack(switching("read", PREFIXES, scene.store.keyspace))]
    assert scene.connection.asked[-1][1] == 3


async def test_a_node_that_pushes_what_was_read_is_asked_once_to_push_all_changes() -> None:
    scene = Scene()
    scene.pushing.meet(A, "read")
    assert scene.adjust() == []
    scene.observer.wants_all = True
    (asked,) = scene.adjust()
    assert b"BCAST" in asked
    assert scene.adjust() == []


async def test_a_node_that_need_not_push_any_more_is_told_so() -> None:
    scene = Scene(prefixes=())
    scene.pushing.meet(A, "read")
    assert scene.adjust() == [pack(switching("nothing", (), scene.store.keyspace))]
    assert scene.connection.asked[-1][1] == 1
    await scene.answer(Replies([b"OK"]))
    assert scene.told == [("connected", A, "nothing")]


@pytest.mark.parametrize("is_open", [True, False])
@pytest.mark.parametrize("outcome", [Fault("busy"), None])
async def test_who_did_not_answer_is_asked_again_over_an_open_connection(
    outcome: Fault | None, is_open: bool
) -> None:
    scene = Scene()
    scene.pushing.meet(A, "nothing")
    assert len(scene.adjust()) == 1
    scene.connection.is_open = is_open
    await scene.answer(outcome)
    assert scene.told == []
    assert len(scene.adjust()) == int(is_open)


async def test_an_answer_over_a_connection_that_was_lost_since_tells_nothing() -> None:
    scene = Scene()
    scene.pushing.meet(A, "nothing")
    scene.adjust()
    scene.connection.is_open = False
    await scene.answer(OK)
    assert scene.told == []


async def test_a_refusal_is_told() -> None:
    scene, no = Scene(), ServerError("NOPERM", "no")
    scene.pushing.meet(A, "nothing")
    scene.adjust()
    await scene.answer(Replies([b"OK", no, b"OK"]))
    assert scene.told == [("refused", A, no)]


async def test_a_user_without_the_right_to_subscribe_gets_pushes_all_the_same() -> None:
    scene = Scene()
    scene.pushing.meet(A, "nothing")
    scene.adjust()
    await scene.answer(Replies([ServerError("ERR", "x"), b"OK", ServerError("NOPERM", "no")]))
    assert scene.told == [("connected", A, "read")]


async def test_a_new_connection_is_asked_anew() -> None:
    scene = Scene()
    scene.pushing.meet_refusing(A)
    assert scene.observer.told == [("connected", A, False)]
    assert scene.adjust() == [], "it refuses"
    scene.pushing.meet(A, "nothing")
    assert len(scene.adjust()) == 1


async def test_what_a_node_pushed_counts_no_more_once_it_is_forgotten() -> None:
    scene = Scene()
    scene.pushing.meet(A, "all")
    scene.pushing.meet(B, "all")
    scene.pushing.forget(A)
    assert scene.pushing.met == {B: "all"}
    assert scene.store.pushing_all == {B}
    scene.pushing.forget(A)


async def test_by_the_rule_a_node_pushes_all_changes_and_each_node_for_itself() -> None:
    scene = Scene(held=50_000)
    scene.pushing.meet(A, "read")
    assert await scene.rule(b"8", now=100.0) == "all"
    assert scene.pushing.wanted(B) == scene.pushing.wanted() == "read"
    assert len(scene.adjust(100.0)) == 1, "the node is asked to push them"
    scene.pushing.meet(A, "all")
    assert scene.adjust(129.9) == []
    assert await scene.rule(b"16", now=130.0) == "all", "within the margin"
    assert await scene.rule(b"17", now=160.0) == "read"


async def test_the_rule_asks_nothing_where_it_could_change_nothing() -> None:
    few, unheard, all_wanted = Scene(held=49_999), Scene(prefixes=(), held=10**6), Scene(held=10**6)
    elsewhere = Scene(held=10**6)
    all_wanted.observer.wants_all = elsewhere.store.reads_elsewhere = True
    for scene in (few, unheard, all_wanted, elsewhere):
        scene.pushing.meet(A, scene.pushing.wanted(A))
        assert scene.adjust() == []


@pytest.mark.parametrize("outcome", [Fault("timeout"), None])
async def test_the_rule_waits_for_its_next_turn_where_no_answer_came(outcome: Fault | None) -> None:
    scene = Scene(held=50_000)
    scene.pushing.meet(A, "read")
    assert len(scene.adjust(100.0)) == 1
    await scene.answer(outcome)
    assert scene.pushing.wanted(A) == "read"
    assert scene.adjust(129.0) == []
    assert await scene.rule(b"1", now=131.0) == "all"


async def test_a_reply_that_does_not_tell_keeps_to_what_was_read() -> None:
    scene = Scene(held=50_000)
    scene.pushing.meet(A, "read")
    assert await scene.rule(b"1", now=100.0) == "all"
    scene.pushing.meet(A, "all")
    assert await scene.rule(b"?", now=130.0) == "read"
