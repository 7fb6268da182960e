"""The Lua scripts: the records that they write, their memory, and their round trips."""

import dataclasses
import math
import time

import pytest
import redis
from redis.crc import key_slot

from clusterpass import EmbeddedCluster, SessionManager, SessionPolicy, SessionRevoked
from clusterpass.protocol.calls import (
    directory as directory_calls,
    end as end_calls,
    session as session_calls,
    subject as subject_calls,
)
from clusterpass.protocol.calls.subject_change import Housekeeping
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import LiveRecord, Tombstone, parse_record
from clusterpass.protocol.replies import NO_DETAILS
from clusterpass.protocol.script import load_script
from clusterpass.store.drivers import watch_look_ups
from clusterpass.tokens.identifiers import decode_session_id, encode_session_id

SCRIPTS = [
    "note_refusal",
    "audit_append",
    "audit_read",
    "login",
    "verify",
    "rotate",
    "touch",
    "end_session",
    "end_all",
    "list_sessions",
    "read_fields",
    "shorten",
    "elevate",
    "ban",
    "unban",
    "set_claims",
    "settle",
    "erase",
    "not_before",
    "read_not_before",
    "online_count",
    "online_page",
    "user_add",
    "user_change",
    "user_find",
    "user_remove",
    "link_make",
    "link_check",
    "link_use",
    "count_attempt",
    "forget_attempts",
    "return_attempt",
    "journal_append",
    "journal_fill",
    "journal_read",
    "journal_trim",
    "never_promoted",
    "count_old_tokens",
    "read_old_token_counts",
    "read_secrets",
    "add_secrets",
    "take_key_lease",
    "prune_secrets",
]


READERS = {
    "audit_read",
    "verify",
    "list_sessions",
    "read_fields",
    "read_not_before",
    "read_old_token_counts",
    "read_secrets",
    "online_count",
    "online_page",
    "user_find",
    "link_check",
    "journal_read",
    "never_promoted",
}
KEEPING = Housekeeping(60)


def opening(session_id: bytes, digest: bytes) -> session_calls.NewSession:
    return session_calls.NewSession(
        session_id=session_id,
        refresh_digest=digest,
        absolute_seconds=600,
        idle_seconds=0,
        details=NO_DETAILS,
        most_sessions=5,
    )


@pytest.fixture
def key(subject: str) -> bytes:
    return Keyspace().sessions(subject)


@pytest.fixture
def node(cluster: EmbeddedCluster, key: bytes):
    with cluster.client(cluster.primary_of(key)) as client:
        yield client


def session_fields(node, key: bytes) -> int:
    """Return the number of fields of sessions; the others are of history and subject."""
    return sum(len(name) >= 16 for name in node.hkeys(key))


def test_every_script_opens_with_what_it_takes_and_returns():
    from importlib.resources import files

    folder = files("clusterpass.protocol") / "scripts"
    names = {entry.name for entry in folder.iterdir() if entry.name.endswith(".lua")}
    assert names == {f"{name}.lua" for name in SCRIPTS}
    for name in SCRIPTS:
        source = load_script(name).source.decode()
        assert source.startswith("#!lua")
        assert "-- KEYS" in source
        assert "-- Returns" in source


def test_every_call_touches_one_slot():
    keyspace = Keyspace("app")
    for name in ["alice", "{", "a{b}c", "}{", "😀", "x" * 200]:
        session = bytes(16)
        made = [
            session_calls.login(keyspace, KEEPING, name, opening(session, session)),
            session_calls.verify(keyspace, name, session_id=session),
            session_calls.rotate(
                keyspace,
                KEEPING,
                name,
                session_id=session,
                presented_digest=session,
                rotation=0,
                successor_digest=session,
            ),
            session_calls.touch(keyspace, KEEPING, name, session_id=session),
            end_calls.end_session(keyspace, KEEPING, name, session_id=session, reason="revoked"),
            end_calls.end_all(keyspace, KEEPING, name, keep=None, reason="revoked"),
            subject_calls.set_claims(keyspace, KEEPING, name, claims=b""),
            subject_calls.unban(keyspace, KEEPING, name, scope=""),
            subject_calls.read_generation(keyspace, name),
            session_calls.list_sessions(keyspace, name),
            directory_calls.find_user(keyspace, name),
        ]
        slots = {key_slot(part) for call in made for part in call.keys}
        assert len(slots) == 1, name


