"""Endings in front of a call whose operation id the store knows as that of another request."""

from typing import Any

import pytest

from clusterpass.protocol.calls.subject_change import Housekeeping
from clusterpass.protocol.journal_entry import JournalEntry
from clusterpass.store.exchanges.commands import commands_of
from clusterpass.store.outcomes import ServerError

from .asked_ahead import Asked, Ending
from .driven_call import KEYS, READ, SLOT, WRITE
from .journal_scene import KEY, KEYSPACE, Scene, entry


def command_of_entry(journaled: JournalEntry) -> tuple[Any, ...]:
    call = journaled.call(KEYSPACE, Housekeeping(975))
    (command,) = commands_of((call,), by_name=True, asking=False)
    return command


@pytest.mark.parametrize(
    "reply", [[b"MISMATCH", 7, []], [7, b"MISMATCH"], [b"MISMATCH", 7, [], b""]]
)
def test_an_ending_whose_id_belongs_to_another_request_is_told_so(reply):
    one, two = Ending(b"one"), Ending(b"two")
    asked = Asked(READ, one, two)
    asked.reply([7, b"ENDED"], reply, b"value")
    assert (one.refused, two.refused) == (0, 1)


def test_an_ending_behind_asking_is_told_so():
    one, two = Ending(b"one"), Ending(b"two")
    asked = Asked(WRITE, one, two, replicas=1)
    asked.reply(*[ServerError("ASK", f"{SLOT} b:2")] * 3)
    asked.reply(b"OK", [7, b"ENDED"], b"OK", [7, b"MISMATCH"], b"OK", b"value", confirmed=1)
    assert (one.refused, two.refused) == (0, 1)


@pytest.mark.parametrize("script", [READ, WRITE])
def test_the_answer_behind_an_ending_that_was_refused_does_not_count(script):
    """The subject was not ended: the entry goes in front once more, under an id of its own."""
    scene, one = Scene(), entry("1")
    scene.journal.learn(one)
    asked = Asked(script, replicas=1, keys=(KEY, *KEYS[1:]), known=scene.journal.ahead)
    assert asked.step.commands[0] == command_of_entry(one)
    asked.reply([b"MISMATCH", 7, []], b"from before", confirmed=1)
    assert asked.result is None
    assert asked.step.commands[0] == command_of_entry(one.renamed())
    asked.reply([b"OK", 7, []], b"value", confirmed=1)
    assert asked.result.reply == ("read", b"value")
