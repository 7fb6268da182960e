"""Helpers that read and rewrite a subject's data in the store, so that tests need not wait.

``engine`` is the fixture of that name: the running servers, and the style of the manager.
"""

import dataclasses
import itertools
import json
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from clusterpass import Config, SessionManager, TokenPair
from clusterpass.model import forks
from clusterpass.protocol.calls.subject_change import OPERATION_BYTES
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace
from clusterpass.protocol.records import LiveRecord, Tombstone, parse_record
from clusterpass.store.drivers.base import StoreBase
from clusterpass.tokens.identifiers import decode_session_id
from tests.cluster.conftest import Facade

Engine = Any
_numbers = itertools.count()
_PLAIN = Keyspace()
OLDER_REFRESHED = 42
"""Where a field of elevation says when the refresh token before the step-up was made."""


def new_namespace() -> str:
    """One that no other test uses."""
    return f"apart-{next(_numbers)}"


@contextmanager
def opened_apart(engine: Engine, config: Config, namespace: str) -> Iterator[Any]:
    """A manager of the engine's style in a namespace of its own; closed afterwards."""
    running, style = engine
    url = f"{running.url}?namespace={namespace}"
    manager: Any = SessionManager.from_url(url, config) if style == "sync" else Facade(url, config)
    try:
        yield manager
    finally:
        manager.close()


@contextmanager
def home_of(engine: Engine, key: bytes) -> Iterator[Any]:
    """A client of the primary that holds ``key``."""
    running = engine[0]
    with running.client(running.primary_of(key)) as client:
        yield client


def fields_of(engine: Engine, subject: str, keyspace: Keyspace = _PLAIN) -> dict[bytes, bytes]:
    """The hash of a subject."""
    key = keyspace.sessions(subject)
    with home_of(engine, key) as client:
        return dict(client.hgetall(key))


def activity_of(engine: Engine, subject: str) -> dict[bytes, bytes]:
    """Return the hash with the last uses of the subject's sessions, which lies beside its hash."""
    key = _PLAIN.activity(subject)
    with home_of(engine, key) as client:
        return dict(client.hgetall(key))


def let_secrets_age(engine: Engine, namespace: str, seconds: int, *members: str) -> None:
    """Let secrets have been made (``created``) or announced (``since``, ``seen``) earlier."""
    for slot in SLOTS_WITH_CUTOFF:
        key = Keyspace(namespace).secrets(slot)
        with home_of(engine, key) as client:
            for name, value in client.hgetall(key).items():
                if name.startswith(b"k:"):
                    continue
                entry = json.loads(value)
                for member in members:
                    if member in entry:
                        entry[member] -= seconds * 1000
                client.hset(key, name, json.dumps(entry))


def seconds_left(engine: Engine, subject: str) -> int:
    """Return how long the hash is kept: -1 for good, -2 when there is none."""
    key = _PLAIN.sessions(subject)
    with home_of(engine, key) as client:
        return int(client.ttl(key))


def record_of(engine: Engine, pair: TokenPair) -> LiveRecord | Tombstone:
    """The record of a session, without its activity."""
    return parse_record(fields_of(engine, pair.subject)[decode_session_id(pair.session_id)])


def rewrite(
    engine: Engine, pair: TokenPair, keyspace: Keyspace = _PLAIN, **members: Any
) -> LiveRecord:
    """Put ``members`` into the record of a session, and return it."""
    key, field = keyspace.sessions(pair.subject), decode_session_id(pair.session_id)
    with home_of(engine, key) as client:
        record = dataclasses.replace(parse_record(client.hget(key, field)), **members)
        client.hset(key, field, record.pack())
        client.hdel(key, "s")  # a summary would tell of the record as it was
    make_known(key)
    return record


