"""Logins and refreshes that end at a glance do what they would do with all of the subject in hand.

The same calls are made in several worlds, each a subject of its own in simulated time: with the
scripts as they are; with scripts that never glance and keep no summary, as those of the release
before; and with one or the other, call by call, as while servers are upgraded.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest
import redis

from clusterpass.protocol.calls import (
    adjust as adjust_calls,
    end as end_calls,
    session as session_calls,
    subject as subject_calls,
)
from clusterpass.protocol.calls.call_time import CallTime
from clusterpass.protocol.calls.housekeeping import Housekeeping
from clusterpass.protocol.keyspace import TEST_NAMESPACE, Keyspace
from clusterpass.protocol.records import BY_PASSWORD, IMPERSONATED, LiveRecord, parse_record
from clusterpass.protocol.replies import NO_DETAILS, Details
from clusterpass.protocol.script import Script, ScriptCall

STEPS: Final = 400
MANY: Final = 480
NOW: Final = 1_900_000_000_000
KEEPING: Final = Housekeeping(120, history_entries=5, generation_seconds=600)
Make = Callable[[str], ScriptCall[Any]]


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

    def has_summary(self) -> bool:
        return bool(self.node.hexists(self.keyspace.sessions(self.subject), "s"))

    def expires_at(self) -> int:
        return int(self.node.expiretime(self.keyspace.sessions(self.subject)))


@dataclass
class Draw:
    """Draws calls, the same for every world."""

    chance: random.Random
    keyspace: Keyspace
    shortens: bool = True
    milliseconds: int = NOW
    keeping: Housekeeping = field(default_factory=lambda: KEEPING)
    sessions: list[bytes] = field(default_factory=list)
    tokens: dict[bytes, int] = field(default_factory=dict)
    """The rotation of the current token of each session; its digest is made of both."""

    def digest(self, session_id: bytes, rotation: int) -> bytes:
        return session_id[:12] + rotation.to_bytes(4, "big")

    def now(self) -> Housekeeping:
        time = CallTime(self.milliseconds, is_agreed=True, is_simulated=True)
        return replace(self.keeping, time=time)

    def login(self, *, most: int = 500, **options: Any) -> Make:
        session_id = self.chance.randbytes(16)
        self.sessions.append(session_id)
        self.tokens[session_id] = 0
        kind = self.chance.choice(["", "", "phone\0", "web\0"])
        details = self.chance.choice([NO_DETAILS, NO_DETAILS, Details({"a": 1})])
        values: dict[str, Any] = {
            "session_id": session_id,
            "refresh_digest": self.digest(session_id, 0),
            "absolute_seconds": self.chance.choice([900, 4000, 20_000]),
            "idle_seconds": self.chance.choice([0, 300, 900, 3000]),
            "flags": self.chance.choice([0, BY_PASSWORD]),
            "device": kind and f"{kind}mine",
            "details": details,
            "most_sessions": most,
            "label": kind,
            "address": self.chance.choice([b"", bytes(4)]),
        }
        new, keeping = session_calls.NewSession(**values | options), self.now()
        return lambda subject: session_calls.login(self.keyspace, keeping, subject, new)

    def refresh(self) -> Make:
        session_id = self.chance.choice(self.sessions[-60:])
        rotation = self.tokens[session_id]
        if self.chance.random() < 0.9:
            self.tokens[session_id] = rotation + 1
        else:
            rotation = max(0, rotation - self.chance.choice([1, 1, 1, 2, -1]))
        grace, keeping = self.chance.choice([0, 10, 10, 10]), self.now()
        chains = b"".join(self.digest(session_id, rotation + step) for step in range(1, 5))
        return lambda subject: session_calls.rotate(
            self.keyspace,
            keeping,
            subject,
            session_id=session_id,
            presented_digest=self.digest(session_id, rotation),
            rotation=rotation,
            successor_digest=self.digest(session_id, rotation + 1),
            grace=grace,
            chains=chains if grace else b"",
        )

    def verify(self, session_id: bytes) -> Make:
        return lambda subject: session_calls.verify(self.keyspace, subject, session_id=session_id)

    def rare(self) -> Make:
        """A call that never ends at a glance."""
        keeping, space = self.now(), self.keyspace
        session_id = self.chance.choice(self.sessions[-60:])
        operation = self.chance.randbytes(8)
        match self.chance.randrange(16):
            case 0 | 1 | 2 | 3:
                return lambda subject: end_calls.end_session(
                    space,
                    keeping,
                    subject,
                    session_id=session_id,
                    reason="logged_out",
                    operation=operation,
                )
            case 4 | 5 | 6 | 7:
                return lambda subject: session_calls.touch(
                    space, keeping, subject, session_id=session_id
                )
            case 8:
                return self.login(most=self.chance.choice([3, 10, 30]))
            case 9:
                return self.login(most_per_device=self.chance.choice([1, 4]))
            case 10:
                return self.login(flags=IMPERSONATED, device="impersonation\0")
            case 11:
                return self.login(generation=self.milliseconds - 10_000)
            case 12 if self.shortens:
                return lambda subject: adjust_calls.shorten(
                    space, keeping, subject, session_id=session_id, lifetime=200, idle_lifetime=100
                )
            case 13:
                claims = self.chance.choice([b"", b'{"plan":"pro"}'])
                return lambda subject: subject_calls.set_claims(
                    space, keeping, subject, claims=claims, operation=operation
                )
            case 14:
                return self.login(replaced=session_id)
            case _:
                return self.very_rare(keeping, session_id, operation)

    def very_rare(self, keeping: Housekeeping, session_id: bytes, operation: bytes) -> Make:
        space = self.keyspace
        match self.chance.randrange(6):
            case 0:
                return lambda subject: end_calls.end_all(
                    space, keeping, subject, keep=session_id, reason="revoked", operation=operation
                )
            case 1:
                return lambda subject: subject_calls.ban(
                    space,
                    keeping,
                    subject,
                    scope="comments",
                    level=1,
                    seconds=60,
                    reason="",
                    operation=operation,
                )
            case 2:
                return lambda subject: subject_calls.unban(
                    space, keeping, subject, scope="comments", operation=operation
                )
            case 3:
                self.keeping = replace(
                    self.keeping, history_entries=self.chance.choice([0, 3, 5, 8])
                )
                return self.login()
            case 4:
                self.keeping = replace(self.keeping, cutoff_milliseconds=self.milliseconds - 60_000)
                return self.login()
            case _:
                self.keeping = replace(
                    self.keeping,
                    history_seconds=self.chance.choice([0, 5000]),
                    tombstone_seconds=self.chance.choice([60, 120]),
                )
                return self.login()

    def draw(self) -> Iterator[Make]:
        """Logins until there is a summary, and then calls of all kinds."""
        for _ in range(50):
            self.milliseconds += self.chance.choice([0, 1, 700])
            yield self.login()
        for _ in range(STEPS):
            self.milliseconds += self.chance.choice([0, 1, 900, 900, 2500, 2500, -1700])
            if self.chance.random() < 0.02:
                self.milliseconds += self.chance.choice([200_000, 400_000, 5_000_000])
            kind = self.chance.random()
            if kind < 0.45:
                yield self.login()
            elif kind < 0.85:
                yield self.refresh()
            else:
                yield self.rare()


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


def test_a_glance_reads_no_other_session(new_world, keyspace):
    world = new_world("a", lambda: True)
    draw = Draw(random.Random(0), keyspace)
    for _ in range(50):
        draw.milliseconds += 5
        world.run(draw.login(idle_seconds=0))
    unreadable = bytes(16)
    world.node.hset(keyspace.sessions(world.subject), unreadable, b"\x02")
    assert world.run(draw.login()).status == "OK"
    assert world.run(draw.refresh()).status == "OK"
    with pytest.raises(redis.ResponseError):
        world.run(draw.login(most_per_device=1))


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
