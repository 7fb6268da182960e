"""The health check answers in time, however long its probe takes."""

import asyncio
import io
import json

from clusterpass import StoreUnavailable
from clusterpass.service.asgi.log_lines import make_logger
from clusterpass.service.asgi.request_counts import RequestCounts
from clusterpass.service.hot.health import Health
from clusterpass.service.hot.responder import Responder

SCOPE = {"type": "http", "method": "GET", "path": "/readyz", "headers": []}


async def ask(check, seconds=3600.0):
    sent = []

    async def send(message):
        sent.append(message)

    log = io.StringIO()
    responder = Responder(make_logger("json", log), RequestCounts())
    await Health(responder, None, check, seconds)(SCOPE, None, send)
    start, body = sent
    return start["status"], dict(start["headers"]), json.loads(body["body"]), log.getvalue()


async def test_a_check_that_succeeds():
    async def check():
        return

    status, _, body, _ = await ask(check)
    assert (status, body) == (200, {"status": "ok"})


async def test_a_check_that_fails():
    async def check():
        raise StoreUnavailable(reason="connection", retry_after=7)

    status, headers, body, _ = await ask(check)
    assert (status, body["error"], headers[b"retry-after"]) == (503, "store_unavailable", b"7")


async def test_a_check_that_hangs_is_ended():
    ended = []

    async def check():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    status, headers, body, log = await ask(check, seconds=0)
    assert (status, body["error"], ended) == (503, "store_unavailable", [True])
    assert headers[b"retry-after"] == b"1"
    assert json.loads(log)["reason"] == "timeout"
