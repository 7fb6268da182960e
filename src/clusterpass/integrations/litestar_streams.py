"""Server-sent events of the integration with Litestar."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from litestar import Litestar, Request
from litestar.response import ServerSentEvent
from litestar.response.base import ASGIResponse
from litestar.types import SSEData

from clusterpass.integrations.server_sent_events import HEADERS, KEEP_ALIVE_COMMENT
from clusterpass.integrations.streams import nothing_of


class EventStream(ServerSentEvent):
    """A response of server-sent events; a HEAD request gets only its headers."""

    def __init__(self, source: AsyncIterator[Any], live: AsyncGenerator[SSEData]) -> None:
        """``source``: yields events; ``live``: the events of ``source`` until its session ends."""
        super().__init__(live, comment_message=KEEP_ALIVE_COMMENT, headers=HEADERS)
        self._source = source

    def to_asgi_response(
        self, app: Litestar | None, request: Request[Any, Any, Any], **options: Any
    ) -> ASGIResponse:
        """Return the response to ``request``; called by Litestar."""
        if request.method == "HEAD":
            self.iterator = nothing_of(self._source)
        return super().to_asgi_response(app, request, **options)
