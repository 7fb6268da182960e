"""Exceptions of listeners: caught, and logged with the listener's name."""

import asyncio
import logging
from typing import Any

import pytest

from clusterpass.managers.listeners_by_kind import call_listener, call_listener_async
from clusterpass.model.events import SessionEvent

EVENT = SessionEvent("login", "alice", 0)
ERRORS = [ValueError("secret"), SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError()]


def plain(error: BaseException) -> Any:
    def listener(_: SessionEvent) -> None:
        raise error

    return listener


def awaited(error: BaseException) -> Any:
    async def listener(_: SessionEvent) -> None:
        raise error

    return listener


def assert_logged(caplog: pytest.LogCaptureFixture, error: BaseException) -> None:
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("clusterpass.listeners", logging.ERROR)
    assert record.getMessage().endswith(f"listener failed: {type(error).__name__}")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_on_a_thread(caplog: pytest.LogCaptureFixture, error: BaseException) -> None:
    call_listener(plain(error), EVENT)
    assert_logged(caplog, error)


@pytest.mark.parametrize("make", [plain, awaited])
@pytest.mark.parametrize(
    "error", [ERRORS[0], asyncio.CancelledError()], ids=lambda error: type(error).__name__
)
def test_in_a_loop(caplog: pytest.LogCaptureFixture, make: Any, error: BaseException) -> None:
    asyncio.run(call_listener_async(make(error), EVENT))
    assert_logged(caplog, error)


def test_a_task_that_is_cancelled_ends(caplog: pytest.LogCaptureFixture) -> None:
    """So that a manager can be closed while a listener hangs."""

    async def run() -> None:
        began = asyncio.Event()

        async def hangs(_: SessionEvent) -> None:
            began.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(call_listener_async(hangs, EVENT))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert caplog.records == []
