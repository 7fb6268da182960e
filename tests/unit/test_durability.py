"""Durability of writes: WAIT and WAITAOF, expected replicas and confirmations."""

import copy
import dataclasses

import pytest

from clusterpass.model.errors import StoreDenied, StoreFailed
from clusterpass.store.address import Address
from clusterpass.store.exchanges.carry_out import carry_out
from clusterpass.store.exchanges.circuit_breaker import CircuitBreakers
from clusterpass.store.exchanges.durability import (
    effective,
    has_to_be_durable,
    is_durable,
    refuse_wait,
    wait_of,
)
from clusterpass.store.exchanges.steps import LookUp, Send
from clusterpass.store.exchanges.terms import Terms
from clusterpass.store.outcomes import (
    Fault,
    Replies,
    ServerError,
    confirmed_replies,
    read_attached,
)
from clusterpass.store.patience import Patience
from clusterpass.store.topology.attached import AttachedReplicas
from clusterpass.store.topology.slots import Shard, SlotMap
from clusterpass.tokens.identifiers import encode_session_id

from .driven_call import PATIENCE, READ, WRITE, A, by_name, call_of
from .driven_flows import SESSION_ID, access_token, first_call, life, refresh_token

NODES = b"1 a:1@2 myself,master - 0 0 1 connected 0-16382\n2 b:2@3 master - 0 0 2 connected 16383\n"
SLOTS = [[0, 16382, [b"a", 1, b"1", []]], [16383, 16383, [b"b", 2, b"2", []]]]


def parsed(nodes: bytes) -> SlotMap:
    return SlotMap.parse(SLOTS, nodes, A, 1)


def wait(slots: SlotMap, durability: str, script=WRITE, patience: Patience = PATIENCE):
    return wait_of(call_of(script), slots.shard(0), slots, patience, durability)


@pytest.mark.parametrize(
    ("more", "replicas", "is_replicated"),
    [
        (b"", 0, False),
        (b"3 c:3@4 slave 1 0 0 1 connected\n", 1, True),
        (b"3 c:3@4 slave 2 0 0 1 connected\n", 0, True),
        (b"3 c:3@4 slave,fail 1 0 0 1 disconnected\n", 0, True),
        (b"3 c:3@4 slave,fail? 1 0 0 1 connected\n", 1, True),
        (b"3 c:3@4 master,fail - 0 0 1 disconnected\n", 0, True),
        (b"3 c:3@4 master - 0 0 1 connected\n", 0, False),
        (b"3 :0@0 slave,fail,noaddr 1 0 0 1 disconnected\n", 0, True),
        (b"3 c:3@4 slave 1 0 0 1 connected\n4 d:4@5 slave 1 0 0 1 connected\n", 2, True),
    ],
)
def test_replicas_that_failed_are_still_expected(more, replicas, is_replicated):
    slots = parsed(NODES + more)
    assert slots.shard(0).replicas == replicas
    assert slots.is_replicated is is_replicated
    assert slots.moved(5, Address("b", 2)).is_replicated is is_replicated


REPLICATED = parsed(NODES + b"3 c:3@4 slave 1 0 0 1 connected\n")
FAILED = parsed(NODES + b"3 c:3@4 slave,fail 1 0 0 1 connected\n")
TWICE = parsed(NODES + b"3 c:3@4 slave 1 0 0 1 connected\n4 d:4@5 slave 1 0 0 1 connected\n")
HALF = parsed(NODES + b"3 c:3@4 slave 1 0 0 1 connected\n4 d:4@5 slave,fail 1 0 0 1 connected\n")
ALONE = parsed(NODES)
NOT_COUNTED = SlotMap([Shard(A, 0)] * 16384, 1, is_replicated=True)
"""The map knows of no replica of this shard, but of those of others."""


