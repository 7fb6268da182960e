"""The cost of a session on a route of FastAPI or Flask, in one process, without network."""

import asyncio
import importlib
import itertools
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Security
from fastapi.security import HTTPBearer
from flask import Flask
from starlette.types import ASGIApp, Message
from werkzeug.test import EnvironBuilder

from benchmarks.fixtures import ISSUER, find_redis_server, server_version
from benchmarks.report import Goal, Report
from benchmarks.timing import Times, measure, measure_async
from clusterpass import Config, EmbeddedCluster, KeyRing, Session, SessionManager, VerificationMode
from clusterpass.integrations.fastapi import ClusterPass as FastApiSessions
from clusterpass.integrations.flask import (
    ClusterPass as FlaskSessions,
    current_session,
    session_required,
)

BARE_FASTAPI, WARM_FASTAPI = "FastAPI, an empty bearer dependency", "FastAPI, from memory"
STRICT_FASTAPI, RIVAL_FASTAPI = "FastAPI, strict", "fastapi-users, its Redis strategy"
BARE_FLASK, WARM_FLASK, STRICT_FLASK = "Flask, a bare route", "Flask, from memory", "Flask, strict"
RIVAL_FLASK = "Flask-JWT-Extended, a blocklist in Redis"
_CALLS: Final = 50


def run(*, rounds: int = 100, tokens: int = 1_000) -> Report:
    """Measure against six nodes of ours and one Redis of theirs."""
    with (
        EmbeddedCluster(nodes=6) as cluster,
        EmbeddedCluster(nodes=1, server=find_redis_server()) as single,
    ):
        os.environ |= {
            "SECRET": secrets.token_hex(32),
            "REDIS_URL": f"redis://{single.nodes[0].address}",
        }
        keys = KeyRing.generate()
        with SessionManager.from_url(cluster.url, Config(issuer=ISSUER, keys=keys)) as manager:
            ours = [manager.login(f"user-{number}").access_token for number in range(tokens)]
        settings = {"store_url": cluster.url, "issuer": ISSUER, "keys": keys}
        asynchronous, spent = asyncio.run(_fastapi(settings, ours, rounds))
        synchronous, spent_in_flask = _flask(settings, ours, rounds)
        version = server_version(cluster)
    spent |= spent_in_flask
    rows, goals = [], []
    for times, (bare, warm, strict, rival) in (
        (asynchronous, (BARE_FASTAPI, WARM_FASTAPI, STRICT_FASTAPI, RIVAL_FASTAPI)),
        (synchronous, (BARE_FLASK, WARM_FLASK, STRICT_FLASK, RIVAL_FLASK)),
    ):
        for name in (bare, warm, strict, rival):
            row = [name, f"{times.median(name) * 1e6:.0f}", f"{spent[name] * 1e6:.0f}"]
            rows.append([*row, "1" if name == bare else str(times.ratio(name, bare))])
        goals += [
            Goal(f"{warm} : {bare}", times.ratio(warm, bare).median, at_most=1.1),
            Goal(f"{rival} : {warm}", times.ratio(rival, warm).median, at_least=5),
        ]
    return Report(
        name="integrations",
        title="A session in a web framework",
        text=(
            f"`GET` of a route that answers a small JSON object, with {tokens:,} access tokens of"
            " as many users in turn, one request at a time; the application is called without a"
            " server. Processor time is that of this process, without that of the stores."
        ),
        columns=("candidate", "us", "us of processor", "this : the bare route"),
        rows=rows,
        goals=goals,
        servers=[version],
    )


