"""A policy, and what proxies send about the requests to authorize."""

from typing import Any

import httpx

from clusterpass import UserDirectory

from ..conftest import Service, bearer

POLICY = """
[[rules]]
name = "public"
hosts = "app.example"
paths = ["/public/**"]
access = "public"

[[rules]]
name = "orders"
hosts = "app.example"
paths = ["/orders/**"]
methods = ["POST"]
scopes = ["orders:write"]
allow_preflight = true

[[rules]]
name = "admin"
hosts = "app.example"
paths = ["/admin/**"]
level = "2"

[[rules]]
name = "recent"
hosts = "app.example"
paths = ["/recent"]
max_auth_age = 600
strict = true

[[rules]]
name = "comments"
hosts = "app.example"
paths = ["/comments"]
not_banned = ["comments"]

[[rules]]
name = "closed"
hosts = "app.example"
paths = ["/closed"]
access = "denied"

[[rules]]
name = "rest"
hosts = "app.example"

[[policies.strict.rules]]
name = "only admins"
hosts = "*"
scopes = ["admin"]
"""
PROXY = "127.0.0.1"
COOKIE = "__Host-clusterpass-access"
ALWAYS = {
    "x-auth-subject",
    "x-auth-session",
    "x-auth-level",
    "x-auth-scope",
    "x-auth-actor",
    "x-auth-grace",
    "x-auth-assertion",
}
FAMILY = {
    "nginx": "X-Original",
    "haproxy": "X-Original",
    "apache": "X-Original",
    "traefik": "X-Forwarded",
    "caddy": "X-Forwarded",
    "forward-auth": "X-Forwarded",
}


def asked(
    uri: str, method: str = "GET", *, proxy: str = "nginx", host: str = "app.example"
) -> dict[str, str]:
    """The headers by which a proxy describes a request."""
    prefix = FAMILY[proxy]
    return {
        f"{prefix}-Method": method,
        f"{prefix}-Proto": "https",
        f"{prefix}-Host": host,
        f"{prefix}-URI": uri,
    }


async def ask(
    service: Service,
    uri: str,
    method: str = "GET",
    *,
    proxy: str = "nginx",
    host: str = "app.example",
    tokens: Any = None,
    target: str | None = None,
    **headers: str,
) -> httpx.Response:
    own = bearer(tokens) if tokens else {}
    described = asked(uri, method, proxy=proxy, host=host)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await service.client.get(
        target or f"/authz/{proxy}", headers={**own, **described, **named}
    )


def grant(directory: UserDirectory, name: str, scope: str) -> None:
    directory._sessions.claims.set(name, {"scope": scope})
