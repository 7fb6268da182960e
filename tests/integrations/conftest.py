"""The example shops, each in this process over the real cluster, and clients that visit them."""

import asyncio
import contextlib
import os
import re
import runpy
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from aiohttp import web
from werkzeug.serving import make_server

from clusterpass.cli.local_setup import write_keys

EXAMPLES = Path(__file__).parents[2] / "examples"
SHOPS = (
    "flask_shop",
    "fastapi_shop",
    "django_shop",
    "aiohttp_shop",
    "litestar_shop",
    "quart_shop",
)
HANGING = 30.0


class Shop:
    """A running shop."""

    def __init__(self, names: dict[str, Any], port: int) -> None:
        self.names = names
        self.url = f"http://127.0.0.1:{port}"

    @property
    def integration(self) -> Any:
        return self.names["cp"]


@contextlib.contextmanager
def wsgi_server(app: Any) -> Iterator[int]:
    """The application on a thread of this process; the port."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join(HANGING)
        server.server_close()


@contextlib.contextmanager
def asgi_server(app: Any) -> Iterator[int]:
    """The application on a thread of this process; the port."""
    started = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            started.set()

    server = Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        assert started.wait(HANGING), "the server does not start"
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(HANGING)


@contextlib.contextmanager
def aiohttp_server(app: web.Application) -> Iterator[int]:
    """The application on a thread of this process; the port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> tuple[web.AppRunner, int]:
        runner = web.AppRunner(app, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, runner.addresses[0][1]

    try:
        runner, port = asyncio.run_coroutine_threadsafe(start(), loop).result(HANGING)
        yield port
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(HANGING)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(HANGING)
        loop.close()


SERVERS: dict[str, Callable[[Any], contextlib.AbstractContextManager[int]]] = {
    "flask_shop": wsgi_server,
    "aiohttp_shop": aiohttp_server,
}
"""How a shop is served that is not served by uvicorn."""


@contextlib.contextmanager
def program(path: Path) -> Iterator[int]:
    """A program of Django, whose settings are those of a whole process; the port."""
    process = subprocess.Popen(
        [sys.executable, "-u", str(path), "runserver", "--noreload", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=dict(os.environ),
    )
    try:
        assert process.stdout is not None
        lines = (re.search(r"at http://127\.0\.0\.1:(\d+)/", line) for line in process.stdout)
        started = next((found for found in lines if found), None)
        assert started, "the program does not start"
        yield int(started[1])
    finally:
        process.terminate()
        process.communicate(timeout=HANGING)


@pytest.fixture(scope="module", params=SHOPS)
def shop(
    request: pytest.FixtureRequest, cluster_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    keys_file = tmp_path_factory.mktemp("shop") / "keys.json"
    write_keys(keys_file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLUSTERPASS_STORE_URL", f"{cluster_url}?namespace={request.param}")
        patch.setenv("CLUSTERPASS_ISSUER", "https://shop.example")
        patch.setenv("CLUSTERPASS_KEYS_FILE", str(keys_file))
        path = EXAMPLES / request.param / "app.py"
        if request.param == "django_shop":
            with program(path) as port:
                yield Shop({}, port)
            return
        names = runpy.run_path(str(path))
    app = names["app"]
    serve = SERVERS.get(request.param, asgi_server)
    with serve(app) as port:
        yield Shop(names, port)
    if request.param.startswith("flask"):
        with app.app_context():
            names["cp"].sessions.close()


@pytest.fixture
def visit(shop: Shop) -> Iterator[Callable[[], httpx.Client]]:
    """Opens a client with a cookie jar of its own."""
    opened: list[httpx.Client] = []

    def open_one() -> httpx.Client:
        opened.append(httpx.Client(base_url=shop.url))
        return opened[-1]

    yield open_one
    for client in opened:
        client.close()
