"""HEAD wherever there is GET: the same response without its body (RFC 9110 section 9.3.2)."""

from clusterpass.service.asgi.messages import App, Message, Receive, Scope, Send


class HeadAsGet:
    """ASGI middleware that serves HEAD as GET and drops the body."""

    def __init__(self, app: App) -> None:
        """``app``: the application to wrap, which handles GET."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on as GET, and drop the body of the response."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def headless(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, headless)