def test_the_record_in_lua_is_the_record_in_python(sessions, node, key, subject):
    before = int(time.time() * 1000)
    pair = sessions.login(subject, device="d" * 21)
    field = decode_session_id(pair.session_id)
    value = node.hget(key, field)
    assert len(value) == 64
    record = parse_record(value)
    assert isinstance(record, LiveRecord)
    assert record.pack() == value
    assert abs(record.created_milliseconds - before) < 60_000
    assert record.refreshed_at == record.created_milliseconds // 1000
    assert record.absolute_end == record.refreshed_at + 30 * 86400
    assert record.idle_seconds == 7 * 86400
    assert (record.rotation, record.device, record.flags % 8) == (0, "d" * 21, 0)
    sessions.refresh(pair.refresh_token)
    rotated = parse_record(node.hget(key, field))
    assert rotated.rotation == 1
    assert rotated.device == "d" * 21
    assert rotated.refresh_digest != record.refresh_digest
    sessions.logout(pair.access_token)
    tombstone = parse_record(node.hget(key, field))
    assert isinstance(tombstone, Tombstone)
    assert tombstone.reason == "logged_out"
    assert tombstone.pack() == node.hget(key, field)


def test_a_dump_of_the_store_holds_nothing_to_replay(sessions, node, key, subject):
    from clusterpass.tokens.refresh import parse_refresh_token

    pair = sessions.login(subject, claims={"role": "x"})
    secret = parse_refresh_token(pair.refresh_token).secret
    dump = b"".join(node.hgetall(key).values())
    assert b"role" in dump
    assert secret not in dump
    assert pair.access_token.encode() not in dump
    assert pair.access_token.rsplit(".", 1)[1].encode() not in dump
    assert pair.refresh_token.encode() not in dump


def test_the_hash_keeps_its_compact_encoding(sessions, node, key, subject):
    for _ in range(5):
        sessions.login(subject, device="d" * 21, claims={"role": "editor"})
    assert node.object("encoding", key) == b"listpack"


def test_the_key_expires_with_its_last_session(sessions, node, key, subject):
    pair = sessions.login(subject, claims={"a": 1})
    record = parse_record(node.hget(key, decode_session_id(pair.session_id)))
    # It stays a little longer: its use is noted without a change of the key while its tokens live,
    # and then it can be told why the session ended.
    assert node.expiretime(key) == record.ends_at + 2 * 960
    assert session_fields(node, key) == 2
    sessions.logout(pair.access_token)
    tombstone = parse_record(node.hget(key, decode_session_id(pair.session_id)))
    assert node.expiretime(key) == tombstone.keep_until
    assert tombstone.keep_until - tombstone.ended_at >= 900
    assert session_fields(node, key) == 1, "no details of a dead session are kept"


def test_the_key_expires_later_after_a_refresh(sessions, node, key, subject):
    """Also of a session with a step-up, of which all of the subject is read."""
    session = sessions.verify(sessions.login(subject).access_token)
    pair = sessions.elevate(session, "2", for_seconds=600)
    expires_at = node.expiretime(key)
    node.expireat(key, expires_at - 300)
    sessions.refresh(pair.refresh_token)
    assert node.expiretime(key) >= expires_at


def test_ended_fields_are_removed_by_the_next_login(sessions, node, key, subject):
    pair = sessions.login(subject, claims={"a": 1})
    field = decode_session_id(pair.session_id)
    record = parse_record(node.hget(key, field))
    node.hset(key, field, dataclasses.replace(record, absolute_end=int(time.time()) - 9).pack())
    node.hset(key, b"t" * 16, Tombstone("revoked", 1, 2).pack())
    newer = sessions.login(subject)
    left = {name for name in node.hkeys(key) if len(name) >= 16}
    assert left == {field, decode_session_id(newer.session_id)}
    assert parse_record(node.hget(key, field)).reason == "expired"


def test_tombstones_are_bounded(cluster_url, config, node, key, subject):
    single = dataclasses.replace(config, policy=SessionPolicy.single_session())
    with SessionManager.from_url(cluster_url, single) as manager:
        for _ in range(80):
            pair = manager.login(subject)
        assert session_fields(node, key) == 65
        assert manager.verify(pair.access_token)


def test_the_latest_tombstone_stays_however_many_there_are(sessions, subject):
    """More logouts within one second than tombstones are kept."""
    for _ in range(150):
        pair = sessions.login(subject)
        sessions.logout(pair.access_token)
        with pytest.raises(SessionRevoked):
            sessions.verify(pair.access_token)


