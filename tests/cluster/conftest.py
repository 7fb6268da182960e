"""Runs contract tests over both managers and several engines."""

import asyncio
import datetime
import inspect
import ipaddress
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clusterpass import AsyncSessionManager, Config, EmbeddedCluster, SessionManager
from clusterpass.embedded import TlsFiles
from tests.selection import ENGINES

REDIS_SERVER = shutil.which("redis-server") or "/usr/bin/redis-server"


class Facade:
    """The verbs of an AsyncSessionManager, each run to its end on a loop of its own thread."""

    def __init__(self, url: str, config: Config) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.manager = self._run(self._open(url, config))

    async def _open(self, url: str, config: Config) -> AsyncSessionManager:
        return AsyncSessionManager.from_url(url, config)

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def __getattr__(self, verb: str) -> Any:
        if verb in {"audit", "bans", "claims", "keys", "online"}:
            return _Group(self._run, getattr(self.manager, verb))
        method = getattr(self.manager, verb)
        if verb == "watch":
            return lambda session: _Iterated(self._run, method(session))
        if not inspect.iscoroutinefunction(method):
            return method
        return lambda *args, **options: self._run(method(*args, **options))

    def close(self) -> None:
        if self.loop.is_closed():
            return
        self._run(self.manager.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class _Group:
    """A group of verbs, called as those of the facade."""

    def __init__(self, run: Callable[[Any], Any], group: Any) -> None:
        self._run_one, self._group = run, group

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        method = getattr(self._group, verb)
        if not inspect.iscoroutinefunction(method):
            return method
        return lambda *args, **options: self._run_one(method(*args, **options))


class _Iterated:
    """An asynchronous iterator that is iterated from outside of its event loop."""

    def __init__(self, run: Callable[[Any], Any], iterator: Any) -> None:
        self._run, self._iterator = run, iterator

    def __iter__(self) -> "_Iterated":
        return self

    def __next__(self) -> Any:
        try:
            return self._run(anext(self._iterator))
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        self._run(self._iterator.aclose())


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[EmbeddedCluster]:
    """The second engine: Debian's redis-server."""
    with EmbeddedCluster(nodes=6, server=REDIS_SERVER, node_timeout=5.0) as running:
        yield running


@pytest.fixture(scope="session")
def single_server() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(nodes=1) as running:
        yield running


@pytest.fixture(scope="session", params=ENGINES, ids="-".join)
def engine(request: pytest.FixtureRequest) -> tuple[EmbeddedCluster, str]:
    name, style = request.param
    return request.getfixturevalue(name), style


@pytest.fixture(scope="session")
def open_manager(engine: tuple[EmbeddedCluster, str]) -> Iterator[Callable[[Config], Any]]:
    """Opens a manager of the engine under test; all are closed at the end."""
    running, style = engine
    opened: list[Any] = []

    def open_one(config: Config) -> Any:
        manager: Any = (
            SessionManager.from_url(running.url, config)
            if style == "sync"
            else Facade(running.url, config)
        )
        opened.append(manager)
        return manager

    yield open_one
    for manager in opened:
        manager.close()


@pytest.fixture(scope="session")
def manager(open_manager: Callable[[Config], Any], config: Config) -> Any:
    return open_manager(config)


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    """For a day."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def certificate(
        subject: str, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("test authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
            .sign(authority, hashes.SHA256())
        )

    authority, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    own = certificate("test authority", authority, x509.BasicConstraints(ca=True, path_length=None))
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    server = certificate("server", key, address)
    folder = tmp_path_factory.mktemp("tls")
    pem = serialization.Encoding.PEM
    files = TlsFiles(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    Path(files.ca_file).write_bytes(own.public_bytes(pem))
    Path(files.cert_file).write_bytes(server.public_bytes(pem))
    Path(files.key_file).write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files
