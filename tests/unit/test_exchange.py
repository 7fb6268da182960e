"""How one call is carried out, driven by hand: no socket, no sleep, no clock but ours."""

import dataclasses
import itertools
import math
from typing import Any

import pytest
from redis.crc import key_slot

from clusterpass.model.errors import StoreDenied, StoreFailed, StoreUnavailable
from clusterpass.protocol.script import Answer, Script, ScriptCall
from clusterpass.store.exchanges.agreement import most_agree_with
from clusterpass.store.exchanges.carry_out import carry_out
from clusterpass.store.exchanges.circuit_breaker import CircuitBreakers
from clusterpass.store.exchanges.look_up import ask_any, ask_one, look_up
from clusterpass.store.exchanges.steps import LookUp, Pause, Send
from clusterpass.store.exchanges.terms import Terms
from clusterpass.store.location import Address, Patience
from clusterpass.store.outcomes import Fault, Replies, ServerError
from clusterpass.store.topology.slots import Shard, SlotMap

A, B, C = Address("a", 1), Address("b", 2), Address("c", 3)
PATIENCE = Patience(timeout=0.5, deadline=2.5, replica_wait=0.25)
KEYS = (b"cp:{u}", b"cp:{u}:details")
SLOT = key_slot(KEYS[0])
READ = Script("read", b"return 1", b"5ha1-of-read", writes=False)
WRITE = Script("write", b"return 2", b"5ha1-of-write", writes=True)
WAIT = (b"WAIT", 1, 250)
NOSCRIPT = ServerError("NOSCRIPT", "No matching script.")


def call_of(script: Script) -> ScriptCall[Any]:
    return ScriptCall(script, KEYS, (b"argument", 7), lambda raw: ("read", raw))


def by_name(script: Script) -> tuple[Any, ...]:
    return (b"EVALSHA", script.sha1, 2, *KEYS, b"argument", 7)


def by_source(script: Script) -> tuple[Any, ...]:
    return (b"EVAL", script.source, 2, *KEYS, b"argument", 7)


def owned_by(address: Address, *, replicas: int = 0, version: int = 1, taken_at=math.inf):
    shards = [Shard(address, replicas)] * 16384
    return SlotMap(shards, version, taken_at, is_replicated=replicas > 0)


class Drive:
    """A call in progress: what it asks for is ``step``; ``answer`` goes on."""

    def __init__(self, script: Script, slots: SlotMap, patience: Patience = PATIENCE) -> None:
        self.now = 100.0
        self.slots = slots
        self.result: Answer[Any] | None = None
        self.step: Any = None
        self.breakers = CircuitBreakers(
            lambda: self.now, patience=patience.deadline, most_waiting=256
        )
        self.terms = Terms(
            lambda: self.slots,
            self._adopt,
            patience,
            lambda: self.now,
            self.breakers,
            "replicated",
        )
        self._steps = carry_out(call_of(script), self.terms)
        self.answer(None)

    def _adopt(self, slots: SlotMap) -> None:
        self.slots = slots

    def answer(self, outcome: Any) -> Any:
        try:
            self.step = self._steps.send(outcome)
        except StopIteration as stop:
            self.step, self.result = None, stop.value
        return self.step

    def reply(self, *values: Any, confirmed: Any = 0) -> Any:
        assert isinstance(self.step, Send)
        return self.answer(Replies(list(values), confirmed))

    def fail(self, outcome: Any) -> Any:
        """A fault or a server's error, until something is sent again; the pauses pass."""
        self.answer(outcome if isinstance(outcome, Fault) else Replies([outcome]))
        return self.pass_on()

    def pass_on(self) -> Any:
        while isinstance(self.step, LookUp | Pause):
            if isinstance(self.step, Pause):
                self.now += self.step.seconds
            self.answer(None)
        return self.step


def test_a_read_is_one_command_to_the_owner_and_never_durable():
    drive = Drive(READ, owned_by(A, replicas=2))
    assert drive.step == Send(A, (by_name(READ),))
    drive.reply(b"value")
    assert drive.result == Answer(("read", b"value"), durable=False, node=A)


