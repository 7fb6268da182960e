"""Keys in PEM, as the tools of the field write them."""

import datetime
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from joserfc.jwk import JWKRegistry

from clusterpass import KeyFile, KeyRejected, KeyRing
from clusterpass.tokens.keys import SigningKey

RSA = rsa.generate_private_key(65_537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
ALL: dict[str, Any] = {"RS256": RSA, "ES256": EC, "EdDSA": ED}
PHRASE = b"of a passphrase"


def private(key: Any, shape: str, passphrase: bytes | None = None) -> bytes:
    hidden = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
    made: bytes = key.private_bytes(Encoding.PEM, getattr(PrivateFormat, shape), hidden)
    return made


def public(key: Any, shape: str = "SubjectPublicKeyInfo") -> bytes:
    encoding = Encoding.OpenSSH if shape == "OpenSSH" else Encoding.PEM
    made: bytes = key.public_key().public_bytes(encoding, getattr(PublicFormat, shape))
    return made


def certificate(key: Any) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "auth.example")])
    now = datetime.datetime(2026, 1, 1)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), 5, now, now.replace(year=2027))
    ).sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    return built.public_bytes(Encoding.PEM)


def load(folder: Path, text: bytes, **how: Any) -> KeyRing:
    path = folder / "keys.pem"
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(text)
    return KeyRing.load(path, **how)


def thumbprint(key: Any) -> str:
    pem = public(key)
    kind = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}[
        next(name for name, each in ALL.items() if each is key)
    ]
    return JWKRegistry.import_key(pem, kind).thumbprint()  # type: ignore[arg-type]


PRIVATE = [
    ("RS256", "PKCS8"),
    ("RS256", "TraditionalOpenSSL"),
    ("RS256", "OpenSSH"),
    ("ES256", "PKCS8"),
    ("ES256", "TraditionalOpenSSL"),
    ("ES256", "OpenSSH"),
    ("EdDSA", "PKCS8"),
    ("EdDSA", "OpenSSH"),
]


@pytest.mark.parametrize(("algorithm", "shape"), PRIVATE)
@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
def test_private_keys(tmp_path: Path, algorithm: str, shape: str, ends: bytes) -> None:
    key = ALL[algorithm]
    text = private(key, shape).replace(b"\n", ends)
    for mark in (b"", b"\xef\xbb\xbf"):
        signing = load(tmp_path, mark + text).signing_key
        assert signing.algorithm == algorithm
        assert signing.kid == thumbprint(key)
        assert signing.verify(b"message", signing.sign(b"message"))


@pytest.mark.parametrize(("algorithm", "shape"), PRIVATE)
def test_encrypted_keys(tmp_path: Path, algorithm: str, shape: str) -> None:
    text = private(ALL[algorithm], shape, PHRASE)
    assert load(tmp_path, text, passphrase=PHRASE.decode()).can_sign
    with pytest.raises(KeyRejected, match=r"is encrypted.*keys_passphrase_file"):
        load(tmp_path, text)
    with pytest.raises(KeyRejected, match="the passphrase is another one") as caught:
        load(tmp_path, text, passphrase="wrong-one")
    assert "wrong-one" not in str(caught.value)


def test_a_passphrase_that_is_empty(tmp_path: Path) -> None:
    (phrase := tmp_path / "phrase").write_text("\n")
    phrase.chmod(0o600)
    load(tmp_path, private(ED, "PKCS8", PHRASE), passphrase=PHRASE.decode())
    for given in (
        KeyFile(tmp_path / "keys.pem", passphrase=""),
        KeyFile(tmp_path / "keys.pem", passphrase_file=phrase),
    ):
        with pytest.raises(KeyRejected, match="the passphrase given for it is empty"):
            given.load()


def test_a_passphrase_from_a_file(tmp_path: Path) -> None:
    phrase = tmp_path / "phrase"
    phrase.touch(mode=0o600)
    phrase.write_bytes(PHRASE + b"\n")
    load(tmp_path, private(ED, "PKCS8", PHRASE), passphrase=PHRASE.decode())
    file = KeyFile(tmp_path / "keys.pem", passphrase_file=phrase)
    assert file.load().signing_key.kid == thumbprint(ED)
    phrase.chmod(0o644)
    with pytest.raises(KeyRejected, match=r"file with the passphrase .*chmod 600"):
        file.load()
    phrase.unlink()
    with pytest.raises(KeyRejected, match=r"file with the passphrase .* cannot be read"):
        file.load()


def test_a_passphrase_that_no_key_needs_is_no_fault(tmp_path: Path) -> None:
    assert load(tmp_path, private(ED, "PKCS8"), passphrase="needless").can_sign


@pytest.mark.parametrize("algorithm", ALL)
def test_public_keys_and_certificates(tmp_path: Path, algorithm: str) -> None:
    key = ALL[algorithm]
    texts = [public(key), certificate(key), public(key, "OpenSSH") + b" someone@example\n"]
    if algorithm == "RS256":
        texts.append(public(key, "PKCS1"))
    for text in texts:
        (only,) = load(tmp_path, text).all()
        assert (only.kid, only.algorithm, only.is_private) == (thumbprint(key), algorithm, False)


