"""The hot paths GET /healthz and GET /readyz, answered in front of the framework."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from clusterpass import StoreUnavailable
from clusterpass.service.asgi.messages import App, Receive, Scope, Send
from clusterpass.service.bodies.responses import StateResponse
from clusterpass.service.hot.rendering import answer_json
from clusterpass.service.hot.responder import Answer, Responder

LONGEST: Final = 0.9
"""Seconds in which a check has to succeed: orchestrators wait for one second by default."""


class Health:
    """The handler of a health check."""

    def __init__(
        self,
        responder: Responder,
        framework: App,
        check: Callable[[], Awaitable[None]],
        seconds: float = LONGEST,
    ) -> None:
        """``check``: raises what is wrong. ``framework``: answers what this handler does not.
        ``seconds``: how long ``check`` may take."""
        self._seconds: Final = seconds
        self._responder: Final = responder
        self._framework: Final = framework
        self._check: Final = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to GET and HEAD."""
        if scope["method"] in ("GET", "HEAD"):
            await self._responder.respond(scope, send, self._answer(), {})
        else:
            await self._framework(scope, receive, send)

    async def _answer(self) -> Answer:
        try:
            async with asyncio.timeout(self._seconds):
                await self._check()
        except TimeoutError:
            raise StoreUnavailable(reason="timeout", cause="timed_out") from None
        return answer_json(StateResponse().model_dump())


async def alive() -> None:
    """Return, as this process does."""