@pytest.mark.parametrize(
    ("slots", "durability", "command", "has_to_be"),
    [
        (REPLICATED, "replicated", (b"WAIT", 1, 250), True),
        (REPLICATED, "fsync", (b"WAITAOF", 1, 1, 250), True),
        (REPLICATED, "primary", None, False),
        (TWICE, "replicated", (b"WAIT", 2, 250), True),
        (TWICE, "fsync", (b"WAITAOF", 1, 2, 250), True),
        (HALF, "replicated", (b"WAIT", 1, 250), True),
        (FAILED, "replicated", None, True),
        (FAILED, "fsync", (b"WAITAOF", 1, 0, 250), True),
        (ALONE, "replicated", None, False),
        (ALONE, "fsync", (b"WAITAOF", 1, 0, 250), True),
        (ALONE, "primary", None, False),
    ],
)
def test_what_a_write_waits_for(slots, durability, command, has_to_be):
    assert wait(slots, durability) == command
    assert has_to_be_durable(call_of(WRITE), slots, PATIENCE, durability) is has_to_be
    assert wait(slots, durability, READ) is None
    assert not has_to_be_durable(call_of(READ), slots, PATIENCE, durability)
    if command is not None:
        by_level = (*command[:-1], 1500 if durability == "fsync" else 250)
        assert wait(slots, durability, patience=Patience()) == by_level
    impatient = Patience(replica_wait=0)
    assert wait(slots, durability, patience=impatient) is None
    unconfirmed = dataclasses.replace(call_of(WRITE), confirm=False)
    assert not has_to_be_durable(unconfirmed, slots, PATIENCE, durability)


@pytest.mark.parametrize(
    ("command", "confirmed", "slots", "durable"),
    [
        (None, 0, REPLICATED, False),
        ((b"WAIT", 1, 250), 0, REPLICATED, False),
        ((b"WAIT", 1, 250), 1, REPLICATED, True),
        ((b"WAIT", 2, 250), 1, TWICE, False),
        ((b"WAIT", 2, 250), 2, TWICE, True),
        ((b"WAIT", 1, 250), 1, HALF, False),
        ((b"WAIT", 1, 250), 1, REPLICATED.moved(0, Address("new", 9)), False),
        ((b"WAITAOF", 1, 2, 250), [1, 1], TWICE, False),
        ((b"WAITAOF", 1, 2, 250), [1, 2], TWICE, True),
        ((b"WAITAOF", 1, 1, 250), [1, 1], HALF, False),
        ((b"WAITAOF", 1, 1, 250), [1, 1], REPLICATED, True),
        ((b"WAITAOF", 1, 1, 250), [1, 0], REPLICATED, False),
        ((b"WAITAOF", 1, 1, 250), [0, 1], REPLICATED, False),
        ((b"WAITAOF", 1, 0, 250), [1, 0], FAILED, False),
        ((b"WAITAOF", 1, 0, 250), [1, 0], NOT_COUNTED, False),
        ((b"WAITAOF", 1, 0, 250), [1, 0], ALONE, True),
        ((b"WAITAOF", 1, 0, 250), [0, 0], ALONE, False),
    ],
)
def test_what_counts_as_durable(command, confirmed, slots, durable):
    outcome = Replies([b"value"], confirmed)
    assert is_durable(command, outcome, slots, slots.shard(0), terms_of([slots], "x")) is durable


def attached(*ports: int) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((b"127.0.0.1", b"%d" % port) for port in ports)


def looked_up(slots: SlotMap, at: float) -> SlotMap:
    copied = copy.copy(slots)
    copied.taken_at = at
    return copied


@pytest.mark.parametrize(
    ("command", "confirmed", "slots", "count", "durable"),
    [
        ((b"WAIT", 1, 250), 1, REPLICATED, 0, True),
        ((b"WAIT", 1, 250), 1, REPLICATED, 1, True),
        ((b"WAIT", 1, 250), 1, REPLICATED, 2, False),
        ((b"WAIT", 1, 250), 2, REPLICATED, 2, True),
        ((b"WAIT", 2, 250), 2, TWICE, 1, True),
        ((b"WAIT", 2, 250), 1, TWICE, 1, False),
        ((b"WAITAOF", 1, 1, 250), [1, 1], REPLICATED, 2, False),
        ((b"WAITAOF", 1, 1, 250), [1, 2], REPLICATED, 2, True),
    ],
)
def test_a_replica_that_came_after_the_look_up_has_to_confirm(
    command, confirmed, slots, count, durable
):
    """WAIT for one is content with either; the other may be the one that is promoted."""
    outcome = Replies([b"value"], confirmed, attached(*range(1, count + 1)))
    slots = looked_up(slots, 99.0)
    assert is_durable(command, outcome, slots, slots.shard(0), terms_of([slots], "x")) is durable


def test_a_disk_alone_does_not_suffice_where_a_replica_has_come():
    """Known to have none, as of the look-up."""
    command, alone = (b"WAITAOF", 1, 0, 250), looked_up(ALONE, 99.0)
    for came, durable in (((), True), (attached(1), False)):
        outcome = Replies([b"value"], [1, 0], came)
        terms = terms_of([alone], "fsync")
        assert is_durable(command, outcome, alone, alone.shard(0), terms) is durable


