"""Repair of the three copies of secrets and keys, by whichever process reads them.

The test supplies the replies of the nodes.
"""

import json
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from clusterpass import Config, KeyRing, ManagedKeys, StoreUnavailable
from clusterpass.model.clock import Clock
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace
from clusterpass.protocol.script import Answer, ScriptCall, Work
from clusterpass.sessions.flows import Flows
from clusterpass.tokens.key_encryption import KeyEncryptionKeys, new_encryption_key

OLD, NEW = new_encryption_key(), new_encryption_key()
KEYSPACE = Keyspace("copies")
NAMES = [KEYSPACE.secrets(slot) for slot in SLOTS_WITH_CUTOFF]


class Time:
    """A clock that is moved."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0
        self.clock = Clock(wall=lambda: self.seconds, steady=lambda: self.seconds)


class Copies:
    """The contents of three nodes, and the nodes that do not answer."""

    def __init__(self) -> None:
        self.held: dict[bytes, dict[bytes, bytes]] = {name: {} for name in NAMES}
        self.away: set[bytes] = set()
        self.calls = 0
        self.pruned = 0
        self.deadlines: list[float | None] = []
        self.told: list[Any] = []

    def run(self, flow: Generator[Any, Any, Any]) -> Any:
        try:
            step = next(flow)
            while True:
                if isinstance(step, Work):
                    step = flow.send(step.compute())
                    continue
                if step.script.name == "read_secrets":
                    self.deadlines.append(step.deadline)
                if step.keys[0] in self.away:
                    step = flow.throw(StoreUnavailable(reason="timeout"))
                else:
                    step = flow.send(Answer(self._answer(step), durable=False))
        except StopIteration as stop:
            return stop.value

    def _answer(self, call: ScriptCall[Any]) -> Any:
        self.calls += 1
        if call.script.name == "take_key_lease":
            return True
        values = self.held[call.keys[0]]
        if call.script.name == "prune_secrets":
            self.pruned += 1
            return self._pruned(values, *call.arguments[1:])
        if call.script.name == "add_secrets":
            when, channel, *pairs = call.arguments
            self.told += [channel] if channel else []
            for name, value in zip(pairs[::2], pairs[1::2], strict=True):
                assert isinstance(name, bytes)
                assert isinstance(value, bytes)
                kinds = {each[:2] for each, held in values.items() if b'"retired"' not in held}
                is_new = name not in values and (when == b"" or name[:2] not in kinds)
                if b'"retired"' in values.get(name, b""):
                    continue
                if when == b"always" or is_new or b'"retired"' in value:
                    values[name] = value
        return call.read([part for pair in values.items() for part in pair])

    def _pruned(self, values: dict[bytes, bytes], *stale: Any) -> list[str]:
        found = [
            name
            for name, value in zip(stale[::3], stale[1::3], strict=True)
            if values.get(name) == value
        ]
        for name in found:
            del values[name]
        return [name.decode() for name in found]

    def wrapped_by(self, kind: bytes) -> list[str]:
        """Return the keys that wrap the entries of each copy."""
        found = []
        for name in NAMES:
            entries = [json.loads(v) for n, v in self.held[name].items() if n.startswith(kind)]
            found += [each["wrapped"].partition(".")[0] for each in entries]
        return found


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def copies() -> Iterator[Copies]:
    return Copies()


def flows(time: Time, *wrapping: str, keys: KeyRing | None = None) -> Flows:
    config = Config(
        issuer="https://auth.example",
        keys=keys or KeyRing.generate(),
        key_encryption_keys=wrapping,
    )
    return Flows(config, KEYSPACE, deadline=2.0, tell=lambda _: None, clock=time.clock)


def id_of(key: str) -> str:
    return KeyEncryptionKeys((key,)).first


def test_a_copy_that_was_away_is_wrapped_when_it_is_back(time: Time, copies: Copies) -> None:
    copies.run(flows(time, OLD).context.secrets.tokens())
    assert copies.wrapped_by(b"r:") == [id_of(OLD)] * 3
    one = flows(time, NEW, OLD)
    copies.away = {NAMES[1]}
    copies.run(one.context.secrets.tokens())
    assert copies.wrapped_by(b"r:") == [id_of(NEW), id_of(OLD), id_of(NEW)]
    copies.away = set()
    for _ in range(3):
        time.seconds += 61
        copies.run(one.context.secrets.tokens())
    assert copies.wrapped_by(b"r:") == [id_of(NEW)] * 3


def test_a_copy_that_does_not_answer_leaves_time_for_the_others(time: Time, copies: Copies) -> None:
    copies.run(flows(time, OLD).context.secrets.tokens())
    copies.deadlines.clear()
    copies.away = set(NAMES)
    with pytest.raises(StoreUnavailable):
        copies.run(flows(time, OLD).context.secrets.tokens())
    assert copies.deadlines == [0.6, 0.6, None], "all that is left of 2 seconds is for the last one"
    copies.away, copies.deadlines = {NAMES[0]}, []
    copies.run(flows(time, OLD).context.secrets.tokens())
    assert copies.deadlines == [0.6, 0.6], "the last one is not needed"


def test_the_keys_too(time: Time, copies: Copies) -> None:
    ring = KeyRing.in_store(ManagedKeys())
    copies.run(flows(time, OLD, keys=ring).context.secrets.tokens())
    assert copies.wrapped_by(b"k:")
    assert set(copies.wrapped_by(b"k:")) == {id_of(OLD)}
    one = flows(time, NEW, OLD, keys=KeyRing.in_store(ManagedKeys()))
    copies.away = {NAMES[2]}
    copies.run(one.context.secrets.tokens())
    assert set(copies.wrapped_by(b"k:")) == {id_of(OLD), id_of(NEW)}
    copies.away = set()
    for _ in range(3):
        time.seconds += 2
        copies.run(one.context.secrets.tokens())
    assert set(copies.wrapped_by(b"k:")) == {id_of(NEW)}


def test_who_has_wrapped_a_copy_does_not_do_so_again(time: Time, copies: Copies) -> None:
    copies.run(flows(time, OLD).context.secrets.tokens())
    one, other = flows(time, NEW, OLD), flows(time, OLD, NEW)
    for _ in range(8):
        for each in (one, other):
            copies.run(each.context.secrets.tokens())
        time.seconds += 61
    before = copies.held[NAMES[0]].copy()
    for each in (one, other):
        copies.run(each.context.secrets.tokens())
    assert copies.held[NAMES[0]] == before


def test_a_secret_that_was_given_up_is_not_brought_back_by_wrapping(
    time: Time, copies: Copies
) -> None:
    copies.run(flows(time, OLD).context.secrets.tokens())
    one = flows(time, NEW, OLD)
    (name,) = copies.held[NAMES[2]]
    copies.held[NAMES[2]][name] = b'{"retired": 1}'
    copies.run(one.context.secrets.tokens())
    assert copies.held[NAMES[2]][name] == b'{"retired": 1}'


@pytest.mark.parametrize("is_first_bad", [True, False])
def test_one_bad_secret_among_several_that_fail_is_told_of(
    time: Time, copies: Copies, is_first_bad: bool
) -> None:
    bad, good = {b"r:AAAAAA": b"none"}, flows(time).known_secrets.proposal()
    for name in NAMES:
        whole = {each.encode(): value for each, value in good.items()}
        copies.held[name] = {**bad, **whole} if is_first_bad else {**whole, **bad}
    assert copies.run(flows(time).context.secrets.tokens()) is not None


def test_the_schedule_is_looked_at_once_a_second(
    time: Time, copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = flows(time, OLD, keys=KeyRing.in_store(ManagedKeys()))
    copies.run(one.context.secrets.tokens())
    known = one.known_keys
    assert known is not None
    looked, schedule = [], known.schedule
    monkeypatch.setattr(known, "schedule", lambda: (looked.append(1), schedule())[1])
    for _ in range(100):
        assert not known.is_due
    assert len(looked) <= 1
    known.settled(known.changes)
    time.seconds += 0.99
    assert not known.is_due
    assert len(looked) <= 2
    time.seconds += 1
    assert known.is_due, "the store is asked again after a second"


def test_a_key_that_begins_to_sign_is_noticed_in_its_second(time: Time, copies: Copies) -> None:
    how = ManagedKeys(rotate_after=3600, publish_before=60)
    one = flows(time, OLD, keys=KeyRing.in_store(how))
    copies.run(one.context.secrets.tokens())
    copies.run(one.context.signing.rotate())
    known = one.known_keys
    assert known is not None
    begins = max(key.signs_from for key in known._stored.values())
    time.seconds = float(begins) - 0.5
    known._due_at = float("inf")
    assert not known.is_due
    time.seconds = float(begins)
    assert known.is_due


def test_where_every_key_is_revoked_none_is_in_force(time: Time, copies: Copies) -> None:
    """The key in its place is in no copy that answers, and none can be written."""
    one = flows(time, OLD, keys=KeyRing.in_store(ManagedKeys()))
    assert one.known_keys is not None
    rings: list[KeyRing] = []
    one.known_keys.adopt = rings.append
    copies.run(one.context.secrets.tokens())
    (kid,) = [key.kid for key in rings[-1].all()]
    key = one.known_keys.find(kid)
    assert key is not None
    one.known_keys.learn({f"k:{kid}": replace(key, revoked=int(time.seconds)).encode()})
    copies.away = set(NAMES)
    one.known_keys.use()
    assert rings[-1].find(kid) is None
    assert rings[-1].public_jwks() == {"keys": []}
    time.seconds += 2
    with pytest.raises(StoreUnavailable):
        copies.run(one.context.secrets.tokens())
    copies.away = set()
    time.seconds += 2
    copies.run(one.context.secrets.tokens())
    assert rings[-1].find(kid) is None
    assert rings[-1].signing_key.can_derive, "another one was made"


def test_where_all_secrets_were_retired_another_one_is_made(time: Time, copies: Copies) -> None:
    """As by two administrators who retire each other's at once."""
    before = flows(time)
    tokens = copies.run(before.context.secrets.tokens())
    (name,) = copies.held[NAMES[0]]
    for each in NAMES:
        copies.held[each][name] = b'{"retired": 1}'
    fresh = copies.run(flows(time).context.secrets.tokens())
    time.seconds += 61
    again = copies.run(before.context.secrets.tokens())
    assert again is not tokens
    assert fresh is not None
    live = [[n for n, v in copies.held[each].items() if b"retired" not in v] for each in NAMES]
    assert live[0] == live[1] == live[2]
    assert len(live[0]) == 1
    assert name not in live[0]


