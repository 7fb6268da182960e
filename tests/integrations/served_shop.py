"""A shop of the examples, to be served; each of its responses says by which process.

The shop is the module ``app``, from a folder of the examples.
"""

import os
from typing import Any

# The shop in Django fills its database while it is imported, which uvicorn does in an event loop.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
import app as shop

del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
NAME = "X-Worker"
application: Any = shop.app
if hasattr(application, "on_response_prepare"):  # that of aiohttp is served by its own worker

    async def _add(_: Any, response: Any) -> None:
        response.headers[NAME] = str(os.getpid())

    application.on_response_prepare.append(_add)


def wsgi(environ: Any, start_response: Any) -> Any:
    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        return start_response(status, [*headers, (NAME, str(os.getpid()))], *rest)

    return application(environ, start)


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    async def add(message: Any) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (NAME.encode(), str(os.getpid()).encode())]
        await send(message)

    await _asgi(scope, receive, add)


if hasattr(shop, "get_wsgi_application"):
    from django.core.asgi import get_asgi_application

    _asgi: Any = get_asgi_application()
else:
    _asgi = application
