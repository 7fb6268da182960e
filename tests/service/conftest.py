"""The service in this process, over the real cluster, and as processes of its own."""

import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from clusterpass import KeyRing, PasswordHasher, SessionManager, ThrottlePolicy, UserDirectory
from clusterpass.service.app import create_app
from clusterpass.service.asgi.log_lines import make_logger
from clusterpass.service.settings.loading import load_settings
from clusterpass.service.settings.service import Settings
from tests.ports import free_port

PASSWORD = "correct horse battery"
CHEAP_KIB = 32
_HASHING: dict[str, int] = PasswordHasher.__init__.__kwdefaults__
_REAL_KIB = _HASHING["memory_kib"]
_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("CLUSTERPASS_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The services in this process hash passwords with little memory.

    A service as a process hashes as it does in production; a hash that is stored already costs it
    what that one was made with.
    """
    monkeypatch.setitem(_HASHING, "memory_kib", CHEAP_KIB)


@pytest.fixture
def real_hashes(cheap_hashes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of the hashing itself: as in production."""
    monkeypatch.setitem(_HASHING, "memory_kib", _REAL_KIB)


@pytest.fixture(scope="session")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    KeyRing.generate().save(path)
    return path


@pytest.fixture
def settings(cluster_url: str, keys_file: Path) -> Settings:
    # Addresses are not throttled here: all tests come from one.
    return load_settings(
        None,
        {"store_url": cluster_url, "keys_file": keys_file, "address_attempts": 1_000_000},
    )


@pytest.fixture(scope="session")
def directory(cluster_url: str, keys_file: Path) -> Iterator[UserDirectory]:
    config = load_settings(None, {"keys_file": keys_file}).session_config()
    with SessionManager.from_url(cluster_url, config) as sessions:
        yield UserDirectory(
            sessions,
            hasher=PasswordHasher(memory_kib=CHEAP_KIB),
            throttle=ThrottlePolicy(account_attempts=1000),
        )


@pytest.fixture
def new_name() -> Callable[[], str]:
    return lambda: f"user-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def alice(directory: UserDirectory, new_name: Callable[[], str]) -> str:
    name = new_name()
    directory.add(name, PASSWORD)
    return name


@dataclass
class Service:
    """A client of a service in this process, and what the service logged."""

    client: httpx.AsyncClient
    app: Any
    log: io.StringIO = field(default_factory=io.StringIO)

    async def login(self, name: str, **more: Any) -> dict[str, Any]:
        answer = await self.client.post(
            "/login", json={"username": name, "password": PASSWORD, **more}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


@pytest.fixture
async def start() -> AsyncIterator[Callable[[Settings], Any]]:
    """Starts services in this process; they are closed at the end of the test."""
    from contextlib import AsyncExitStack

    async with AsyncExitStack() as stack:

        async def started(settings: Settings, peer: str = "127.0.0.1") -> Service:
            log = io.StringIO()
            app = create_app(settings, logger=make_logger("json", log))
            await stack.enter_async_context(app.running())
            transport = httpx.ASGITransport(app, client=(peer, 4711))
            client = await stack.enter_async_context(
                httpx.AsyncClient(transport=transport, base_url="http://service")
            )
            return Service(client, app, log)

        yield started


@pytest.fixture
async def service(start: Callable[[Settings], Any], settings: Settings) -> Service:
    return await start(settings)


@dataclass
class ServerProcess:
    """``clusterpass serve`` as a process."""

    process: subprocess.Popen[bytes]
    url: str
    log_file: Path

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def children(self) -> list[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        self.process.send_signal(signal_number)
        return self.process.wait(30)


@contextmanager
def serving(
    cluster_url: str, keys_file: Path, folder: Path
) -> Iterator[Callable[..., ServerProcess]]:
    """Starts services as processes, that log into ``folder``; they are stopped at the end."""
    running: list[ServerProcess] = []

    def started(*options: str, port: int | None = None, **environment: str) -> ServerProcess:
        port = port or free_port()
        log_file = folder / f"server-{port}.log"
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [*COMMAND, "serve", "--port", str(port), *options],
                env=command_environment(cluster_url, keys_file, **environment),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        server = ServerProcess(process, f"http://127.0.0.1:{port}", log_file)
        running.append(server)
        deadline = time.monotonic() + 30
        while True:
            try:
                if httpx.get(f"{server.url}/healthz").status_code == 200:
                    return server
            except httpx.TransportError:
                assert process.poll() is None, log_file.read_text()
                assert time.monotonic() < deadline, log_file.read_text()
                time.sleep(0.02)

    try:
        yield started
    finally:
        for server in running:
            if server.process.poll() is None:
                server.stop()


@pytest.fixture
def serve(
    cluster_url: str, keys_file: Path, tmp_path: Path
) -> Iterator[Callable[..., ServerProcess]]:
    with serving(cluster_url, keys_file, tmp_path) as started:
        yield started


@pytest.fixture(scope="module")
def serve_all(
    cluster_url: str, keys_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., ServerProcess]]:
    """Starts services for all tests of a file."""
    with serving(cluster_url, keys_file, tmp_path_factory.mktemp("servers")) as started:
        yield started


COMMAND = [sys.executable, "-c", "from clusterpass.cli import main; main()"]


def command_environment(cluster_url: str, keys_file: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLUSTER")}
    return {
        **kept,
        "CLUSTERPASS_STORE_URL": cluster_url,
        "CLUSTERPASS_KEYS_FILE": str(keys_file),
        "CLUSTERPASS_ADDRESS_ATTEMPTS": "1000000",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        **more,
    }
