"""Behind Sentinel: who is sent which password, and where servers and Sentinels are reached."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clusterpass import Credentials, StoreDenied
from clusterpass.doctor import examine
from tests.cluster.stored import eventually

from .conftest import Opener
from .recording_proxy import RecordingProxy, proxies
from .sentinels import SENTINEL_PASSWORD, SERVER_PASSWORD, SERVICE, Process, Service, service

pytestmark = [pytest.mark.timeout(180), pytest.mark.sampled(2)]


class Overheard:
    """A service with passwords, behind a proxy for each server and each Sentinel."""

    def __init__(self, made: Service, by_port: dict[int, RecordingProxy]) -> None:
        self.service = made
        self._by_port = by_port
        for proxy in by_port.values():
            proxy.heard.clear()
        seeds = ",".join(f"sentinel-{number}.invalid" for number in range(len(made.sentinels)))
        self.url = f"redis+sentinel://{seeds}/{SERVICE}"
        self._reached = {
            (f"sentinel-{number}.invalid", 26_379): ("127.0.0.1", by_port[each.port].port)
            for number, each in enumerate(made.sentinels)
        }
        self._reached |= {
            ("127.0.0.1", announced): ("127.0.0.1", proxy.port)
            for announced, proxy in by_port.items()
        }
        self.text = ",".join(
            f"{name}:{port}={host}:{at}" for (name, port), (host, at) in self._reached.items()
        )

    def remap(self, announced: tuple[str, int]) -> tuple[str, int]:
        return self._reached[announced]

    def to(self, *processes: Process) -> bytes:
        """Return the data that clients have sent to these addresses."""
        return b"".join(bytes(self._by_port[each.port].heard) for each in processes)

    def check(self) -> None:
        """Nobody was sent a password of others."""
        servers, sentinels = self.to(*self.service.servers), self.to(*self.service.sentinels)
        assert SERVER_PASSWORD.encode() in servers
        assert SENTINEL_PASSWORD.encode() in sentinels
        assert SERVER_PASSWORD.encode() not in sentinels
        assert SENTINEL_PASSWORD.encode() not in servers


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, server_program: str) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("standing")
    with service(folder, has_passwords=True, program=server_program) as made:
        yield made


@pytest.fixture
def overheard(standing: Service) -> Iterator[Overheard]:
    ports = [each.port for each in (*standing.servers, *standing.sentinels)]
    with proxies(*ports) as by_port:
        yield Overheard(standing, by_port)


def is_watched(manager: Any) -> bool:
    nodes = manager.stats().nodes
    return bool(nodes) and nodes[0].is_connected


def use(manager: Any, subject: str) -> None:
    """Write, read, and have a node push."""
    token = manager.login(subject).access_token
    assert manager.verify(token, verification="strict")
    eventually(lambda: manager.verify(token) and is_watched(manager))


def test_a_sentinel_is_never_sent_the_credentials_of_the_servers(
    overheard: Overheard, opened: Opener, subject: str
):
    """Neither when connections are opened, nor when they authenticate again."""
    calls = 0

    def source() -> Credentials:
        nonlocal calls
        calls += 1
        return Credentials(password=SERVER_PASSWORD, expires_in=1.0)

    url = f"{overheard.url}?sentinel_password={SENTINEL_PASSWORD}"
    manager = opened(url, credentials=source, address_remap=overheard.remap)
    use(manager, subject)
    before = calls
    eventually(lambda: manager.login(subject) and calls >= before + 4)
    overheard.check()


def test_sentinels_without_a_password_of_theirs_are_sent_none(overheard: Overheard, opened: Opener):
    manager = opened(
        overheard.url, credentials=lambda: (SERVER_PASSWORD,), address_remap=overheard.remap
    )
    with pytest.raises(StoreDenied, match="sentinel_password"):
        manager.login("anybody")
    heard = overheard.to(*overheard.service.sentinels)
    assert b"HELLO" in heard or b"SENTINEL" in heard
    assert SERVER_PASSWORD.encode() not in heard
    assert b"AUTH" not in heard


def test_a_password_file_is_for_the_servers_alone(
    overheard: Overheard, opened: Opener, subject: str, tmp_path: Path
):
    file = tmp_path / "password"
    file.write_text(SERVER_PASSWORD)
    options = f"sentinel_password={SENTINEL_PASSWORD}&password_file={file}"
    url = f"{overheard.url}?{options}&address_remap={overheard.text}"
    use(opened(url), subject)
    overheard.check()
    seen = examine(url).seen
    assert seen.has_password
    assert [each.answered for each in seen.nodes] == [True] * 3
    overheard.check()


@pytest.mark.parametrize("how", ["text", "function"])
def test_a_remap_concerns_sentinels_and_whom_they_name(
    overheard: Overheard, opened: Opener, subject: str, how: str
):
    url = f"{overheard.url.replace('//', f'//:{SERVER_PASSWORD}@')}"
    url += f"?sentinel_password={SENTINEL_PASSWORD}"
    if how == "text":
        manager = opened(f"{url}&address_remap={overheard.text}")
    else:
        manager = opened(url, address_remap=overheard.remap)
    use(manager, subject)
    primary = overheard.service.primary()
    assert b"EVAL" in overheard.to(primary)
    assert b"GET-MASTER-ADDR-BY-NAME" in overheard.to(*overheard.service.sentinels)
    assert [each.address for each in manager.stats().nodes] == [f"127.0.0.1:{primary.port}"]
