"""Certificate authorities, and the certificates that they issue, as PEM files."""

import datetime
import ipaddress
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_PEM: Final = serialization.Encoding.PEM
_DAY: Final = datetime.timedelta(days=1)


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """A certificate authority of its own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        own = x509.BasicConstraints(ca=True, path_length=None)
        self.pem: Final = self._certify(name, self._key, own).public_bytes(_PEM)

    def issue(self, *names: str, passphrase: str = "") -> tuple[bytes, bytes]:
        """A certificate for ``names`` and IP addresses, and its key, both as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        found = x509.SubjectAlternativeName([_general(name) for name in names])
        encryption = (
            serialization.BestAvailableEncryption(passphrase.encode())
            if passphrase
            else serialization.NoEncryption()
        )
        private = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, encryption)
        return self._certify("leaf", key, found).public_bytes(_PEM), private

    def _certify(
        self, subject: str, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_named(subject))
            .issuer_name(_named(self._name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
            .sign(self._key, hashes.SHA256())
        )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Files:
    """A folder of PEM files: those of a client, or of a server."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.ca, self.cert, self.key = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"

    def write(self, trusted: bytes, pair: tuple[bytes, bytes]) -> "Files":
        """Replace all of them in place."""
        for path, text in zip((self.ca, self.cert, self.key), (trusted, *pair), strict=True):
            path.write_bytes(text)
        return self

    def of_client(self) -> str:
        """As options of a store URL."""
        return f"ca_file={self.ca}&cert_file={self.cert}&key_file={self.key}"

    def of_server(self, port: int, *, asks: bool = True) -> tuple[str, ...]:
        """As options of a server; ``asks``: clients need a certificate."""
        return (
            *("--tls-port", str(port), "--tls-ca-cert-file", str(self.ca)),
            *("--tls-cert-file", str(self.cert), "--tls-key-file", str(self.key)),
            *("--tls-auth-clients", "yes" if asks else "no"),
        )