def test_several_keys_in_one_file_keep_their_order(tmp_path: Path) -> None:
    text = b"Bag Attributes\n    friendlyName: first\n".join(
        [b"", private(EC, "PKCS8"), public(RSA), certificate(ED)]
    )
    ring = load(tmp_path, text)
    assert [key.kid for key in ring.all()] == [thumbprint(key) for key in (EC, RSA, ED)]
    assert ring.signing_key.kid == thumbprint(EC)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_key_and_its_certificate_are_one_key(tmp_path: Path, is_first: bool) -> None:
    parts = [private(EC, "PKCS8"), certificate(EC)]
    (only,) = load(tmp_path, b"".join(parts if is_first else reversed(parts))).all()
    assert only.is_private


def test_what_openssl_and_ssh_keygen_write(tmp_path: Path) -> None:
    made = tmp_path / "made"
    for program, arguments in (
        ("openssl", "ecparam -name prime256v1 -genkey -out"),  # with EC PARAMETERS before the key
        ("openssl", "genpkey -algorithm ed25519 -out"),
        ("openssl", "genrsa -out"),
        ("ssh-keygen", "-q -t ed25519 -N  -f"),
        ("ssh-keygen", "-q -t ecdsa -m PEM -N  -f"),
    ):
        if shutil.which(program) is None:
            continue
        command = [program, *arguments.split(" "), str(made)]
        made.unlink(missing_ok=True)
        subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
        assert load(tmp_path, made.read_bytes()).can_sign, command


def block(label: str, inside: str = "AAAA") -> bytes:
    return f"-----BEGIN {label}-----\n{inside}\n-----END {label}-----\n".encode()


FAULTS: dict[str, tuple[bytes, str]] = {
    "cut off": (private(RSA, "PKCS8")[:-40], "cut off"),
    "broken": (private(EC, "PKCS8").replace(b"M", b"N"), "broken"),
    "nothing inside": (block("PRIVATE KEY"), "block 1 .PRIVATE KEY. .* broken"),
    "a request": (block("CERTIFICATE REQUEST"), "CERTIFICATE REQUEST.* is no key"),
    "a key of PGP": (block("PGP PRIVATE KEY BLOCK"), "is no key"),
    "parameters alone": (block("EC PARAMETERS"), "holds no key"),
    "P-384": (private(ec.generate_private_key(ec.SECP384R1()), "PKCS8"), "use P-256"),
    "P-224": (private(ec.generate_private_key(ec.SECP224R1()), "PKCS8"), "another kind; use"),
    "secp256k1": (private(ec.generate_private_key(ec.SECP256K1()), "PKCS8"), "use P-256"),
    "Ed448": (private(ed448.Ed448PrivateKey.generate(), "PKCS8"), "another kind; use Ed25519"),
    "X25519": (private(x25519.X25519PrivateKey.generate(), "PKCS8"), "another kind; use Ed25519"),
    "DSA": (private(dsa.generate_private_key(2048), "PKCS8"), "another kind; use Ed25519"),
    "RSA of 1024 bits": (
        private(rsa.generate_private_key(65_537, 1024), "PKCS8"),
        "has 1024 bits",
    ),
    "DER": (
        RSA.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        r"binary \(DER",
    ),
    "the second": (private(EC, "PKCS8") + block("PRIVATE KEY"), "block 2"),
    "the third, of SSH": (
        public(EC) + public(ED, "OpenSSH") + b"\nssh-rsa AAAA someone\n",
        "key 3 of the file .a public key of SSH. .* broken",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named_without_the_key(tmp_path: Path, fault: str) -> None:
    text, expected = FAULTS[fault]
    with pytest.raises(KeyRejected, match=expected) as caught:
        load(tmp_path, text)
    for line in text.decode("latin-1").splitlines():
        if not line.startswith("-----") and len(line) > 8:
            assert line not in str(caught.value)


def test_a_private_key_in_pem_is_for_its_owner_alone(tmp_path: Path) -> None:
    load(tmp_path, private(ED, "PKCS8"))
    (tmp_path / "keys.pem").chmod(0o644)
    with pytest.raises(KeyRejected, match="chmod 600"):
        KeyRing.load(tmp_path / "keys.pem")


def test_a_key_is_the_same_in_both_spellings(tmp_path: Path) -> None:
    ring = load(tmp_path, private(RSA, "PKCS8"))
    key = ring.signing_key
    assert KeyRing.from_jwks(ring.private_jwks_text()) == ring
    assert f'\n      "kid": "{key.kid}",\n' in ring.private_jwks_text(), "people can read it"
    assert SigningKey.from_jwk(key.jwk(private=True)) == key
    assert key.derive_secret("a purpose") == ring.all()[0].derive_secret("a purpose")
