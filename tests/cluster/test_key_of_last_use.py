"""The key of the last use of sessions: what keeps and removes it; reads of one key of the two."""

import dataclasses
import secrets

import pytest
import redis

from clusterpass import SessionExpired, SessionManager, StoreUnavailable
from clusterpass.protocol.calls import (
    end as end_calls,
    session as session_calls,
    subject as subject_calls,
)
from clusterpass.protocol.calls.subject_change import Housekeeping
from clusterpass.protocol.journal_entry import JournalEntry
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import Tombstone, parse_record
from clusterpass.protocol.replies import NO_DETAILS
from clusterpass.protocol.script import ScriptCall
from clusterpass.tokens.identifiers import decode_session_id

KEEPING = Housekeeping(tombstone_seconds=960, history_entries=20)


class Scene:
    """One session, whose refresh was so long ago that only a noted use keeps it alive."""

    def __init__(self, running, manager, subject):
        self.keyspace = Keyspace()
        self.subject = subject
        self.key = self.keyspace.sessions(subject)
        self.beside = self.keyspace.activity(subject)
        self.node = running.client(running.primary_of(self.key))
        self.pair = manager.login(subject, idle_lifetime=1000)
        self.session_id = decode_session_id(self.pair.session_id)
        record = self.record()
        self.now = record.refreshed_at
        old = dataclasses.replace(record, refreshed_at=self.now - 1001)
        self.node.hset(self.key, self.session_id, old.pack())

    def record(self):
        return parse_record(self.node.hget(self.key, self.session_id))

    def note_use(self):
        self.node.hset(self.beside, self.session_id, self.now.to_bytes(4, "big"))
        self.node.expire(self.beside, 2000)

    def run(self, call: ScriptCall, keys: int):
        return self.node.execute_command(
            "EVAL", call.script.source, keys, *call.keys[:keys], *call.arguments
        )

    def changes(self) -> list[ScriptCall]:
        return [
            subject_calls.settle(self.keyspace, KEEPING, self.subject),
            end_calls.end_all(
                self.keyspace, KEEPING, self.subject, keep=self.session_id, reason="revoked"
            ),
        ]

    def reads(self) -> list[ScriptCall]:
        return [
            session_calls.verify(self.keyspace, self.subject, session_id=self.session_id),
            session_calls.list_sessions(self.keyspace, self.subject),
        ]


@pytest.fixture
def scene(engine, manager, subject):
    made = Scene(engine[0], manager, subject)
    yield made
    made.node.close()


def test_a_noted_use_keeps_a_session_alive(scene, manager):
    scene.note_use()
    session = manager.verify(scene.pair.access_token)
    assert session.active_at == scene.now
    assert session.expires_at == scene.now + 1000
    assert [each.session_id for each in manager.sessions(scene.subject)] == [session.session_id]
    for call in scene.changes():
        scene.run(call, 3)
    assert manager.verify(scene.pair.access_token)


def test_without_a_noted_use_it_has_ended(scene, manager):
    with pytest.raises(SessionExpired) as end:
        manager.verify(scene.pair.access_token)
    assert end.value.reason == "session_idle"
    assert manager.sessions(scene.subject) == []


def test_nothing_is_judged_idle_while_the_use_cannot_be_read(scene):
    """As while a slot migrates: the driver then asks with the first key alone."""
    scene.note_use()
    before = scene.node.hgetall(scene.key)
    for call in (*scene.reads(), *scene.changes()):
        with pytest.raises(redis.exceptions.TryAgainError):
            scene.run(call, 1)
    assert scene.node.hgetall(scene.key) == before
    for call in scene.reads():
        assert scene.run(call, 2)


def test_the_use_is_missed_wherever_the_session_is_among_the_fields(scene):
    scene.note_use()
    fields = scene.node.hgetall(scene.key)
    for others in range(1, 4):
        scene.node.delete(scene.key)
        first = {b"%d" % number: b"of a later release" for number in range(others)}
        scene.node.hset(scene.key, mapping={**first, **fields})
        for call in scene.reads():
            with pytest.raises(redis.exceptions.TryAgainError):
                scene.run(call, 1)
            assert scene.run(call, 2)


def test_the_end_of_a_key_is_never_brought_forward_while_the_use_cannot_be_read(scene, manager):
    scene.note_use()
    manager.refresh(scene.pair.refresh_token)
    scene.node.expire(scene.key, 40 * 86_400)
    scene.run(scene.changes()[0], 1)
    assert scene.node.ttl(scene.key) > 39 * 86_400
    scene.run(scene.changes()[0], 3)
    assert scene.node.ttl(scene.key) < 39 * 86_400


def test_a_refresh_or_an_end_takes_the_note_away(scene, manager):
    scene.note_use()
    pair = manager.refresh(scene.pair.refresh_token)
    assert not scene.node.exists(scene.beside)
    scene.now += 10
    scene.note_use()
    manager.logout(pair.access_token)
    assert not scene.node.exists(scene.beside)
    assert isinstance(scene.record(), Tombstone)


def test_a_refresh_takes_the_note_of_its_own_session_away(scene, manager):
    scene.note_use()
    pairs = [scene.pair, *(manager.login(scene.subject) for _ in range(3))]
    ids = [decode_session_id(pair.session_id) for pair in pairs]
    for session_id in ids:
        scene.node.hset(scene.beside, session_id, scene.now.to_bytes(4, "big"))
    for pair in reversed(pairs):
        manager.refresh(pair.refresh_token)
        ids.remove(decode_session_id(pair.session_id))
        assert set(scene.node.hkeys(scene.beside)) == set(ids)