def test_a_copy_that_lacks_a_retirement_gives_no_secret_back(time: Time, copies: Copies) -> None:
    one = flows(time)
    copies.run(one.context.secrets.tokens())
    (name,) = copies.held[NAMES[0]]
    whole = copies.held[NAMES[1]][name]
    for each in NAMES:
        copies.held[each][name] = b'{"retired": 1}'
    for _ in range(3):
        time.seconds += 61
        copies.run(one.context.secrets.tokens())
    for each in NAMES:  # a failover has lost the retirement, and what came after it
        copies.held[each] = {name: whole}
    time.seconds += 61
    assert copies.run(one.context.secrets.tokens()) is not None
    time.seconds += 61
    copies.run(one.context.secrets.tokens())
    assert {copies.held[each][name] for each in NAMES} == {b'{"retired": 1}'}


DAY = 86_400


def test_who_was_away_brings_no_secret_back_whose_name_was_removed(
    time: Time, copies: Copies
) -> None:
    first, second = flows(time), flows(time)
    for each in (first, second):
        copies.run(each.context.secrets.tokens())
    (leaked,) = copies.held[NAMES[0]]
    copies.run(first.context.secrets.rotate(retires_others=True))
    for _ in range(3 * 370):  # one goes on, the other sleeps
        time.seconds += DAY
        copies.run(first.context.secrets.tokens())
    assert all(leaked not in copies.held[name] for name in NAMES)
    for _ in range(4):
        copies.run(second.context.secrets.tokens())
        copies.run(first.context.secrets.tokens())
        time.seconds += 61
    assert all(leaked not in copies.held[name] for name in NAMES)
    assert [len(copies.held[name]) for name in NAMES] == [1, 1, 1]


