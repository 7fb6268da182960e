"""Journaled endings go in front of every call about their subject, on the same connection."""

from typing import Any

import pytest

from clusterpass.protocol.script import Answer
from clusterpass.store.exchanges.commands import commands_of
from clusterpass.store.exchanges.first_try import first_answer, first_try
from clusterpass.store.exchanges.steps import Agree, LookUp, Send
from clusterpass.store.outcomes import Fault, Replies, ServerError

from .asked_ahead import ASKING, END, MORE, ONE, TWO, Asked, end
from .driven_call import (
    KEYS,
    NOSCRIPT,
    READ,
    SLOT,
    WAIT,
    WRITE,
    A,
    B,
    by_name,
    by_source,
    call_of,
)

# What is sent


@pytest.mark.parametrize("script", [READ, WRITE])
def test_endings_are_sent_in_front_and_the_last_reply_counts(script):
    asked = Asked(script, ONE, TWO, replicas=1)
    wait = WAIT if script.writes else None
    assert asked.step == Send(A, (end(b"one"), end(b"two"), by_name(script)), wait)
    asked.reply(b"ended", b"ended", b"value", confirmed=1)
    assert asked.result == Answer(("read", b"value"), script.writes, A)


def test_endings_of_other_subjects_are_not_sent():
    asked = Asked()
    asked.ahead[b"cp:{other}"] = (ONE,)
    assert asked.step == Send(A, (by_name(READ),))
    asked.reply(b"value")
    assert asked.result == Answer(("read", b"value"), durable=False, node=A)


def test_each_command_comes_after_asking_where_the_slot_is_imported():
    asked = Asked(WRITE, ONE, replicas=1)
    asked.reply(ServerError("ASK", f"{SLOT} b:2"), ServerError("ASK", f"{SLOT} b:2"))
    assert asked.step == Send(B, (ASKING, end(b"one"), ASKING, by_name(WRITE)), WAIT)
    asked.reply(b"OK", b"ended", b"OK", b"value", confirmed=1)
    assert asked.result == Answer(("read", b"value"), durable=True, node=None)


def test_a_script_that_the_node_does_not_know_is_sent_in_full_with_the_others():
    asked = Asked(READ, ONE)
    asked.reply(NOSCRIPT, b"value")
    assert asked.step == Send(A, ((b"EVAL", END.source, 3, *MORE, b"one"), by_source(READ)))
    asked.reply(b"ended", b"value")
    assert asked.result.reply == ("read", b"value")


def test_an_error_of_what_went_in_front_is_no_answer():
    asked = Asked(READ, ONE)
    moved = ServerError("MOVED", f"{SLOT} b:2")
    asked.reply(moved, b"from the past")
    assert asked.step == LookUp(asked.slots.version, suspect=A, until=2.5)
    assert asked.answer(None) == Send(B, (end(b"one"), by_name(READ)))
    assert asked.result is None


def test_endings_have_all_their_keys_in_front_of_a_call_with_one():
    asked = Asked(READ, ONE, keys=KEYS[:1])
    alone = (b"EVALSHA", READ.sha1, 1, KEYS[0], b"argument", 7)
    assert asked.step == Send(A, (end(b"one", *MORE), alone))


@pytest.mark.parametrize("keys", [KEYS, KEYS[:1]])
def test_endings_name_one_key_while_the_keys_lie_on_both_sides_of_a_migration(keys):
    asked = Asked(READ, ONE, keys=keys)
    asked.reply(ServerError("TRYAGAIN", "x"), b"value")
    alone = (b"EVALSHA", READ.sha1, 1, KEYS[0], b"argument", 7)
    assert asked.step == Send(A, (end(b"one", KEYS[0]), alone))
    asked.reply(b"ended", b"value")
    assert asked.result.reply == ("read", b"value")


@pytest.mark.parametrize("by", [True, False])
def test_the_commands_of_a_call(by):
    call, command = call_of(READ), by_name(READ) if by else by_source(READ)
    assert commands_of((call,), by_name=by, asking=False) == (command,)
    assert commands_of((call,), by_name=by, asking=True) == (ASKING, command)
    calls = (ONE.make(), TWO.make(), call)
    three = commands_of(calls, by_name=by, asking=False)
    assert [each[2] for each in three] == [3, 3, 2]
    assert [each[-1] for each in three] == [b"one", b"two", 7]
    asking = commands_of(calls, by_name=by, asking=True)
    assert asking == (ASKING, three[0], ASKING, three[1], ASKING, three[2])
    cut = commands_of(calls, by_name=by, asking=False, is_cut=True)
    assert [each[2:-1] for each in cut[:2]] == [(1, KEYS[0])] * 2
    assert cut[2][2:] == (1, KEYS[0], b"argument", 7)


@pytest.mark.parametrize("script", [READ, WRITE])
def test_after_a_stale_connection_endings_are_still_in_front(script):
    """Nothing was sent, and the next connection leads to the same store."""
    asked = Asked(script, ONE, replicas=1)
    first = (end(b"one"), by_name(script))
    assert asked.step.commands == first
    asked.answer(Fault("connection", stale=True))
    assert asked.step.commands == first
    asked.answer(Fault("connection", stale=True))
    assert asked.step.commands == first


# What becomes known while the answer is under way