def test_a_note_lets_no_key_end_before_the_session(scene):
    scene.note_use()
    scene.node.expire(scene.key, 5)
    scene.node.expire(scene.beside, 5)
    call = session_calls.touch(scene.keyspace, KEEPING, scene.subject, session_id=scene.session_id)
    assert scene.run(call, 2) == 1
    for key in (scene.key, scene.beside):
        assert 1000 < scene.node.ttl(key) <= 1000 + 960
    assert scene.run(call, 1) == 0, "with one key nothing is noted"


def test_a_note_that_names_no_token_leaves_what_is_noted_of_tokens(scene, manager):
    scene.note_use()
    manager.refresh(scene.pair.refresh_token)
    replies = [
        scene.run(
            session_calls.touch(
                scene.keyspace,
                KEEPING,
                scene.subject,
                session_id=scene.session_id,
                rotation=rotation,
            ),
            2,
        )
        for rotation in (0, 1, 0, session_calls.ONLY_THE_SECOND, 0)
    ]
    assert replies == [1, 2, 2, 1, 1], "1 more for a token that was used"


def test_a_note_revives_nothing(scene):
    call = session_calls.touch(scene.keyspace, KEEPING, scene.subject, session_id=scene.session_id)
    assert scene.run(call, 2) == 0
    assert not scene.node.exists(scene.beside)


def test_a_slot_that_migrates_is_put_off_and_not_a_logout(cluster, config, subject):
    """Both halves of a real migration: the record is here, the note of its use is there."""
    url = f"{cluster.url}?deadline=1"
    with SessionManager.from_url(url, config) as manager:
        scene = Scene(cluster, manager, subject)
        scene.note_use()
        assert manager.verify(scene.pair.access_token)
        source = cluster.primary_of(scene.key)
        target = next(owner for owner in map(cluster.primary_of, "abcdef") if owner != source)
        slot = scene.node.cluster("keyslot", scene.key)
        with cluster.client(target) as there:
            ids = {
                node: client.execute_command("CLUSTER MYID").decode()
                for node, client in ((source, scene.node), (target, there))
            }
            there.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[source])
            scene.node.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[target])
            try:
                scene.node.execute_command(
                    "MIGRATE", target.host, target.port, scene.beside, 0, 5000
                )
                with pytest.raises(StoreUnavailable) as put_off:
                    manager.verify(scene.pair.access_token, verification="strict")
                assert put_off.value.reason == "moving"
                for key in scene.node.execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
                    scene.node.execute_command("MIGRATE", target.host, target.port, key, 0, 5000)
                assert manager.verify(scene.pair.access_token).active_at == scene.now
            finally:
                for client in (there, scene.node):
                    client.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[target])
        assert manager.verify(scene.pair.access_token)
        scene.node.close()


def test_a_note_is_no_change_of_what_a_cache_watches(engine, open_manager, config, subject):
    """Not even its end moves, as that would be a change too."""
    manager = open_manager(dataclasses.replace(config, activity_interval=1))
    running = engine[0]
    key = Keyspace().sessions(subject)
    with running.client(running.primary_of(key)) as watcher:
        pair = manager.login(subject)
        beside = Keyspace().activity(subject)
        ends = watcher.expiretime(key)
        while not watcher.exists(beside):
            manager.verify(pair.access_token)
        assert watcher.expiretime(key) == ends


def test_the_least_recently_used_is_not_guessed(scene):
    """Without the notes a login that must let one leave is put off."""
    opening = session_calls.NewSession(
        session_id=b"n" * 16,
        refresh_digest=b"d" * 16,
        absolute_seconds=600,
        idle_seconds=0,
        details=NO_DETAILS,
        most_sessions=1,
        overflow="least_recently_used",
    )
    scene.note_use()
    record = dataclasses.replace(scene.record(), idle_seconds=0)
    scene.node.hset(scene.key, scene.session_id, record.pack())
    call = session_calls.login(scene.keyspace, KEEPING, scene.subject, opening)
    with pytest.raises(redis.exceptions.TryAgainError):
        scene.run(call, 1)
    assert not scene.node.hexists(scene.key, b"n" * 16)
    roomy = dataclasses.replace(opening, session_id=b"r" * 16, most_sessions=2)
    for_nobody = session_calls.login(scene.keyspace, KEEPING, scene.subject, roomy)
    assert scene.run(for_nobody, 1)[0] == b"OK", "none has to leave"
    assert scene.run(call, 3)[0] == b"OK"


@pytest.mark.parametrize(
    "ask",
    [
        lambda manager, subject: manager.generation(subject),
        lambda manager, subject: manager.bans.check(subject),
        lambda manager, subject: manager.claims.get(subject),
    ],
    ids=["generation", "bans", "claims"],
)
def test_an_ending_in_front_of_a_call_that_needs_no_activity_reads_it(
    cluster, config, subject, ask
):
    """The ending changes the subject, so it has to tell which sessions are still in use."""
    with SessionManager.from_url(f"{cluster.url}?deadline=1", config) as manager:
        scene = Scene(cluster, manager, subject)
        scene.note_use()
        over = manager.login(subject)
        entry = JournalEntry.of_end_session(
            secrets.token_bytes(8),
            subject,
            session_id=decode_session_id(over.session_id),
            reason="revoked",
            address=b"",
            note="",
            expires_at=scene.now + 1000,
        )
        manager._flows.memory.journal.learn(entry)
        ask(manager, subject)
        (left,) = manager.sessions(subject)
        assert left.session_id == scene.pair.session_id
        scene.node.close()
