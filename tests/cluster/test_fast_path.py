"""The fast path of logins and refreshes gives the same result as loading the whole subject.

The same calls are made in several worlds, each a subject of its own in simulated time: with the
scripts as they are; with scripts that lack fast path and summary, as those of the release
before; and with one or the other, call by call, as while servers are upgraded.
"""

import dataclasses
import random
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
import redis

from clusterpass.protocol.calls import end as end_calls, subject as subject_calls
from clusterpass.protocol.keyspace import TEST_NAMESPACE, Keyspace
from clusterpass.protocol.records import LiveRecord, parse_record
from clusterpass.protocol.script import Script

from .drawn_calls import KEEPING, STEPS, Draw, Make

MANY: Final = 480
LATER_RECORD: Final = b"\x03" + bytes(5) + b"\xff" * 37
"""A live session in a schema that nobody knows yet."""


def source_of(script: Script, *, glances: bool) -> bytes:
    """The text of a script that does all things in an order that is the same in every world."""
    text = script.source.decode()
    found = "    return live\nend\n"  # of live_sessions
    assert text.count(found) == ("local function live_sessions()" in text)
    in_order = "    table.sort(live, function(a, b) return a.id < b.id end)\n"
    text = text.replace(found, in_order + found)
    part = "math.floor(microseconds % 1000 * 32 / 1000)"
    assert part in text or script.name in {"touch", "verify"}
    text = text.replace(part, "0")
    if not glances and script.name in {"login", "rotate"}:
        assert text.count("if not ACTIVITY or operation ~= NO_OPERATION then") == 1
        text = text.replace("if not ACTIVITY or operation ~= NO_OPERATION then", "if true then")
    if not glances and "settle_summary(loaded)" in text:
        text = text.replace("settle_summary(loaded)", "")
    return text.encode()


@dataclass
class World:
    """A subject, and with which scripts it is called."""

    node: Any
    keyspace: Keyspace
    subject: str
    glances: Callable[[], bool]

    def run(self, make: Make) -> Any:
        call = make(self.subject)
        source = source_of(call.script, glances=self.glances())
        arguments = len(call.keys), *call.keys, *call.arguments
        return call.read(self.node.execute_command("EVAL", source, *arguments))

    def state(self) -> dict[str, Any]:
        """All that the store tells of the subject, but for the summary.

        A use that was noted before the last refresh tells nothing; a glance leaves it there.
        """
        sessions, activity, slot = self.keyspace.keys_of(self.subject)
        fields = self.node.hgetall(sessions)
        fields.pop(b"s", None)
        for name in fields:
            if len(name) == 10 and name.endswith(b"\0"):
                fields[name] = fields[name][
                    :-8
                ]  # an operation; its fingerprint is the subject's own
        used = {
            session_id: seen
            for session_id, seen in self.node.hgetall(activity).items()
            if isinstance(record := parse_record(fields[session_id]), LiveRecord)
            and int.from_bytes(seen, "big") > record.refreshed_at
        }
        return {
            "fields": fields,
            "activity": used,
            "online": self.node.zscore(self.keyspace.online(slot), self.subject),
        }

    def reads(self) -> int:
        """Return how many hashes the node has read as a whole."""
        return int(self.node.info("commandstats").get("cmdstat_hgetall", {"calls": 0})["calls"])

    def outdate(self, session_id: bytes) -> None:
        """Put a record into the schema of earlier releases, without its burst."""
        key = self.keyspace.sessions(self.subject)
        value = self.node.hget(key, session_id)
        self.node.hset(key, session_id, b"\x01" + value[1:40] + value[43:])

    def has_summary(self) -> bool:
        return bool(self.node.hexists(self.keyspace.sessions(self.subject), "s"))

    def expires_at(self) -> int:
        return int(self.node.expiretime(self.keyspace.sessions(self.subject)))


def primary(engine: Any, key: bytes) -> Any:
    running = engine[0]
    return running.client(running.primary_of(key))


@pytest.fixture
def keyspace() -> Keyspace:
    return Keyspace(f"{TEST_NAMESPACE}glances")


@pytest.fixture
def new_world(
    engine: Any, keyspace: Keyspace, subject: str
) -> Iterator[Callable[[str, Callable[[], bool]], World]]:
    opened = []

    def new(name: str, glances: Callable[[], bool]) -> World:
        name = f"{subject}-{name}"
        node = primary(engine, keyspace.sessions(name))
        opened.append(node)
        return World(node, keyspace, name, glances)

    yield new
    for node in opened:
        node.close()


@pytest.mark.sampled(4)
@pytest.mark.parametrize("seed", range(4))
def test_every_glance_does_what_loading_the_subject_would_do(new_world, keyspace, seed):
    glancing, loading = new_world("a", lambda: True), new_world("b", lambda: False)
    had_summary = 0
    for number, make in enumerate(Draw(random.Random(seed), keyspace).draw()):
        assert glancing.run(make) == loading.run(make), (seed, number)
        assert glancing.state() == loading.state(), (seed, number)
        assert glancing.expires_at() >= loading.expires_at() or loading.expires_at() == -1
        had_summary += glancing.has_summary()
    assert had_summary > STEPS / 20


