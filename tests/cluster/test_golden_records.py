"""Golden records of this release and of earlier ones, as the Lua scripts treat them."""

import dataclasses
from typing import Any

import pytest

from clusterpass import EmbeddedCluster, SessionManager
from clusterpass.protocol.calls import (
    end as end_calls,
    session as session_calls,
    step_up_and_shorten as adjust_calls,
    subject as subject_calls,
)
from clusterpass.protocol.calls.subject_change import Housekeeping, change
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import LiveRecord, Tombstone
from clusterpass.protocol.replies import NO_DETAILS, Listed
from clusterpass.protocol.script import ScriptCall
from tests import golden

KEYSPACE = Keyspace()
KEEPING = Housekeeping(900, history_entries=3, history_seconds=60)
LIVE = [golden.LIVE_1, golden.LIVE_1_IDLE, golden.LIVE_2, golden.LIVE_2_IDLE]
DEAD = [golden.DEAD_129, golden.DEAD_130]


class Scene:
    """A subject whose hash is the golden one, on a real server."""

    def __init__(self, running: EmbeddedCluster, manager: SessionManager, subject: str) -> None:
        self._manager, self.subject = manager, subject
        key = KEYSPACE.sessions(subject)
        with running.client(running.primary_of(key)) as client:
            client.hset(key, mapping=golden.FIELDS)

    def ask(self, call: ScriptCall[Any]) -> Any:
        def flow() -> Any:
            answer = yield call
            return answer.reply

        return self._manager.store.run(flow())

    def listed(self) -> Listed:
        return self.ask(session_calls.list_sessions(KEYSPACE, self.subject))

    def record(self, session_id: bytes) -> LiveRecord | Tombstone | None:
        call = session_calls.verify(KEYSPACE, self.subject, session_id=session_id)
        return self.ask(call).record

    def rotate(self, session_id: bytes, digest: bytes, successor: bytes) -> Any:
        record = golden.PARSED[session_id]
        return self.ask(
            session_calls.rotate(
                KEYSPACE,
                KEEPING,
                self.subject,
                session_id=session_id,
                presented_digest=digest,
                rotation=record.rotation if isinstance(record, LiveRecord) else 0,
                successor_digest=successor,
            )
        )

    def end(self, session_id: bytes) -> Any:
        call = end_calls.end_session(
            KEYSPACE, KEEPING, self.subject, session_id=session_id, reason="revoked", note="n"
        )
        return self.ask(call)

    def login(self, **limits: Any) -> Any:
        opening = session_calls.NewSession(
            session_id=b"n" * 16,
            refresh_digest=b"d" * 16,
            absolute_seconds=600,
            idle_seconds=0,
            details=NO_DETAILS,
            **{"most_sessions": 9, **limits},
        )
        return self.ask(session_calls.login(KEYSPACE, KEEPING, self.subject, opening))

    def unban(self) -> int:
        return int(self.ask(subject_calls.unban(KEYSPACE, KEEPING, self.subject, scope="")))


@pytest.fixture(scope="module", params=["cluster", "redis_cluster"])
def running(request: pytest.FixtureRequest) -> EmbeddedCluster:
    """Valkey, and Debian's redis-server."""
    found: EmbeddedCluster = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def scene(running, config, subject):
    with SessionManager.from_url(running.url, config) as manager:
        yield Scene(running, manager, subject)


def test_all_is_listed(scene):
    listed = scene.listed()
    assert {name: stored.record for name, stored in listed.sessions.items()} == golden.PARSED
    assert listed.history == golden.HISTORY_PARSED


@pytest.mark.parametrize("session_id", golden.PARSED)
def test_each_session_is_verified(scene, session_id):
    call = session_calls.verify(KEYSPACE, scene.subject, session_id=session_id)
    stored = scene.ask(call)
    assert stored.record == golden.PARSED[session_id]
    assert stored.bans == golden.BANS_PARSED
    assert stored.live_claims == {"plan": "gold"}
    assert stored.generation == golden.GENERATION
    if session_id == golden.LIVE_2:
        assert stored.details == golden.DETAILS_PARSED
        assert stored.elevation == golden.ELEVATION_PARSED


@pytest.mark.parametrize("session_id", LIVE)
def test_a_live_record_is_exchanged_and_keeps_what_it_says(scene, session_id):
    before = golden.PARSED[session_id]
    rotated = scene.rotate(session_id, golden.DIGEST, b"s" * 16)
    assert rotated.status == "OK"
    after = scene.record(session_id)
    assert rotated.stored.record == after
    assert (after.refresh_digest, after.rotation) == (b"s" * 16, before.rotation + 1)
    assert after.refreshed_at == rotated.stored.now
    assert (after.burst, after.burst_span) == (1, 0)
    for member in ("created_milliseconds", "absolute_end", "idle_seconds", "device", "flags"):
        assert getattr(after, member) == getattr(before, member)