def writes(node) -> int:
    """Return how often a hash of the node was written."""
    return sum(
        figures["calls"]
        for name, figures in node.info("commandstats").items()
        if name in {"cmdstat_hset", "cmdstat_hmset"}
    )


def test_a_repeated_call_changes_nothing(sessions, node, key, subject):
    """What a retry after a lost reply meets."""
    session_id, digest, successor = b"s" * 16, b"d" * 16, b"e" * 16
    keyspace = Keyspace()

    def flow(call):
        answer = yield call
        return answer.reply

    def login():
        return sessions.store.run(
            flow(session_calls.login(keyspace, KEEPING, subject, opening(session_id, digest)))
        )

    def rotate():
        return sessions.store.run(
            flow(
                session_calls.rotate(
                    keyspace,
                    KEEPING,
                    subject,
                    session_id=session_id,
                    presented_digest=digest,
                    rotation=0,
                    successor_digest=successor,
                )
            )
        )

    first, second = login(), login()
    assert first.stored.record == second.stored.record
    assert session_fields(node, key) == 1
    once, written = rotate(), writes(node)
    twice = rotate()
    assert writes(node) > written, "WAIT confirms a write: without one it would confirm nothing"
    assert once.status == twice.status == "OK"
    assert once.stored.record == twice.stored.record
    # A login's retry that arrives late neither undoes the rotation ...
    login()
    assert parse_record(node.hget(key, session_id)).rotation == 1
    # ... nor brings an ended session back.
    sessions.revoke(subject, encode_session_id(session_id))
    assert isinstance(login().stored.record, Tombstone)
    assert sessions.sessions(subject) == []


def test_a_refresh_that_is_repeated_within_its_grace_is_confirmed_again(
    sessions, node, key, subject
):
    """Each repetition is a write, as WAIT confirms nothing without one."""
    pair = sessions.login(subject)
    successor, before = sessions.refresh(pair.refresh_token), node.hgetall(key)
    for _ in range(2):
        written = writes(node)
        assert sessions.refresh(pair.refresh_token).refresh_token == successor.refresh_token
        assert writes(node) > written
    assert node.hgetall(key) == before


def test_ends_of_sixteen_kinds_of_devices_are_remembered(sessions, node, key, subject):
    sessions.login(subject)
    for number in range(17):
        sessions.revoke_all(subject, device_type=f"kind-{number}")
    kinds = [line.split()[0] for line in node.hget(key, "t").splitlines()]
    assert len(kinds) == 17
    assert kinds[-1] == b"*", "stands for those that were ended first"


def test_a_window_of_attempts_that_is_about_to_end_does_not_begin_anew(node, key):
    """Less than half a second before its end TTL answers 0."""
    call = directory_calls.count_attempt(key, most=1, window_seconds=300)
    first = "redis.call('SET', KEYS[1], '1', 'PX', 400)"
    source = call.script.source.replace(b"#!lua\n", f"#!lua\n{first}\n".encode())
    assert call.read(node.eval(source, 1, key, *call.arguments)) == 1
    assert node.pttl(key) <= 400


def test_attempts_that_are_given_back_leave_nothing(node, key):
    def run(call):
        return call.read(node.eval(call.script.source, 1, key, *call.arguments))

    attempt = directory_calls.count_attempt(key, most=2, window_seconds=300)
    assert [run(attempt) for _ in range(2)] == [0, 0]
    ends_at = node.pexpiretime(key)
    assert 0 < run(attempt) <= 300
    run(directory_calls.return_attempt(key))
    assert run(attempt) == 0
    assert node.pexpiretime(key) == ends_at, "the window stays"
    for _ in range(2):
        assert node.exists(key)
        run(directory_calls.return_attempt(key))
    assert not node.exists(key)


def _command_calls(cluster: EmbeddedCluster) -> dict[str, int]:
    counts: dict[str, int] = {}
    for node in cluster.nodes:
        with cluster.client(node) as client:
            for name, figures in client.info("commandstats").items():
                counts[name] = counts.get(name, 0) + figures["calls"]
    return counts


def _spent(cluster: EmbeddedCluster, act) -> dict[str, int]:
    """The commands that reached the servers from outside while ``act`` ran."""
    names = ["evalsha", "eval", "wait", "cluster|slots", "cluster|nodes"]
    before = _command_calls(cluster)
    act()
    after = _command_calls(cluster)
    spent = {
        name: after.get(f"cmdstat_{name}", 0) - before.get(f"cmdstat_{name}", 0) for name in names
    }
    return {name: count for name, count in spent.items() if count}


