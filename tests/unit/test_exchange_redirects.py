"""MOVED and ASK redirects: followed, remembered and bounded."""

import itertools

import pytest

from clusterpass.model.errors import StoreUnavailable
from clusterpass.protocol.script import Answer
from clusterpass.store.address import Address
from clusterpass.store.exchanges.steps import LookUp, Send
from clusterpass.store.outcomes import Fault, ServerError

from .driven_call import (
    KEYS,
    NOSCRIPT,
    READ,
    SLOT,
    WAIT,
    WRITE,
    A,
    B,
    Drive,
    by_name,
    by_source,
    owned_by,
)


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


def test_a_script_that_cannot_do_without_its_other_keys_gets_them_after_a_pause():
    """The script answers TRYAGAIN as well; the keys lie on one side a moment later."""
    drive = Drive(READ, owned_by(A))
    drive.reply(ServerError("TRYAGAIN", "keys on both sides"))
    alone = (b"EVALSHA", READ.sha1, 1, KEYS[0], b"argument", 7)
    assert drive.step == Send(A, (alone,))
    began = drive.now
    assert drive.fail(ServerError("TRYAGAIN", "from the script")) == Send(A, (by_name(READ),))
    assert drive.now > began
    drive.reply(b"value")
    assert drive.result.reply == ("read", b"value")


@pytest.mark.parametrize("outcome", [Fault("timeout"), ServerError("LOADING", "x")])
def test_after_ask_failed_the_owner_is_asked_again(outcome):
    drive = Drive(READ, owned_by(A))
    drive.reply(ServerError("ASK", f"{SLOT} b:2"))
    assert drive.step.address == B
    assert drive.fail(outcome) == Send(A, (by_name(READ),))


@pytest.mark.parametrize("code", ["MOVED", "ASK"])
def test_a_storm_of_redirects_ends(code):
    drive = Drive(READ, owned_by(A))
    began, sent, sent_at_once = drive.now, 0, 0
    with pytest.raises(StoreUnavailable) as ending:
        for target in itertools.cycle([B, A]):
            sent += 1
            sent_at_once += drive.now == began
            assert sent < 200
            assert isinstance(drive.step, Send)
            drive.fail(ServerError(code, f"{SLOT} {target}"))
    assert ending.value.reason == "moving"
    assert drive.now >= 102.5
    assert sent > sent_at_once == 17, "sixteen are followed at once, then there are pauses"
