"""An asynchronous manager that is closed while calls are under way leaves no task and no socket."""

import asyncio
import gc
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from clusterpass import AsyncSessionManager, Config, EmbeddedCluster, StoreUnavailable
from clusterpass.embedded import TlsFiles
from tests.cluster.conftest import REDIS_SERVER

LOOPS: dict[str, Callable[[], Any]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
SECONDS = (0, 0.001, 0.003, 0.01)
"""When the manager is closed: while connections are opened, and while answers are awaited."""


@pytest.fixture(scope="module")
def server_over_tls(tls_files: TlsFiles):
    with EmbeddedCluster(nodes=1, server=REDIS_SERVER, tls=tls_files) as running:
        yield running


async def close_under_load(url: str, config: Config, subject: str, seconds: float) -> list[Any]:
    """What is left of a manager that is closed ``seconds`` after sixty calls have begun."""
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    manager = AsyncSessionManager.from_url(url, config)
    token = (await manager.login(subject)).access_token
    calls = [
        *(manager.login(f"{subject}-{number}") for number in range(30)),
        *(manager.verify(token, verification="strict") for _ in range(30)),
    ]
    tasks = [asyncio.ensure_future(call) for call in calls]
    await asyncio.sleep(seconds)
    await manager.close()
    for done in await asyncio.gather(*tasks, return_exceptions=True):
        assert not isinstance(done, BaseException) or isinstance(done, StoreUnavailable), done
    return [*told, *(asyncio.all_tasks() - {asyncio.current_task()})]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("server", ["cluster", "server_over_tls"])
def test_nothing_is_left(
    request: pytest.FixtureRequest, config: Config, subject: str, server: str, loop: str
) -> None:
    url = request.getfixturevalue(server).url
    for seconds in SECONDS:
        running = LOOPS[loop]()
        gc.collect()  # what other tests have left
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            left = running.run_until_complete(close_under_load(url, config, subject, seconds))
            running.close()
            gc.collect()
        assert left == []
        assert [str(each.message) for each in warned] == []