@pytest.mark.parametrize(("confirmed", "durable"), [(0, False), (1, True), (2, True)])
def test_a_write_waits_where_there_are_replicas(confirmed, durable):
    drive = Drive(WRITE, owned_by(A, replicas=1))
    assert drive.step == Send(A, (by_name(WRITE),), WAIT)
    drive.reply(b"value", confirmed=confirmed)
    assert drive.result == Answer(("read", b"value"), durable=durable, node=A, is_confirmed=durable)


def test_a_write_does_not_wait_where_no_replica_can_confirm():
    drive = Drive(WRITE, owned_by(A, replicas=0))
    assert drive.step == Send(A, (by_name(WRITE),))
    drive.reply(b"value")
    assert drive.result.durable is False


def test_a_write_does_not_wait_when_it_shall_not():
    drive = Drive(WRITE, owned_by(A, replicas=1), Patience(replica_wait=0))
    assert drive.step == Send(A, (by_name(WRITE),))


@pytest.mark.parametrize(("age", "looks"), [(0.9, False), (1.1, True), (-math.inf, False)])
def test_replicas_are_counted_again_after_a_write_without_confirmation(age, looks):
    drive = Drive(WRITE, owned_by(A, replicas=0, taken_at=100.0 - age))
    drive.reply(b"value")
    if looks:
        assert drive.step == LookUp(1, suspect=None, until=102.5, counts_replicas=True)
        drive.answer(None)
    assert drive.result == Answer(("read", b"value"), durable=False, node=A)


@pytest.mark.parametrize(("script", "wait"), [(READ, None), (WRITE, WAIT)])
def test_a_script_that_is_not_known_is_sent_in_full_to_the_same_node(script, wait):
    drive = Drive(script, owned_by(A, replicas=1))
    drive.reply(NOSCRIPT)
    assert drive.step == Send(A, (by_source(script),), wait)
    drive.reply(b"value", confirmed=0 if wait is None else 1)
    assert drive.result == Answer(("read", b"value"), durable=script is WRITE, node=A)


def test_a_script_that_is_refused_in_full_is_a_failure():
    drive = Drive(READ, owned_by(A))
    drive.reply(NOSCRIPT)
    with pytest.raises(StoreFailed, match="NOSCRIPT"):
        drive.reply(NOSCRIPT)


def test_moved_is_followed_at_once_and_remembered():
    drive = Drive(READ, owned_by(A))
    drive.reply(ServerError("MOVED", f"{SLOT} b:2"))
    assert drive.slots.shard(SLOT).primary == B
    assert drive.slots.shard((SLOT + 1) % 16384).primary == A
    assert drive.step == LookUp(drive.slots.version, suspect=A, until=102.5)
    drive.answer(None)
    assert drive.step == Send(B, (by_name(READ),))
    drive.reply(b"value")
    assert drive.result.reply == ("read", b"value")


def test_moved_to_a_node_with_replicas_waits_for_them():
    drive = Drive(WRITE, owned_by(A))
    drive.reply(ServerError("MOVED", f"{SLOT} b:2"))
    assert drive.answer(None) == Send(B, (by_name(WRITE),), WAIT)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("b:2", B),
        (":2", Address("a", 2)),
        ("?:2", Address("a", 2)),
        ("::1:2", Address("::1", 2)),
        ("[::1]:2", Address("::1", 2)),
        ("b:2 more", B),
    ],
)
@pytest.mark.parametrize("code", ["MOVED", "ASK"])
def test_the_address_in_a_redirect(code, text, address):
    drive = Drive(READ, owned_by(A))
    drive.reply(ServerError(code, f"{SLOT} {text}"))
    assert drive.pass_on().address == address


def test_ask_is_followed_once_and_not_remembered():
    drive = Drive(WRITE, owned_by(A, replicas=1))
    drive.reply(ServerError("ASK", f"{SLOT} b:2"))
    assert drive.step == Send(B, ((b"ASKING",), by_name(WRITE)), WAIT)
    assert drive.slots.shard(SLOT).primary == A
    drive.reply(b"OK", b"value", confirmed=1)
    assert drive.result == Answer(("read", b"value"), durable=True)


def test_a_script_unknown_to_the_node_that_was_named_by_ask():
    drive = Drive(READ, owned_by(A))
    drive.reply(ServerError("ASK", f"{SLOT} b:2"))
    drive.reply(b"OK", NOSCRIPT)
    assert drive.step == Send(B, ((b"ASKING",), by_source(READ)))
    drive.reply(b"OK", b"value")
    assert drive.result.reply == ("read", b"value")


