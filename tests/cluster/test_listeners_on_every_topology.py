"""Listeners with ``scope="cluster"``: the same on one server, behind Sentinel and on clusters."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clusterpass import Config, SessionManager
from clusterpass.protocol.keyspace import Keyspace
from tests.cluster.stored import eventually, new_namespace
from tests.cluster.test_cluster_listeners import KINDS, Heard, listen
from tests.cluster.topologies import SHAPES, SURVIVING, Shape, at_last, await_that

pytestmark = pytest.mark.timeout(240)
SUBJECTS = [f"subject-{number}" for number in range(12)]
style = pytest.mark.parametrize("style", KINDS)


@pytest.fixture(scope="module", params=SHAPES)
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shape]:
    """A store that stays whole."""
    with SHAPES[request.param](tmp_path_factory.mktemp("store")) as shape:
        yield shape


@pytest.mark.sampled(6)
@style
def test_each_process_hears_once_of_all_others(whole: Shape, style: str, config: Config) -> None:
    url = f"{whole.url}?namespace={new_namespace()}"
    with (
        contextlib.closing(KINDS[style](url, config)) as first,
        contextlib.closing(KINDS[style](url, config)) as second,
        SessionManager.from_url(url, config) as silent,
    ):
        heard = listen(first), listen(second)
        for number, name in enumerate(SUBJECTS):
            acting = (first, second, silent)[number % 3]
            pair = acting.login(name)
            pair = acting.refresh(pair.refresh_token)
            acting.claims.set(name, {"number": number})
            acting.bans.add(name, scope="chat", reason="spam")
            acting.logout(pair.refresh_token)
        kinds = ["login", "refresh", "claims_changed", "banned", "logged_out"]
        for each in heard:
            eventually(lambda each=each: len(each.events) >= len(kinds) * len(SUBJECTS))
        silent.login("what comes last")
        for each in heard:
            eventually(lambda each=each: each.events[-1].subject == "what comes last")
            told = Counter((event.subject, event.kind) for event in each.events[:-1])
            assert told == dict.fromkeys(((s, kind) for s in SUBJECTS for kind in kinds), 1)
        for manager in (first, second):
            stats = manager.stats().listeners
            assert (stats.overrun, stats.unread, stats.dropped) == (0, 0, 0)


CASES = [
    *((name, "kill") for name in SURVIVING),
    *((name, "hand_over") for name in SURVIVING if name != "one server"),
]


@pytest.mark.sampled(5)
@style
@pytest.mark.parametrize(("name", "how"), CASES)
def test_they_hear_again_after_another_primary_took_over(
    name: str, how: str, style: str, config: Config, tmp_path: Path
) -> None:
    """What happened meanwhile is told with the next change of the subject, and nothing twice.

    That something may have been missed is counted, also where no connection was lost.
    """
    namespace = new_namespace()
    key = Keyspace(namespace).sessions("alice")
    with SHAPES[name](tmp_path) as shape:
        url = f"{shape.url}?namespace={namespace}"
        with (
            contextlib.closing(KINDS[style](url, config)) as listening,
            SessionManager.from_url(url, config) as other,
        ):
            heard = listen(listening)
            pair = durable_login(other, name)
            heard.wait_for(1)
            getattr(shape, how)(key)
            shape.await_successor(key)
            at_last(lambda: other.refresh(pair.refresh_token))  # perhaps unheard
            await_that(lambda: listening.stats().listeners.gaps, "the gap is counted")
            await_that(lambda: listens(listening), "the nodes push again")
            at_last(lambda: other.bans.add("alice", scope="chat"))
            at_last(lambda: other.login("alice"))
            await_that(lambda: told_of_alice(heard) == written_of_alice(other), "all is told")
            assert told_of_alice(heard).keys() == {"login", "refresh", "banned"}


def told_of_alice(heard: Heard) -> Counter[str]:
    return Counter(event.kind for event in heard.events if event.subject == "alice")


def written_of_alice(manager: SessionManager) -> Counter[str]:
    history = at_last(lambda: manager.history("alice"))
    return Counter(entry.kind for entry in history for _ in range(entry.count))


def listens(manager: Any) -> bool:
    nodes = manager.stats().nodes
    return bool(nodes) and all(node.is_connected for node in nodes)


def durable_login(manager: SessionManager, name: str) -> Any:
    """A login of alice that no failover undoes."""
    if name == "one server":
        return manager.login("alice")
    found: list[Any] = []

    def is_durable() -> bool:
        found.append(manager.login("alice"))
        return bool(found[-1].durable)

    await_that(is_durable, "the replicas confirm")
    return found[-1]
