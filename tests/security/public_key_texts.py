"""Every spelling of a public key that an attacker may pass off as a secret."""

import base64
import json
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .keys import key_of, native_private


@cache
def certificate(algorithm: str) -> x509.Certificate:
    from datetime import datetime

    private = native_private(key_of(algorithm))
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1))
        .not_valid_after(datetime(2040, 1, 1))
        .sign(private, None if isinstance(private, Ed25519PrivateKey) else hashes.SHA256())
    )


@cache
def public_texts(algorithm: str) -> dict[str, bytes]:
    """Every spelling of a public key that somebody may have at hand."""
    key = key_of(algorithm)
    public = native_private(key).public_key()
    jwk = key.jwk(private=False)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    ssh = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    texts = {
        "PEM": pem,
        "PEM without its last newline": pem.rstrip(),
        "PEM after a newline": b"\n" + pem,
        "PEM after a comment": b"# the public key\n" + pem,
        "PEM with CRLF": pem.replace(b"\n", b"\r\n"),
        "PEM without its armour": b"".join(pem.splitlines()[1:-1]),
        "PEM without its armour, in lines": b"\r\n".join(pem.splitlines()[1:-1]) + b"\r\n",
        "SSH without its type": ssh.split()[1],
        "x5c": base64.b64encode(certificate(algorithm).public_bytes(Encoding.DER)),
        "DER in base64url": base64.urlsafe_b64encode(der).rstrip(b"="),
        "DER": der,
        "SSH": ssh,
        "SSH with a comment": ssh + b" alice@example",
        "SSH of RFC 4716": b"---- BEGIN SSH2 PUBLIC KEY ----\n"
        + ssh.split()[1]
        + b"\n---- END SSH2 PUBLIC KEY ----\n",
        "JWK": json.dumps(jwk).encode(),
        "JWK, compact": json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode(),
        "JWK, indented": b" \n" + json.dumps(jwk, indent=2).encode(),
        "JWK set": json.dumps({"keys": [jwk]}).encode(),
        "certificate, PEM": certificate(algorithm).public_bytes(Encoding.PEM),
        "certificate, DER": certificate(algorithm).public_bytes(Encoding.DER),
    }
    if algorithm == "RS256":
        texts["PKCS#1, PEM"] = public.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
        texts["PKCS#1, DER"] = public.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    return texts


CONFUSIONS = [
    (algorithm, name)
    for algorithm in ("EdDSA", "ES256", "RS256")
    for name in (
        "PEM",
        "PEM without its last newline",
        "PEM after a newline",
        "PEM after a comment",
        "PEM with CRLF",
        "PEM without its armour",
        "PEM without its armour, in lines",
        "DER in base64url",
        "SSH without its type",
        "x5c",
        "DER",
        "SSH",
        "SSH with a comment",
        "SSH of RFC 4716",
        "JWK",
        "JWK, compact",
        "JWK, indented",
        "JWK set",
        "certificate, PEM",
        "certificate, DER",
        *(("PKCS#1, PEM", "PKCS#1, DER") if algorithm == "RS256" else ()),
    )
]
