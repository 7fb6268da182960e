"""The bytes that a session takes in the store, compared with a JWT stored under the user's name."""

import os
from collections.abc import Iterator
from typing import Any

import redis

from benchmarks.fixtures import find_redis_server, server_version, single_client
from benchmarks.report import Goal, Report
from clusterpass import EmbeddedCluster
from clusterpass.protocol.calls import session as session_calls
from clusterpass.protocol.calls.subject_change import Housekeeping
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.replies import NO_DETAILS
from clusterpass.protocol.script import ScriptCall

DAY = 86_400
MOST_BYTES = {1: 210, 3: 125}
NAIVE_BYTES = 250
PREFIXES = ("", "user-")
ALONE = Housekeeping(tombstone_seconds=960, indexed=False)
BY_DEFAULT = Housekeeping(tombstone_seconds=960, history_entries=20)
_BATCH = 1_000


def run(*, users: int = 200_000) -> Report:
    """Load ``users`` users into a single server; skipped where no Redis is installed."""
    server = find_redis_server()
    name, title = "memory", f"Memory of a session at {users:,} users"
    if server is None:
        return Report(name, title, "Not measured: no redis-server here.", ("",), ())
    rows: list[list[str]] = []
    goals: list[Goal] = []
    with (
        EmbeddedCluster(nodes=1, server=server) as cluster,
        single_client(cluster.nodes[0]) as client,
    ):
        version = server_version(cluster)
        client.script_load(_login(Keyspace(), ALONE, "0").script.source)
        for prefix in PREFIXES:
            for sessions, measured, row in _measure(client, ALONE, prefix, users):
                rows.append(row)
                if prefix == PREFIXES[0]:
                    what = f"bytes a session, {sessions} a user"
                    goals.append(Goal(what, measured, at_most=MOST_BYTES[sessions]))
            rows.append(_measure_naive(client, prefix, users))
        for _, _, row in _measure(client, BY_DEFAULT, PREFIXES[0], users):
            rows.append([f"{row[0]}, with history and index", *row[1:]])
    return Report(
        name=name,
        title=title,
        text=(
            "The growth of `used_memory` of one server, divided by the number of sessions, "
            "after logins by the real script with the device `iPhone` and no claims. It "
            "includes everything: the key, its expiry, the hash tables, the rounding of the "
            "allocator. The last columns describe one key of one user. The first rows are "
            "sessions alone (`history_entries=0`, `index_online=False`); the last are what "
            "logins write by default, with one entry of history each and the user's place in "
            "the index of who is online. The goals apply to short names, such as numbers. "
            "Names of 10 characters or more cost 16 bytes more, because Debian's allocator "
            "then rounds the name of the key up to 32 bytes; for the naive key too, if its "
            "name is that long."
        ),
        columns=("stored", "bytes a session", "encoding", "MEMORY USAGE of a key", "key name"),
        rows=rows,
        goals=goals,
        servers=[version],
        arguments=[] if users == 200_000 else ["--users", str(users)],
    )


def _measure(
    client: "redis.Redis", keeping: Housekeeping, prefix: str, users: int
) -> Iterator[tuple[int, float, list[str]]]:
    """Sessions a user, bytes a session, and the row that says so."""
    keyspace = Keyspace()
    client.flushall()
    empty, present = _used(client), 0
    for sessions in MOST_BYTES:
        for _ in range(sessions - present):
            _load(client, (_evalsha(keyspace, keeping, _user(prefix, i)) for i in range(users)))
        present = sessions
        measured = (_used(client) - empty) / (users * sessions)
        what = f"{sessions} session{'s' if sessions > 1 else ''} a user"
        key = keyspace.sessions(_user(prefix, users - 1))
        yield sessions, measured, [what, f"{measured:.1f}", *_describe(client, key)]


def _measure_naive(client: "redis.Redis", prefix: str, users: int) -> list[str]:
    client.flushall()
    empty = _used(client)
    token = "x" * NAIVE_BYTES
    _load(client, (["SET", _user(prefix, i), token, "EX", 900] for i in range(users)))
    measured = (_used(client) - empty) / users
    what = f"a JWT of {NAIVE_BYTES} bytes under the user's name"
    return [what, f"{measured:.1f}", *_describe(client, _user(prefix, users - 1).encode())]


def _user(prefix: str, number: int) -> str:
    return f"{prefix}{number + 100_000}"


def _login(
    keyspace: Keyspace, keeping: Housekeeping, user: str
) -> ScriptCall[session_calls.Opened]:
    opening = session_calls.NewSession(
        session_id=os.urandom(16),
        refresh_digest=os.urandom(16),
        absolute_seconds=30 * DAY,
        idle_seconds=7 * DAY,
        device="iPhone",
        label="iPhone",
        details=NO_DETAILS,
        most_sessions=50,
    )
    return session_calls.login(keyspace, keeping, user, opening)


def _evalsha(keyspace: Keyspace, keeping: Housekeeping, user: str) -> list[bytes | int | str]:
    call = _login(keyspace, keeping, user)
    return ["EVALSHA", call.script.sha1, len(call.keys), *call.keys, *call.arguments]


def _load(client: "redis.Redis", commands: Iterator[list[Any]]) -> None:
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
        if len(pipeline) >= _BATCH:
            pipeline.execute()
    pipeline.execute()


def _used(client: "redis.Redis") -> int:
    info: dict[str, Any] = client.info("memory")
    return int(info["used_memory"])


def _describe(client: "redis.Redis", key: bytes) -> list[str]:
    encoding = client.object("encoding", key)
    return [encoding.decode(), str(client.memory_usage(key)), f"`{key.decode()}`"]
