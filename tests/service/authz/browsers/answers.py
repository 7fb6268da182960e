"""Answers to browsers: of the application, or a refusal."""

import asyncio
from typing import Any

import httpx

from tests.service.authz.browsing import (
    Visitor,
)

AWAY = "redis+cluster://127.0.0.1:1?timeout=0.3&deadline=0.3&namespace=cp-test-away"


ACCESS_LIFETIME = 900


def subject_of(answer: httpx.Response) -> str:
    assert answer.headers.get("x-upstream") == "1", (answer.status_code, answer.text)
    return answer.json()["subject"]


async def until_refused(visitor: Visitor, **more: Any) -> httpx.Response:
    """Return the first refusal, once the process hears of what another one has ended."""
    async with asyncio.timeout(10):
        while (answer := await visitor.fetch("/x", **more)).status_code == 200:
            await asyncio.sleep(0.01)
    assert answer.status_code == 401
    return answer