def test_keys_on_both_sides_of_a_migration_become_one_key():
    """The script can do without the second one; the slot may take long to migrate."""
    drive = Drive(WRITE, owned_by(A, replicas=1))
    alone = (b"EVALSHA", WRITE.sha1, 1, KEYS[0], b"argument", 7)
    drive.reply(ServerError("TRYAGAIN", "x"))
    assert drive.step == Send(A, (alone,), WAIT)
    drive.reply(ServerError("ASK", f"{SLOT} b:2"))
    assert drive.step == Send(B, ((b"ASKING",), alone), WAIT)
    drive.reply(b"OK", b"value", confirmed=1)
    assert drive.result == Answer(("read", b"value"), durable=True)


def test_a_write_that_needs_no_confirmation_waits_for_none():
    call = dataclasses.replace(call_of(WRITE), confirm=False)
    slots = owned_by(A, replicas=1)
    breakers = CircuitBreakers(lambda: 100.0, patience=2.5, most_waiting=256)
    terms = Terms(lambda: slots, lambda _: None, PATIENCE, lambda: 100.0, breakers, "replicated")
    steps = carry_out(call, terms)
    assert next(steps) == Send(A, (by_name(WRITE),))
    with pytest.raises(StopIteration) as end:
        steps.send(Replies([b"value"]))
    assert end.value.value == Answer(("read", b"value"), durable=False, node=A)


def test_a_call_may_be_given_up_earlier_than_others():
    call = dataclasses.replace(call_of(READ), deadline=0.25)
    slots, now = owned_by(A), [100.0]
    breakers = CircuitBreakers(lambda: now[0], patience=2.5, most_waiting=256)
    steps = carry_out(
        call, Terms(lambda: slots, lambda _: None, PATIENCE, lambda: now[0], breakers)
    )
    step = next(steps)
    with pytest.raises(StoreUnavailable):
        while True:
            now[0] += step.seconds if isinstance(step, Pause) else 0.01
            step = steps.send(Fault("timeout") if isinstance(step, Send) else None)
    assert 100.25 <= now[0] < 101


@pytest.mark.parametrize("outcome", [Fault("timeout"), ServerError("LOADING", "x")])
def test_after_ask_failed_the_owner_is_asked_again(outcome):
    drive = Drive(READ, owned_by(A))
    drive.reply(ServerError("ASK", f"{SLOT} b:2"))
    assert drive.step.address == B
    assert drive.fail(outcome) == Send(A, (by_name(READ),))


@pytest.mark.parametrize("code", ["MOVED", "ASK"])
def test_a_storm_of_redirects_ends(code):
    drive = Drive(READ, owned_by(A))
    sent = 0
    with pytest.raises(StoreUnavailable) as ending:
        for target in itertools.cycle([B, A]):
            sent += 1
            assert sent < 200
            assert isinstance(drive.step, Send)
            drive.fail(ServerError(code, f"{SLOT} {target}"))
    assert ending.value.reason == "moving"
    assert drive.now >= 102.5
    assert sent > 16


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("READONLY", "moving"),
        ("UNBLOCKED", "moving"),
        ("CLUSTERDOWN", "cluster_down"),
        ("MASTERDOWN", "cluster_down"),
        ("LOADING", "loading"),
        ("BUSY", "busy"),
        ("NOREPLICAS", "busy"),
        ("MISCONF", "full"),
    ],
)
def test_passing_errors_are_tried_again_until_the_deadline(code, reason):
    drive = Drive(READ, owned_by(A))
    for _ in range(3):
        assert drive.fail(ServerError(code, "for now")) == Send(A, (by_name(READ),))
    drive.reply(b"value")
    assert drive.result.reply == ("read", b"value")

    drive = Drive(READ, owned_by(A))
    with pytest.raises(StoreUnavailable) as ending:
        while True:
            drive.fail(ServerError(code, "for ever"))
    assert ending.value.reason == reason
    assert not isinstance(ending.value, StoreDenied)
    assert 102.5 <= drive.now < 103


