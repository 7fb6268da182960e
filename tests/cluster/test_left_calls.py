"""A call that is left before its end ends what it began, even while the exception is kept."""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest

from clusterpass import AsyncSessionManager, Config, EmbeddedCluster, SessionManager
from clusterpass.model.errors import StoreUnavailable

from .stored import eventually

OPTIONS = "?timeout=0.2&replica_wait=0.1&deadline=5"
pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def alone() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(nodes=1) as running:
        yield running


@pytest.fixture
def patient(config: Config) -> Config:
    """The cutoff that was read first stays good for the whole test, so it is not asked again."""
    return replace(config, staleness_bound=30)


@pytest.fixture
def token(alone: EmbeddedCluster, config: Config, subject: str) -> str:
    with SessionManager.from_url(alone.url, config) as manager:
        return manager.login(subject).access_token


@contextlib.contextmanager
def silent(alone: EmbeddedCluster) -> Iterator[None]:
    (node,) = alone.nodes
    alone.pause(node)
    try:
        yield
    finally:
        alone.resume(node)


def loads(manager: Any) -> int:
    return len(manager._flows.memory.near._loading)


def waiting(manager: Any) -> int:
    return sum(each.waiting for each in manager.store.breakers.silent.values())


async def test_a_verify_that_is_cancelled(
    alone: EmbeddedCluster, config: Config, patient: Config, token: str, subject: str
) -> None:
    with SessionManager.from_url(alone.url, config) as elsewhere:
        tokens = [elsewhere.login(subject).access_token for _ in range(3)]
    async with AsyncSessionManager.from_url(alone.url + OPTIONS, patient) as manager:
        await manager.verify((await manager.login(subject)).access_token)
        with silent(alone):
            verifies = [asyncio.create_task(manager.verify(each)) for each in tokens]
            async with asyncio.timeout(10):
                while waiting(manager) < 3:
                    await asyncio.sleep(0.01)
            assert loads(manager)
            kept: list[BaseException] = []
            for verify in verifies:
                verify.cancel()
                try:
                    await verify
                except asyncio.CancelledError as error:
                    kept.append(error)
            assert len(kept) == 3
            assert loads(manager) == 0
            assert waiting(manager) == 0
        assert await manager.verify(token)


async def test_a_verify_that_is_cancelled_while_its_first_request_is_under_way(
    alone: EmbeddedCluster, patient: Config, token: str, subject: str
) -> None:
    url = f"{alone.url}?timeout=4&deadline=5"
    async with AsyncSessionManager.from_url(url, patient) as manager:
        await manager.verify((await manager.login(subject)).access_token)
        with silent(alone):
            verify = asyncio.create_task(manager.verify(token))
            await asyncio.sleep(0.1)
            assert loads(manager) == 1
            verify.cancel()
            with pytest.raises(asyncio.CancelledError) as kept:
                await verify
            assert loads(manager) == 0
            assert kept.value is not None


def test_a_verify_that_is_interrupted(
    alone: EmbeddedCluster, patient: Config, token: str, subject: str
) -> None:
    def interrupt(_: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with SessionManager.from_url(alone.url + OPTIONS, patient) as manager:
        manager.verify(manager.login(subject).access_token)
        former = signal.signal(signal.SIGUSR1, interrupt)
        try:
            with silent(alone):
                killer = threading.Thread(
                    target=lambda: (
                        eventually(lambda: waiting(manager) and loads(manager)),
                        os.kill(os.getpid(), signal.SIGUSR1),
                    )
                )
                killer.start()
                with pytest.raises(KeyboardInterrupt) as kept:
                    manager.verify(token)
                killer.join()
                assert loads(manager) == 0
                assert waiting(manager) == 0
                assert kept.value.__traceback__ is not None
        finally:
            signal.signal(signal.SIGUSR1, former)
        assert eventually(lambda: is_accepted(manager, token))


def is_accepted(manager: SessionManager, token: str) -> bool:
    try:
        return manager.verify(token) is not None
    except StoreUnavailable:  # the circuit breaker is still open
        return False
