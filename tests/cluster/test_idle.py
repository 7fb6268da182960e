"""A process that reads nothing sends nothing, and knows what it needs as soon as it reads again."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from clusterpass import EmbeddedCluster, SessionManager, SessionRevoked
from tests.cluster.conftest import Facade
from tests.cluster.stored import Engine, commands_of, eventually

pytestmark = [pytest.mark.timeout(180), pytest.mark.sampled(2)]
BEATS = ("cluster|info", "role", "time", "get", "hmget", "evalsha")
IDLE = 3.0
KINDS: dict[str, Callable[..., Any]] = {"sync": SessionManager.from_url, "async": Facade}


@pytest.fixture(scope="module", params=[6, 1], ids=["cluster", "server"])
def quiet(request) -> Iterator[Engine]:
    """A cluster, and a single server, on which nobody else sends heartbeats."""
    with EmbeddedCluster(nodes=request.param, node_timeout=5.0) as running:
        yield running, "both"


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def manager(quiet, config, request) -> Iterator[Any]:
    with closing(request.param(quiet[0].url, config)) as opened:
        yield opened


@pytest.fixture
def other(quiet, config) -> Iterator[SessionManager]:
    with SessionManager.from_url(quiet[0].url, config) as opened:
        yield opened


def rest(quiet: Any) -> None:
    """Wait until no manager of this process sends heartbeats."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        before = commands_of(quiet, *BEATS)
        time.sleep(IDLE / 3)  # several heartbeats
        if commands_of(quiet, *BEATS) == before:
            return
    raise AssertionError("heartbeats go on")


def serve(manager: Any, token: str) -> None:
    eventually(lambda: manager.verify(token) and manager.recall(token))


def test_heartbeats_pause_and_what_was_in_memory_is_served_again(quiet, manager, new_subject):
    tokens = [manager.login(new_subject()).access_token for _ in range(20)]
    for token in tokens:
        serve(manager, token)
    rest(quiet)
    assert manager.recall(tokens[0]) is None, "the leases have run out"
    serve(manager, tokens[0])
    before = manager.stats().cache
    for token in tokens[1:]:
        assert manager.recall(token) is not None, "it was not asked for again"
    assert manager.stats().cache.hits >= before.hits + len(tokens) - 1


def test_what_changed_meanwhile_is_known(quiet, manager, other, subject):
    pair = manager.login(subject)
    kept = manager.login(subject)
    serve(manager, pair.access_token)
    serve(manager, kept.access_token)
    rest(quiet)
    other.revoke(subject, pair.session_id)
    serve(manager, kept.access_token)
    assert manager.recall(pair.access_token) is None
    with pytest.raises(SessionRevoked):
        manager.verify(pair.access_token)


def test_the_first_call_after_a_pause_is_answered(quiet, manager, subject):
    pair = manager.login(subject)
    for verb in (
        lambda: manager.verify(pair.access_token, verification="strict"),
        lambda: manager.login(subject),
        lambda: manager.logout(pair.access_token),
    ):
        rest(quiet)
        verb()


def test_a_followed_session_keeps_the_heartbeats_going(quiet, manager, other, subject):
    pair = other.login(subject)
    changes = iter(manager.watch(manager.verify(pair.access_token)))
    other.claims.set(subject, {"settled": True})
    assert next(changes).session.claims == {"settled": True}
    rest_of_others = IDLE + 1
    time.sleep(rest_of_others)
    before = commands_of(quiet, "time")["time"]
    time.sleep(1.0)
    assert commands_of(quiet, "time")["time"] > before
    other.revoke(subject, pair.session_id)
    assert next(changes).kind == "ended"