@pytest.mark.parametrize("kind", ["timeout", "connection", "loading", "busy"])
def test_faults_are_tried_again_until_the_deadline(kind):
    drive = Drive(READ, owned_by(A))
    for _ in range(3):
        assert drive.fail(Fault(kind)).address == A
    drive.now = 102.5
    with pytest.raises(StoreUnavailable) as ending:
        drive.fail(Fault(kind))
    assert ending.value.reason == kind
    assert ending.value.retry_after >= 1


def test_pauses_grow_and_never_pass_the_deadline():
    drive = Drive(READ, owned_by(A))
    pauses, tries, look_ups = [], 0, 0
    with pytest.raises(StoreUnavailable):
        while True:
            if isinstance(drive.step, Send):
                tries += 1
                drive.answer(Fault("connection"))
            elif isinstance(drive.step, LookUp):
                assert drive.step == LookUp(1, suspect=A, until=102.5)
                look_ups += 1
                drive.answer(None)
            else:
                pauses.append(drive.step.seconds)
                assert drive.now + drive.step.seconds <= 102.5
                drive.now += drive.step.seconds
                drive.answer(None)
    assert 0.01 <= pauses[0] <= 0.02
    assert max(pauses) <= 0.4
    assert 6 <= tries <= 25
    assert look_ups >= tries - 1


def test_a_busy_node_is_not_suspected():
    drive = Drive(READ, owned_by(A))
    drive.answer(Fault("busy"))
    assert isinstance(drive.step, Pause)


def test_a_closed_store_is_not_tried_again():
    drive = Drive(READ, owned_by(A))
    with pytest.raises(StoreUnavailable) as ending:
        drive.answer(Fault("closed"))
    assert ending.value.reason == "closed"


def test_a_stale_connection_is_replaced_for_free():
    drive = Drive(READ, owned_by(A))
    for _ in range(5):
        drive.answer(Fault("connection", stale=True))
        assert drive.step == Send(A, (by_name(READ),))
    drive.reply(b"value")
    assert drive.result.reply == ("read", b"value")


def test_stale_connections_do_not_go_on_for_ever():
    drive = Drive(READ, owned_by(A))
    drive.now = 102.5
    with pytest.raises(StoreUnavailable):
        drive.answer(Fault("connection", stale=True))


def test_a_new_owner_is_asked_without_a_pause():
    drive = Drive(READ, owned_by(A))
    drive.answer(Fault("timeout"))
    assert isinstance(drive.step, LookUp)
    drive.slots = owned_by(B, version=2)
    assert drive.answer(None) == Send(B, (by_name(READ),))


def test_an_unknown_owner_is_looked_up_first():
    drive = Drive(READ, SlotMap.unknown())
    assert drive.step == LookUp(0, suspect=None, until=102.5)
    drive.slots = owned_by(B)
    assert drive.answer(None) == Send(B, (by_name(READ),))


@pytest.mark.parametrize(("version", "reason"), [(0, "connection"), (1, "cluster_down")])
def test_nobody_could_be_asked_or_nobody_owns_the_slot(version, reason):
    drive = Drive(READ, SlotMap([None] * 16384, version))
    with pytest.raises(StoreUnavailable) as ending:
        drive.pass_on()
    assert ending.value.reason == reason
    assert 102.5 <= drive.now < 103


@pytest.mark.parametrize("code", ["NOPERM", "NOAUTH", "WRONGPASS", "ACL"])
def test_a_refusal_is_told_at_once(code):
    drive = Drive(WRITE, owned_by(A, replicas=1))
    with pytest.raises(StoreDenied) as refusal:
        drive.reply(ServerError(code, "this user has no permissions"), 0)
    assert refusal.value.reason == code.lower()


def test_a_command_that_is_too_long_for_a_stranger_is_a_refusal():
    drive = Drive(READ, owned_by(A))
    with pytest.raises(StoreDenied):
        drive.reply(ServerError("Protocol", "error: unauthenticated multibulk length"))


def test_a_primary_that_became_a_replica_during_wait_is_asked_no_more():
    drive = Drive(WRITE, owned_by(A, replicas=1))
    drive.reply(
        b"value", confirmed=ServerError("UNBLOCKED", "force unblock from blocking operation")
    )
    assert drive.step == LookUp(1, suspect=A, until=102.5)
    drive.slots = owned_by(B, replicas=1, version=2)
    assert drive.answer(None) == Send(B, (by_name(WRITE),), WAIT)


