"""The service with its hot paths and without them, asked the same, and how answers are compared."""

import io
import json
from dataclasses import dataclass, field
from typing import Any

import httpx

from clusterpass.service.app import Application

from .conftest import PASSWORD

JSON = {"Content-Type": "application/json"}


OWN = {"x-request-id", "date"}


OWN_FIELDS = {"request_id", "milliseconds", "timestamp"}


class Counting(Application):
    """Counts the requests that the hot paths pass on."""

    passed_on = 0

    async def _pass_on(self, scope: Any, receive: Any, send: Any) -> None:
        self.passed_on += 1
        await super()._pass_on(scope, receive, send)


@dataclass
class Side:
    """A service in this process, and what it logged."""

    app: Counting
    client: httpx.AsyncClient
    log: io.StringIO = field(default_factory=io.StringIO)

    async def ask(self, method: str, target: str, **more: Any) -> httpx.Response:
        return await self.client.request(method, target, **more)

    def take_lines(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        self.log.seek(0)
        self.log.truncate()
        return [{k: v for k, v in line.items() if k not in OWN_FIELDS} for line in lines]


@dataclass
class Both:
    """A service with hot paths, and one without, on the same store with the same keys."""

    hot: Side
    plain: Side

    async def login(self, name: str, **more: Any) -> dict[str, Any]:
        body = {"username": name, "password": PASSWORD, **more}
        answer = await self.plain.ask("POST", "/login", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def compare(
        self, method: str, target: str, *, passed_on: bool = False, **more: Any
    ) -> httpx.Response:
        """Ask both, and return what the hot side answered."""
        self.hot.take_lines(), self.plain.take_lines()
        before = self.hot.app.passed_on
        answer = await self.hot.ask(method, target, **more)
        assert (self.hot.app.passed_on > before) is passed_on
        theirs = await self.plain.ask(method, target, **more)
        assert answer.status_code == theirs.status_code, answer.text
        assert answer.content == theirs.content
        assert headers_of(answer) == headers_of(theirs)
        assert answer.headers["x-request-id"]
        assert self.hot.take_lines() == self.plain.take_lines()
        return answer


def headers_of(answer: httpx.Response) -> list[tuple[str, str]]:
    found = [(name, value) for name, value in answer.headers.multi_items() if name not in OWN]
    assert len({name for name, _ in found}) == len(found)
    return sorted(found)
