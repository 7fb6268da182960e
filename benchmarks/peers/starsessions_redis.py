"""Starlette with starsessions in Redis."""

import os
from typing import Any

import redis.asyncio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starsessions import SessionAutoloadMiddleware, SessionMiddleware
from starsessions.stores.redis import RedisStore


async def login(request: Request) -> JSONResponse:
    """A session."""
    request.session["subject"] = "alice"
    return JSONResponse({})


async def verify(request: Request) -> JSONResponse:
    """The user whom the session belongs to."""
    if "subject" not in request.session:
        return JSONResponse({"error": "no session"}, 401)
    return JSONResponse({"subject": request.session["subject"]})


async def logout(request: Request) -> JSONResponse:
    """Its end."""
    request.session.clear()
    return JSONResponse({})


client: Any = redis.asyncio.from_url(os.environ["REDIS_URL"])
app = Starlette(
    routes=[
        Route("/login", login, methods=["POST"]),
        Route("/verify", verify),
        Route("/logout", logout, methods=["POST"]),
    ],
    middleware=[
        Middleware(
            SessionMiddleware,
            store=RedisStore(connection=client),
            lifetime=3600,
            cookie_https_only=False,
        ),
        Middleware(SessionAutoloadMiddleware),
    ],
)