@pytest.mark.parametrize("script", [READ, WRITE])
def test_an_ending_that_becomes_known_meanwhile_makes_the_call_be_sent_again(script):
    asked = Asked(script, replicas=1)
    assert asked.step.commands == (by_name(script),)
    asked.learn(ONE)
    asked.reply(b"from before", confirmed=1)
    assert asked.step.commands == (end(b"one"), by_name(script)), "without a pause"
    asked.learn(TWO)
    asked.reply(b"ended", b"from before", confirmed=1)
    assert asked.step.commands == (end(b"one"), end(b"two"), by_name(script))
    asked.reply(b"ended", b"ended", b"value", confirmed=1)
    assert asked.result.reply == ("read", b"value")


def test_an_ending_that_the_evidence_has_brought_is_carried_out_first():
    asked = Asked(READ)
    asked.is_doubtful = True
    assert asked.reply(b"from before") == Agree(A, answered_at=7.0, until=2.5, made_at=7.0)
    asked.learn(ONE)
    assert asked.answer(True) == Send(A, (end(b"one"), by_name(READ)))
    assert asked.reply(b"ended", b"value") == Agree(A, answered_at=7.0, until=2.5, made_at=7.0)
    asked.answer(True)
    assert asked.result.reply == ("read", b"value")


def test_an_entry_that_is_replaced_by_one_with_a_time_is_carried_out_as_that():
    asked = Asked(READ, ONE)
    asked.ahead[KEYS[0]] = (TWO,)
    asked.reply(b"ended", b"from before")
    assert asked.step == Send(A, (end(b"two"), by_name(READ)))


def test_an_entry_that_was_trimmed_meanwhile_costs_nothing():
    asked = Asked(READ, ONE)
    del asked.ahead[KEYS[0]]
    asked.reply(b"ended", b"value")
    assert asked.result.reply == ("read", b"value")


# What needs evidence


def test_a_confirmed_ending_needs_no_evidence():
    asked = Asked(WRITE, replicas=1, is_ending=True)
    asked.is_doubtful = True
    asked.learn(ONE)
    asked.reply(b"value", confirmed=1)
    assert asked.result == Answer(("read", b"value"), durable=True, node=A)
    assert asked.doubted == []


def test_an_ending_that_nobody_has_confirmed_does():
    asked = Asked(WRITE, replicas=1, is_ending=True)
    asked.is_doubtful = True
    assert asked.reply(b"value", confirmed=0) == Agree(A, answered_at=7.0, until=2.5, made_at=7.0)
    assert asked.doubted == [False]


def test_a_confirmed_login_needs_that_of_the_journals():
    asked = Asked(WRITE, replicas=1)
    asked.is_doubtful = True
    until = Agree(A, answered_at=7.0, until=2.5, made_at=7.0, is_durable=True)
    assert asked.reply(b"value", confirmed=1) == until
    assert asked.doubted == [True]
    asked.answer(True)
    assert asked.result == Answer(("read", b"value"), durable=True, node=A)


def test_a_login_that_is_not_believed_is_sent_again():
    asked = Asked(WRITE, replicas=1)
    asked.is_doubtful = True
    asked.reply(b"value", confirmed=1)
    assert isinstance(asked.answer(False), LookUp)


# The first try, which a driver sends without a generator


def tried(asked: Asked, outcome: Any) -> Answer[Any] | None:
    shard, wait = first_try(asked.call, asked.terms, asked.slots)
    return first_answer(asked.call, asked.terms, asked.slots, shard, wait, outcome, 0.0)


def test_the_first_try_is_left_to_the_exchange_where_endings_are_known():
    asked = Asked(READ)
    assert first_try(asked.call, asked.terms, asked.slots) is not None
    asked.ahead[b"cp:{other}"] = (ONE,)
    assert first_try(asked.call, asked.terms, asked.slots) is not None
    asked.learn(ONE)
    assert first_try(asked.call, asked.terms, asked.slots) is None


def test_the_first_answer_is_none_where_an_ending_has_become_known():
    asked = Asked(READ)
    shard, wait = first_try(asked.call, asked.terms, asked.slots)
    outcome = Replies([b"value"], 0)
    arguments = asked.call, asked.terms, asked.slots, shard, wait, outcome, 0.0
    assert first_answer(*arguments).reply == ("read", b"value")
    asked.learn(ONE)
    assert first_answer(*arguments) is None


def test_what_was_sent_without_a_generator_is_sent_again_with_the_endings():
    asked = Asked(READ, ONE, began=0.0)
    asked.reply(b"from before")
    assert asked.step == Send(A, (end(b"one"), by_name(READ)))


@pytest.mark.parametrize("is_ending", [True, False])
def test_the_first_answer_to_a_confirmed_write(is_ending):
    asked = Asked(WRITE, replicas=1, is_ending=is_ending)
    confirmed = Replies([b"value"], 1)
    assert tried(asked, confirmed) == Answer(("read", b"value"), durable=True, node=A)
    assert asked.doubted == ([] if is_ending else [True])
    asked.is_doubtful = True
    assert (tried(asked, confirmed) is not None) is is_ending


def test_the_first_answer_to_a_read_needs_evidence():
    asked = Asked(READ)
    assert tried(asked, Replies([b"value"])) is not None
    assert asked.doubted == [False]
    asked.is_doubtful = True
    assert tried(asked, Replies([b"value"])) is None
    assert tried(asked, Fault("timeout")) is None
