"""Random sequences of refreshes do on a real cluster what a plain model says they should."""

import dataclasses
import time
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from clusterpass.protocol.records import LiveRecord, parse_record
from clusterpass.sessions.memory import known_secrets
from clusterpass.tokens.identifiers import decode_session_id
from clusterpass.tokens.refresh import parse_refresh_token
from clusterpass.tokens.refresh_secrets import new_refresh_secret

from ..stored import make_known
from .refresh_chain import Chain, Place
from .sequences import EXAMPLES, numbers, run
from .world import KEYSPACE, World, older, outcome

SECRETS = (new_refresh_secret(), new_refresh_secret())
"""Shared by all tests: a process that lacks a secret of others cannot tell what was reused."""
pytestmark = pytest.mark.timeout(0 if EXAMPLES else 180)


class Chains(RuleBasedStateMachine):
    """Presents any refresh token that ever was, to managers whose secrets are in another order."""

    def __init__(self, world: World, managers: list[Any], grace: int, until_used: bool) -> None:
        super().__init__()
        self.world, self.managers, self.grace = world, managers, grace
        self.until_used = until_used
        self.subject = f"chain-{next(numbers)}"
        self.age = 0
        self.tokens: list[tuple[Chain, str]] = []
        self.log_in()

    def stored(self) -> bytes:
        with self.client() as client:
            return client.hget(KEYSPACE.sessions(self.subject), self.session_id)

    def client(self) -> Any:
        running = self.world.running
        return running.client(running.primary_of(KEYSPACE.sessions(self.subject)))

    def now(self) -> int:
        return int(time.time()) + self.age

    def log_in(self) -> None:
        pair = self.managers[0].login(self.subject)
        self.session_id = decode_session_id(pair.session_id)
        self.access_token = pair.access_token
        self.chain = Chain(self.grace, pair.refresh_token, self.now(), until_used=self.until_used)
        self.newest_pair = pair
        self.tokens.append((self.chain, pair.refresh_token))
        self.before: list[tuple[Place, int, bytes]] = []

    @rule(
        back=st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 9]), which=st.sampled_from([0, 0, 1])
    )
    def present(self, back: int, which: int) -> None:
        chain, token = self.tokens[-1 - back % len(self.tokens)]
        self.before.append((self.chain.place, self.age, self.stored()))
        kind, result = outcome(lambda: self.managers[which].refresh(token))
        made = result.refresh_token if kind == "done" else None
        seen = (kind, made) if made else (kind, result[:3])
        expected = outcome(lambda: chain.present(token, which, self.now(), made))
        assert seen == (expected if made else (expected[0], expected[1][:3]))
        if made and chain is self.chain:
            self.newest_pair = result
        if made and (chain, made) not in self.tokens:
            self.tokens.append((chain, made))
        self.compare()

    def compare(self) -> None:
        """The session lives and expects the one newest token, or says how it came to its end."""
        kind, result = outcome(lambda: self.world.watcher.verify(self.access_token))
        record = parse_record(self.stored())
        if self.chain.reuse:
            assert (kind, result[:3]) == (
                "refused",
                ("SessionRevoked", "reused", self.chain.reuse),
            )
            self.log_in()
        else:
            assert kind == "done"
            newest = parse_refresh_token(self.chain.place.newest.token)
            assert isinstance(record, LiveRecord)
            assert (record.rotation, record.refresh_digest) == (newest.rotation, newest.digest)

    @rule(which=st.sampled_from([0, 1]))
    def use(self, which: int) -> None:
        """The access token that was issued last."""
        kind, _ = outcome(lambda: self.managers[which].verify(self.newest_pair.access_token))
        assert kind == "done"
        self.chain.use(parse_refresh_token(self.newest_pair.refresh_token).rotation)

    @rule(seconds=st.sampled_from([120, 120, 600]))
    def time_passes(self, seconds: int) -> None:
        self.world.age(self.subject, seconds)
        self.age += seconds

    @precondition(lambda self: self.before)
    @rule(back=st.sampled_from([0, 0, 1, 2, 5]))
    def the_store_loses_exchanges(self, back: int) -> None:
        """As a failover may."""
        place, age, value = self.before[-1 - back % len(self.before)]
        value = older(self.session_id, value, self.age - age)
        with self.client() as client:
            client.hset(KEYSPACE.sessions(self.subject), self.session_id, value)
        make_known(KEYSPACE.sessions(self.subject))
        self.chain.place = place
        self.compare()


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("grace", "retry"), [(0, "grace"), (300, "grace"), (300, "until_used")])
def test_any_sequence_of_refreshes_does_what_the_model_says(
    world: World, grace: int, retry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Secrets that are new make tokens by age, in each process the same. These have long been known,
    # so each manager makes tokens by its own first one.
    monkeypatch.setattr(known_secrets, "_PUBLISHED_FOR", -60_000)
    configs = [
        dataclasses.replace(
            world.config, refresh_secrets=order, refresh_grace=grace, refresh_retry=retry
        )
        for order in (SECRETS, SECRETS[::-1])
    ]
    managers = [world.open(config) for config in configs]
    try:
        run(lambda: Chains(world, managers, grace, retry == "until_used"), examples=20, steps=40)
    finally:
        for manager in managers:
            manager.close()