def test_a_name_is_kept_for_as_long_as_a_session_lasts(time: Time, copies: Copies) -> None:
    one = flows(time)
    copies.run(one.context.secrets.tokens())
    copies.run(one.context.secrets.rotate(retires_others=True))
    time.seconds += 30 * DAY
    for _ in range(3):
        time.seconds += 61
        copies.run(one.context.secrets.tokens())
    assert [len(copies.held[name]) for name in NAMES] == [2, 2, 2]


def test_keys_that_verify_no_more_are_removed_after_a_month(time: Time, copies: Copies) -> None:
    one = flows(time, OLD, keys=KeyRing.in_store(ManagedKeys(rotate_after=10 * DAY)))
    copies.run(one.context.secrets.tokens())
    (first,) = [name for name in copies.held[NAMES[0]] if name.startswith(b"k:")]
    counts = set()
    for day in range(120):
        time.seconds += DAY
        copies.run(one.context.secrets.tokens())
        keys = [name for name in copies.held[NAMES[0]] if name.startswith(b"k:")]
        counts.add(len(keys))
        assert (first in keys) == (day < 40), day
    assert max(counts) <= 6


def test_a_copy_in_which_somebody_keeps_what_was_removed_is_pruned_once(
    time: Time, copies: Copies
) -> None:
    """A process of the release before puts it back with each look; this one asks no more then."""
    one = flows(time, OLD, keys=KeyRing.in_store(ManagedKeys(rotate_after=10 * DAY)))
    copies.run(one.context.secrets.tokens())
    (first,) = [name for name in copies.held[NAMES[0]] if name.startswith(b"k:")]
    kept = copies.held[NAMES[0]][first]
    for _ in range(45):
        time.seconds += DAY
        copies.run(one.context.secrets.tokens())
    assert all(first not in copies.held[name] for name in NAMES)
    asked = copies.pruned
    for _ in range(4):
        copies.held[NAMES[0]][first] = copies.held[NAMES[1]][first] = kept
        time.seconds += 2
        copies.run(one.context.secrets.tokens())
    assert copies.pruned == asked