@pytest.mark.parametrize("seconds_apart", [0, 1])
def test_the_results_of_eight_operations_are_kept(sessions, node, key, subject, seconds_apart):
    """The latest; of those of one second the one that is under way, and the lowest ids."""
    pair = sessions.login(subject)

    def kept() -> list[int]:
        names = (name for name in node.hkeys(key) if len(name) == 10 and name[:1] == b"o")
        return sorted(int.from_bytes(name[1:9], "big") for name in names)

    def repeat(number: int) -> None:
        sessions.revoke_all(subject, keep=pair.session_id, operation_id=f"{number:016x}")

    for number in range(20, 28):
        repeat(number)
    assert kept() == list(range(20, 28))
    now = int(time.time())
    for number in range(20, 28):
        field = b"o" + number.to_bytes(8, "big") + b"\0"
        at = now - seconds_apart * (28 - number)
        node.hset(key, field, at.to_bytes(4, "big") + node.hget(key, field)[4:])
    repeat(99)
    assert kept() == ([*range(20, 27), 99] if seconds_apart == 0 else [*range(21, 28), 99])


def test_of_many_operations_the_oldest_goes(sessions, node, key, subject):
    pair = sessions.login(subject)
    now = int(time.time())
    fields = []
    for number in range(40):
        sessions.revoke_all(subject, keep=pair.session_id, operation_id=f"{number + 1:016x}")
        fields.append(b"o" + (number + 1).to_bytes(8, "big") + b"\0")
        assert {name for name in node.hkeys(key) if name in fields} == set(fields[-8:])
        at = now - 50 + number
        node.hset(key, fields[-1], at.to_bytes(4, "big") + node.hget(key, fields[-1])[4:])


def _await_quiet(cluster: EmbeddedCluster) -> None:
    """Return when nobody looks the cluster up or reads journals any more."""
    while _spent(cluster, lambda: time.sleep(0.3)):
        pass


def test_each_verb_is_one_round_trip(cluster, config, subject, monkeypatch):
    # A manager that remembers nothing has no watch; those of other managers look the cluster up
    # now and then, which would be counted here.
    monkeypatch.setattr(watch_look_ups, "_SECONDS_UNTIL_LOOK_UP", math.inf)
    strict = dataclasses.replace(config, verification="strict")
    with SessionManager.from_url(cluster.url, strict) as sessions:
        pair = sessions.login(subject)  # the connection and the scripts are there
        pair = sessions.refresh(pair.refresh_token)
        sessions.verify(pair.access_token)
        sessions.sessions(subject)
        # The cutoff, which is asked for twice a second, is known for long enough.
        cutoff = sessions._flows.memory.cutoff
        cutoff.learn(0, cutoff.now() + 60)
        for _ in range(3):  # the next copy of the refresh secrets is read in a minute
            sessions._flows.known_secrets.learn({})
        write, read = {"evalsha": 1, "wait": 1}, {"evalsha": 1}
        _await_quiet(cluster)
        assert _spent(cluster, lambda: sessions.login(subject)) == write
        assert _spent(cluster, lambda: sessions.verify(pair.access_token)) == read
        assert _spent(cluster, lambda: sessions.sessions(subject)) == read
        assert _spent(cluster, lambda: sessions.refresh(pair.refresh_token)) == write
        sessions.logout(sessions.login(subject).access_token)
        assert _spent(cluster, lambda: sessions.logout(pair.access_token)) == write


def test_a_write_and_its_wait_travel_in_one_packet(cluster, sessions, subject):
    """One send, two replies: WAIT is no second round trip."""
    from redis.connection import AbstractConnection

    sent = []
    original = AbstractConnection.send_packed_command

    def record(self, command, **options):
        sent.append(b"".join(command))
        return original(self, command, **options)

    sessions.login(subject)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AbstractConnection, "send_packed_command", record)
        sessions.login(subject)
    assert len(sent) == 1
    assert b"EVALSHA" in sent[0]
    assert b"WAIT" in sent[0]


def test_reading_scripts_are_marked_as_such(node, key):
    for name in SCRIPTS:
        script = load_script(name)
        is_reader = name in READERS
        assert script.writes is not is_reader
    with pytest.raises(redis.ResponseError, match=r"[Ww]rite commands are not allowed"):
        node.eval("#!lua flags=no-writes\nreturn redis.call('SET', KEYS[1], '1')", 1, key)
