"""Passwords that change: asked of the application, or read from a file, for each connection."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis.credentials import UsernamePasswordCredentialProvider

from clusterpass import (
    ConfigurationError,
    Credentials,
    EmbeddedCluster,
    SessionManager,
    StoreUnavailable,
)
from tests.cluster.stored import eventually

from .conftest import Opener
from .servers import Servers

pytestmark = [pytest.mark.timeout(120), pytest.mark.sampled(2)]
_SECRET = "not-for-the-log"
_RIGHTS = ("~*", "&*", "+@all")


class Guarded:
    """A server with users whose passwords the test changes; the default user needs none."""

    def __init__(self, started: Servers) -> None:
        self._started = started
        self.port = started.start()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.set("app", "first")
        self.set("other", "first")

    def set(self, user: str, password: str) -> None:
        """Give ``user`` that password alone."""
        self.ask("ACL", "SETUSER", user, "on", "resetpass", f">{password}", *_RIGHTS)

    def ask(self, *command: str) -> Any:
        return self._started.ask(self.port, *command)

    def cut(self) -> None:
        for kind in ("normal", "pubsub"):
            self.ask("CLIENT", "KILL", "TYPE", kind)

    def logins(self) -> dict[str, tuple[str, bool]]:
        """The user of each connection of a manager, and whether changes are pushed over it."""
        return logins_in(self.ask("CLIENT", "LIST"))


def logins_in(*lists: Any) -> dict[str, tuple[str, bool]]:
    """The user of each connection in replies to CLIENT LIST, and whether changes are pushed."""
    lines = [line for told in lists for line in told.decode().splitlines()]
    fields = [dict(word.split("=", 1) for word in line.split(" ")) for line in lines]
    return {
        each["id"]: (each["user"], "t" in each["flags"])
        for each in fields
        if each["user"] in {"app", "other"}
    }


@pytest.fixture
def guarded(started: Servers) -> Guarded:
    return Guarded(started)


def logged_in(manager: Any, subject: str) -> Any:
    try:
        return manager.login(subject)
    except StoreUnavailable:
        return None


def test_each_connection_asks(guarded: Guarded, opened: Opener, new_subject: Callable[[], str]):
    password = "first"
    manager = opened(guarded.url, credentials=lambda: ("app", password))
    token = manager.login(new_subject()).access_token
    eventually(lambda: manager.verify(token) and manager.stats().nodes[0].is_connected)
    guarded.set("app", "second")
    guarded.cut()
    with pytest.raises(StoreUnavailable) as failure:
        manager.login(new_subject())
    assert (failure.value.cause, failure.value.code) == ("authentication", "store_denied")
    password = "second"
    eventually(lambda: logged_in(manager, new_subject()))
    eventually(lambda: manager.verify(token) and manager.stats().nodes[0].is_connected)


@pytest.mark.parametrize("given", [("first",), Credentials(password="first")])
def test_the_default_user(started: Servers, opened: Opener, subject: str, given: Any):
    port = started.start("--requirepass", "first")
    assert opened(f"redis://127.0.0.1:{port}", credentials=lambda: given).login(subject)


def test_a_provider_of_redis_py(guarded: Guarded, opened: Opener, subject: str):
    provider = UsernamePasswordCredentialProvider("app", "first")
    assert opened(guarded.url, credentials=provider.get_credentials).login(subject)


def test_an_asynchronous_source_is_for_asynchronous_managers(
    guarded: Guarded, opened: Opener, subject: str
):
    async def source() -> Credentials:
        return Credentials(username="app", password="first")

    def hidden() -> Any:
        return source()

    try:
        manager = opened(guarded.url, credentials=source)
    except ConfigurationError as refusal:
        assert "asynchronous" in str(refusal)
        with pytest.raises(StoreUnavailable, match="is asynchronous"):
            opened(guarded.url, credentials=hidden).login(subject)
        return
    assert not isinstance(manager, SessionManager)
    assert manager.login(subject)
    assert opened(guarded.url, credentials=hidden).login(subject)


def test_live_connections_log_in_again(
    guarded: Guarded, opened: Opener, new_subject: Callable[[], str]
):
    now = ["app"]

    def source() -> Credentials:
        return Credentials(username=now[0], password="first", expires_in=1.0)

    manager = opened(guarded.url, credentials=source)
    token = manager.login(new_subject()).access_token
    eventually(lambda: manager.verify(token) and manager.stats().nodes[0].is_connected)
    before = guarded.logins()
    assert {user for user, _ in before.values()} == {"app"}
    assert any(pushes for _, pushes in before.values())
    now[0] = "other"

    def have_changed() -> bool:
        manager.login(new_subject())
        after = guarded.logins()
        assert after.keys() >= before.keys(), "a connection was lost"
        return all(after[each] == ("other", pushes) for each, (_, pushes) in before.items())

    eventually(have_changed)


def test_all_connections_of_a_cluster_log_in_again(
    cluster: EmbeddedCluster, opened: Opener, new_subject: Callable[[], str]
):
    """Those of writes that a replica confirms as well."""
    clients = [cluster.client(node) for node in cluster.nodes]
    for client, user in itertools.product(clients, ("app", "other")):
        client.execute_command("ACL", "SETUSER", user, "on", "resetpass", ">first", *_RIGHTS)

    def logins() -> dict[tuple[int, str], tuple[str, bool]]:
        """Those at primaries: a replica is asked for the slots at most."""
        return {
            (number, each): login
            for number, client in enumerate(clients)
            if client.execute_command("ROLE")[0] == b"master"
            for each, login in logins_in(client.execute_command("CLIENT", "LIST")).items()
        }

    user = "app"
    manager = opened(
        cluster.url, credentials=lambda: Credentials(username=user, password="first", expires_in=1)
    )
    for _ in range(12):
        assert manager.login(new_subject()).durable
    eventually(lambda: sum(pushes for _, pushes in logins().values()) == 3)
    before = logins()
    assert {login[0] for login in before.values()} == {"app"}
    user = "other"

    def have_changed() -> bool:
        assert all(manager.login(new_subject()).durable for _ in range(6))
        after = logins()
        assert after.keys() >= before.keys(), "a connection was lost"
        return {after[each] for each in before} == {("other", True), ("other", False)}

    eventually(have_changed)
    manager.close()
    for client in clients:
        client.execute_command("ACL", "DELUSER", "app", "other")
        client.close()


def test_what_expires_and_is_not_renewed_ends(
    guarded: Guarded,
    opened: Opener,
    new_subject: Callable[[], str],
    caplog: pytest.LogCaptureFixture,
):
    is_broken = False

    def source() -> Credentials:
        if is_broken:
            raise RuntimeError(_SECRET)
        return Credentials(username="app", password="first", expires_in=1.0)

    manager = opened(guarded.url, credentials=source)
    token = manager.login(new_subject()).access_token
    eventually(lambda: manager.verify(token) and manager.stats().nodes[0].is_connected)
    is_broken = True
    eventually(lambda: not logged_in(manager, new_subject()))
    with pytest.raises(StoreUnavailable) as failure:
        manager.login(new_subject())
    check(failure.value)
    eventually(lambda: not guarded.logins())
    assert [line for line in caplog.messages if "keeps its old login" in line]
    assert _SECRET not in caplog.text
    is_broken = False
    eventually(lambda: logged_in(manager, new_subject()))
    eventually(lambda: manager.verify(token) and manager.stats().nodes[0].is_connected)


def check(error: StoreUnavailable) -> None:
    assert (error.cause, error.status) == ("authentication", 503)
    for each in (error, error.__cause__, error.__context__, error.describe(), error.args):
        assert _SECRET not in repr(each)
    assert _SECRET not in str(error)


@pytest.mark.parametrize("given", [RuntimeError(_SECRET), None, _SECRET, (_SECRET, 7), ()])
def test_a_source_that_fails(guarded: Guarded, opened: Opener, subject: str, given: Any):
    def source() -> Any:
        if isinstance(given, Exception):
            raise given
        return given

    with pytest.raises(StoreUnavailable, match="credentials failed") as failure:
        opened(guarded.url, credentials=source).login(subject)
    check(failure.value)
    assert failure.value.node == f"127.0.0.1:{guarded.port}"


def test_a_password_file(
    guarded: Guarded, opened: Opener, new_subject: Callable[[], str], tmp_path: Path
):
    file = tmp_path / "password"
    file.write_text("first\n")
    manager = opened(f"redis://app@127.0.0.1:{guarded.port}?password_file={file}")
    manager.login(new_subject())
    guarded.set("app", "second")
    file.write_text("second")
    guarded.cut()
    assert eventually(lambda: logged_in(manager, new_subject()))
    file.unlink()
    guarded.cut()
    with pytest.raises(StoreUnavailable, match="FileNotFoundError") as failure:
        manager.login(new_subject())
    assert failure.value.cause == "authentication"


def test_a_password_file_through_a_socket(
    started: Servers, opened: Opener, subject: str, tmp_path: Path
):
    socket, file = tmp_path / "store.sock", tmp_path / "password"
    file.write_text("first")
    started.start("--unixsocket", str(socket), "--requirepass", "first")
    assert opened(f"unix://{socket}?password_file={file}").login(subject)


def test_what_contradicts_itself_is_refused(opened: Opener, tmp_path: Path):
    empty = tmp_path / "empty"
    empty.touch()
    for url, options, words in [
        ("redis://app@h", {"credentials": lambda: ("a", "b")}, "exclude each other"),
        ("redis://:p@h", {"credentials": lambda: ("a", "b")}, "exclude each other"),
        ("redis://h", {"credentials": ("a", "b")}, "must be a function"),
        (f"redis://h?password_file={empty}", {}, "password_file .* holds no text"),
        ("redis://h?password_file=/missing", {}, "password_file /missing cannot be used"),
        (f"redis://:p@h?password_file={empty}", {}, "a password and a password_file"),
        ("embedded://", {"credentials": lambda: ("a", "b")}, "embedded"),
    ]:
        with pytest.raises(ConfigurationError, match=words):
            opened(url, **options)