def test_a_key_that_is_revoked_is_so_in_every_copy(time: Time, copies: Copies) -> None:
    one = flows(time, OLD, keys=KeyRing.in_store(ManagedKeys()))
    copies.run(one.context.secrets.tokens())
    (signs,) = copies.run(one.context.signing.list())
    shown = copies.run(one.context.signing.revoke(signs.kid))
    assert {each.kid: each.state for each in shown}.pop(signs.kid) == "revoked"
    name = f"k:{signs.kid}".encode()
    revoked = [json.loads(copies.held[each][name])["revoked"] for each in NAMES]
    assert revoked == [time.seconds] * 3
    fresh = flows(time, OLD, keys=KeyRing.in_store(ManagedKeys()))
    states = {each.kid: each.state for each in copies.run(fresh.context.signing.list())}
    assert states.pop(signs.kid) == "revoked"
    assert list(states.values()) == ["active"]


def test_a_key_that_one_copy_has_is_found(time: Time, copies: Copies) -> None:
    one, other = (flows(time, OLD, keys=KeyRing.in_store(ManagedKeys())) for _ in range(2))
    for each in (one, other):
        copies.run(each.context.secrets.tokens())
    copies.away = set(NAMES[:2])
    kids = {each.kid for each in copies.run(other.context.signing.rotate())}
    copies.away = set()
    rings: list[KeyRing] = []
    assert one.known_keys is not None
    one.known_keys.adopt = rings.append
    assert not all(map(one.known_keys.find, kids))
    copies.run(one.context.signing.search())
    assert all(map(one.known_keys.find, kids))
    assert kids == {key.kid for key in rings[-1].all()}


@pytest.mark.parametrize("retires_others", [False, True])
def test_of_a_new_secret_all_processes_are_told(
    time: Time, copies: Copies, retires_others: bool
) -> None:
    one = flows(time)
    copies.run(one.context.secrets.tokens())
    assert not copies.told
    copies.run(one.context.secrets.rotate(retires_others=retires_others))
    assert copies.told == [KEYSPACE.channel()] * 3


def test_of_two_first_keys_one_is_taken_by_both(time: Time, copies: Copies) -> None:
    one, other = (flows(time, OLD, keys=KeyRing.in_store(ManagedKeys())) for _ in range(2))

    def late() -> Generator[Any, Any, Any]:
        """The steps of ``one``; before it writes its key, ``other`` has written its own."""
        flow, is_first = one.context.signing.list(), True
        step: Any = next(flow)
        while True:
            if is_first and isinstance(step, ScriptCall) and step.script.name == "add_secrets":
                is_first = False
                copies.run(other.context.signing.list())
            answer = yield step
            try:
                step = flow.send(answer)
            except StopIteration as stop:
                return stop.value

    shown = [copies.run(late()), copies.run(other.context.signing.list())]
    assert [[key.kid for key in each] for each in shown] == [[key.kid for key in shown[0]]] * 2
    assert len(shown[0]) == 1
    assert all(len(copies.held[name]) == 1 for name in NAMES)


def test_the_three_copies_are_read_a_second_apart_and_then_once_a_minute(
    time: Time, copies: Copies
) -> None:
    copies.run(flows(time).context.secrets.tokens())
    one, read = flows(time), []
    for _ in range(130):
        before = len(copies.deadlines)
        copies.run(one.context.secrets.tokens())
        if len(copies.deadlines) > before:
            read.append(time.seconds - 1_800_000_000)
        time.seconds += 1
    assert read == [0, 1, 2, 62, 122]