def test_a_refused_wait_is_told_at_once():
    drive = Drive(WRITE, owned_by(A, replicas=1))
    with pytest.raises(StoreDenied):
        drive.reply(b"value", ServerError("NOPERM", "no permissions to run 'wait'"))


def test_a_full_store_is_told_at_once():
    drive = Drive(WRITE, owned_by(A))
    with pytest.raises(StoreUnavailable) as refusal:
        drive.reply(ServerError("OOM", "command not allowed"))
    assert refusal.value.reason == "full"


def test_any_other_error_is_told_at_once_and_cut():
    drive = Drive(WRITE, owned_by(A))
    with pytest.raises(StoreFailed) as failure:
        drive.reply(ServerError("WRONGTYPE", "x" * 10_000))
    assert "WRONGTYPE" in failure.value.message
    assert len(failure.value.message) < 300


def test_a_key_that_left_while_its_slot_migrates_is_no_failure():
    drive = Drive(WRITE, owned_by(A))
    text = "attempted to access a non local key in a cluster node script: 5ha1"
    assert drive.fail(ServerError("Script", text)) == Send(A, (by_name(WRITE),))


# look_up


def slots_reply(address: Address) -> Replies:
    return Replies(
        [
            [[0, 16383, [address.host.encode(), address.port, b"id", []]]],
            b"id a:1@2 myself,master - 0 0 1 connected 0-16383\n",
        ]
    )


def ending_of(steps: Any, outcome: Any) -> Any:
    with pytest.raises(StopIteration) as stop:
        steps.send(outcome)
    return stop.value.value


def test_a_look_up_asks_the_suspect_last_and_passes_over_faults():
    steps = look_up([A, B, C], A, 7, lambda: 5.0, 6.0)
    commands = ((b"CLUSTER", b"SLOTS"), (b"CLUSTER", b"NODES"))
    assert next(steps) == Send(B, commands)
    assert steps.send(Fault("timeout")) == Send(C, commands)
    assert steps.send(Replies([ServerError("LOADING", "x")] * 2)) == Send(A, commands)
    slots = ending_of(steps, slots_reply(B))
    assert slots.shard(0).primary == B
    assert (slots.version, slots.taken_at) == (7, 5.0)


def test_a_look_up_passes_over_a_node_that_knows_no_slots():
    steps = look_up([A, B], None, 1, lambda: 0.0, 1.0)
    next(steps)
    assert steps.send(Replies([[], b""])).address == B


def test_a_look_up_that_nobody_answers():
    steps = look_up([A, B], None, 1, lambda: 0.0, 1.0)
    next(steps)
    steps.send(Fault("connection"))
    assert ending_of(steps, Fault("connection")) is None


def test_a_look_up_ends_in_time():
    now = 0.0
    steps = look_up([A, B, C], None, 1, lambda: now, 1.0)
    assert next(steps).address == A
    now = 0.6
    assert steps.send(Fault("timeout")).address == B
    now = 1.2
    assert ending_of(steps, Fault("timeout")) is None


def test_a_look_up_replaces_a_stale_connection():
    steps = look_up([A, B], None, 1, lambda: 0.0, 1.0)
    assert next(steps).address == A
    assert steps.send(Fault("connection", stale=True)).address == A


def test_a_look_up_at_a_single_server_says_so():
    steps = look_up([A], None, 1, lambda: 0.0, 1.0)
    next(steps)
    error = ServerError("This", "instance has cluster support disabled")
    with pytest.raises(StoreFailed, match=r"a:1 is a single server: use redis:// or rediss://"):
        steps.send(Replies([error, error]))


def test_a_look_up_that_is_refused_says_so():
    steps = look_up([A, B], None, 1, lambda: 0.0, 1.0)
    next(steps)
    with pytest.raises(StoreDenied):
        steps.send(Replies([ServerError("NOPERM", "x"), b""]))


# What outdated nodes say


def info_of(epoch: int) -> Replies:
    return Replies([b"cluster_state:ok\r\ncluster_current_epoch:%d\r\n" % epoch])


INFO = ((b"CLUSTER", b"INFO"),)


def three_primaries() -> SlotMap:
    return SlotMap([Shard((A, B, C)[slot % 3], 1) for slot in range(16384)], 1)


