"""The auth service logs when its store goes and when it comes back, once each."""

import asyncio
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from clusterpass import KeyRing
from clusterpass.service.app import create_app
from clusterpass.service.asgi.log_lines import make_logger
from clusterpass.service.settings.loading import load_settings
from tests.ports import free_port

from .servers import Servers

pytestmark = pytest.mark.timeout(180)
_STATES = {"store_unavailable", "store_available"}


def states(log: io.StringIO) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    return [line for line in lines if line["event"] in _STATES]


async def become(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.05)


@pytest.mark.sampled(1)
async def test_each_change_of_the_store_is_logged_once(started: Servers, tmp_path: Path):
    keys = tmp_path / "keys.json"
    KeyRing.generate().save(keys)
    port, log = free_port(), io.StringIO()
    url = f"redis://127.0.0.1:{port}?deadline=0.5"
    settings = load_settings(None, {"store_url": url, "keys_file": keys})
    app = create_app(settings, logger=make_logger("json", log))
    async with app.running():
        await become(lambda: len(states(log)) == 1)
        (absent,) = states(log)
        assert absent["event"] == "store_unavailable"
        assert (absent["level"], absent["cause"]) == ("error", "refused")
        assert absent["node"] == f"127.0.0.1:{port}"
        started.start(port=port)
        await become(lambda: len(states(log)) == 2)
        assert (states(log)[1]["event"], states(log)[1]["level"]) == ("store_available", "info")
        started.stop(port)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            for _ in range(5):
                assert (await client.get("/readyz")).status_code == 503
        assert [line["event"] for line in states(log)] == [
            "store_unavailable",
            "store_available",
            "store_unavailable",
        ]
        started.start(port=port)
        await become(lambda: len(states(log)) == 4)


async def test_nothing_is_logged_of_a_store_that_answers(started: Servers, tmp_path: Path):
    keys = tmp_path / "keys.json"
    KeyRing.generate().save(keys)
    log, url = io.StringIO(), f"redis://127.0.0.1:{started.start()}"
    settings = load_settings(None, {"store_url": url, "keys_file": keys})
    app = create_app(settings, logger=make_logger("json", log))
    async with (
        app.running(),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client,
    ):
        assert (await client.get("/readyz")).status_code == 200
    assert not states(log)
