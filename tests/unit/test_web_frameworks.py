"""What an application in any framework does with a request, over a session manager that answers as
it is told."""

import pytest

from .test_web_gate import REFRESH, SESSION_TEXT
from .web_apps import MAKERS, OWN, WITH_CSRF, WITH_ROUTES, cookies, running

EVERY = pytest.mark.parametrize("name", MAKERS)
ROUTED = pytest.mark.parametrize("name", WITH_ROUTES)


@EVERY
async def test_a_request_exchanges_a_refresh_token_once(name: str) -> None:
    paths = ["/page"]
    if name in WITH_ROUTES:
        paths.append("/auth/devices")
    if name in {"fastapi", "litestar"}:  # what is judged for the router, and for the route
        paths.append("/twice")
    async with running(name) as app:
        for path in paths:
            app.sessions.asked.clear()
            reply = await app("GET", path, cookies("over"))
            assert reply.status == 200
            assert app.sessions.of("refresh") == [REFRESH]
            assert sum(header.lower() == "set-cookie" for header, _ in reply.headers) == 3


@ROUTED
async def test_a_request_that_changes_something_exchanges_it_once(name: str) -> None:
    path = f"/auth/devices/{SESSION_TEXT}"
    async with running(name) as app:
        reply = await app("DELETE", path, {**cookies("over"), **WITH_CSRF})
        assert reply.status == 200
        assert app.sessions.of("refresh") == [REFRESH]
        assert app.sessions.of("revoke") == [SESSION_TEXT]
        app.sessions.asked.clear()
        assert (await app("DELETE", path, {**cookies("over"), **OWN})).status == 403
        assert app.sessions.of("refresh") == []
