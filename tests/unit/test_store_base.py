"""``StoreBase``: nodes asked, majorities, lookups, journals and statistics of both drivers."""

from typing import Any

import pytest

from clusterpass.model.clock import steady_seconds
from clusterpass.model.errors import ConfigurationError, StoreFailed, StoreUnavailable
from clusterpass.protocol.calls import session
from clusterpass.protocol.calls.subject_change import Housekeeping
from clusterpass.protocol.keyspace import JOURNAL_SLOTS, Keyspace, slot_of
from clusterpass.protocol.replies import NO_DETAILS
from clusterpass.store.address import Address
from clusterpass.store.drivers.base import StoreBase
from clusterpass.store.exchanges.steps import Agree, Drop, LookUp, Send
from clusterpass.store.outcomes import Fault, Replies, ServerError
from clusterpass.store.store_url import parse_store_url
from clusterpass.store.topology.slots import SLOTS, Shard, SlotMap

from .evidence_scene import JOURNALS, A, B, C, Node, primaries
from .journal_scene import Scene

LATER = 2.0**40
NO_CLUSTER = ServerError("ERR", "This instance has cluster support disabled")
CLUSTER, SINGLE = "redis+cluster://a:1,b:1,x:9", "redis://a:1"


class Observer:
    """An observer that doubts everything, and notes what it is told."""

    def __init__(self, *, has_journal: bool = True) -> None:
        self.journal = Scene().journal if has_journal else None
        self.told: list[tuple[Any, ...]] = []
        self.asked: list[tuple[Any, ...]] = []
        self.is_in_doubt = True

    def doubts(self, node: Any, *, age: float = 0.0, is_durable: bool = False) -> bool:
        self.asked.append((node, age, is_durable))
        return self.is_in_doubt

    def effective_epoch(self, epoch: int) -> int:
        return epoch

    def agreed(self, node: Any, sent_at: float) -> None:
        self.told.append(("agreed", node))

    def set_journals(self, nodes: Any) -> None:
        self.told.append(("journals", sorted(nodes)))

    def heads_agreed(self, sent_at: float, epoch: int) -> None:
        self.told.append(("heads agreed", epoch))

    def heads_heard(self, node: Any, sent_at: float) -> None:
        self.told.append(("heads heard", node))

    def changed(self, key: bytes) -> None:
        self.told.append(("changed", key))


def store(url: str = CLUSTER, slots: SlotMap | None = None) -> StoreBase:
    made = StoreBase(parse_store_url(url))
    if slots is not None:
        made.slots = slots
    return made


def run(exchange: Any, nodes: dict[Address, Any]) -> tuple[Any, list[Any]]:
    """The result of an exchange, and its steps; a node answers by a function or is scripted."""
    steps: list[Any] = []
    outcome: Any = None
    while True:
        try:
            step = exchange.send(outcome)
        except StopIteration as stop:
            return stop.value, steps
        steps.append(step)
        outcome = None
        if isinstance(step, Send):
            node = nodes.get(step.address, Fault("connection"))
            outcome = node.answer(step.commands) if isinstance(node, Node) else node


def question(**changed: Any) -> Agree:
    values: dict[str, Any] = {"node": A, "answered_at": steady_seconds(), "until": LATER}
    return Agree(**{**values, "made_at": steady_seconds() - 5, **changed})


def test_a_majority_agrees_about_a_node() -> None:
    own, observer = store(slots=primaries()), Observer()
    own.observe(observer, 0.5)  # type: ignore[arg-type]
    is_believed, _ = run(own.agree(question()), {A: Node(), B: Node(), C: Node()})
    assert is_believed
    assert observer.told == [
        ("journals", [A, B, C]),
        ("heads agreed", 5),
        ("agreed", A),
    ]
    ((node, age, is_durable),) = observer.asked
    assert (node, is_durable) == (A, False)
    assert 5 <= age < 60


def test_what_is_read_from_a_node_in_doubt_is_no_answer_before_others_agree() -> None:
    own, observer = store(slots=primaries()), Observer()
    read = session.verify(KEYSPACE, "alice", session_id=b"i" * 16)
    exchange = own._carry_out(read)
    step = next(exchange)
    assert isinstance(step, Send)
    exchange.close()
    own.observe(observer, 0.5)  # type: ignore[arg-type]
    exchange = own._carry_out(read)
    node = own.owner_of(slot_of(read.keys[0]))
    assert next(exchange).address == node  # type: ignore[union-attr]
    step = exchange.send(Replies([[b"UNKNOWN"]]))
    assert isinstance(step, Agree) and step.node == node