async def _fastapi(
    settings: Mapping[str, Any], ours: Sequence[str], rounds: int
) -> tuple[Times, dict[str, float]]:
    bare = FastAPI()

    @bare.get("/verify", dependencies=[Depends(HTTPBearer())])
    async def constant() -> dict[str, str]:
        return {"subject": "user-0"}

    rival = importlib.import_module("benchmarks.peers.fastapi_users_redis")
    theirs = [await rival._strategy().write_token(rival.ALICE) for _ in ours]
    async with AsyncExitStack() as stack:
        warm = await stack.enter_async_context(_served(settings, "cached"))
        strict = await stack.enter_async_context(_served(settings, "strict"))
        calls = {
            BARE_FASTAPI: _asgi(bare, ours),
            WARM_FASTAPI: _asgi(warm, ours),
            STRICT_FASTAPI: _asgi(strict, ours),
            RIVAL_FASTAPI: _asgi(rival.app, theirs),
        }
        for _ in range(3 * len(ours)):  # every token is in memory
            await calls[WARM_FASTAPI]()
        times = await measure_async(calls, rounds=rounds, calls=_CALLS, callers=1)
        spent = {}
        for name, call in calls.items():
            began = time.process_time()
            for _ in ours:
                await call()
            spent[name] = (time.process_time() - began) / len(ours)
    await rival.store.aclose()
    return times, spent


@asynccontextmanager
async def _served(
    settings: Mapping[str, Any], verification: VerificationMode
) -> AsyncIterator[FastAPI]:
    cp = FastApiSessions(**settings, verification=verification)
    app = FastAPI(lifespan=cp.lifespan)
    cp.install(app)

    @app.get("/verify")
    async def verify(session: Annotated[Session, Security(cp.session)]) -> dict[str, str]:
        return {"subject": session.subject}

    async with app.router.lifespan_context(app):
        yield app


def _asgi(app: ASGIApp, tokens: Sequence[str]) -> Callable[[], Awaitable[None]]:
    headers = itertools.cycle(
        [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode())]
        for token in tokens
    )

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def get() -> None:
        statuses = []

        async def send(message: Message) -> None:
            statuses.append(message.get("status"))

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
            "scheme": "http", "path": "/verify", "raw_path": b"/verify", "query_string": b"",
            "root_path": "", "headers": next(headers), "client": ("127.0.0.1", 1),
            "server": ("localhost", 80), "state": {},
        }  # fmt: skip
        await app(scope, receive, send)
        if statuses[0] != 200:
            raise RuntimeError(f"the answer was {statuses[0]}")

    return get


def _flask(
    settings: Mapping[str, Any], ours: Sequence[str], rounds: int
) -> tuple[Times, dict[str, float]]:
    bare = Flask("bare")
    bare.add_url_rule("/verify", view_func=lambda: {"subject": "user-0"})
    rival = importlib.import_module("benchmarks.peers.flask_jwt_extended_redis")
    client = rival.app.test_client()
    theirs = [client.post("/login").json["access_token"] for _ in ours]
    calls = {
        BARE_FLASK: _wsgi(bare, ours),
        WARM_FLASK: _wsgi(_flask_app(settings, "cached"), ours),
        STRICT_FLASK: _wsgi(_flask_app(settings, "strict"), ours),
        RIVAL_FLASK: _wsgi(rival.app, theirs),
    }
    for _ in range(3 * len(ours)):
        calls[WARM_FLASK]()
    times = measure(calls, rounds=rounds, calls=_CALLS)
    spent = {}
    for name, call in calls.items():
        began = time.process_time()
        for _ in ours:
            call()
        spent[name] = (time.process_time() - began) / len(ours)
    return times, spent


def _flask_app(settings: Mapping[str, Any], verification: VerificationMode) -> Flask:
    app = Flask(verification)
    FlaskSessions(app, **settings, verification=verification)

    @session_required()
    def verify() -> dict[str, str]:
        return {"subject": current_session.subject}

    app.add_url_rule("/verify", view_func=verify)
    return app


def _wsgi(app: Flask, tokens: Sequence[str]) -> Callable[[], None]:
    environs = itertools.cycle(
        [
            EnvironBuilder("/verify", headers=[("Authorization", f"Bearer {token}")]).get_environ()
            for token in tokens
        ]
    )

    def get() -> None:
        statuses: list[str] = []
        body = app.wsgi_app(
            dict(next(environs)),
            lambda status, _headers, _info=None: statuses.append(status),  # type: ignore[arg-type]
        )
        b"".join(body)
        body.close()  # type: ignore[attr-defined]
        if statuses != ["200 OK"]:
            raise RuntimeError(f"the answer was {statuses}")

    return get
