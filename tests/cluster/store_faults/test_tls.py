"""Connections with TLS: the authority of the store is checked."""

import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from clusterpass import EmbeddedCluster
from clusterpass.embedded import TlsFiles
from clusterpass.model.errors import StoreUnavailable

from ..conftest import REDIS_SERVER
from .conftest import Opener, on_every_node
from .lives import life_of


def write_authority(folder: Path, name: str) -> TlsFiles:
    """A new authority and a certificate of it for 127.0.0.1."""
    folder.mkdir()
    now = datetime.datetime.now(datetime.UTC)

    def subject_of(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def build(subject: str, key: Any, *, authority: bool) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject_of(subject))
            .issuer_name(subject_of(name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )

    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = build(name, authority_key, authority=True).sign(authority_key, hashes.SHA256())
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        build("node", key, authority=False)
        .add_extension(names, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(authority.public_bytes(pem))
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return TlsFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")


@pytest.fixture(scope="module")
def tls_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def tls_cluster(tls_folder: Path) -> Iterator[EmbeddedCluster]:
    if not Path(REDIS_SERVER).exists():
        pytest.skip("needs redis-server")
    with EmbeddedCluster(
        nodes=6, server=REDIS_SERVER, tls=write_authority(tls_folder / "right", "right")
    ) as running:
        yield running


def test_tls(open_url: Opener, tls_cluster: EmbeddedCluster, subject: str) -> None:
    assert tls_cluster.url.startswith("rediss+cluster://")
    assert "ca_file=" in tls_cluster.url
    manager = open_url(tls_cluster.url)
    manager.ping()
    for number in range(6):
        life_of(manager, f"{subject}-{number}")
    pair = manager.login(subject)
    assert pair.durable
    for kind in ("normal", "pubsub"):
        on_every_node(tls_cluster, "CLIENT", "KILL", "TYPE", kind)
    assert manager.verify(pair.access_token).subject == subject


@pytest.mark.parametrize("authority", ["wrong", "none", "no certificate"])
def test_a_certificate_of_another_authority_is_refused(
    open_url: Opener, tls_cluster: EmbeddedCluster, tmp_path: Path, authority: str, subject: str
) -> None:
    seeds = tls_cluster.url.partition("?")[0]
    options = "timeout=0.3&deadline=0.5"
    if authority == "wrong":
        options += f"&ca_file={write_authority(tmp_path / 'wrong', 'wrong').ca_file}"
    elif authority == "no certificate":
        (tmp_path / "empty.pem").write_text("nothing in here")
        options += f"&ca_file={tmp_path / 'empty.pem'}"
    manager = open_url(f"{seeds}?{options}")
    for verb in (lambda: manager.login(subject), manager.ping):
        with pytest.raises(StoreUnavailable) as refusal:
            verb()
        if authority != "no certificate":
            assert (refusal.value.code, refusal.value.reason) == ("store_denied", "certificate")


def test_no_tls_where_tls_is_asked_for(
    open_url: Opener, tls_cluster: EmbeddedCluster, subject: str
) -> None:
    seeds = tls_cluster.url.partition("?")[0].replace("rediss", "redis")
    with pytest.raises(StoreUnavailable):
        open_url(f"{seeds}?timeout=0.3&deadline=0.5").login(subject)
