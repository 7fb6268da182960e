"""The thread that watches the session of a stream, of a gRPC server with threads."""

import threading
from typing import Any

import pytest

from clusterpass import SessionManager, SessionRevoked, StoreUnavailable
from clusterpass.integrations.grpc_calls import Call
from clusterpass.integrations.grpc_threads import _Watch
from clusterpass.web.gate import NO_NEEDS

from .test_manager_calls import CONFIG
from .test_watch_iteration import GONE, LONG, SESSION, BlockingReading, readings


class Watching:
    """A watch that has begun, and what it tells."""

    def __init__(self, manager: SessionManager) -> None:
        self.told: list[BaseException] = []
        self.followers = manager._flows.memory.near.followers
        self.watch = _Watch(manager, Call(SESSION), NO_NEEDS, "stay", tell=self.told.append)
        self.watch.start()

    def wait_until_it_waits(self) -> None:
        while not any(not each.is_due for each in self.followers._all.copy()):
            threading.Event().wait(0.001)

    def ended(self) -> list[Any]:
        for thread in threading.enumerate():
            if thread.name == "clusterpass-grpc-watch":
                thread.join(LONG)
                assert not thread.is_alive()
        assert len(self.followers) == 0
        return self.told


@pytest.fixture
def manager() -> Any:
    with SessionManager(BlockingReading(), CONFIG) as opened:
        readings(opened, [SESSION])
        yield opened


def test_a_stream_that_is_over_ends_it_at_once_and_is_told_nothing(manager) -> None:
    watching = Watching(manager)
    watching.wait_until_it_waits()
    watching.watch.leave()
    assert watching.ended() == []


def test_the_end_of_the_session_is_told(manager) -> None:
    readings(manager, [GONE])
    (error,) = Watching(manager).ended()
    assert isinstance(error, SessionRevoked)


def test_a_stream_that_nobody_watches_any_more_is_told(manager) -> None:
    watching = Watching(manager)
    watching.wait_until_it_waits()
    manager.close()
    (error,) = watching.ended()
    assert isinstance(error, StoreUnavailable)
    assert error.reason == "closed"
