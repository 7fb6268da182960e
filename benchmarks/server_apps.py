"""The applications that ``servers`` measures: each answers every request with one greeting."""

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

_GREETING = "Hello, alice!"


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI without a framework."""
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"13")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _GREETING.encode()})


async def _greet(_: Request) -> Response:
    return PlainTextResponse(_GREETING)


starlette = Starlette(routes=[Route("/hello", _greet)])
fastapi = FastAPI()


async def _hello() -> str:
    return _GREETING


fastapi.add_api_route("/hello", _hello, response_class=PlainTextResponse)
