"""The primary that a majority of the Sentinels names: quorum, discovery and refusals."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from clusterpass.model.errors import StoreDenied, StoreFailed
from clusterpass.store.address import Address, SentinelAddress
from clusterpass.store.drivers.base import StoreBase
from clusterpass.store.exchanges.look_up_by_sentinels import look_up_service
from clusterpass.store.exchanges.sentinels import Sentinels
from clusterpass.store.exchanges.steps import Agree, Drop, LookUp, Send
from clusterpass.store.exchanges.unavailable import SENTINEL_DENIED, refused_by_sentinel
from clusterpass.store.outcomes import Fault, Replies, ServerError
from clusterpass.store.store_url import parse_store_url
from clusterpass.store.topology.slots import SlotMap

SEEDS = A, B, C = tuple(SentinelAddress(f"10.0.0.{number}", 26379) for number in (1, 2, 3))
OLD, NEW, THIRD = (Address(f"10.0.1.{number}", 6379) for number in (1, 2, 3))


@dataclass
class Sentinel:
    """The replies of one Sentinel."""

    id: str
    primary: Address | None = OLD
    others: int = 2
    epoch: int = 0
    replicas: dict[Address, str] = field(default_factory=dict)
    told: dict[str, Address] = field(default_factory=dict)
    """The other Sentinels, by id."""
    refusal: ServerError | None = None
    is_resp3: bool = False

    def answer(self, commands: tuple[tuple[Any, ...], ...]) -> Replies:
        return Replies([self.refusal or self._reply(*command[1:]) for command in commands])

    def _reply(self, verb: bytes, *arguments: bytes) -> Any:
        if verb == b"MYID":
            return self.id.encode()
        if verb == b"MASTERS":
            return [self._server(name="the-shop"), self._server(name="cache")]
        assert arguments == (b"shop",)
        if self.primary is None:
            none: dict[bytes, Any] = {b"GET-MASTER-ADDR-BY-NAME": None}
            return none.get(verb, ServerError("ERR", "No such master with that name"))
        host, port = self.primary.host.encode(), str(self.primary.port).encode()
        replies: dict[bytes, Callable[[], Any]] = {
            b"GET-MASTER-ADDR-BY-NAME": lambda: [host, port],
            b"MASTER": lambda: self._server(
                **{"num-other-sentinels": str(self.others), "config-epoch": str(self.epoch)}
            ),
            b"REPLICAS": lambda: [
                self._server(ip=each.host, port=str(each.port), flags=flags)
                for each, flags in self.replicas.items()
            ],
            b"SENTINELS": lambda: [
                self._server(ip=each.host, port=str(each.port), runid=identifier)
                for identifier, each in self.told.items()
            ],
        }
        return replies[verb]()

    def _server(self, **fields: str) -> Any:
        encoded = {name.encode(): value.encode() for name, value in fields.items()}
        if self.is_resp3:
            return encoded
        return [part for pair in encoded.items() for part in pair]


def run(exchange: Any, nodes: dict[Address, Any]) -> tuple[Any, list[Address]]:
    """The result of an exchange, and who was asked; who is not in ``nodes`` does not answer."""
    asked: list[Address] = []
    outcome: Any = None
    while True:
        try:
            step = exchange.send(outcome)
        except StopIteration as stop:
            return stop.value, asked
        outcome = None
        if isinstance(step, Send):
            asked.append(step.address)
            node = nodes.get(step.address, Fault("connection", cause="refused"))
            outcome = node.answer(step.commands) if isinstance(node, Sentinel) else node


def inquire(
    nodes: dict[Address, Any],
    sentinels: Sentinels | None = None,
    *,
    until: float = math.inf,
    with_replicas: bool = True,
) -> tuple[Any, list[Address]]:
    sentinels = sentinels or Sentinels("shop", SEEDS)
    return run(sentinels.inquire(lambda: 7.0, until, with_replicas=with_replicas), nodes)


@pytest.mark.parametrize("is_resp3", [True, False])
def test_two_of_three_suffice(is_resp3: bool):
    nodes = {each: Sentinel(each.host, epoch=n, is_resp3=is_resp3) for n, each in enumerate(SEEDS)}
    for _ in range(20):
        named, asked = inquire(nodes)
        assert (named.primary, named.asked_at) == (OLD, 7.0)
        assert named.epoch in {1, 2}
        assert len(asked) == len({*asked}) == 2


def test_one_that_lags_is_outvoted():
    nodes = {A: Sentinel("a", OLD), B: Sentinel("b", NEW, epoch=1), C: Sentinel("c", NEW, epoch=1)}
    for _ in range(20):
        named, _ = inquire(nodes)
        assert (named.primary, named.epoch) == (NEW, 1)
    nodes[C] = Fault("timeout")
    sentinels = Sentinels("shop", SEEDS)
    assert inquire(nodes, sentinels)[0] is None
    assert sentinels.blame("doubted") == Fault("doubted")
    assert sentinels.blame("doubted").cause == "no_quorum"


def test_a_sentinel_that_knows_of_no_other_is_no_majority_of_the_seeds():
    """As one that has just been set up, with the primary of before in its configuration."""
    nodes = {A: Sentinel("a", OLD, others=0)}
    assert inquire(nodes)[0] is None
    assert inquire(nodes, Sentinels("shop", [A]))[0].primary == OLD
    nodes[A].others = 1
    assert inquire(nodes, Sentinels("shop", [A]))[0] is None, "the other one counts"


def test_two_names_of_one_sentinel_are_one_voice():
    alias = SentinelAddress("sentinel.example", 26379)
    nodes = {A: Sentinel("a"), alias: Sentinel("a")}
    sentinels = Sentinels("shop", [A, alias, B])
    assert inquire(nodes, sentinels)[0] is None
    nodes[B] = Sentinel("b")
    assert inquire(nodes, sentinels)[0].primary == OLD


def test_who_is_told_of_is_asked_too():
    told = {"a": A, "b": B, "c": C}
    nodes = {each: Sentinel(name, told=told) for name, each in told.items()}
    sentinels = Sentinels("shop", [A])
    named, asked = inquire(nodes, sentinels)
    assert named.primary == OLD
    assert asked[0] == A
    assert isinstance(asked[1], SentinelAddress)
    del nodes[B]
    for _ in range(20):
        named, asked = inquire(nodes, sentinels, with_replicas=False)
        assert named.primary == OLD, "who was told of is remembered"


def test_who_did_not_answer_comes_last():
    nodes = {A: Sentinel("a"), B: Sentinel("b"), C: Fault("timeout")}
    sentinels = Sentinels("shop", SEEDS)
    while inquire(nodes, sentinels)[1][-1:] and C not in sentinels._silent:
        pass
    for _ in range(20):
        assert C not in inquire(nodes, sentinels)[1]
    nodes = {C: Sentinel("c"), A: Sentinel("a")}
    assert inquire(nodes, sentinels)[0].primary == OLD


def test_replicas_count_unless_most_sentinels_hold_them_to_be_down():
    flags = {OLD: "slave", THIRD: "s_down,slave,disconnected"}
    nodes = {
        A: Sentinel("a", NEW, replicas=flags),
        B: Sentinel("b", NEW, replicas=flags),
        C: Sentinel("c", NEW, others=2, replicas={OLD: "slave,disconnected", THIRD: "slave"}),
    }
    seen = set()
    for _ in range(40):
        named, asked = inquire(nodes)
        seen.add((C in asked, named.replicas, named.failed))
    assert seen == {
        (False, frozenset({OLD}), frozenset({THIRD})),
        (True, frozenset({OLD, THIRD}), frozenset()),
    }


def test_after_the_deadline_one_is_asked_and_no_other():
    nodes = {each: Sentinel(each.host) for each in SEEDS}
    named, asked = inquire(nodes, until=7.0)
    assert (named, len(asked)) == (None, 1)


def test_what_has_happened_is_told():
    sentinels = Sentinels("shop", [A])
    assert inquire({}, sentinels)[0] is None
    fault = sentinels.blame("connection")
    assert (fault.kind, fault.cause, fault.node) == ("connection", "refused", str(A))
    assert inquire({A: Sentinel("a", others=0)}, sentinels)[0].primary == OLD
    assert sentinels.blame("doubted").cause is None
    refusal = ConnectionRefusedError()
    sentinels.failed(Fault("connection", cause="refused", error=refusal), OLD)
    fault = sentinels.blame("connection")
    assert (fault.cause, fault.error, fault.node) == ("refused", refusal, str(OLD))


def test_an_unknown_service():
    nodes = {A: Sentinel("a", None), B: Sentinel("b", None), C: Fault("timeout")}
    with pytest.raises(StoreFailed, match="no service 'shop': they know 'cache', 'the-shop'"):
        inquire(nodes)
    nodes[C] = Sentinel("c")
    assert inquire(nodes)[0] is None, "one does know it: the others may hear of it"


@pytest.mark.parametrize(
    ("refusal", "error", "said"),
    [
        (ServerError("ERR", "unknown command 'SENTINEL', with"), StoreFailed, "not a Sentinel"),
        (ServerError("NOAUTH", "Authentication required."), StoreDenied, "sentinel_password"),
        (ServerError("NOPERM", "this user has no"), StoreDenied, "ACL"),
        (ServerError("ERR", "whatever"), StoreFailed, "ERR whatever"),
    ],
)
def test_a_refusal_of_everything(refusal: ServerError, error: type[Exception], said: str):
    with pytest.raises(error, match=said) as failure:
        inquire({A: Sentinel("a", refusal=refusal)}, Sentinels("shop", [A]))
    assert str(A) in (getattr(failure.value, "node", None) or str(failure.value))


# The slot map.


def look_up(nodes: dict[Address, Any], sentinels: Sentinels) -> tuple[Any, list[Address]]:
    return run(look_up_service(sentinels, 4, lambda: 7.0, math.inf), nodes)


def of_role(role: Any, info: Any = b"") -> Replies:
    return Replies([role, info])


def attached(*replicas: Address) -> Replies:
    told = [[each.host.encode(), str(each.port).encode(), b"9"] for each in replicas]
    return of_role([b"master", 9, told])


def test_the_primary_has_to_say_that_it_is_one():
    sentinels = Sentinels("shop", [A])
    nodes = {A: Sentinel("a", others=0), OLD: of_role([b"slave", b"h", 1])}
    assert look_up(nodes, sentinels)[0] is None
    fault = sentinels.blame("connection")
    assert (fault.cause, fault.node) == ("read_only", str(OLD))
    steps = look_up_service(sentinels, 4, lambda: 7.0, math.inf)
    outcome: Any = None
    while not isinstance(step := steps.send(outcome), Drop):
        outcome = nodes[step.address]
        outcome = outcome.answer(step.commands) if isinstance(outcome, Sentinel) else outcome
    assert step.node == OLD
    del nodes[OLD]
    assert look_up(nodes, sentinels)[0] is None
    assert sentinels.blame("connection").node == str(OLD)
    nodes[OLD] = of_role(ServerError("NOPERM", "no right"), ServerError("ERR", "no cluster"))
    slots, named = look_up(nodes, sentinels)[0]
    assert (slots.version, slots.primaries(), named.primary) == (4, [OLD], OLD)
    nodes[OLD] = of_role([b"master", 0, []], b"cluster_size:3\r\n")
    with pytest.raises(StoreFailed, match="node of a cluster"):
        look_up(nodes, sentinels)


def shard_of(replicas: dict[Address, str], *by_role: Address) -> tuple[SlotMap, Any]:
    nodes = {A: Sentinel("a", others=0, replicas=replicas), OLD: attached(*by_role)}
    slots, _ = look_up(nodes, Sentinels("shop", [A]))[0]
    return slots, slots.shard(0)


def test_who_has_to_confirm():
    slots, shard = shard_of({NEW: "slave", THIRD: "slave"}, NEW)
    assert (shard.replicas, shard.is_whole, slots.is_replicated) == (2, True, True)
    slots, shard = shard_of({NEW: "slave", THIRD: "s_down,slave"}, NEW)
    assert (shard.replicas, shard.is_whole, slots.has_failed) == (1, True, True)
    assert {OLD, NEW, THIRD} == slots.members, "who returns is known, and has to confirm"
    slots, shard = shard_of({NEW: "slave"}, NEW, THIRD)
    assert shard.replicas == 2, "Sentinels hear of it later"
    slots, shard = shard_of({NEW: "s_down,slave"})
    assert (shard.replicas, shard.is_whole, slots.is_replicated) == (0, False, True)
    slots, shard = shard_of({})
    assert (shard.replicas, slots.is_replicated) == (0, False)


def test_replicas_that_have_names_are_not_counted_twice():
    names = {Address("one.example", 6379): "slave", Address("two.example", 6379): "slave"}
    _, shard = shard_of(names, NEW, THIRD)
    assert shard.replicas == 2
    _, shard = shard_of(names, NEW, THIRD, Address("10.0.1.4", 6379))
    assert shard.replicas == 3


def test_a_right_that_is_missing_for_one_question():
    """Without its answer, too few Sentinels would be counted."""

    class Limited(Sentinel):
        def _reply(self, verb: bytes, *arguments: bytes) -> Any:
            limited = ServerError("NOPERM", "no permissions")
            return limited if verb == b"MASTER" else super()._reply(verb, *arguments)

    with pytest.raises(StoreDenied) as failure:
        inquire({A: Limited("a", others=0)}, Sentinels("shop", [A]))
    assert failure.value.cause == "rights"


@pytest.mark.parametrize(
    "refusal",
    [
        Sentinel("x", refusal=ServerError("NOAUTH", "Authentication required.")),
        Sentinel("x", refusal=ServerError("ERR", "unknown command 'SENTINEL', with")),
        Replies([StoreDenied(cause="authentication", node=str(A))]),
    ],
)
def test_one_that_refuses_is_passed_over_where_the_others_suffice(refusal: Any):
    nodes = {A: refusal, B: Sentinel("b"), C: Sentinel("c")}
    for _ in range(10):
        assert inquire(nodes)[0].primary == OLD
    del nodes[C]
    with pytest.raises((StoreDenied, StoreFailed)):
        inquire(nodes)


@pytest.mark.parametrize("cause", ["tls", "authentication"])
def test_who_is_refused_by_a_sentinel_is_told_that_it_was_one(cause: Any):
    """But for TLS, which has the same files for Sentinels and servers."""
    error = StoreDenied("As the server says.", reason="refused", cause=cause, node=str(A))
    with pytest.raises(StoreDenied) as caught:
        refused_by_sentinel(error, OLD)
    assert caught.value is error
    (told,) = refused_by_sentinel(error, A).values
    assert (told.reason, told.cause, told.node) == ("refused", cause, str(A))
    assert told.message == ("As the server says." if cause == "tls" else SENTINEL_DENIED)


class Garbled(Sentinel):
    """One that holds a name in bytes that are no text."""

    def _server(self, **fields: str) -> Any:
        return [part.replace(b"garbled", b"\xff") for part in super()._server(**fields)]


def test_a_name_that_is_no_text_does_no_harm():
    replicas = {NEW: "slave", Address("garbled", 6379): "slave"}
    named, _ = inquire({each: Garbled(each.host, replicas=replicas) for each in SEEDS})
    assert named.primary == OLD
    assert named.replicas == {NEW, Address("\N{REPLACEMENT CHARACTER}", 6379)}


class Agreements:
    """An observer that notes what majorities have agreed upon."""

    journal = None

    def __init__(self) -> None:
        self.agreed_on: list[tuple[Any, int]] = []

    def doubts(self, *_: Any, **__: Any) -> bool:
        return True

    def rely_on_agreements(self) -> None:
        """Nothing else tells who the primary is."""

    def agreed(self, node: Any, sent_at: float, *, epoch: int = 0) -> None:
        self.agreed_on.append((node, epoch))


def test_a_store_goes_on_with_whom_they_name_and_tells_of_the_epoch():
    store = StoreBase(parse_store_url("redis+sentinel://10.0.0.1,10.0.0.2,10.0.0.3/shop"))
    observer: Any = Agreements()
    store.observe(observer, 0.5)
    nodes: dict[Address, Any] = {each: Sentinel(each.host, NEW, epoch=7) for each in SEEDS}
    run(store.search(LookUp(0, None, math.inf)), nodes)
    assert store.slots.primaries() == []
    assert observer.agreed_on == [], "who is named does not answer"
    nodes[NEW] = attached()
    run(store.search(LookUp(0, None, math.inf)), nodes)
    assert store.slots.primaries() == [NEW]
    assert observer.agreed_on == [(NEW, 7)]


def test_who_is_in_doubt_is_not_believed_where_they_name_another_one():
    """As a primary that does not know yet that it was replaced."""
    store = StoreBase(parse_store_url("redis+sentinel://10.0.0.1,10.0.0.2,10.0.0.3/shop"))
    observer: Any = Agreements()
    store.observe(observer, 0.5)
    nodes: dict[Address, Any] = {each: Sentinel(each.host, NEW, epoch=7) for each in SEEDS}
    nodes |= dict.fromkeys((OLD, NEW), Replies([[b"master", 0, []]]))
    now = store._steady()
    assert run(store.agree(Agree(OLD, now, math.inf)), nodes)[0] is False
    assert run(store.agree(Agree(OLD, now, math.inf)), nodes) == (False, []), "they have said so"
    assert observer.agreed_on == []
    assert run(store.agree(Agree(NEW, now, math.inf)), nodes)[0] is True
    assert observer.agreed_on == [(NEW, 7)]
