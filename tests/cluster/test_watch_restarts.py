"""A watch that fails begins again: sessions are served from memory again, and kept current."""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clusterpass import Config, EmbeddedCluster, SessionManager
from clusterpass.model.authentication_errors import SessionRevoked

from .conftest import Facade
from .stored import eventually

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(params=["sync", "async"])
def open_one(
    request: pytest.FixtureRequest, cluster: EmbeddedCluster, config: Config
) -> Iterator[Callable[[], Any]]:
    kind: Any = SessionManager.from_url if request.param == "sync" else Facade
    opened: list[Any] = []

    def open_it() -> Any:
        opened.append(kind(cluster.url, config))
        return opened[-1]

    yield open_it
    for manager in opened:
        manager.close()


def near_of(manager: Any) -> Any:
    return getattr(manager, "manager", manager)._flows.memory.near


def served(manager: Any, token: str) -> bool:
    return eventually(lambda: manager.verify(token) and manager.recall(token)) is not None


def assert_is_watching(manager: Any, other: Any, subject: str) -> None:
    """Sessions are served from memory, and a change elsewhere ends them."""
    pair = other.login(subject)
    assert served(manager, pair.access_token)
    assert manager.stats().refusal == ""
    other.logout(pair.access_token)
    assert eventually(lambda: manager.recall(pair.access_token) is None)
    with pytest.raises(SessionRevoked):
        manager.verify(pair.access_token)


@pytest.mark.parametrize("event", ["set_primaries", "beat_sent", "beat_answered"])
def test_an_observer_that_raises(
    open_one: Any,
    sessions: SessionManager,
    subject: str,
    event: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    manager = open_one()
    near = near_of(manager)
    works, calls = getattr(near, event), 0

    def fail(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        raise LookupError(f"failure {calls}")

    monkeypatch.setattr(near, event, fail)
    pair = manager.login(subject)
    with caplog.at_level(logging.WARNING, logger="clusterpass.store"):
        assert eventually(lambda: "LookupError: failure" in manager.stats().refusal)
        for _ in range(20):
            assert manager.verify(pair.access_token).subject == subject
        assert manager.recall(pair.access_token) is None
        assert eventually(lambda: calls >= 3), "it tries again"
    told = [each for each in caplog.records if "LookupError" in each.getMessage()]
    assert len(told) == 1, "one warning for one cause"
    monkeypatch.setattr(near, event, works)
    assert_is_watching(manager, sessions, subject)


def test_no_thread_can_be_started(
    cluster: EmbeddedCluster,
    config: Config,
    sessions: SessionManager,
    subject: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    start, tries = threading.Thread.start, 0

    def refuse(thread: threading.Thread) -> None:
        nonlocal tries
        if thread.name == "clusterpass-watch":
            tries += 1
            raise RuntimeError("can't start new thread")
        start(thread)

    with SessionManager.from_url(cluster.url, config) as manager:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        pair = manager.login(subject)
        for _ in range(100):
            assert manager.verify(pair.access_token)
        assert 1 <= tries < 10, "not with every call"
        assert "can't start new thread" in manager.stats().refusal
        assert caplog.text.count("can't start new thread; nothing is served") == 1
        monkeypatch.undo()
        assert_is_watching(manager, sessions, subject)
