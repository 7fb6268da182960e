"""Retries of what was journaled: trimmed when its own shard confirms, completed until then."""

import pytest

from clusterpass.model.errors import RevocationPending
from clusterpass.protocol.script import ScriptCall

from .driven_flows import KEYSPACE
from .journaled_flows import (
    AWAY,
    J1,
    J2,
    J3,
    REST,
    TIME,
    Store,
    appends,
    end,
    retry,
    trims,
    with_journals,
)

KEY = KEYSPACE.sessions("alice")
VERBS = pytest.mark.parametrize("verb", ["end_session", "end_all", "ban"])


def test_a_retry_that_its_own_shard_confirms_trims_the_entry():
    own, store = with_journals(), Store(is_away=True)
    store.run(end(own))
    (entry,) = set(store.entries())
    store.names()
    store.is_away, store.is_confirmed = False, True
    assert retry(own, store)
    assert [call.arguments for call in store.asked[1:]] == [(entry.id,)] * 3
    assert store.names() == ["end_session", *trims(J1, J2, J3)]
    assert own.flows.memory.journal.ahead == {}
    assert len(own.flows.memory.pending) == 0


def test_a_journal_that_is_away_keeps_its_entry():
    own, store = with_journals(), Store()
    store.run(end(own))
    store.names()
    store.is_confirmed, store.journals = True, {J1: AWAY}
    assert retry(own, store)
    assert store.names() == ["end_session", *trims(J1, J2, J3)]


@pytest.mark.parametrize("verb", ["end_all", "ban"])
def test_a_retry_that_was_first_carried_out_notes_when(verb):
    own, store = with_journals(), Store(is_away=True)
    store.run(end(own, verb))
    store.names()
    store.is_away = False
    assert not retry(own, store)
    assert {entry.milliseconds for entry in store.entries()} == {TIME}
    assert [call.confirm for call in store.asked[1:4]] == [False] * 3
    assert store.names() == [verb, *appends(J1, J2, J3, J3)], "and the third journal gets it too"
    (known,) = own.flows.memory.journal.ahead[KEY]
    assert known.make().arguments[-1] == TIME
    assert not retry(own, store)
    assert store.names() == [verb], "all is said"


def test_a_retry_completes_the_journals_that_did_not_confirm():
    own, store = with_journals(), Store(journals={J2: AWAY})
    store.run(end(own))
    store.names()
    assert not retry(own, store)
    assert store.names() == ["end_session", *appends(J2)], "the end of one session needs no time"
    store.journals = {}
    assert not retry(own, store)
    assert store.names() == ["end_session", *appends(J2)]
    assert not retry(own, store)
    assert store.names() == ["end_session"]


@VERBS
def test_a_pending_ending_is_journaled_by_a_retry(verb):
    own, store = with_journals(), Store(journals={J1: AWAY, J2: AWAY})
    with pytest.raises(RevocationPending):
        store.run(end(own, verb))
    store.names()
    store.journals = {}
    assert not retry(own, store)
    assert store.names() == [verb, *appends(J3, J1), REST]
    assert len(own.flows.memory.journal) == 1
    store.is_confirmed = True
    assert retry(own, store)
    assert store.names() == [verb, *trims(J1, J2, J3)]


def test_the_calls_of_retries_are_short():
    own, store = with_journals(), Store()
    store.run(end(own))
    store.asked.clear()
    retry(own, store)
    first, *_ = store.asked
    assert isinstance(first, ScriptCall)
    assert (first.insists, first.deadline) == (False, 1.0)