def test_what_has_become_a_replica_confirms_nothing():
    outcome = Replies([b"value"], 1, None)
    terms = terms_of([REPLICATED], "replicated")
    command = (b"WAIT", 1, 250)
    assert not is_durable(command, outcome, REPLICATED, REPLICATED.shard(0), terms)


def test_the_replies_tell_which_replicas_there_are():
    role = [b"master", 7, [[b"127.0.0.1", b"1", b"7"], [b"127.0.0.1", b"2", b"7"]]]
    outcome = confirmed_replies([b"a", b"b", 1, role])
    assert outcome == Replies([b"a", b"b"], 1, attached(1, 2))
    refused = ServerError("NOPERM", "no")
    assert confirmed_replies([b"a", 1, refused]) == Replies([b"a"], 1, ())
    assert confirmed_replies([b"a", 1, [b"slave", b"h", 1]]) == Replies([b"a"], 1, None)


# What else is attached to a primary


class Demand:
    """How many replicas have to confirm, where the map has one."""

    def __init__(self) -> None:
        self.known = AttachedReplicas()
        self.shard = Shard(A, replicas=1)

    def __call__(
        self, *ports: int, taken_at: float, now: float, members: frozenset[Address] = frozenset()
    ) -> int:
        slots = SlotMap([self.shard] * 16384, 1, taken_at, members=members)
        return self.known.demanded(self.shard, attached(*ports), slots, now)


def test_what_is_no_member_of_the_cluster_has_to_confirm_for_a_while_only():
    """A tool that copies the data: the look-up does not know it, however often it is made."""
    demand = Demand()
    assert demand(1, 2, taken_at=99, now=100) == 2
    assert demand(1, 2, taken_at=104, now=104.5) == 2, "not every node may have heard of it"
    assert demand(1, 2, taken_at=105.5, now=106) == 1
    assert demand(1, 2, 3, taken_at=105.5, now=107) == 2, "one more"
    assert demand(1, 2, 3, taken_at=113, now=114) == 1


def test_each_answer_of_a_primary_counts_as_it_is():
    told, slots = AttachedReplicas(), looked_up(REPLICATED, 50.0)
    shard = slots.shard(0)
    assert told.demanded(shard, attached(1), slots, 100.0) == 1
    assert told.demanded(shard, attached(1, 2), slots, 100.0) == 2
    assert told.demanded(shard, ((b"\xff", b"3"), *attached(1, 2)), slots, 100.0) == 3
    assert told.demanded(shard, attached(1), slots, 100.0) == 1


def test_a_replica_that_was_away_is_a_new_one():
    demand = Demand()
    assert demand(1, 2, taken_at=99, now=100) == 2
    assert demand(1, taken_at=110, now=110) == 1
    assert demand(1, 2, taken_at=110, now=111) == 2


def test_who_tells_no_port_is_no_replica():
    role = [b"master", 7, [[b"127.0.0.1", b"0", b"7"], [b"127.0.0.1", b"2", b"7"]]]
    assert read_attached(role) == attached(2)


def test_replicas_behind_one_address_are_counted_one_by_one():
    demand = Demand()
    assert demand(1, 1, taken_at=99, now=100) == 2
    assert demand(1, 1, taken_at=106, now=106) == 1
    assert demand(1, 1, 1, taken_at=106, now=107) == 2


def test_the_map_may_know_of_more_than_are_attached():
    demand = Demand()
    demand.shard = Shard(A, replicas=2)
    assert demand(taken_at=99, now=100) == 2
    assert demand(7, taken_at=99, now=100) == 2


def test_another_member_than_the_one_of_the_map_does_not_stand_for_it():
    """The one of the map is being promoted, and the one that came back was a primary when the slots
    were looked up."""
    one, other, third = (Address("127.0.0.1", port) for port in (1, 2, 3))
    demand = Demand()
    demand.shard = Shard(A, replicas=1, at=frozenset({one}))
    members = frozenset({A, one, other, third})
    for now in (100, 200):
        assert demand(2, taken_at=now - 1, now=now, members=members) == 2
        assert demand(1, taken_at=now - 1, now=now, members=members) == 1
        assert demand(1, 2, taken_at=now - 1, now=now, members=members) == 2
    assert demand(1, 9, taken_at=204, now=205, members=members) == 2, "for a while"
    assert demand(1, 9, taken_at=220, now=221, members=members) == 1
    assert demand(9, taken_at=220, now=222, members=members) == 1