def test_many_sessions_are_many_glances(new_world, keyspace):
    glancing, loading = new_world("a", lambda: True), new_world("b", lambda: False)
    draw = Draw(random.Random(0), keyspace)
    for _ in range(MANY):
        draw.milliseconds += 5
        make = draw.login(absolute_seconds=20_000, idle_seconds=0)
        assert glancing.run(make) == loading.run(make)
    assert glancing.state() == loading.state()
    assert glancing.expires_at() == loading.expires_at()
    assert glancing.has_summary()
    for session_id in draw.sessions[::50]:
        draw.milliseconds += 900
        for make in (draw.refresh(), draw.login(absolute_seconds=20_000)):
            assert glancing.run(make) == loading.run(make)
        verify = draw.verify(session_id)
        assert glancing.run(verify).record == loading.run(verify).record
        assert glancing.state() == loading.state()
    refused = draw.login(most=MANY, overflow="refuse")
    assert glancing.run(refused).status == loading.run(refused).status == "REFUSED"


def test_a_glance_keeps_the_generation_as_long_as_any_call(new_world, keyspace):
    """The cutoff outlives the sessions here: who began to log in before it is not let in after."""
    glancing, loading = new_world("a", lambda: True), new_world("b", lambda: False)
    keeping = dataclasses.replace(KEEPING, generation_seconds=50_000)
    draw = Draw(random.Random(0), keyspace, keeping=keeping)

    def both(make):
        assert glancing.run(make) == loading.run(make)

    both(draw.login(absolute_seconds=900))
    ending = draw.now()
    both(
        lambda subject: end_calls.end_all(
            keyspace, ending, subject, keep=None, reason="revoked", operation=b"12345678"
        )
    )
    draw.milliseconds += 41_000_000
    for _ in range(45):
        draw.milliseconds += 5
        both(draw.login(absolute_seconds=900))
        assert glancing.expires_at() == loading.expires_at()
        assert glancing.state() == loading.state()


def test_a_subject_of_the_release_before_gets_a_summary(new_world, keyspace):
    glances = False
    world, loading = new_world("a", lambda: glances), new_world("b", lambda: False)
    draw = Draw(random.Random(0), keyspace)
    for _ in range(50):
        draw.milliseconds += 5
        make = draw.login()
        assert world.run(make) == loading.run(make)
    assert not world.has_summary()
    glances = True
    for make in (draw.refresh(), draw.login(), draw.refresh()):
        assert world.run(make) == loading.run(make)
        assert world.has_summary()
        assert world.state() == loading.state()


@pytest.mark.parametrize("claims", [b"", b'{"plan":"pro"}'], ids=["plain", "claims"])
def test_a_glance_reads_no_other_session(new_world, keyspace, claims):
    world = new_world("a", lambda: True)
    draw = Draw(random.Random(0), keyspace)
    for _ in range(50):
        draw.milliseconds += 5
        world.run(draw.login(idle_seconds=0))
    world.run(
        lambda subject: subject_calls.set_claims(keyspace, draw.now(), subject, claims=claims)
    )
    unreadable = bytes(16)
    world.node.hset(keyspace.sessions(world.subject), unreadable, b"\x02")
    assert world.run(draw.login()).status == "OK"
    assert world.run(draw.refresh()).status == "OK"
    with pytest.raises(redis.ResponseError):
        world.run(draw.login(most_per_device=1))


@pytest.mark.parametrize("schema", [1, 2])
def test_a_subject_without_a_summary_is_read_once(new_world, keyspace, schema):
    """However many lines its history has; to load it would read it again."""
    world = new_world("a", lambda: True)
    draw = Draw(random.Random(0), keyspace)
    world.run(draw.login())
    world.run(
        lambda subject: end_calls.end_session(
            keyspace, draw.now(), subject, session_id=draw.sessions[0], reason="logged_out"
        )
    )
    reads = []
    for _ in range(12):
        draw.milliseconds += 5
        before = world.reads()
        world.run(draw.login())
        reads.append(world.reads() - before)
        if schema == 1:
            world.outdate(draw.sessions[-1])
    assert not world.has_summary()
    assert statistics.median(reads) == 2, "the sessions, and when they were used"


def test_a_session_of_a_later_release_keeps_the_key(new_world, keyspace):
    glancing, loading = new_world("a", lambda: True), new_world("b", lambda: False)
    draw = Draw(random.Random(0), keyspace)
    for make in (draw.login(), draw.login()):
        for world in (glancing, loading):
            world.node.hset(keyspace.sessions(world.subject), bytes(16), LATER_RECORD)
        assert glancing.run(make) == loading.run(make)
        assert glancing.state() == loading.state()
        assert glancing.expires_at() == loading.expires_at() == -1


def test_claims_that_no_session_is_left_of_do_not_come_back(new_world, keyspace):
    glancing, loading = new_world("a", lambda: True), new_world("b", lambda: False)
    login = Draw(random.Random(0), keyspace).login()
    for world in (glancing, loading):
        world.node.hset(keyspace.sessions(world.subject), "c", b'{"plan":"pro"}')
    reply = glancing.run(login)
    assert reply == loading.run(login)
    assert reply.stored.live_claims == {}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("seed", range(3))
def test_servers_of_two_releases_share_a_subject(new_world, keyspace, seed):
    """The release before leaves a summary behind as it is: what it did must be noticed.

    Only that it let a session end earlier shows as late as that session would have ended: the
    sequences let none.
    """
    chance = random.Random(seed)
    mixed = new_world("a", lambda: chance.random() < 0.5)
    loading = new_world("b", lambda: False)
    for number, make in enumerate(Draw(random.Random(seed), keyspace, shortens=False).draw()):
        reply, expected = mixed.run(make), loading.run(make)
        assert reply == expected, (seed, number)
        assert mixed.state() == loading.state(), (seed, number)
