"""Fixtures: real proxies before an application, two auth services, and a logged-in client."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from clusterpass import KeyRing, SessionManager, TokenPair
from clusterpass.service.settings.loading import load_settings
from tests.ports import free_port
from tests.service.conftest import ServerProcess, serving

from .programs import DEPLOY, HOST, PROGRAMS, Proxy, proxying, require, wait_for_port

VISITOR = "127.0.0.2"
"""The address of the client: another one than that of the proxies."""
SETTINGS = {
    "CLUSTERPASS_AUTHZ_POLICY": str(DEPLOY / "policy.toml"),
    "CLUSTERPASS_AUTHZ_IDENTITY_HEADERS": "remote",
    "CLUSTERPASS_AUTHZ_ASSERTION": "true",
    "CLUSTERPASS_TRUSTED_PROXIES": "127.0.0.1",
}
COOKIE = load_settings(None, {}).web().cookies.access.name


@pytest.fixture(scope="session")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    KeyRing.generate().save(path)
    return path


@contextmanager
def manager_on(store_url: str, keys_file: Path) -> Iterator[SessionManager]:
    """Another program on the same store, with the keys of the service."""
    config = load_settings(None, {"keys_file": keys_file}).session_config()
    with SessionManager.from_url(store_url, config) as manager:
        yield manager


@pytest.fixture(scope="session")
def manager(cluster_url: str, keys_file: Path) -> Iterator[SessionManager]:
    with manager_on(cluster_url, keys_file) as opened:
        yield opened


def listening(grpc_port: int) -> dict[str, str]:
    """The setting of a service that is asked over gRPC, too."""
    return {"CLUSTERPASS_AUTHZ_GRPC_ADDRESS": f"127.0.0.1:{grpc_port}"}


@pytest.fixture(scope="session")
def grpc_port() -> int:
    """The port for gRPC of the service that the proxies ask."""
    return free_port()


@pytest.fixture(scope="session")
def services(
    cluster_url: str, keys_file: Path, grpc_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    """The service that the proxies ask, and another one."""
    folder = tmp_path_factory.mktemp("services")
    with serving(cluster_url, keys_file, folder) as start:
        yield start(**SETTINGS, **listening(grpc_port)), start(**SETTINGS)


@pytest.fixture(scope="session")
def app_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the application behind the proxies."""
    port, log_file = free_port(), tmp_path_factory.mktemp("app") / "log"
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--port", str(port)]
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [*command, "--no-access-log", "tests.proxies.upstream:app"],
            cwd=DEPLOY.parent,
            stdout=log,
            stderr=log,
        )
    try:
        wait_for_port(process, port, log_file)
        yield port
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session", params=PROGRAMS)
def proxy(
    request: pytest.FixtureRequest,
    services: tuple[ServerProcess, ServerProcess],
    grpc_port: int,
    app_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxy]:
    require(request.param)
    folder = tmp_path_factory.mktemp(request.param) / "files"
    with proxying(request.param, services[0].port, grpc_port, app_port, folder) as running:
        yield running


def visitor(proxy: Proxy, pair: TokenPair | None = None) -> httpx.Client:
    """A client of the application, who sends a bearer token or none."""
    headers = {"Host": HOST}
    if pair is not None:
        headers["Authorization"] = f"Bearer {pair.access_token}"
    transport = httpx.HTTPTransport(local_address=VISITOR)
    return httpx.Client(base_url=proxy.url, headers=headers, transport=transport, timeout=30)


@pytest.fixture
def anonymous(proxy: Proxy) -> Iterator[httpx.Client]:
    with visitor(proxy) as client:
        yield client


@pytest.fixture
def login(manager: SessionManager, subject: str) -> Callable[..., TokenPair]:
    """Opens a session."""
    return lambda **options: manager.login(subject, **options)


@pytest.fixture
def alice(proxy: Proxy, login: Callable[..., TokenPair]) -> Iterator[httpx.Client]:
    with visitor(proxy, login()) as client:
        yield client


@dataclass
class Seen:
    """A request as it reached the application."""

    said: dict[str, Any]

    @classmethod
    def of(cls, answer: httpx.Response) -> "Seen":
        assert answer.headers.get("x-upstream") == "1", (answer.status_code, answer.text)
        return cls(answer.json())

    def values(self, name: str) -> list[str]:
        """Return the values of a header, taking an underscore in its name for a hyphen."""
        found = ((key.lower().replace("_", "-"), value) for key, value in self.said["headers"])
        return [value for key, value in found if key == name.lower()]


def logged(service: ServerProcess, **fields: str) -> dict[str, Any]:
    """Return the last line with these fields that a service logs; a response may be earlier."""
    deadline = time.monotonic() + 10
    while True:
        lines = [line for line in service.log_file.read_text().splitlines() if "{" in line[:1]]
        for line in map(json.loads, reversed(lines)):
            if fields.items() <= line.items():
                return dict(line)
        assert time.monotonic() < deadline, fields
        time.sleep(0.02)