def test_it_is_said_what_writes_really_wait_for():
    assert effective("replicated", REPLICATED, PATIENCE) == "replicated"
    assert effective("fsync", ALONE, PATIENCE) == "fsync"
    assert effective("replicated", REPLICATED, Patience(replica_wait=0)) == "primary"
    assert effective("replicated", ALONE, PATIENCE).startswith("primary (")


def terms_of(slots: list[SlotMap], durability: str) -> Terms:
    breakers = CircuitBreakers(lambda: 100.0, patience=2.5, most_waiting=256)
    return Terms(lambda: slots[0], lambda _: None, PATIENCE, lambda: 100.0, breakers, durability)


def test_before_the_first_write_to_one_server_its_replicas_are_counted():
    slots = [SlotMap.single(A)]
    steps = carry_out(call_of(WRITE), terms_of(slots, "replicated"))
    assert next(steps) == LookUp(1, None, 102.5, counts_replicas=True)
    slots[0] = slots[0].with_replicas(1, 100.0)
    assert steps.send(None) == Send(A, (by_name(WRITE),), (b"WAIT", 1, 250))
    with pytest.raises(StopIteration) as stop:
        steps.send(Replies([b"value"], 1))
    assert stop.value.value.is_confirmed


def test_one_server_that_had_a_replica_is_expected_to_have_one():
    slots = SlotMap.single(A).with_replicas(1, 1.0).with_replicas(0, 2.0)
    assert slots.is_replicated is True
    assert SlotMap.single(A).with_replicas(0, 1.0).is_replicated is False


def test_servers_that_cannot_wait_for_their_disks_are_told_apart():
    steps = carry_out(call_of(WRITE), terms_of([REPLICATED], "fsync"))
    next(steps)
    error = ServerError("ERR", "WAITAOF cannot be used when numlocal is set but appendonly is off")
    with pytest.raises(StoreFailed, match="appendonly yes"):
        steps.send(Replies([b"value"], error))
    refuse_wait((b"WAIT", 1, 250), error)
    refuse_wait((b"WAITAOF", 1, 1, 250), ServerError("READONLY", "a replica now"))
    demoted = "WAITAOF cannot be used with replica instances. Please also note that ..."
    refuse_wait((b"WAITAOF", 1, 1, 250), ServerError("ERR", demoted))
    refuse_wait(None, error)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ServerError("ERR", "unknown command 'WAIT', with args beginning with: '1'"), StoreFailed),
        (ServerError("NOPERM", "User a has no permissions to run the 'wait' command"), StoreDenied),
    ],
)
def test_who_cannot_wait_for_replicas_is_told_what_to_do(error, kind):
    steps = carry_out(call_of(WRITE), terms_of([REPLICATED], "replicated"))
    next(steps)
    with pytest.raises(kind, match=r"'replicated' needs the command WAIT.*durability='primary'"):
        steps.send(Replies([b"value"], error))


@pytest.mark.parametrize(
    ("role", "count"),
    [
        ([b"master", 42, [[b"127.0.0.1", b"6380", b"42"], [b"127.0.0.1", b"6381", b"40"]]], 2),
        ([b"master", 42, []], 0),
        ([b"slave", b"127.0.0.1", 6379, b"connected", 42], 0),
        (ServerError("NOPERM", "no"), 0),
        (None, 0),
    ],
)
def test_replicas_that_one_server_tells_of(role, count):
    assert len(read_attached(role) or ()) == count


class Ending:
    """An ending in progress, on a clock of ours."""

    def __init__(self, slots: SlotMap) -> None:
        self.now, self.slots = 100.0, slots
        self.breakers = CircuitBreakers(lambda: self.now, patience=2.5, most_waiting=256)
        call = dataclasses.replace(call_of(WRITE), insists=True)
        terms = Terms(
            lambda: self.slots,
            lambda _: None,
            PATIENCE,
            lambda: self.now,
            self.breakers,
            "replicated",
        )
        self._steps = carry_out(call, terms)
        self.step = next(self._steps)
        self.sent = 1

    def go_on(self, outcome) -> None:
        """Continue until the call is sent again; StopIteration has the answer."""
        step = self._steps.send(outcome)
        while not isinstance(step, Send):
            self.now += getattr(step, "seconds", 0.0)
            step = self._steps.send(None)
        self.step = step
        self.sent += 1