def outdate_operations(engine: Engine, subject: str) -> None:
    """Let the operations of a subject have been noted so long ago that none is kept any more."""
    key = _PLAIN.sessions(subject)
    with home_of(engine, key) as client:
        for name, value in client.hgetall(key).items():
            if len(name) == OPERATION_BYTES + 2 and name.startswith(b"o") and name.endswith(b"\0"):
                client.hset(key, name, bytes(4) + value[4:])
        client.hdel(key, "s")
    make_known(key)


def make_known(key: bytes) -> None:
    """Tell the managers of this process that ``key`` was changed, as the cluster soon will."""
    for store in list(forks._registered):
        if isinstance(store, StoreBase) and store._observer is not None:
            store._observer.changed(key)


def forget_ends(manager: Any) -> None:
    """Let a manager forget what it has seen to be over, when a test has changed the time of it."""
    denials = getattr(manager, "manager", manager)._flows.memory.denials
    for known in (denials._sessions, denials._sweeps, denials._generations):
        known.clear()


def let_expire(engine: Engine, pair: TokenPair, keyspace: Keyspace = _PLAIN) -> int:
    """Let a session have reached its absolute limit; the second in which it did."""
    return rewrite(engine, pair, keyspace, absolute_end=int(time.time()) - 3).absolute_end


def let_idle(engine: Engine, pair: TokenPair) -> int:
    """Let a session have been unused for too long; the second in which it was."""
    idle = record_of(engine, pair).idle_seconds
    return rewrite(engine, pair, refreshed_at=int(time.time()) - idle - 3).ends_at


def let_age(engine: Engine, pair: TokenPair, seconds: int) -> None:
    """Let a session have been opened, and used last, ``seconds`` ago."""
    then = int(time.time()) - seconds
    rewrite(engine, pair, created_milliseconds=then * 1000, refreshed_at=then)


def eventually(condition: Callable[[], Any], seconds: float = 15.0) -> Any:
    """Return the result of ``condition`` as soon as it is true; fail when it never is."""
    until = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > until:
            pytest.fail("what was awaited did not come about")
        time.sleep(0.02)
    return answer


def commands_of(engine: Engine, *names: str) -> dict[str, int]:
    """Return how often the servers ran each of the commands ``names``, also in scripts."""
    counts = dict.fromkeys(names, 0)
    running = engine[0]
    for node in running.nodes:
        with running.client(node) as client:
            for name, figures in client.info("commandstats").items():
                short = name.removeprefix("cmdstat_")
                if short in counts:
                    counts[short] += figures["calls"]
    return counts


def spent(engine: Engine, act: Callable[[], Any], name: str) -> int:
    """Return how many commands ``name`` the servers ran during ``act``."""
    before = commands_of(engine, name)[name]
    act()
    return commands_of(engine, name)[name] - before


def keep_cutoff_known(manager: Any) -> None:
    """For a minute the manager asks nobody for the time of ``revoke_before``."""
    cutoff = manager._flows.memory.cutoff
    cutoff.learn(0, cutoff.now() + 60)


def let_step_up_age(engine: Engine, pair: TokenPair, seconds: int) -> None:
    """Let a step-up, and the refreshes before and after it, have happened ``seconds`` earlier.

    How long the step-up is in force stays as it is.
    """
    key, field = _PLAIN.sessions(pair.subject), decode_session_id(pair.session_id)
    with home_of(engine, key) as client:
        value = client.hget(key, field + b"e")
        for start in (0, OLDER_REFRESHED):
            value = earlier(value, start, seconds)
        client.hset(key, field + b"e", value)
    record = record_of(engine, pair)
    assert isinstance(record, LiveRecord)
    rewrite(engine, pair, refreshed_at=record.refreshed_at - seconds)


def earlier(value: bytes, start: int, seconds: int) -> bytes:
    """The second at ``start`` of ``value`` moved back; 0, which stands for none, stays."""
    (then,) = struct.unpack_from(">I", value, start)
    return value[:start] + struct.pack(">I", then and then - seconds) + value[start + 4 :]
