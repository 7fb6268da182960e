"""Litestar's server-side sessions in its Redis store."""

import os
from typing import Any

from litestar import Litestar, Request, get, post
from litestar.exceptions import NotAuthorizedException
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.stores.redis import RedisStore


@post("/login", status_code=200)
async def login(request: "Request[Any, Any, Any]") -> dict[str, str]:
    """A session."""
    request.set_session({"subject": "alice"})
    return {}


@get("/verify")
async def verify(request: "Request[Any, Any, Any]") -> dict[str, str]:
    """The user whom the session belongs to."""
    if "subject" not in request.session:
        raise NotAuthorizedException("no session")
    return {"subject": request.session["subject"]}


@post("/logout", status_code=200)
async def logout(request: "Request[Any, Any, Any]") -> dict[str, str]:
    """Its end."""
    request.clear_session()
    return {}


app = Litestar(
    route_handlers=[login, verify, logout],
    middleware=[ServerSideSessionConfig().middleware],
    stores={"sessions": RedisStore.with_client(url=os.environ["REDIS_URL"])},
)
