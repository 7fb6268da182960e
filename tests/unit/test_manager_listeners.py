"""Listeners of a manager: added, removed and called, in this process or for all."""

from typing import Any

import pytest

from clusterpass import (
    InvalidInput,
)
from clusterpass.sessions.event_of_line import TOLD_BY_HISTORY

from .manager_scene import CONFIG, FACES, ran


@pytest.fixture(params=FACES, ids=["threads", "loop"])
def manager(request: pytest.FixtureRequest) -> Any:
    kind, store = request.param
    return kind(store(), CONFIG)


def test_listeners_come_and_go(manager: Any) -> None:
    def listener(_: Any) -> None:
        """Listens."""

    assert manager.on("login", "revoked")(listener) is listener
    subscribed = manager._listeners.subscriptions
    assert subscribed.by_kind == {"login": (listener,), "revoked": (listener,)}
    manager.off(listener)
    assert subscribed.by_kind == {"login": (), "revoked": ()}
    manager.off(listener)
    manager.on()(listener)
    assert {"login", "refresh", "revoked"} < subscribed.by_kind.keys()


def test_listeners_to_all_processes_come_and_go(manager: Any) -> None:
    def listener(_: Any) -> None:
        """Listens."""

    near, hearing = manager._flows.memory.near, manager._hearing
    assert manager.on(scope="cluster")(listener) is listener
    assert manager._listeners.cluster.by_kind.keys() == TOLD_BY_HISTORY
    assert manager._listeners.subscriptions.by_kind == {}
    assert hearing._heard.is_listening
    assert near.prefixes == (b"app:{", b"app:not-before:{")
    other = manager.on("login", scope="cluster")(lambda _: None)
    manager.off(listener)
    assert hearing._heard.is_listening
    manager.off(other)
    assert not hearing._heard.is_listening
    with pytest.raises(InvalidInput, match="must be callable"):
        manager.on("login", scope="cluster")("no function")
    assert not hearing._heard.is_listening
    ran(manager.close())


@pytest.mark.parametrize("kind", ["expired", "idle", "nothing", None])
def test_nobody_listens_to_what_is_never_told(manager: Any, kind: Any) -> None:
    with pytest.raises(InvalidInput, match=r"there is no event .*; use one of login, "):
        manager.on("login", kind)


def test_a_listener_can_be_called(manager: Any) -> None:
    with pytest.raises(InvalidInput, match="must be callable"):
        manager.on("login")("no function")
    assert manager._listeners.subscriptions.by_kind == {}
