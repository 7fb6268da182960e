"""Certificates that are replaced on disk are used by the next connection, in every face."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clusterpass import ConfigurationError, StoreUnavailable
from clusterpass.doctor import examine
from tests.cluster.conftest import REDIS_SERVER
from tests.cluster.stored import eventually
from tests.ports import free_port

from .certificates import Authority, Files
from .conftest import Opener
from .servers import Servers, servers

pytestmark = [pytest.mark.timeout(120), pytest.mark.sampled(2)]
_HERE = "127.0.0.1"
_PASSPHRASE = "not-for-the-log"


@pytest.fixture(params=["redis"])
def started() -> Iterator[Servers]:
    """Starts servers of the program that has TLS."""
    with servers(REDIS_SERVER) as made:
        yield made


class Secured:
    """A server that wants client certificates, and the files of a client."""

    def __init__(self, started: Servers, folder: Path) -> None:
        self._started = started
        self.authority = Authority("first")
        self.server, self.client = Files(folder / "server"), Files(folder / "client")
        self.server.write(self.authority.pem, self.authority.issue(_HERE))
        self.client.write(self.authority.pem, self.authority.issue("app"))
        self.port = free_port()
        self._plain = started.start(*self.server.of_server(self.port))
        self.url = f"rediss://{_HERE}:{self.port}?{self.client.of_client()}"

    def use(self, authority: Authority) -> None:
        """Have the server trust ``authority`` alone, and show a certificate of it."""
        self.authority = authority
        self.server.write(authority.pem, authority.issue(_HERE))
        ca, cert, key = (str(path) for path in (self.server.ca, self.server.cert, self.server.key))
        command = ("CONFIG", "SET", "tls-ca-cert-file", ca, "tls-cert-file", cert)
        self._started.ask(self._plain, *command, "tls-key-file", key)

    def cut(self) -> None:
        """End all connections of clients."""
        for kind in ("normal", "pubsub"):
            self._started.ask(self._plain, "CLIENT", "KILL", "TYPE", kind)


@pytest.fixture
def secured(started: Servers, tmp_path: Path) -> Secured:
    return Secured(started, tmp_path)


def is_watched(manager: Any) -> bool:
    return all(node.is_connected and node.has_lease for node in manager.stats().nodes)


def test_a_renewed_authority_and_client_certificate(
    secured: Secured, opened: Opener, new_subject: Callable[[], str]
):
    manager = opened(secured.url)
    token = manager.login(new_subject()).access_token
    eventually(lambda: manager.verify(token) and is_watched(manager))
    secured.use(Authority("second"))
    secured.cut()
    with pytest.raises(StoreUnavailable) as refused:
        manager.login(new_subject())
    assert refused.value.cause == "tls"
    secured.client.write(secured.authority.pem, secured.authority.issue("app"))
    assert eventually(lambda: logged_in(manager, new_subject()))
    eventually(lambda: manager.verify(token) and is_watched(manager))


def logged_in(manager: Any, subject: str) -> Any:
    try:
        return manager.login(subject)
    except StoreUnavailable:
        return None


@pytest.mark.parametrize("fault", ["half", "missing", "other key", "encrypted"])
def test_what_is_half_written_changes_nothing(
    secured: Secured,
    opened: Opener,
    new_subject: Callable[[], str],
    caplog: pytest.LogCaptureFixture,
    fault: str,
):
    caplog.set_level(logging.INFO, "clusterpass.store")
    manager = opened(secured.url)
    manager.login(new_subject())
    cert, key = secured.authority.issue("app", passphrase="x" * (fault == "encrypted"))
    match fault:
        case "half":
            secured.client.cert.write_bytes(cert[: len(cert) // 2])
        case "missing":
            secured.client.key.unlink()
        case "other key":
            secured.client.key.write_bytes(key)
        case _:
            secured.client.write(secured.authority.pem, (cert, key))
    for _ in range(3):
        secured.cut()
        assert eventually(lambda: logged_in(manager, new_subject()))
    told = [line for line in caplog.messages if "cannot be used" in line]
    assert len(told) == 1
    assert not [line for line in caplog.messages if "new connections use them" in line]
    secured.client.write(secured.authority.pem, secured.authority.issue("app"))
    secured.cut()
    assert eventually(lambda: logged_in(manager, new_subject()))
    # Two files are written, one after the other, while connections are opened.
    assert len([line for line in caplog.messages if "new connections use them" in line]) in {1, 2}


def test_an_encrypted_key(secured: Secured, opened: Opener, subject: str, tmp_path: Path):
    pair = secured.authority.issue("app", passphrase=_PASSPHRASE)
    secured.client.write(secured.authority.pem, pair)
    secret = tmp_path / "passphrase"
    secret.write_text(f"{_PASSPHRASE}\n")
    assert opened(f"{secured.url}&key_password={_PASSPHRASE}").login(subject)
    assert opened(f"{secured.url}&key_password_file={secret}").login(subject)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("", "key_file of the store URL is encrypted.*key_password_file.*store_key_password_file"),
        ("&key_password=wrong", "does not open key_file"),
        ("&key_password_file=/dev/null", "names no file"),
    ],
)
def test_a_key_that_does_not_open_is_refused_at_once(
    secured: Secured, opened: Opener, option: str, words: str
):
    pair = secured.authority.issue("app", passphrase=_PASSPHRASE)
    secured.client.write(secured.authority.pem, pair)
    for use in (opened, examine):
        with pytest.raises(ConfigurationError, match=words) as refused:
            use(f"{secured.url}{option}")
        assert _PASSPHRASE not in repr(refused.value)
