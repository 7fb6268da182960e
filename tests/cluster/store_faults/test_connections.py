"""Connections and scripts that the servers took away are replaced."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from clusterpass import EmbeddedCluster
from clusterpass.model.authentication_errors import SessionRevoked

from .conftest import Opener, on_every_node


def cut_all(server: EmbeddedCluster) -> None:
    """End every connection of a client, also those that have subscribed, as pushing ones do."""
    for kind in ("normal", "pubsub"):
        on_every_node(server, "CLIENT", "KILL", "TYPE", kind)


@pytest.mark.parametrize("mode", ["cluster", "single"])
def test_idle_connections_that_were_closed_are_replaced(
    open_url: Opener, request: pytest.FixtureRequest, mode: str, subject: str
) -> None:
    server = request.getfixturevalue("victim" if mode == "cluster" else "guarded")
    manager = open_url(server.url)
    pairs = {name: manager.login(name) for name in (f"{subject}-{n}" for n in range(12))}

    def check(name: str) -> None:
        assert manager.verify(pairs[name].access_token).subject == name

    for _ in range(3):
        with ThreadPoolExecutor(12) as threads:  # several idle connections to each node
            list(threads.map(check, pairs))
        cut_all(server)
        manager.ping()
        cut_all(server)
        with ThreadPoolExecutor(12) as threads:
            list(threads.map(check, pairs))
        cut_all(server)
        pair = manager.login(subject)
        cut_all(server)
        assert manager.logout(pair.access_token).count == 1


def test_scripts_that_were_forgotten_are_sent_again(
    open_url: Opener, victim: EmbeddedCluster, subject: str
) -> None:
    manager = open_url(victim.url)
    pair = manager.login(subject, claims={"a": 1})
    for _ in range(2):
        on_every_node(victim, "SCRIPT", "FLUSH")
        assert manager.verify(pair.access_token).subject == subject
        on_every_node(victim, "SCRIPT", "FLUSH")
        pair = manager.refresh(pair.refresh_token)
        assert pair.durable
        on_every_node(victim, "SCRIPT", "FLUSH")
        assert len(manager.sessions(subject)) == 1
    on_every_node(victim, "SCRIPT", "FLUSH")
    ended = manager.logout(pair.access_token)
    assert (ended.count, ended.durable) == (1, True)
    on_every_node(victim, "SCRIPT", "FLUSH")
    with pytest.raises(SessionRevoked):
        manager.verify(pair.access_token)
