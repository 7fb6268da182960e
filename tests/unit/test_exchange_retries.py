"""Retries of a call: faults and errors that are retried, pauses and the deadline."""

import pytest

from clusterpass.model.errors import StoreDenied, StoreFailed, StoreUnavailable
from clusterpass.store.exchanges.steps import LookUp, Pause, Send
from clusterpass.store.outcomes import Fault, ServerError
from clusterpass.store.topology.slots import SlotMap

from .driven_call import READ, WAIT, WRITE, A, B, Drive, by_name, owned_by


@pytest.mark.parametrize(
    ("code", "reason", "cause"),
    [
        ("READONLY", "moving", "read_only"),
        ("UNBLOCKED", "moving", "read_only"),
        ("CLUSTERDOWN", "cluster_down", "no_quorum"),
        ("MASTERDOWN", "cluster_down", "no_quorum"),
        ("LOADING", "loading", "loading"),
        ("BUSY", "busy", "busy"),
        ("NOREPLICAS", "busy", "busy"),
        ("MISCONF", "full", "full"),
    ],
)
def test_passing_errors_are_tried_again_until_the_deadline(code, reason, cause):
    drive = Drive(READ, owned_by(A))
    for _ in range(3):
        assert drive.fail(ServerError(code, "for now")) == Send(A, (by_name(READ),))
    drive.reply(b"value")
    assert drive.result.reply == ("read", b"value")

    drive = Drive(READ, owned_by(A))
    with pytest.raises(StoreUnavailable) as ending:
        while True:
            drive.fail(ServerError(code, "for ever"))
    assert (ending.value.reason, ending.value.cause) == (reason, cause)
    assert not isinstance(ending.value, StoreDenied)
    assert 102.5 <= drive.now < 103


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("timeout", "timed_out"),
        ("connection", "lost"),
        ("loading", "loading"),
        ("busy", "busy"),
    ],
)
def test_faults_are_tried_again_until_the_deadline(kind, cause):
    drive = Drive(READ, owned_by(A))
    for _ in range(3):
        assert drive.fail(Fault(kind)).address == A
    drive.now = 102.5
    with pytest.raises(StoreUnavailable) as ending:
        drive.fail(Fault(kind))
    assert (ending.value.reason, ending.value.cause) == (kind, cause)
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
                assert drive.now + drive.step.seconds <= 102.5 + 1e-9
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
