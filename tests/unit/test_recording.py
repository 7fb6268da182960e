"""Background recording of uses.

A session is served from memory while its use is waiting to be recorded.
"""

import dataclasses

import pytest

from clusterpass.model.errors import StoreUnavailable
from clusterpass.protocol.calls.session import ONLY_THE_SECOND
from clusterpass.protocol.records import OWN_USED, SECONDS
from clusterpass.protocol.script import Answer

from .driven_flows import KEYSPACE, NOW, SESSION_ID, access_token, live
from .recording_scene import INTERVAL, NODE, TOKEN, Process


@pytest.fixture
def process() -> Process:
    made = Process()
    made.uses.wake = lambda: None
    return made


def test_a_session_whose_use_is_due_is_served_and_recorded_afterwards(process):
    first = process.verify(TOKEN)
    assert process.near.find(TOKEN) is first
    process.pass_by(INTERVAL * 3 // 4 - 1)
    assert process.near.find(TOKEN) is first
    assert len(process.uses) == 0, "not due yet"
    process.pass_by(INTERVAL // 4 + 1)
    hits = process.near.stats().hits
    assert process.verify(TOKEN) is first
    assert process.called == []
    assert process.near.stats().hits == hits + 1
    assert process.near.find(TOKEN) is first, "others need not ask either"
    assert len(process.uses) == 1
    process.record_late()
    assert process.called == ["touch"]
    newer = process.near.find(TOKEN)
    assert newer.active_at == NOW + INTERVAL
    assert newer.expires_at == newer.active_at + 3600
    process.pass_by(INTERVAL * 3 // 4 - 1)
    assert process.near.find(TOKEN) is newer
    assert len(process.uses) == 0


def test_what_is_kept_then_is_what_the_store_answers(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.verify(TOKEN)
    process.record_late()
    newer = process.near.find(TOKEN)
    process.near.changed(KEYSPACE.sessions("alice"))
    assert process.verify(TOKEN) is newer, "the answer means the same"


def test_a_response_made_of_the_session_before_is_not_served_any_more(process):
    session = process.verify(TOKEN)
    process.near.keep_response(TOKEN, session, b"before")
    process.pass_by(INTERVAL)
    process.verify(TOKEN)
    assert process.near.find_response(TOKEN) == b"before"
    process.record_late()
    assert process.near.find_response(TOKEN) is None
    process.near.keep_response(TOKEN, session, b"before")
    assert process.near.find_response(TOKEN) is None


def test_a_use_that_was_not_recorded_is_due_again_after_some_seconds(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.verify(TOKEN)
    process.uses.take()
    process.pass_by(44.9)
    assert process.near.find(TOKEN)
    assert len(process.uses) == 0
    process.pass_by(0.2)
    assert process.near.find(TOKEN)
    assert len(process.uses) == 1


def test_a_session_that_is_used_without_end_is_read_again_each_quarter_of_an_hour(process):
    token, verified = access_token(expires_at=NOW + 3000), []
    process.verify(token)
    while process.passed < 2000:
        process.pass_by(20)
        process.verify(token)
        if "verify" in process.called:
            verified.append(process.passed)
        while len(process.uses):
            process.record_late()
    assert len(verified) == 2
    assert 900 <= verified[0] <= 900 + INTERVAL + 20


@pytest.mark.parametrize(
    "ask",
    [
        lambda near: near.find(TOKEN),
        lambda near: near.find_response(TOKEN),
        lambda near: near.is_served(near.entry(TOKEN)),
    ],
    ids=["session", "response", "with a condition"],
)
def test_whoever_is_answered_from_memory_has_a_due_use_recorded(process, ask):
    session = process.verify(TOKEN)
    process.near.keep_response(TOKEN, session, b"answer")
    process.pass_by(INTERVAL)
    assert ask(process.near)
    assert process.uses.take().token == TOKEN


def test_what_a_process_has_not_loaded_is_not_served(process):
    process.verify(TOKEN)
    entry = process.near.entry(TOKEN)
    process.pass_by(INTERVAL)
    entry.loaded = None
    assert not process.near.is_served_before_recording(entry)
    assert len(process.uses) == 0


def test_where_nobody_records_in_the_background_who_verifies_does(process):
    process.verify(TOKEN)
    process.uses.close()
    process.pass_by(INTERVAL)
    assert process.verify(TOKEN).active_at == NOW
    assert process.called == ["verify", "touch"]
    assert process.near.find(TOKEN).active_at == NOW + INTERVAL


def test_nothing_is_served_without_a_lease(process):
    process.verify(TOKEN)
    process.passed += INTERVAL
    process.verify(TOKEN)
    assert process.called == ["verify", "touch"]
    assert len(process.uses) == 0


def test_a_session_that_has_changed_is_asked_for(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.near.changed(KEYSPACE.sessions("alice"))
    process.verify(TOKEN)
    assert process.called == ["verify", "touch"]


def test_a_session_that_would_end_soon_has_its_use_recorded_first(process):
    process.verify(TOKEN)
    process.pass_by(3600 - 119)
    late = access_token(expires_at=NOW + 5000)
    process.verify(late)
    assert process.called[-1] == "touch"
    process.record = live(absolute_end=NOW + 3700)
    process.near.changed(KEYSPACE.sessions("alice"))
    process.verify(late)
    process.pass_by(100)
    process.verify(late)
    assert len(process.uses) == 0


def test_no_token_is_served_beyond_its_expiry(process):
    token = access_token(expires_at=NOW + INTERVAL + 3)
    process.verify(token)
    process.pass_by(INTERVAL)
    process.verify(token)
    assert process.called == []
    process.pass_by(1.9)
    assert process.near.find(token)
    process.pass_by(0.2)
    assert process.near.find(token) is None


def test_that_an_exchange_has_reached_its_client_is_recorded_at_once(process):
    process.record = live(rotation=1)
    token = access_token(rotation=1, expires_at=NOW + 3000)
    entry = None
    for _ in range(2):
        process.verify(token)
        entry = process.near.entry(token)
        assert process.called[-1] == "touch"
        process.near.changed(KEYSPACE.sessions("alice"))
    assert entry is not None
    assert len(process.uses) == 0


def test_strict_asks_and_records_as_ever(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.verify(TOKEN, verification="strict")
    assert process.called == ["verify", "touch"]
    assert len(process.uses) == 0


def test_what_is_not_due_any_more_is_not_recorded(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.verify(TOKEN)
    process.verify(TOKEN, verification="strict")
    process.near.changed(KEYSPACE.sessions("alice"))
    process.verify(TOKEN)
    process.record_late()
    assert process.called == []


def test_an_answer_that_came_meanwhile_is_not_replaced(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.verify(TOKEN)
    flow = process.flows.verify.uses.record_late(process.uses.take())
    call = next(flow)
    process.record = live(device="phone")
    process.near.changed(KEYSPACE.sessions("alice"))
    process.verify(TOKEN)
    with pytest.raises(StopIteration):
        flow.send(Answer(call.read(1), False, NODE))
    assert process.near.find(TOKEN).device == "phone"


def test_a_session_of_which_nothing_was_recorded_is_asked_for(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.verify(TOKEN)
    flow = process.flows.verify.uses.record_late(process.uses.take())
    call = next(flow)
    with pytest.raises(StopIteration):
        flow.send(Answer(call.read(0), False, NODE))
    assert process.near.find(TOKEN) is None


def test_what_is_kept_is_no_answer_of_a_store_that_has_lost_writes(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.verify(TOKEN)
    denials, key = process.flows.memory.denials, KEYSPACE.sessions("alice")
    process.pass_by(1)
    denials.learn_generation(key, 1000 * (NOW + int(process.passed)))  # of which TOKEN is not told
    process.pass_by(1)
    process.record_late()
    assert process.called == ["touch"]
    assert not denials.rollbacks
    assert denials.of_session(SESSION_ID) is None, "its session goes on"
    assert process.near.find(TOKEN) is None, "but the store is asked"


def test_an_answer_that_was_kept_for_nobody_else_is_not_kept_with_a_use(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.verify(TOKEN)
    process.near.changed(KEYSPACE.sessions("alice"))
    process.verify(TOKEN, verification="strict")
    entry = process.near.entry(TOKEN)
    entry.loaded = dataclasses.replace(entry.loaded, note_at=1)
    process.record_late()
    assert process.called == ["touch"]
    assert process.near.find(TOKEN) is None


@pytest.mark.parametrize(
    ("values", "told"), [({}, 3), ({"compatibility": "previous"}, ONLY_THE_SECOND)]
)
def test_the_record_tells_which_token_was_used(values, told):
    process = Process(**values)
    process.uses.wake = lambda: None
    process.record, process.used = live(rotation=3), NOW + OWN_USED * SECONDS
    token = access_token(rotation=3, expires_at=NOW + 3000)
    process.verify(token)
    process.pass_by(INTERVAL)
    process.verify(token)
    call = next(process.flows.verify.uses.record_late(process.uses.take()))
    assert call.arguments[-1] == told
    assert call.arguments[0] == SESSION_ID


def test_a_use_that_a_verify_could_not_record_is_due_still(process):
    process.verify(TOKEN)
    process.passed += INTERVAL
    flow = process.flows.verify.verify(TOKEN)
    call = next(flow)
    while call.script.name != "touch":
        call = flow.send(process._answer(call))
    with pytest.raises(StopIteration) as end:
        flow.throw(StoreUnavailable(reason="timeout"))
    assert end.value.value.active_at == NOW
    entry = process.near.entry(TOKEN)
    assert entry.loaded.note_at <= NOW + INTERVAL


def test_a_token_of_which_only_the_signature_is_known_is_recorded_without_an_answer(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.verify(TOKEN)
    process.near.entry(TOKEN).loaded = None
    process.record_late()
    assert process.called == ["touch"]


def test_a_use_is_recorded_although_the_token_has_left_the_memory(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.verify(TOKEN)
    process.near._tokens.clear()
    process.record_late()
    assert process.called == ["touch"]
    assert process.used == NOW + INTERVAL
    assert process.near.entry(TOKEN) is None


# The workers.