def test_where_nobody_doubts_any_more_nobody_is_asked() -> None:
    own, observer = store(slots=primaries()), Observer()
    assert run(own.agree(question()), {}) == (True, [])
    observer.is_in_doubt = False
    own.observe(observer, 0.5)  # type: ignore[arg-type]
    assert run(own.agree(question(is_durable=True)), {}) == (True, [])
    assert observer.asked[0][2] is True


def test_who_waited_for_a_disagreement_does_not_ask_again() -> None:
    own, observer = store(slots=primaries()), Observer()
    own.observe(observer, 0.5)  # type: ignore[arg-type]
    nodes = {A: Node(epoch=4), B: Node(), C: Node()}
    before = question()
    is_believed, steps = run(own.agree(before), nodes)
    assert not is_believed
    assert steps
    assert ("agreed", A) not in observer.told
    assert run(own.agree(before), nodes) == (False, [])
    assert run(own.agree(question()), nodes)[1], "a later answer is another question"
    assert run(own.agree(question(node=B)), nodes)[0], "and so is another node"
    own.begin_anew()
    assert run(own.agree(before), nodes)[1]


def test_a_single_server_is_asked_for_its_role() -> None:
    for role, is_primary in (([b"master", 0, []], True), ([b"slave", b"h"], False)):
        own, observer = store(SINGLE), Observer(has_journal=False)
        own.observe(observer, 0.5)  # type: ignore[arg-type]
        is_believed, steps = run(own.agree(question()), {A: Replies([role])})
        assert is_believed == is_primary
        assert steps == [Send(A, ((b"ROLE",),)), *([] if is_primary else [Drop(A)])]
        assert observer.told == [("agreed", A)] * is_primary
        assert own.journal_nodes() == {}


def test_journals_are_read_and_filled() -> None:
    own, observer = store(slots=primaries()), Observer()
    assert own.journal_nodes() == JOURNALS
    run(own.read_journal(observer, A), {A: Node()})  # type: ignore[arg-type]
    assert observer.told == [("heads heard", A)]
    run(own.read_journal(observer, B), {})  # type: ignore[arg-type]
    assert observer.told == [("heads heard", A)]
    run(own.fill_journals(observer), {A: Node(), B: Node(), C: Node()})  # type: ignore[arg-type]
    assert observer.told[1:] == [("heads agreed", 5)]
    run(own.fill_journals(observer), {A: Node()})  # type: ignore[arg-type]
    assert observer.told[2:] == []


def test_slots_are_looked_up_once_for_all_who_wait() -> None:
    own = store()
    lists = Replies([[[0, SLOTS - 1, [b"a", 1, b"a" * 40]]], b""])
    own.breakers.failed(A, "timeout")
    own.breakers.failed(Address("gone", 1), "timeout")
    wanted = LookUp(0, None, LATER)
    _, steps = run(own.search(wanted), dict.fromkeys((A, B, Address("x", 9)), lists))
    assert len(steps) == 1
    assert (own.slots.version, own.slots.primaries()) == (1, [A])
    assert own.silent_nodes() == ("a:1",)
    assert run(own.search(wanted), {}) == (None, [])
    run(own.search(LookUp(1, None, LATER)), {})
    assert own.slots.version == 1, "nobody answered"


def test_a_single_server_is_asked_for_its_replicas() -> None:
    own = store(SINGLE)
    run(own.search(LookUp(1, None, LATER)), {A: Replies([[b"master", 0, [b"one"]], NO_CLUSTER])})
    assert (own.slots.version, own.slots.shard(0)) == (2, Shard(A, 1))
    run(own.search(LookUp(2, None, LATER)), {})
    assert own.slots.version == 2
    alone = Replies([[b"master", 0, []], b"cluster_size:1\r\n"])
    run(own.search(LookUp(2, None, LATER)), {A: alone})
    assert own.slots.version == 3, "the only shard of a cluster redirects nobody"


def test_a_shard_of_several_is_no_single_server() -> None:
    with pytest.raises(StoreFailed, match=r"a:1 is a node of a cluster.*redis\+cluster://"):
        run(
            store(SINGLE).search(LookUp(1, None, LATER)),
            {A: Replies([[b"master", 0, []], b"cluster_size:3\r\n"])},
        )