def test_an_ending_is_repeated_until_it_is_confirmed():
    ending = Ending(REPLICATED)
    for _ in range(3):
        ending.go_on(Replies([b"value"], 0))
        assert ending.step == Send(A, (by_name(WRITE),), (b"WAIT", 1, 250))
    with pytest.raises(StopIteration) as stop:
        ending.go_on(Replies([b"value"], 1))
    assert stop.value.value.is_confirmed


def test_an_ending_that_is_never_confirmed_says_so_at_the_deadline():
    ending = Ending(REPLICATED)
    with pytest.raises(StopIteration) as stop:
        while True:
            ending.go_on(Replies([b"value"], 0))
    assert 102.5 <= ending.now < 103
    assert stop.value.value.reply == ("read", b"value")
    assert not stop.value.value.is_confirmed


def test_an_ending_that_was_carried_out_says_so_when_the_node_is_gone_then():
    ending = Ending(REPLICATED)
    ending.go_on(Replies([b"value"], 0))
    with pytest.raises(StopIteration) as stop:
        while True:
            ending.go_on(Fault("connection"))
    assert not stop.value.value.is_confirmed


def test_nobody_is_kept_waiting_for_a_replica_that_has_failed():
    ending = Ending(FAILED)
    assert ending.step == Send(A, (by_name(WRITE),))
    with pytest.raises(StopIteration) as stop:
        ending.go_on(Replies([b"value"]))
    assert not stop.value.value.is_confirmed
    assert ending.now == 100


def test_a_replica_that_is_on_its_way_is_waited_for():
    """After an ordered failover the old primary is a replica in a moment: nothing has failed."""
    between = parsed(NODES + b"3 c:3@4 slave 2 0 0 1 connected\n")
    ending = Ending(between)
    assert ending.step == Send(A, (by_name(WRITE),))
    ending.slots = REPLICATED
    ending.go_on(Replies([b"value"]))
    assert ending.step == Send(A, (by_name(WRITE),), (b"WAIT", 1, 250))


def test_a_login_does_not_insist():
    breakers = CircuitBreakers(lambda: 100.0, patience=2.5, most_waiting=256)
    terms = Terms(
        lambda: REPLICATED, lambda _: None, PATIENCE, lambda: 100.0, breakers, "replicated"
    )
    steps = carry_out(call_of(WRITE), terms)
    next(steps)
    with pytest.raises(StopIteration) as stop:
        outcome = steps.send(Replies([b"value"], 0))
        while isinstance(outcome, LookUp):
            outcome = steps.send(None)
    assert not stop.value.value.durable


def test_a_shard_whose_own_replica_is_there_is_not_given_up_because_another_shard_has_failed():
    two_failed = b"4 d:4@5 slave,fail 2 0 0 1 disconnected\n"
    ending = Ending(parsed(NODES + two_failed))
    assert ending.slots.has_failed
    assert ending.step == Send(A, (by_name(WRITE),))
    ending.slots = parsed(NODES + two_failed + b"3 c:3@4 slave 1 0 0 1 connected\n")
    ending.go_on(Replies([b"value"]))
    assert ending.step == Send(A, (by_name(WRITE),), (b"WAIT", 1, 250))
    with pytest.raises(StopIteration) as stop:
        ending.go_on(Replies([b"value"], 1))
    assert stop.value.value.is_confirmed


VERBS = {
    "logout": (lambda flows: flows.end.logout(access_token()), True),
    "revoke": (lambda flows: flows.end.revoke("u", encode_session_id(SESSION_ID), reason=""), True),
    "revoke_all": (
        lambda flows: flows.end.revoke_all("u", keep=None, device_type=None, reason=""),
        True,
    ),
    "revoke_before": (lambda flows: flows.end.revoke_before(None), True),
    "sessions": (lambda flows: flows.subject.sessions("u"), False),
    "verify": (lambda flows: flows.verify.verify(access_token()), False),
    "refresh": (lambda flows: flows.refresh.refresh(refresh_token()), False),
    "login": (lambda flows: flows.login.login("u", {}), False),
}


@pytest.mark.parametrize("name", VERBS)
def test_who_ends_sessions_insists_and_nobody_else(name):
    begin, insists = VERBS[name]
    flow = begin(life().flows)
    assert first_call(flow).insists is insists
