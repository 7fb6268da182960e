"""GET /healthz and /readyz."""

from collections.abc import Awaitable, Callable
from typing import Final

from clusterpass.service.asgi.messages import App, Receive, Scope, Send
from clusterpass.service.bodies.responses import StateResponse
from clusterpass.service.hot.rendering import answer_json
from clusterpass.service.hot.responder import Answer, Responder


class Health:
    """The handler of a health check."""

    def __init__(
        self, responder: Responder, framework: App, check: Callable[[], Awaitable[None]]
    ) -> None:
        """``check``: raises what is wrong. ``framework``: answers what this handler does not."""
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
        await self._check()
        return answer_json(StateResponse().model_dump())


async def alive() -> None:
    """Return, as this process does."""
