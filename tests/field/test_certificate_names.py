"""Certificates that name other hosts than the ones announced: refused, unless a setting says so."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clusterpass import (
    ConfigurationError,
    EmbeddedCluster,
    StoreDenied,
    StoreUnavailable,
    parse_store_url,
)
from clusterpass.doctor import examine
from clusterpass.embedded import TlsFiles
from tests.cluster.conftest import REDIS_SERVER
from tests.cluster.stored import eventually
from tests.ports import free_port

from .certificates import Authority, Files
from .conftest import Opener
from .servers import Servers, servers

pytestmark = [pytest.mark.timeout(240), pytest.mark.sampled(2)]


@pytest.fixture(params=["redis"])
def started() -> Iterator[Servers]:
    """Starts servers of the program that has TLS."""
    with servers(REDIS_SERVER) as made:
        yield made


def refused(manager: Any, subject: str) -> StoreDenied:
    with pytest.raises(StoreDenied) as caught:
        manager.login(subject)
    assert (caught.value.cause, caught.value.reason) == ("tls", "certificate")
    return caught.value


@pytest.fixture
def named(started: Servers, tmp_path: Path) -> str:
    """A server whose certificate bears a name that leads nowhere: the start of its store URL."""
    authority, port = Authority("authority"), free_port()
    files = Files(tmp_path / "server").write(authority.pem, authority.issue("store.example"))
    started.start(*files.of_server(port, asks=False))
    return f"rediss://127.0.0.1:{port}?ca_file={files.ca}"


def test_a_server_name(named: str, opened: Opener, subject: str):
    error = refused(opened(named), subject)
    assert "server_name" in error.message
    refused(opened(f"{named}&server_name=other.example"), subject)
    manager = opened(f"{named}&server_name=store.example")
    token = manager.login(subject).access_token
    assert manager.verify(token, verification="strict")


def test_the_doctor_uses_the_server_name(named: str):
    with pytest.raises(StoreUnavailable, match="certificate is not accepted"):
        examine(named)
    assert examine(f"{named}&server_name=store.example").seen.nodes[0].answered


@pytest.fixture(scope="module", params=["redis"])
def by_ip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EmbeddedCluster, str]]:
    """A cluster that announces IP addresses, with certificates for localhost alone, as those of
    managed services bear names; and the URL of a seed."""
    authority, folder = Authority("authority"), tmp_path_factory.mktemp("tls")
    files = Files(folder / "start").write(authority.pem, authority.issue("127.0.0.1"))
    later = Files(folder / "later").write(authority.pem, authority.issue("localhost"))
    tls = TlsFiles(files.ca, files.cert, files.key)
    with EmbeddedCluster(nodes=3, server=REDIS_SERVER, tls=tls) as cluster:
        for node in cluster.nodes:
            with cluster.client(node) as client:
                client.config_set("tls-cert-file", str(later.cert), "tls-key-file", str(later.key))
        port = parse_store_url(cluster.url).seeds[0].port
        yield cluster, f"rediss+cluster://localhost:{port}?ca_file={files.ca}"


def test_nodes_announced_by_ip_are_verified_by_the_name_of_the_seed(
    by_ip: tuple[EmbeddedCluster, str], opened: Opener, new_subject: Callable[[], str]
):
    _, url = by_ip
    refused(opened(url), new_subject())
    manager = opened(f"{url}&verify_by=seed")
    for _ in range(12):  # on all shards
        token = manager.login(new_subject()).access_token
        assert manager.verify(token, verification="strict")
    eventually(lambda: all(node.is_connected for node in manager.stats().nodes))
    assert len(manager.stats().nodes) == 3
    assert opened(f"{url}&server_name=localhost").login(new_subject())


def test_the_seed_has_to_have_a_name(by_ip: tuple[EmbeddedCluster, str], opened: Opener):
    cluster, _ = by_ip
    with pytest.raises(ConfigurationError, match=r"verify_by=seed needs.*server_name"):
        opened(f"{cluster.url}&verify_by=seed")
