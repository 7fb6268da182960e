"""Limits on request bodies: their size, their Content-Type and the time that they take."""

from collections.abc import Container
from typing import Final

from clusterpass.service.asgi.messages import App, Receive, Scope, Send
from clusterpass.service.asgi.problems import send_problem
from clusterpass.service.asgi.request_body import FORM, JSON, BodyReader, replay
from clusterpass.web.problems import Problem

_WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class BodyLimits:
    """ASGI middleware: 413 for a body over 64 KiB, 415 for an unexpected Content-Type."""

    def __init__(
        self,
        app: App,
        *,
        form_paths: Container[str] = frozenset(),
        reader: BodyReader | None = None,
    ) -> None:
        """``form_paths``: the paths that expect an HTML form instead of JSON. ``reader``: reads the
        bodies; None: one of its own."""
        self._app = app
        self._reader = reader or BodyReader()
        self._form_paths = form_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reject the request, or pass it on with its body read."""
        if scope["type"] != "http" or scope["method"] in _WITHOUT_BODY:
            await self._app(scope, receive, send)
            return
        expected = FORM if scope["path"] in self._form_paths else JSON
        body = await self._reader.read(scope, receive, expected)
        if isinstance(body, Problem):
            await send_problem(body, send)
        elif body is not None:
            await self._app(scope, replay(body, receive), send)
