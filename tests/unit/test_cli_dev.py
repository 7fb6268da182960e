"""``clusterpass dev``: the cluster, users, keys and settings that it sets up, and its output."""

import socket
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from clusterpass import KeyRing
from clusterpass.cli.dev import dev
from clusterpass.cli.local_setup import free_port, generate_password, write_keys
from clusterpass.model.errors import ConfigurationError, LocalServerFailed
from clusterpass.service import server
from clusterpass.service.settings.service import Settings

DEV: Any = sys.modules["clusterpass.cli.dev"]
"""The module; the package has the command under its name."""


class World:
    """Everything that the command would start."""

    def __init__(self) -> None:
        self.url = "redis+cluster://127.0.0.1:7000"
        self.nodes = [SimpleNamespace(port=7000), SimpleNamespace(port=7001)]
        self.did: list[str] = []
        self.users: dict[str, str] = {}
        self.options: dict[str, Any] = {}
        self.config: Any = None
        self.settings: Settings
        self.announced: Any = None
        self._said = threading.Event()

    def cluster(self, **options: Any) -> "World":
        self.options = options
        return self

    def from_url(self, url: str, config: Any) -> "World":
        assert url == self.url
        self.config = config
        return self

    def add(self, name: str, password: str) -> None:
        self.users[name] = password

    def announce(self, port: int, text: str) -> None:
        self.announced = port, text
        self._said.set()

    def serve(self, settings: Settings) -> None:
        assert self._said.wait(60), "beside the service"
        self.did.append("served")
        self.settings = settings

    def __enter__(self) -> "World":
        self.did.append("opened")
        return self

    def __exit__(self, *_: object) -> None:
        self.did.append("closed")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(DEV, "EmbeddedCluster", made.cluster)
    monkeypatch.setattr(DEV, "SessionManager", SimpleNamespace(from_url=made.from_url))
    monkeypatch.setattr(DEV, "UserDirectory", lambda _: made)
    monkeypatch.setattr(DEV, "_announce", made.announce)
    monkeypatch.setattr(server, "serve", made.serve)
    return made


def run(*arguments: str) -> Any:
    return CliRunner().invoke(dev, arguments)


def test_a_cluster_two_users_and_the_service(world: World, tmp_path: Path) -> None:
    port, folder = free_port(), tmp_path / "data"
    outcome = run("--port", str(port), "--nodes", "3", "--data", str(folder))
    assert outcome.exit_code == 0, outcome.output
    assert world.options == {"nodes": 3, "data_folder": folder / "cluster"}
    assert world.did == ["opened", "opened", "closed", "served", "closed"]
    issuer, keys_file = f"http://127.0.0.1:{port}", folder / "keys.json"
    assert set(world.users) == {"demo", "admin"}
    assert len(set(world.users.values())) == 2
    assert world.config.issuer == issuer
    assert world.config.keys.signing_key.kid == KeyRing.load(keys_file).signing_key.kid
    chosen = world.settings
    assert chosen.store_url.get_secret_value() == world.url
    assert (chosen.keys_file, chosen.issuer) == (keys_file, issuer)
    assert (chosen.host, chosen.port) == ("127.0.0.1", port)
    assert (chosen.cookie_secure, chosen.administrators) == (False, ("admin",))
    assert chosen.log_format == "console"
    assert world.announced == (port, DEV._announcement(issuer, issuer, world.users, world))
    lines = outcome.stdout.splitlines()
    assert lines[0] == "Starting a Valkey cluster of 3 nodes ..."
    assert "Stopped the service and the cluster." in lines


def test_one_node_is_called_a_standalone_server(world: World, tmp_path: Path) -> None:
    outcome = run("--port", str(free_port()), "--nodes", "1", "--data", str(tmp_path))
    assert outcome.stdout.startswith("Starting a standalone Valkey server ...\n")


def test_what_is_printed_once_the_service_answers() -> None:
    passwords = {"demo": "first-password", "admin": "second-password"}
    text = DEV._announcement("http://127.0.0.1:8000", "http://127.0.0.1:8000", passwords, World())
    assert "running at http://127.0.0.1:8000 (cluster nodes on ports 7000, 7001)\n" in text
    assert "    user      demo\n    password  first-password\n" in text
    assert "    administrator  admin\n    password       second-password\n" in text
    assert '{"username": "demo", "password": "first-password", "device": "terminal"}' in text


def test_the_announcement_waits_for_the_service(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[int] = []

    def is_healthy(port: int) -> bool:
        assert capsys.readouterr().out == ""
        asked.append(port)
        return len(asked) == 2

    monkeypatch.setattr(DEV, "is_healthy", is_healthy)
    DEV._announce(8000, "hello")
    assert asked == [8000, 8000]
    assert capsys.readouterr().out == "hello\n"

    def never(_: Any, *, seconds: float, failure: str) -> None:
        assert seconds == 60
        raise LocalServerFailed(failure)

    monkeypatch.setattr(DEV, "await_condition", never)
    with pytest.raises(LocalServerFailed, match="port 8000 did not start within 60 s"):
        DEV._announce(8000, "hello")


def test_a_port_that_is_taken_is_told_before_anything_is_written(
    world: World, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        outcome = run("--port", str(port), "--data", str(tmp_path / "data"))
    assert isinstance(outcome.exception, ConfigurationError)
    assert f"port {port} on 127.0.0.1 is taken" in outcome.exception.message
    assert (world.did, list(tmp_path.iterdir())) == ([], [])


def test_a_port_is_not_taken_by_the_connections_of_the_program_before() -> None:
    with socket.create_server(("127.0.0.1", 0)) as before:
        port = before.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            before.accept()[0].close()  # first: so that the port waits for what is late
            assert client.recv(1) == b""
    DEV._refuse_taken_port(port)


@pytest.mark.parametrize(
    ("option", "wrong"), [("--port", ("0", "65536")), ("--nodes", ("0", "31"))]
)
def test_what_cannot_be_is_wrong_usage(world: World, option: str, wrong: tuple[str, str]) -> None:
    for value in wrong:
        assert run(option, value).exit_code == 2
    assert world.did == []


def test_the_defaults(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(DEV, "_refuse_taken_port", lambda _: None)
    assert run().exit_code == 0
    folder = Path(".clusterpass/dev")
    assert world.options == {"nodes": 6, "data_folder": folder / "cluster"}
    assert world.settings.port == 8000
    assert (tmp_path / folder / "keys.json").exists()


def test_keys_replace_those_that_were_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "keys.json"
    write_keys(path)
    before = KeyRing.load(path).signing_key.kid
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
    write_keys(path)
    assert KeyRing.load(path).signing_key.kid != before


def test_a_password_has_sixteen_letters_and_digits_without_look_alikes() -> None:
    made = {generate_password() for _ in range(50)}
    assert len(made) == 50
    assert {len(each) for each in made} == {16}
    assert not set("".join(made)) & set("lo01 ABC")


def test_a_free_port_can_be_bound() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", free_port()))
