"""Security headers of every response, unless its route has set its own."""

from typing import Final

from clusterpass.service.asgi.messages import App, Headers, Message, Receive, Scope, Send

DEFAULTS: Final[Headers] = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"permissions-policy",
        b"camera=(), display-capture=(), fullscreen=(), geolocation=(), microphone=(), payment=(),"
        b" publickey-credentials-get=(), usb=()",
    ),
    (b"referrer-policy", b"no-referrer"),
    # granian adds its own name if this header is missing.
    (b"server", b"clusterpass"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]

FORGET_SITE: Final = (b"clear-site-data", b'"cache", "storage"')
"""With a logout: the browser forgets what it keeps of the site. Its cookies are deleted by name:
``"cookies"`` would delete those of every host of the registrable domain."""


class SecurityHeaders:
    """ASGI middleware that adds the security headers that a response lacks."""

    def __init__(self, app: App) -> None:
        """``app``: the application to wrap."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and complete the headers of the response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def completed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                own = {name.lower() for name, _ in headers}
                headers += [each for each in DEFAULTS if each[0] not in own]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, completed)
