"""Keys in PEM: as OpenSSL, ssh-keygen and certificate authorities write them.

``cryptography`` reads each block. A key gets its thumbprint (RFC 7638) as its id, so that every
program that reads the file gives it the same.
"""

import re
import warnings
from collections.abc import Iterator
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
    load_ssh_private_key,
    load_ssh_public_key,
)
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from clusterpass.model.errors import KeyRejected
from clusterpass.tokens.keys import SigningKey

_BLOCK: Final = re.compile(
    rb"-----BEGIN ([A-Z0-9 ]{1,60})-----.{1,100000}?-----END \1-----", re.DOTALL
)
_BEGIN: Final = re.compile(rb"^-----BEGIN [A-Z0-9 ]{1,60}-----", re.MULTILINE)
_SSH_LINE: Final = re.compile(
    rb"^(?:ssh-[a-z0-9]{2,10}|ecdsa-sha2-[a-z0-9]{2,20}) \S+.*$", re.MULTILINE
)
_PRIVATE: Final = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY")
_PUBLIC: Final = ("PUBLIC KEY", "RSA PUBLIC KEY")
_CERTIFICATES: Final = ("CERTIFICATE", "X509 CERTIFICATE")
_PARAMETERS: Final = ("EC PARAMETERS", "DH PARAMETERS")
_FIT: Final = "use Ed25519, P-256 or RSA"
_KINDS: Final = (
    (Ed25519PrivateKey, OKPKey),
    (Ed25519PublicKey, OKPKey),
    (EllipticCurvePrivateKey, ECKey),
    (EllipticCurvePublicKey, ECKey),
    (RSAPrivateKey, RSAKey),
    (RSAPublicKey, RSAKey),
)


def is_pem(text: bytes) -> bool:
    """Return whether ``text`` holds a block of PEM or a public key of SSH."""
    return bool(_BEGIN.search(text.replace(b"\r", b"\n")) or _SSH_LINE.match(text.lstrip()))


def keys_of_pem(text: bytes, passphrase: bytes | None = None) -> list[SigningKey]:
    """Return the keys of all blocks in ``text``, in order; at least one.

    ``passphrase``: of the encrypted ones. A private key stands for its public key and certificate
    too, wherever these are. Raises KeyRejected, which says which block is unfit, and why.
    """
    text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    found: dict[str, SigningKey] = {}
    for where, native in _natives(text, passphrase):
        key = _signing_key(native, where)
        known = found.get(key.kid)
        if known is None or key.is_private:
            found[key.kid] = key
    if not found:
        raise KeyRejected("the PEM file holds no key")
    return list(found.values())


def _natives(text: bytes, passphrase: bytes | None) -> Iterator[tuple[str, Any]]:
    number = 0
    blocks = list(_BLOCK.finditer(text))
    if len(blocks) < len(_BEGIN.findall(text)):
        raise KeyRejected("a block of the PEM file is cut off; it needs its -----END line")
    for block in blocks:
        number += 1
        label = block[1].decode("ascii")
        if label not in _PARAMETERS:
            where = f"block {number} ({label}) of the PEM file"
            yield where, _native(label, block[0] + b"\n", passphrase, where)
    for line in _SSH_LINE.finditer(_BLOCK.sub(b"", text)):
        number += 1
        where = f"key {number} of the file (a public key of SSH)"
        yield where, _read(where, load_ssh_public_key, line[0])


def _native(label: str, block: bytes, passphrase: bytes | None, where: str) -> Any:
    if label in _PRIVATE:
        return _read_private(where, load_pem_private_key, block, passphrase)
    if label == "OPENSSH PRIVATE KEY":
        return _read_private(where, load_ssh_private_key, block, passphrase)
    if label in _PUBLIC:
        return _read(where, load_pem_public_key, block)
    if label in _CERTIFICATES:
        certificate = _read(where, x509.load_pem_x509_certificate, block)
        return _read(where, certificate.public_key)
    raise KeyRejected(
        f"{where} is no key; leave it out. Keys are in blocks such as PRIVATE KEY, RSA PRIVATE"
        " KEY, EC PRIVATE KEY, OPENSSH PRIVATE KEY, PUBLIC KEY and CERTIFICATE"
    )


def _read_private(where: str, load: Any, block: bytes, passphrase: bytes | None) -> Any:
    try:
        return load(block, None)
    except TypeError:
        pass  # it is encrypted
    except (ValueError, UnsupportedAlgorithm):
        # The library's message may quote key material, so it is not passed on.
        raise KeyRejected(f"{where} is broken or of another kind; {_FIT}") from None
    if passphrase == b"":
        raise KeyRejected(f"{where} is encrypted, and the passphrase given for it is empty")
    if passphrase is None:
        raise KeyRejected(
            f"{where} is encrypted; give its passphrase in the setting keys_passphrase_file or"
            " keys_passphrase"
        )
    try:
        return load(block, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyRejected(f"{where} is broken, or the passphrase is another one") from None


def _read(where: str, load: Any, *arguments: bytes) -> Any:
    try:
        return load(*arguments)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyRejected(f"{where} is broken or of another kind; {_FIT}") from None


def _signing_key(native: Any, where: str) -> SigningKey:
    kind = next((jwk for native_kind, jwk in _KINDS if isinstance(native, native_kind)), None)
    if kind is None:
        raise KeyRejected(f"{where} is a key of another kind; {_FIT}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of short keys, which are refused below
            key = kind.import_key(native)
            members = {**key.as_dict(private=key.is_private), "kid": key.thumbprint()}
    except (JoseError, ValueError, TypeError, KeyError):
        raise KeyRejected(f"{where} is a key of another kind; {_FIT}") from None
    try:
        return SigningKey.from_jwk(members)
    except KeyRejected as error:
        raise KeyRejected(f"{where}: {error.message}", reason=error.reason) from None
