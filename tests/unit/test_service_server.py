"""The start of the service under granian: arguments, ports, limits and workers."""

import errno
import multiprocessing
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from granian.constants import HTTPModes, Interfaces

from clusterpass import ConfigurationError, KeyRing
from clusterpass.service import server
from clusterpass.service.app import create_app
from clusterpass.service.last_keys import LastKeys
from clusterpass.service.reexec import Succession
from clusterpass.service.settings.loading import make_settings
from clusterpass.service.supervisor import GRACE_SECONDS, Worker
from tests.ports import free_port

APP = object()


class Granian:
    """Notes how it is made and run."""

    made: ClassVar[list["Granian"]] = []

    def __init__(self, target: str, **options: Any) -> None:
        self.target, self.options = target, options
        self.hooks: list[Any] = []
        self.served: dict[str, Any] = {}
        Granian.made.append(self)

    def on_startup(self, hook: Any) -> None:
        self.hooks.append(hook)

    def serve(self, **options: Any) -> None:
        self.served = options


@pytest.fixture
def apps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What applications are made of; granian is a stand-in."""
    made: list[Any] = []

    def create(settings: Any, **options: Any) -> Any:
        made.append((settings, options))
        return APP

    Granian.made = []
    monkeypatch.setattr(server, "create_app", create)
    for name in ("Server", "MPServer", "SucceededServer"):
        monkeypatch.setattr(server, name, Granian)
    before = multiprocessing.get_start_method(allow_none=True)
    yield made
    multiprocessing.set_start_method(before, force=True)


def test_all_that_granian_is_told(apps: list[Any]) -> None:
    settings = make_settings(
        {
            "port": free_port(),
            "workers": 3,
            "host": "localhost",
            "header_timeout": 2.5,
            "max_connections": 100,
        }
    )
    server.serve(settings, announce=(announced := lambda: None))
    (granian,) = Granian.made
    assert granian.target == "clusterpass.service.app"
    headers = granian.options.pop("http1_settings")
    assert headers.header_read_timeout == 2500
    assert granian.options.pop("address") in {"127.0.0.1", "::1"}
    assert granian.options.pop("log_level").value == "warning"
    assert granian.options == {
        "port": settings.port,
        "interface": Interfaces.ASGI,
        "http": HTTPModes.http1,
        "websockets": False,
        "backlog": 4096,
        "backpressure": 100,
        "workers": 3,
        "respawn_failed_workers": True,
        "workers_kill_timeout": GRACE_SECONDS,
    }
    assert granian.hooks == [announced]
    assert granian.served.pop("target_loader")("any", name="any") is APP
    assert granian.served == {"wrap_loader": False}
    ((given, options),) = apps
    assert given is settings
    assert options.keys() == {"parent", "last_keys"}
    assert options["parent"] == os.getpid()


def test_without_an_announcement_nothing_is_hooked(apps: list[Any]) -> None:
    server.serve(make_settings({"port": free_port()}))
    (granian,) = Granian.made
    assert granian.hooks == []


@pytest.mark.parametrize("becomes_small", [True, False])
def test_a_small_supervisor_takes_over_where_that_can_be(
    apps: list[Any], monkeypatch: pytest.MonkeyPatch, becomes_small: bool
) -> None:
    settings = make_settings({"port": free_port(), "workers": 2})
    server.serve(settings, becomes_small=becomes_small)
    succession = Granian.made[0].options.get("succession")
    assert (succession is not None) is becomes_small
    if succession is not None:
        assert (succession.settings, succession.address) == (settings, "127.0.0.1")
        assert len(succession.workers) == 2
        assert succession.last_keys is apps[0][1]["last_keys"]
        os.close(succession.file)
    monkeypatch.setattr(server, "MPServer", object)
    server.serve(settings, becomes_small=True)
    assert "succession" not in Granian.made[1].options, "workers that are threads stay"
    assert apps[1][1]["parent"] == 0, "they are no children of this process"


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_workers_are_forked_however_python_starts_processes(apps: list[Any], method: str) -> None:
    """They share what has been loaded; Python 3.14 begins with a server for forks."""
    multiprocessing.set_start_method(method, force=True)
    server.serve(make_settings({"port": free_port()}))
    assert multiprocessing.get_start_method() == "fork"


@pytest.mark.parametrize("check", ["myapp:check", None])
def test_modules_of_the_working_directory_can_check_passwords(
    apps: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, check: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    "a".encode("idna")  # what resolves a host imports it, which that path does not allow
    monkeypatch.setattr(sys, "path", ["before"])
    server.serve(make_settings({"port": free_port(), "password_check": check}))
    assert sys.path == ([str(tmp_path), "before"] if check else ["before"])


def test_workers_that_are_due_are_forked_again(apps: list[Any]) -> None:
    settings = make_settings({})
    succession = Succession(settings, "127.0.0.1", 3, [Worker(5)], LastKeys(4), [])
    server.serve_again(succession)
    (granian,) = Granian.made
    assert granian.options["succession"] is succession
    assert (granian.options["address"], granian.options["port"]) == ("127.0.0.1", 8000)
    assert granian.served.pop("target_loader")() is APP
    assert granian.served == {"wrap_loader": False}
    options = {"is_successor": True, "last_keys": succession.last_keys}
    assert apps == [(settings, {"parent": os.getpid(), **options})]


def test_a_successor_starts_although_its_policy_is_broken_by_now(tmp_path: Path) -> None:
    keys, policy = tmp_path / "keys.json", tmp_path / "policy.toml"
    KeyRing.generate().save(keys)
    policy.write_text("rules = 1")
    settings = make_settings(
        {
            "issuer": "https://auth.example",
            "keys_file": keys,
            "authz_policy": policy,
            "trusted_proxies": ["10.0.0.0/8"],
        }
    )
    with pytest.raises(ConfigurationError, match="rules"):
        create_app(settings)
    assert create_app(settings, is_successor=True) is not None


def test_a_service_that_cannot_start_again_says_why(
    apps: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ConfigurationError("the keys are gone")

    monkeypatch.setattr(server, "create_app", fail)
    with pytest.raises(SystemExit) as ended:
        server.serve_again(Succession(make_settings({}), "127.0.0.1", 3, [], LastKeys(4), []))
    assert ended.value.code == "clusterpass: the keys are gone"
    assert Granian.made == []


UNLIMITED = -1


@pytest.mark.parametrize(
    ("limits", "wanted", "accepted", "raised_to"),
    [
        ((1000, 5000), 100, 100, None),
        ((356, 5000), 100, 100, None),
        ((355, 5000), 100, 100, (356, 5000)),
        ((300, UNLIMITED), 4096, 4096, (4352, UNLIMITED)),
        ((300, 1000), 4096, 744, (1000, 1000)),
        ((100, 257), 4096, 1, (257, 257)),
        ((100, 200), 4096, 1, (200, 200)),
        ((UNLIMITED, UNLIMITED), 4096, 4096, None),
    ],
)
def test_as_many_connections_as_the_system_allows_files(
    monkeypatch: pytest.MonkeyPatch,
    limits: tuple[int, int],
    wanted: int,
    accepted: int,
    raised_to: tuple[int, int] | None,
) -> None:
    told: list[Any] = []
    files = SimpleNamespace(
        RLIMIT_NOFILE="files",
        RLIM_INFINITY=UNLIMITED,
        getrlimit=lambda kind: limits if kind == "files" else None,
        setrlimit=lambda *given: told.append(given),
    )
    monkeypatch.setattr(server, "resource", files)
    assert server._most_connections(wanted) == accepted
    assert told == ([] if raised_to is None else [("files", raised_to)])


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def test_a_port_that_is_taken_or_a_host_that_is_none(taken: int) -> None:
    assert server._free_address("127.0.0.1", free_port(), "--port") == "127.0.0.1"
    with pytest.raises(ConfigurationError, match=rf"port {taken} on 127.0.0.1 is in use"):
        server._free_address("127.0.0.1", taken, "--port")
    with pytest.raises(ConfigurationError, match="cannot be resolved to an address"):
        server._free_address("nobody.invalid", 8000, "--port")
    with pytest.raises(ConfigurationError, match=r"host: cannot listen on 192\.0\.2\.1 "):
        server._free_address("192.0.2.1", free_port(), "--port")


def test_a_port_that_was_just_given_up_may_be_taken() -> None:
    """A connection that the server closed keeps its port for a minute (TIME_WAIT)."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        address = listening.getsockname()
        with socket.create_connection(address) as client:
            accepted, _ = listening.accept()
            accepted.close()
            assert client.recv(1) == b""
    assert server._free_address("127.0.0.1", address[1], "--port") == "127.0.0.1"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EADDRINUSE, "port 80 on h is in use by another process; choose another"),
        (errno.EACCES, "port 80 requires privileges; choose one above 1023"),
        (errno.EADDRNOTAVAIL, "host: cannot listen on h (as it says)"),
    ],
)
def test_why_a_port_cannot_be_taken(number: int, said: str) -> None:
    assert server._why_not(OSError(number, "as it says"), "h", 80, "--port").startswith(said)
