"""An ending in the journals is acknowledged when nobody can believe older evidence any more."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from clusterpass import Config, EmbeddedCluster, SessionManager
from clusterpass.protocol.script import Rest
from clusterpass.sessions.revocations import journaling
from clusterpass.store.address import Address
from clusterpass.store.drivers.sync import SyncStore
from clusterpass.store.store_url import parse_store_url

from .shards import eventually, is_accepted, key_of

pytestmark = pytest.mark.timeout(240)
TIMES = 12


@pytest.fixture
def nowhere() -> Iterator[Address]:
    """An address where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield Address("127.0.0.1", held.getsockname()[1])


@pytest.fixture
def parted(
    fragile: EmbeddedCluster, config: Config, subject: str, nowhere: Address
) -> Iterator[SessionManager]:
    """A manager that does not reach the owner of the subject, whom all others reach."""
    owner = fragile.primary_of(key_of(subject))
    reached_at = {Address(owner.host, owner.port): nowhere}
    location = replace(parse_store_url(fragile.url), reached_at=reached_at)
    with SessionManager(SyncStore(location), config) as manager:
        yield manager


def accepted_after(parted: SessionManager, other: Any, subject: str) -> int:
    """Return how many strict verifies that begin after the acknowledgement are accepted."""
    accepted = 0
    for _ in range(TIMES):
        pair = other.login(subject)
        assert is_accepted(other, pair.access_token)
        assert parted.logout(pair.access_token).journaled
        accepted += is_accepted(other, pair.access_token)
        eventually(lambda: not other.stats().pending.journaled, "carried out for good")
    return accepted


@pytest.mark.sampled(2)
@pytest.mark.parametrize("waits", [True, False])
def test_who_asks_the_owner_refuses_what_only_the_journals_know(
    parted: SessionManager,
    open_one: Any,
    fragile: EmbeddedCluster,
    config: Config,
    subject: str,
    waits: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the wait, the evidence of a moment ago suffices to believe the owner."""
    other = open_one(fragile.url, replace(config, verification="strict"))
    if not waits:
        monkeypatch.setattr(journaling, "Rest", lambda _: Rest(0.0))
    found = accepted_after(parted, other, subject)
    assert found == 0 if waits else found > 0