@pytest.mark.parametrize("session_id", LIVE)
def test_a_used_token_ends_a_live_record(scene, session_id):
    assert scene.rotate(session_id, b"?" * 16, b"s" * 16).status == "REUSED"
    assert scene.record(session_id).reason == "reused"


@pytest.mark.parametrize("session_id", DEAD)
def test_a_tombstone_is_no_session(scene, session_id):
    rotated = scene.rotate(session_id, golden.DIGEST, b"s" * 16)
    assert rotated.status == "ENDED"
    assert rotated.stored.record == golden.PARSED[session_id]
    assert scene.end(session_id).status == "ALREADY"
    assert scene.record(session_id) == golden.PARSED[session_id]


@pytest.mark.parametrize("session_id", LIVE)
def test_a_live_record_is_ended(scene, session_id):
    ended = scene.end(session_id)
    assert ended.status == "ENDED"
    left = scene.record(session_id)
    expected = Tombstone("revoked", ended.now_milliseconds // 1000, golden.FAR, "n")
    if golden.PARSED[session_id].idle_seconds:
        expected = Tombstone("revoked", expected.ended_at, 1_750_000_016 + 2**31, "n")
    assert left == expected
    others = {name: record for name, record in golden.PARSED.items() if name != session_id}
    listed = scene.listed()
    assert {name: listed.sessions[name].record for name in others} == others
    assert listed.history[:2] == golden.HISTORY_PARSED[1:]
    newest = listed.history[2]
    assert (newest.event, newest.session_id, newest.text) == (5, session_id, "n")


def test_a_ban_refuses_a_login_until_it_is_lifted(scene):
    refused = scene.login()
    assert refused.status == "BANNED"
    assert refused.stored.bans == golden.BANS_PARSED
    assert scene.unban() == 1
    assert scene.unban() == 0
    opened = scene.login()
    assert opened.status == "OK"
    assert opened.stored.bans == golden.BANS_PARSED[1:]
    assert opened.stored.live_claims == {"plan": "gold"}
    found = {name: stored.record for name, stored in scene.listed().sessions.items()}
    assert {name: found[name] for name in golden.PARSED} == golden.PARSED


def test_a_login_replaces_the_oldest(scene):
    scene.unban()
    opened = scene.login(most_sessions=3)
    assert (opened.status, opened.replaced) == ("OK", (golden.LIVE_1, golden.LIVE_1_IDLE))
    assert {scene.record(name).reason for name in opened.replaced} == {"replaced"}


def test_a_login_replaces_one_on_the_same_kind_of_device(scene):
    scene.unban()
    opened = scene.login(device="phone\0New", most_per_device=1)
    assert opened.replaced == (golden.LIVE_2,)


def test_a_login_that_began_before_the_generation_is_overtaken(scene):
    scene.unban()
    assert scene.login(generation=golden.GENERATION - 1).status == "OVERTAKEN"
    assert scene.login(generation=golden.GENERATION).status == "OK"


@pytest.mark.parametrize(
    ("device", "ended_at"),
    [("phone\0New", 1_749_999_999_998), ("tv\0New", 1_749_999_000_000), ("New", 1_749_998_000_000)],
)
def test_what_another_issuer_opened_is_overtaken_by_the_end_of_its_kind(scene, device, ended_at):
    scene.unban()
    opened = {"device": device, "opened_milliseconds": ended_at}
    assert scene.login(**opened).status == "OVERTAKEN"
    assert scene.login(**{**opened, "opened_milliseconds": ended_at + 1}).status == "OK"


def test_an_operation_that_is_repeated_answers_what_it_came_to(scene):
    def end_all(operation: bytes) -> end_calls.EndedAll:
        return scene.ask(
            end_calls.end_all(
                KEYSPACE, KEEPING, scene.subject, keep=None, reason="revoked", operation=operation
            )
        )

    again = end_all(golden.OPERATION)
    assert again == end_calls.EndedAll(golden.OPERATION_FIRST_MS, golden.OPERATION_ENDED)
    assert {name: scene.record(name) for name in golden.PARSED} == golden.PARSED
    another = end_all(bytes(7) + b"\x01")
    assert set(another.ended) == set(LIVE)
    assert all(isinstance(scene.record(name), Tombstone) for name in LIVE)


def test_an_operation_of_the_release_before_goes_with_every_request(scene, running):
    """An operation of before kept no fingerprint, and gets none by being repeated."""
    call = end_calls.end_session(
        KEYSPACE,
        KEEPING,
        scene.subject,
        session_id=golden.DEAD_130,
        reason="revoked",
        operation=golden.OPERATION,
    )
    assert scene.ask(call).status == "UNKNOWN", "the result 0, as of a session"
    key = KEYSPACE.sessions(scene.subject)
    field = b"o" + golden.OPERATION + b"\x00"
    with running.client(running.primary_of(key)) as client:
        assert client.hget(key, field)[4:] == golden.OPERATIONS[field][4:]


def test_an_operation_with_a_fingerprint_belongs_to_one_request(scene, running):
    def end_all(operation: bytes, fingerprint: bytes) -> list[Any]:
        return scene.ask(
            change(
                KEYSPACE,
                KEEPING,
                scene.subject,
                "end_all",
                arguments=(b"", 3, b"", b"", b"*", b""),
                read=list,
                operation=operation,
                fingerprint=fingerprint,
            )
        )

    assert end_all(golden.BOUND, bytes(8))[::2] == [b"MISMATCH", []]
    again = end_all(golden.BOUND, golden.BOUND_FINGERPRINT)
    assert again == [b"OK", golden.OPERATION_FIRST_MS, [golden.OPERATION_ENDED[0]]]
    assert {name: scene.record(name) for name in golden.PARSED} == golden.PARSED
    another = bytes(7) + b"\x01"
    ended = end_all(another, golden.BOUND_FINGERPRINT)
    key = KEYSPACE.sessions(scene.subject)
    with running.client(running.primary_of(key)) as client:
        written = client.hget(key, b"o" + another + b"\x00")
    assert written[4:10] == ended[1].to_bytes(6, "big")
    assert written[10:] == bytes.fromhex("00 0004") + golden.BOUND_FINGERPRINT


@pytest.mark.parametrize(
    ("session_id", "result"), [(b"n" * 16, 0), (golden.DEAD_130, 1), (golden.LIVE_2, 2)]
)
def test_the_end_of_a_session_is_kept_as_a_number_that_stays(scene, running, session_id, result):
    """A repetition may be answered by a release that did not carry the first call out."""
    operation = bytes(7) + b"\x01"
    call = end_calls.end_session(
        KEYSPACE,
        KEEPING,
        scene.subject,
        session_id=session_id,
        reason="revoked",
        operation=operation,
    )
    status = scene.ask(call).status
    assert status == ("UNKNOWN", "ALREADY", "ENDED")[result]
    assert scene.ask(call).status == status
    key = KEYSPACE.sessions(scene.subject)
    with running.client(running.primary_of(key)) as client:
        assert client.hget(key, b"o" + operation + b"\x00")[10] == result


def test_scripts_write_the_layout_that_is_golden(scene):
    """Step-up, ban and history, as Lua writes them, read like the literal ones."""
    scene.ask(
        adjust_calls.elevate(
            KEYSPACE,
            KEEPING,
            scene.subject,
            session_id=golden.LIVE_1,
            seconds=60,
            level="3",
            methods=("hwk", "otp"),
            address=b"\x7f\x00\x00\x01",
            step_up=b"step-up!",
            refresh_digest=b"r" * 16,
            ends_older=True,
            password_changed=False,
        )
    )
    stored = scene.listed().sessions[golden.LIVE_1]
    assert stored.elevation is not None
    assert stored.elevation.level == golden.ELEVATION_PARSED.level
    assert stored.elevation.methods == golden.ELEVATION_PARSED.methods
    assert stored.elevation.ends_at == stored.elevation.authenticated_at + 60
    before, record = golden.PARSED[golden.LIVE_1], stored.record
    assert (stored.elevation.id, stored.elevation.ends_older) == (b"step-up!", True)
    assert stored.elevation.first_rotation == before.rotation + 65_536
    line = scene.listed().history[-1]
    assert (line.event, line.count, line.session_id) == (9, 1, golden.LIVE_1)
    assert (line.address, line.text) == (b"\x7f\x00\x00\x01", "3")
    assert record == dataclasses.replace(
        before,
        rotation=stored.elevation.first_rotation,
        refresh_digest=b"r" * 16,
        refreshed_at=line.at,
        burst=0,
        burst_span=0,
    )


def test_a_repeated_step_up_changes_nothing(scene):
    """The driver repeats a call whose answer was lost; the tokens that it made stay good."""

    def elevate() -> Any:
        return scene.ask(
            adjust_calls.elevate(
                KEYSPACE,
                KEEPING,
                scene.subject,
                session_id=golden.LIVE_1,
                seconds=60,
                level="3",
                methods=(),
                address=b"",
                step_up=b"step-up!",
                refresh_digest=b"r" * 16,
                ends_older=False,
                password_changed=False,
            )
        ).stored

    first, again = elevate(), elevate()
    assert again.elevation.first_rotation == first.elevation.first_rotation
    assert dataclasses.replace(again, now_milliseconds=first.now_milliseconds) == first
    assert [line.event for line in scene.listed().history].count(9) == 1
    assert scene.rotate(golden.LIVE_1, golden.DIGEST, b"s" * 16).status == "OK"
    after = scene.record(golden.LIVE_1)
    assert after.refresh_digest == b"s" * 16
    assert elevate().record == after, "a call that arrives late undoes nothing"