@pytest.mark.parametrize(
    ("epochs", "is_believed"),
    [
        ({A: 5, B: 5, C: 5}, True),
        ({A: 5, B: None, C: 5}, True),
        ({A: 5, B: 5, C: None}, True),
        ({A: 5, B: None, C: None}, False),
        ({A: 5, B: 6, C: 6}, False),
        ({A: 5, B: 6, C: None}, False),
        ({A: None, B: 5, C: 5}, False),
    ],
)
def test_a_node_in_doubt_is_believed_when_most_agree_with_it(epochs, is_believed):
    slots = three_primaries()
    steps = most_agree_with(A, slots, lambda: 0.0, 1.0)
    step = next(steps)
    with pytest.raises(StopIteration) as stop:
        while True:
            assert step.commands == INFO
            epoch = epochs[step.address]
            step = steps.send(Fault("timeout") if epoch is None else info_of(epoch))
    assert stop.value.value is is_believed


def test_a_read_that_is_not_believed_is_asked_again():
    slots = owned_by(A)
    believed = iter([False, True])

    def believes(*_):
        return next(believed)
        yield

    breakers = CircuitBreakers(lambda: 0.0, patience=2.5, most_waiting=256)
    terms = Terms(
        lambda: slots,
        lambda _: None,
        PATIENCE,
        lambda: 0.0,
        breakers,
        "replicated",
        believes=believes,
    )
    steps = carry_out(call_of(READ), terms)
    assert steps.send(None) == Send(A, (by_name(READ),))
    assert steps.send(Replies([b"from the past"])) == LookUp(1, suspect=A, until=2.5)
    slots = owned_by(B, version=2)
    assert steps.send(None) == Send(B, (by_name(READ),))
    with pytest.raises(StopIteration) as stop:
        steps.send(Replies([b"value"]))
    assert stop.value.value == Answer(("read", b"value"), durable=False, node=B)


def test_a_write_stands_or_falls_with_its_confirmation():
    def believes(*_):
        raise AssertionError("not asked")

    slots = owned_by(A, replicas=1)
    breakers = CircuitBreakers(lambda: 0.0, patience=2.5, most_waiting=256)
    terms = Terms(
        lambda: slots,
        lambda _: None,
        PATIENCE,
        lambda: 0.0,
        breakers,
        "replicated",
        believes=believes,
    )
    steps = carry_out(call_of(WRITE), terms)
    steps.send(None)
    with pytest.raises(StopIteration) as stop:
        steps.send(Replies([b"value"], 1))
    assert stop.value.value.durable


# ask_any, ask_one

PING = (b"PING",)


def test_one_answer_is_enough():
    steps = ask_any([A, B, C], PING, lambda: 0.0, 1.0)
    assert next(steps) == Send(A, (PING,))
    assert steps.send(Fault("timeout")) == Send(B, (PING,))
    assert ending_of(steps, Replies([b"PONG"])) is None


def test_nobody_answers():
    steps = ask_any([A, B], PING, lambda: 0.0, 1.0)
    next(steps)
    steps.send(Fault("connection"))
    with pytest.raises(StoreUnavailable) as ending:
        steps.send(Replies([ServerError("LOADING", "x")]))
    assert ending.value.reason == "loading"


def test_nobody_to_ask():
    with pytest.raises(StoreUnavailable):
        next(ask_any([], PING, lambda: 0.0, 1.0))


def test_asking_ends_in_time():
    now = 0.0
    steps = ask_any([A, B, C], PING, lambda: now, 1.0)
    next(steps)
    now = 1.0
    with pytest.raises(StoreUnavailable) as ending:
        steps.send(Fault("timeout"))
    assert ending.value.reason == "timeout"


def test_asking_is_refused():
    steps = ask_any([A, B], PING, lambda: 0.0, 1.0)
    next(steps)
    with pytest.raises(StoreDenied):
        steps.send(Replies([ServerError("NOAUTH", "x")]))


def test_asking_over_a_stale_connection():
    steps = ask_one(A, PING)
    next(steps)
    assert steps.send(Fault("connection", stale=True)) == Send(A, (PING,))
    assert ending_of(steps, Replies([[b"0", []]])) == [b"0", []]