def test_primaries_are_asked_before_seeds_and_silent_nodes_last() -> None:
    own = store(slots=primaries(2, journals=2))
    for _ in range(20):
        assert set(own._candidates()[:2]) == {A, B}
        assert own._candidates()[2:] == [Address("x", 9)]
    own.breakers.failed(A, "timeout")
    for _ in range(20):
        assert own._candidates() == [B, Address("x", 9), A]


def test_somebody_has_to_be_a_primary() -> None:
    pong = Replies([b"PONG", [b"master", 0, []]])
    assert run(store(SINGLE)._reach(), {A: pong})[0] is None
    with pytest.raises(StoreUnavailable) as caught:
        run(store(SINGLE)._reach(), {A: Fault("timeout")})
    assert caught.value.reason == "timeout"
    own = store()
    _, steps = run(own._reach(), dict.fromkeys((A, B), pong))
    assert isinstance(steps[0], LookUp)
    assert (steps[0].seen, steps[0].suspect) == (0, None)
    assert [step.address for step in steps[1:]] == [A], "the seeds, until one answers"
    own.slots = primaries(2, journals=2)
    with pytest.raises(StoreUnavailable) as caught:
        run(own._reach(), dict.fromkeys((A, B), Replies([b"PONG", [b"slave"]])))
    assert caught.value.reason == "cluster_down"


def test_the_connections_to_a_replica_are_closed() -> None:
    nodes = {A: Replies([b"PONG", [b"slave"]]), B: Replies([b"PONG", ServerError("NOPERM", "x")])}
    _, steps = run(store(slots=primaries(2, journals=2))._reach(), nodes)
    assert Drop(A) in steps
    assert Drop(B) not in steps


KEYSPACE = Keyspace()


def test_how_long_a_write_may_take_is_limited_where_it_waits_for_a_disk() -> None:
    own = store()
    write = session.login(
        KEYSPACE,
        Housekeeping(60),
        "alice",
        session.NewSession(
            session_id=b"i" * 16,
            refresh_digest=b"d" * 16,
            absolute_seconds=9,
            idle_seconds=0,
            details=NO_DETAILS,
            most_sessions=1,
        ),
    )
    read = session.verify(KEYSPACE, "alice", session_id=b"i" * 16)
    assert own._until(write, 5.0) is None
    own.confirm_by("fsync")
    assert own.durability == "fsync"
    assert own._until(write, 5.0) == 7.5
    assert own._until(read, 5.0) is None
    own.confirm_by("replicated")
    assert own._until(write, 5.0) is None
    observer = Observer()
    own._note_change(write)
    own.observe(observer, 0.5)  # type: ignore[arg-type]
    own._note_change(write)
    own._note_change(session.touch(KEYSPACE, Housekeeping(60), "alice", session_id=b"i" * 16))
    assert observer.told == [("changed", KEYSPACE.sessions("alice"))]


def test_what_is_reported_of_a_store() -> None:
    own = store(slots=primaries(2, journals=2))
    assert (own.deadline, own.has_epochs) == (2.5, True)
    assert own.owner_of(JOURNAL_SLOTS[0]) == A
    assert own.describe_durability() == "replicated"
    own.confirm_by("primary")
    assert own.describe_durability() == "primary"
    assert store().owner_of(0) is None
    assert store(SINGLE).owner_of(0) == A
    assert not store(SINGLE).has_epochs
    for node in (B, A):
        own.breakers.failed(node, "timeout")
    assert own.silent_nodes() == ("a:1", "b:1")
    own.begin_anew()
    assert own.silent_nodes() == ()


def test_a_child_relies_on_nothing_that_nodes_push_to_its_parent() -> None:
    """What it reads before a watch of its own listens would never be announced."""
    own = store(slots=primaries())
    own.pushing_all.add(A)
    own.begin_anew()
    assert own.pushing_all == set()


def test_servers_are_started_by_a_manager_only() -> None:
    assert StoreBase.from_url(SINGLE).location.seeds == (A,)
    with pytest.raises(ConfigurationError, match="opened by a session manager"):
        StoreBase.from_url("embedded://")


def test_where_no_journal_answers_nothing_is_filled() -> None:
    own, observer = store(slots=primaries()), Observer()
    _, steps = run(own.fill_journals(observer), {})  # type: ignore[arg-type]
    assert {step.address for step in steps} == {A, B, C}
    assert observer.told == []
