"""The audit trail of one manager: entries that flows make, and their delivery."""

from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass import (
    AuditPolicy,
    Ended,
    InvalidInput,
    RevocationPending,
    Session,
    SessionNotFound,
    StoreUnavailable,
    acting,
)
from clusterpass.model.acting import Acting, who_acts
from clusterpass.model.clock import Clock
from clusterpass.model.errors import ConfigurationError
from clusterpass.model.values import Actor
from clusterpass.protocol.calls.audit import StoredEntry
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import Answer
from clusterpass.sessions.audit_recorder import AuditTrail
from clusterpass.sessions.verbs.audit import AuditFlows

from .audit_scene import CONFIG, Now, Stream, raises, returns, waiting


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def trail(now: Now) -> AuditTrail:
    return AuditTrail(AuditPolicy(), CONFIG, Keyspace(), Clock(now, now), b"w" * 8)


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.mark.parametrize("name", ["actor", "via", "address", "request_id"])
def test_who_acts_has_names_of_255_characters_at_most(name):
    for value in ("a", "a" * 255):
        with acting(**{name: value}):
            assert getattr(who_acts(), name) == value
    for value in ("", "a" * 256, b"a"):
        with pytest.raises(InvalidInput, match=f"{name} must be 1 to 255 characters of text"):
            acting(**{name: value}).__enter__()
    assert who_acts() == Acting()


def test_what_a_verb_returns_is_returned_and_noted(trail, stream):
    ended = Ended(3, durable=True)
    with acting("carol"):
        told = stream.run(trail.around("revoke_all", returns(ended), subject="alice", reason="x"))
    assert told == ended
    (entry,) = stream.entries
    assert (entry["a"], entry["o"], entry["w"], entry["s"]) == (
        "revoke_all",
        "done",
        "carol",
        "alice",
    )
    assert (entry["d"], entry["r"], entry["k"], entry["n"]) == ({"count": 3}, "x", "77" * 8, 1)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (SessionNotFound(), "refused"),
        (RevocationPending(), "pending"),
        (RevocationPending(is_retried=False), "failed"),
        (StoreUnavailable(), "failed"),
    ],
)
def test_what_a_verb_raises_is_raised_and_noted(trail, stream, error, outcome):
    with pytest.raises(type(error)) as raised:
        stream.run(trail.around("revoke", raises(error), subject="alice"))
    assert raised.value is error
    (entry,) = stream.entries + waiting(trail)
    assert (entry["o"], entry["e"]) == (outcome, error.code)


@pytest.mark.parametrize("error", [InvalidInput("x"), ConfigurationError("x"), TypeError("x")])
def test_bad_input_is_not_noted(trail, stream, error):
    with pytest.raises(type(error)):
        stream.run(trail.around("revoke", raises(error)))
    assert stream.entries + waiting(trail) == []


def test_who_does_not_wait_for_the_verb(trail):
    def endless() -> Any:
        yield None

    flow = trail.around("ban", endless(), subject="alice")
    next(flow)
    flow.close()
    (entry,) = waiting(trail)
    assert (entry["a"], entry["o"]) == ("ban", "unknown")


def test_who_does_not_wait_for_the_entry(trail):
    flow = trail.around("ban", returns(Ended(1, durable=True)), subject="alice")
    next(flow)
    flow.close()
    (entry,) = waiting(trail)
    assert (entry["a"], entry["o"]) == ("ban", "done")


def test_what_no_replica_confirms_is_written_once(trail, stream):
    stream.is_confirmed = False
    stream.run(trail.around("login", returns(None), subject="alice"))
    stream.run(trail.queue.write())
    stream.run(trail.queue.write())
    assert len(stream.entries) == 1
    assert trail.queue.stats().waiting == 0


def test_equal_refusals_are_counted(trail, stream, now):
    for _ in range(5):
        with acting("mallory"), pytest.raises(SessionNotFound):
            stream.run(trail.around("revoke", raises(SessionNotFound()), subject="alice"))
    with acting("carol"), pytest.raises(SessionNotFound):
        stream.run(trail.around("revoke", raises(SessionNotFound()), subject="alice"))
    assert [entry["w"] for entry in stream.entries] == ["mallory", "carol"]
    now.seconds += 10
    with acting("mallory"), pytest.raises(SessionNotFound):
        stream.run(trail.around("revoke", raises(SessionNotFound()), subject="alice"))
    assert stream.entries[-1]["d"] == {"not_noted": 4}


def test_attempts_that_the_throttle_refuses_are_counted_whatever_the_name(trail, now):
    for number in range(3):
        trail.login_failed(f"user-{number}", "too_many_attempts", None)
        trail.login_failed(f"user-{number}", "invalid_credentials", "192.0.2.1")
    assert [entry["e"] for entry in waiting(trail)] == [
        "too_many_attempts",
        *["invalid_credentials"] * 3,
    ]
    now.seconds += 11
    trail.login_failed("user-9", "too_many_attempts", None)
    assert waiting(trail)[-1]["d"] == {"not_noted": 2}


def test_who_impersonates_is_the_actor(trail):
    actor = Session("alice", "s" * 22, None, 1, 1, 2, act=Actor("root", "r" * 22))
    flow = trail.around("step_up", returns(None), session=actor)
    with pytest.raises(StopIteration):
        next(flow)
    (entry,) = waiting(trail)
    assert (entry["w"], entry["s"]) == ("root", "alice")


def test_an_entry_of_the_application_has_all_that_it_says(trail, stream):
    flows = AuditFlows(SimpleNamespace(keyspace=Keyspace()), trail)
    stream.run(
        flows.note(
            "door.opened",
            subject="alice",
            outcome="refused",
            reason="it is night",
            error="no_key",
            details={"door": 7},
            sparing=False,
        )
    )
    (entry,) = stream.entries
    del entry["v"], entry["t"], entry["k"], entry["n"]
    assert entry == {
        "a": "door.opened",
        "o": "refused",
        "s": "alice",
        "r": "it is night",
        "e": "no_key",
        "d": {"door": 7},
    }


def test_a_page_counts_what_cannot_be_read_and_shows_once_what_was_written_twice(trail):
    text = b'{"v":1,"t":1800000000000,"a":"door.opened","o":"done","k":"77","n":1}'
    stored = [
        StoredEntry(f"{n}-0", n, each, f"{n}" * 40)
        for n, each in enumerate([text, b"{", text, b""])
    ]
    flow = AuditFlows(SimpleNamespace(keyspace=Keyspace()), trail).page(None, None, 4)
    next(flow)
    with pytest.raises(StopIteration) as stop:
        flow.send(Answer(stored, False))
    page = stop.value.value
    (entry,) = page.entries
    assert (entry.id, entry.number, entry.chain) == ("0-0", 0, "0" * 40)
    assert (entry.action, entry.outcome, entry.at) == ("door.opened", "done", 1_800_000_000.0)
    assert (entry.writer, entry.writer_number) == ("77", 1)
    assert (page.unreadable, page.next_cursor) == (2, "3-0")
