"""Known attacks on signed tokens and on key sets. Each test names one and tries it.

A forged token here is genuine in all but one respect, wherever that is possible: it carries a
valid signature of the right key, so only the defence under test can refuse it.
"""

import base64
import hashlib
import hmac
import json
import traceback
from collections.abc import Callable, Mapping
from functools import cache
from itertools import permutations
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, JWKRegistry, OctKey, OKPKey

from clusterpass.config import Config
from clusterpass.model.authentication_errors import (
    InvalidRefreshToken,
    InvalidToken,
    TokenAudienceInvalid,
    TokenExpired,
    TokenIssuerInvalid,
    TokenKeyUnknown,
    TokenMalformed,
    TokenMissing,
    TokenNotYetValid,
    TokenSignatureInvalid,
    TokenTypeInvalid,
)
from clusterpass.model.errors import ClusterPassError, ConfigurationError, KeyRejected
from clusterpass.model.values import TokenPair
from clusterpass.tokens import verifier as verifier_module
from clusterpass.tokens.encoding import encode_base64url
from clusterpass.tokens.issuer import TokenIssuer
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.keys import SigningKey
from clusterpass.tokens.refresh import RefreshToken, parse_refresh_token
from clusterpass.tokens.verifier import LONGEST_TOKEN, TokenVerifier

NOW = 1_800_000_000
ISSUER = "https://auth.example"
AUDIENCE = "https://api.example"
SESSION_ID = "AAECAwQFBgcICQoLDA0ODw"
ALGORITHMS = ("EdDSA", "Ed25519", "ES256", "RS256", "HS256")
PUBLIC_ALGORITHMS = ("EdDSA", "Ed25519", "ES256", "RS256")
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
PUBLIC_MEMBERS = {"kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"}
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ABSENT = object()


@cache
def key_of(algorithm: str) -> SigningKey:
    return SigningKey.generate(algorithm, kid=f"key-{algorithm}")  # type: ignore[arg-type]


@cache
def other_key_of(algorithm: str) -> SigningKey:
    """A key of an attacker."""
    return SigningKey.generate(algorithm, kid=f"key-{algorithm}")  # type: ignore[arg-type]


def changed(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**base, **changes}.items() if value is not ABSENT}


def header(key: SigningKey, **changes: Any) -> dict[str, Any]:
    return changed({"alg": key.algorithm, "kid": key.kid, "typ": "at+jwt"}, changes)


def payload(**changes: Any) -> dict[str, Any]:
    base = {
        "iss": ISSUER,
        "sub": "alice",
        "aud": AUDIENCE,
        "iat": NOW,
        "exp": NOW + 900,
        "jti": "token-1",
        "sid": SESSION_ID,
    }
    return changed(base, changes)


def as_bytes(value: Mapping[str, Any] | bytes) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def signing_input(head: Mapping[str, Any] | bytes, body: Mapping[str, Any] | bytes) -> str:
    return f"{encode_base64url(as_bytes(head))}.{encode_base64url(as_bytes(body))}"


def signed(
    key: SigningKey,
    head: Mapping[str, Any] | bytes | None = None,
    body: Mapping[str, Any] | bytes | None = None,
) -> str:
    """A token with a valid signature of ``key``, whatever its header and payload say."""
    text = signing_input(header(key) if head is None else head, payload() if body is None else body)
    return f"{text}.{encode_base64url(key.sign(text.encode()))}"


def keyed_hash(secret: bytes, text: str) -> str:
    return encode_base64url(hmac.new(secret, text.encode(), hashlib.sha256).digest())


def verifier(*keys: SigningKey, now: float = NOW, **options: Any) -> TokenVerifier:
    ring = KeyRing(keys or [key_of("EdDSA")])
    return TokenVerifier(ring, issuer=ISSUER, audience=AUDIENCE, clock=lambda: now, **options)


def refuse(kind: type[InvalidToken], token: Any, *keys: SigningKey, **options: Any) -> InvalidToken:
    with pytest.raises(InvalidToken) as caught:
        verifier(*keys, **options).verify(token)
    assert type(caught.value) is kind
    return caught.value


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
def native_private(key: SigningKey) -> Any:
    return JWKRegistry.import_key(key.jwk(private=True)).private_key


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


# --- The control: what the forgeries differ from -------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_token_that_the_forgeries_start_from_is_accepted(algorithm: str) -> None:
    key = key_of(algorithm)
    claims = verifier(key).verify(signed(key))
    assert (claims.subject, claims.session_id) == ("alice", SESSION_ID)


# --- Algorithm confusion -------------------------------------------------------------------------


@pytest.mark.parametrize(("algorithm", "form"), CONFUSIONS)
def test_public_key_text_as_hmac_secret_of_a_token(algorithm: str, form: str) -> None:
    key = key_of(algorithm)
    text = signing_input(header(key, alg="HS256"), payload())
    forged = f"{text}.{keyed_hash(public_texts(algorithm)[form], text)}"
    refuse(TokenSignatureInvalid, forged, key)


@pytest.mark.parametrize(("algorithm", "form"), CONFUSIONS)
def test_public_key_text_as_hmac_secret_under_the_honest_algorithm(
    algorithm: str, form: str
) -> None:
    key = key_of(algorithm)
    text = signing_input(header(key), payload())
    forged = f"{text}.{keyed_hash(public_texts(algorithm)[form], text)}"
    refuse(TokenSignatureInvalid, forged, key)


@pytest.mark.parametrize(("algorithm", "form"), CONFUSIONS)
def test_public_key_text_is_no_secret_of_a_key_set(algorithm: str, form: str) -> None:
    secret = public_texts(algorithm)[form]
    assert len(secret) >= 32
    with pytest.raises(KeyRejected):
        KeyRing.from_jwks({"keys": [secret_jwk(secret)]})


@pytest.mark.parametrize(("claimed", "real"), list(permutations(ALGORITHMS, 2)))
def test_key_of_one_algorithm_used_with_another(claimed: str, real: str) -> None:
    key = key_of(real)
    refuse(TokenSignatureInvalid, signed(key, header(key, alg=claimed)), key)


@pytest.mark.parametrize(("named", "signer"), list(permutations(PUBLIC_ALGORITHMS, 2)))
@pytest.mark.parametrize("algorithm_of", ["named", "signer"])
def test_key_id_of_another_key_of_the_set(named: str, signer: str, algorithm_of: str) -> None:
    algorithm = named if algorithm_of == "named" else signer
    forged = signed(key_of(signer), header(key_of(named), alg=algorithm))
    refuse(TokenSignatureInvalid, forged, key_of(named), key_of(signer))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_signature_by_a_foreign_key_of_the_same_kind(algorithm: str) -> None:
    refuse(TokenSignatureInvalid, signed(other_key_of(algorithm)), key_of(algorithm))


@pytest.mark.parametrize(
    "algorithm",
    ["HS384", "HS512", "RS384", "RS512", "PS256", "ES384", "ES512", "ES256K", "Ed448", "eddsa"],
)
def test_algorithm_that_no_key_has(algorithm: str) -> None:
    key = key_of("EdDSA")
    refuse(TokenSignatureInvalid, signed(key, header(key, alg=algorithm)), key)


@pytest.mark.parametrize("algorithm", [ABSENT, None, 5, True, ["EdDSA"], {"EdDSA": 1}, ""])
def test_algorithm_that_is_missing_or_no_text(algorithm: Any) -> None:
    key = key_of("EdDSA")
    refuse(TokenSignatureInvalid, signed(key, header(key, alg=algorithm)), key)


# --- alg: none -----------------------------------------------------------------------------------

NONES = ["none", "None", "NONE", "nOnE", "noNe", "none ", " none", "n\uff4fne", ""]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("none", NONES)
def test_none_with_a_signature(none: str, algorithm: str) -> None:
    key = key_of(algorithm)
    refuse(TokenSignatureInvalid, signed(key, header(key, alg=none)), key)
    text = signing_input(header(key, alg=none), payload())
    refuse(TokenSignatureInvalid, f"{text}.AA", key)


@pytest.mark.parametrize("none", NONES)
def test_none_without_a_signature(none: str) -> None:
    key = key_of("EdDSA")
    text = signing_input(header(key, alg=none), payload())
    refuse(TokenMalformed, f"{text}.", key)
    refuse(TokenMalformed, text, key)


@pytest.mark.parametrize("none", NONES)
def test_none_without_a_key_id(none: str) -> None:
    key = key_of("EdDSA")
    text = signing_input(header(key, alg=none, kid=ABSENT), payload())
    refuse(TokenKeyUnknown, f"{text}.AA", key)


def test_none_is_no_algorithm_of_a_key() -> None:
    for jwk in (secret_jwk(bytes(range(32))), key_of("EdDSA").jwk(private=True)):
        with pytest.raises(KeyRejected):
            SigningKey.from_jwk({**jwk, "alg": "none"})
    with pytest.raises(ConfigurationError):
        SigningKey.generate("none")  # type: ignore[arg-type]


# --- Header parameters that bring a key, or change the rules -------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jku", "https://evil.example/jwks.json"),
        ("jku", "file:///etc/passwd"),
        ("x5u", "https://evil.example/chain.pem"),
        ("x5c", ["MIIB"]),
        ("x5t", "AAAA"),
        ("x5t#S256", "AAAA"),
        ("jwk", {}),
        ("jwk", None),
        ("crit", ["exp"]),
        ("crit", ["b64"]),
        ("crit", []),
        ("crit", "b64"),
        ("crit", None),
        ("http://example.com/UNDEFINED", True),
        ("b64", False),
        ("b64", True),
        ("zip", "DEF"),
        ("enc", "A256GCM"),
        ("cty", "JWT"),
        ("epk", {}),
        ("p2c", 2_000_000_000),
        ("nonce", "x"),
        ("iss", ISSUER),
    ],
)
def test_header_parameter_beside_the_three(name: str, value: Any) -> None:
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, header(key, **{name: value})), key)


@pytest.mark.parametrize("algorithm", PUBLIC_ALGORITHMS)
@pytest.mark.parametrize("kid", ["known", "unknown", "absent"])
def test_header_jwk_brings_the_key_of_the_attacker(algorithm: str, kid: str) -> None:
    attacker = other_key_of(algorithm)
    kids = {"known": attacker.kid, "unknown": "mine", "absent": ABSENT}
    head = header(attacker, jwk=attacker.jwk(private=False), kid=kids[kid])
    refuse(TokenMalformed, signed(attacker, head), key_of(algorithm))


def test_b64_false_with_an_unencoded_payload() -> None:
    key = key_of("EdDSA")
    for extra in ({"b64": False, "crit": ["b64"]}, {"b64": False}, {}):
        head = encode_base64url(as_bytes(header(key, **extra)))
        for body in (json.dumps(payload()), "plain"):
            text = f"{head}.{body}"
            forged = f"{text}.{encode_base64url(key.sign(text.encode()))}"
            refuse(TokenMalformed, forged, key)


# --- kid -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kid",
    [
        "../../../../dev/null",
        "/dev/null",
        "file:///proc/self/environ",
        "C:\\Windows\\win.ini",
        "https://evil.example/key",
        "' OR '1'='1",
        "x' UNION SELECT 'secret",
        "key-EdDSA'; DROP TABLE keys; --",
        "key-EdDSA\x00",
        "key-EdDSA ",
        " key-EdDSA",
        "KEY-EDDSA",
        "key-eddsa",
        "$(id)",
        "| id",
        "{{7*7}}",
        "%s%s%n",
        "key-EdDSA\n",
        "ключ",
        "key-EdDS\uff21",
        "\u202egnp",
        "",
        "__class__",
        "A" * 4000,
    ],
)
def test_kid_that_names_no_key(kid: str) -> None:
    key = key_of("EdDSA")
    error = refuse(TokenKeyUnknown, signed(key, header(key, kid=kid)), key)
    assert not kid or kid not in str(error)


@pytest.mark.parametrize(
    "kid", [ABSENT, None, 0, 1, 1.5, True, [], {}, ["key-EdDSA"], {"key-EdDSA": 1}]
)
def test_kid_that_is_missing_or_no_text(kid: Any) -> None:
    key = key_of("EdDSA")
    refuse(TokenKeyUnknown, signed(key, header(key, kid=kid)), key)


def test_token_without_kid_does_not_fall_back_to_the_only_key() -> None:
    key = key_of("HS256")
    refuse(TokenKeyUnknown, signed(key, header(key, kid=ABSENT)), key)


# --- JSON that parsers read differently ----------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        b'{"alg":"none","alg":"EdDSA","kid":"key-EdDSA","typ":"at+jwt"}',
        b'{"alg":"EdDSA","alg":"EdDSA","kid":"key-EdDSA","typ":"at+jwt"}',
        b'{"alg":"EdDSA","kid":"other","kid":"key-EdDSA","typ":"at+jwt"}',
        b'{"alg":"EdDSA","k\\u0069d":"other","kid":"key-EdDSA","typ":"at+jwt"}',
        b'{"alg":"EdDSA","kid":"key-EdDSA","typ":"JWT","typ":"at+jwt"}',
        b'\xef\xbb\xbf{"alg":"EdDSA","kid":"key-EdDSA","typ":"at+jwt"}',
        '{"alg":"EdDSA","kid":"key-EdDSA","typ":"at+jwt"}'.encode("utf-16"),
        b'{"alg":"EdDSA","kid":"key-EdDSA","typ":"at+jwt"}{}',
        b'{"alg":"EdDSA","kid":"key-EdDSA","typ":"at+jwt"} x',
        b'{"alg":"EdDSA","kid":"key-EdDSA","typ":"at+jwt",}',
        b'[{"alg":"EdDSA","kid":"key-EdDSA","typ":"at+jwt"}]',
        b"{'alg':'EdDSA','kid':'key-EdDSA','typ':'at+jwt'}",
        b'{"alg":"EdDSA","kid":"key-EdDSA","typ":"at+jwt","\xff":1}',
        b'{"alg":"EdDSA","kid":"\\ud800","typ":"at+jwt"}',
        b'"at+jwt"',
        b"null",
        b"5",
        b" ",
    ],
)
def test_header_that_is_no_plain_json_object(text: bytes) -> None:
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, text), key)


def body_with(text: str) -> bytes:
    return json.dumps(payload()).encode()[:-1] + b"," + text.encode() + b"}"


@pytest.mark.parametrize(
    "text",
    [
        '"sub":"admin"',
        '"s\\u0075b":"admin"',
        '"exp":9999999999',
        '"sid":"x"',
        '"aud":"https://api.example"',
        '"own":{"role":"user","role":"admin"}',
        '"own":[{"a":1,"a":1}]',
    ],
)
def test_duplicate_member_in_the_payload(text: str) -> None:
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, None, body_with(text)), key)


@pytest.mark.parametrize(
    "number",
    ["1" * 20, "1" * 4000, "-" + "1" * 4000, "1e400", "-1e400", "NaN", "Infinity", "-Infinity"],
)
def test_number_that_is_huge_or_none(number: str) -> None:
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, None, body_with(f'"own":{number}')), key)
    for name in ("exp", "iat", "nbf"):
        body = as_bytes(payload(**{name: ABSENT}))[:-1] + f',"{name}":{number}}}'.encode()
        refuse(TokenMalformed, signed(key, None, body), key)


@pytest.mark.parametrize("opening", ['{"a":', "["])
def test_deep_json_in_header_and_payload(opening: str) -> None:
    closing = "}" if opening.startswith("{") else "]"
    depth = 4000 // (len(opening) + 1)
    deep = opening * depth + "1" + closing * depth
    key = key_of("EdDSA")
    if depth > 1000:
        refuse(TokenMalformed, signed(key, None, body_with(f'"own":{deep}')), key)
    refuse(TokenMalformed, signed(key, f'{{"alg":{deep}'.encode()), key)
    unclosed = opening * (5000 // len(opening))
    refuse(TokenMalformed, signed(key, unclosed.encode()), key)
    refuse(TokenMalformed, signed(key, None, unclosed.encode()), key)


@pytest.mark.parametrize("text", [b"[]", b'"x"', b"null", b"1", b"{", b"\xff\xfe", b"{}}", b"\0"])
def test_payload_that_is_no_json_object(text: bytes) -> None:
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, None, text), key)


def test_lone_surrogate_in_a_name_is_not_passed_on() -> None:
    # Such a text cannot be a key name of the store; it must fail as a token, not as a crash.
    key = key_of("EdDSA")
    for name in ("sub", "jti", "sid"):
        refuse(TokenMalformed, signed(key, None, payload(**{name: "\ud800"})), key)


# --- Size and spelling ---------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 10, 1000, LONGEST_TOKEN, 10**5, 10**6, 10**7])
def test_token_of_any_size_that_is_no_token(size: int) -> None:
    for text in ("A" * size, "." * size, ("A" * (size // 3) + ".") * 3, "\u0661" * size):
        refuse(TokenMalformed, text)


def test_token_just_too_long_is_refused_before_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = key_of("EdDSA")

    def token(pad: int) -> str:
        return signed(key, None, payload(pad="x" * pad))

    pad = LONGEST_TOKEN * 3 // 4 - 700
    while len(token(pad + 1)) <= LONGEST_TOKEN:
        pad += 1
    assert verifier(key).verify(token(pad)).subject == "alice"
    too_long = token(pad + 1)

    def decode(_: str) -> bytes:
        raise AssertionError("a token that is too long was decoded")

    checker = verifier(key)
    monkeypatch.setattr(verifier_module, "decode_base64url", decode)
    with pytest.raises(TokenMalformed):
        checker.verify(too_long)
    with pytest.raises(TokenMalformed):
        checker.verify(too_long + "A" * 10_000_000)


SPELLINGS: dict[str, Callable[[str], Any]] = {
    "space before": lambda token: " " + token,
    "space after": lambda token: token + " ",
    "newline after": lambda token: token + "\n",
    "newline before": lambda token: "\n" + token,
    "carriage return": lambda token: token + "\r",
    "newline inside": lambda token: token[:40] + "\n" + token[40:],
    "tab inside": lambda token: token[:40] + "\t" + token[40:],
    "NUL after": lambda token: token + "\0",
    "padding": lambda token: token + "==",
    "padding of each part": lambda token: ".".join(
        part + "=" * (-len(part) % 4) for part in token.split(".")
    ),
    "plus": lambda token: token[:-2] + "+A",
    "slash": lambda token: token[:-2] + "/A",
    "fullwidth digit": lambda token: token[:-2] + "\uff11A",
    "arabic digit": lambda token: token[:-2] + "\u0661A",
    "zero width space": lambda token: token + "\u200b",
    "fullwidth dot": lambda token: token.replace(".", "\uff0e"),
    "trailing dot": lambda token: token + ".",
    "leading dot": lambda token: "." + token,
    "double dot": lambda token: token.replace(".", "..", 1),
    "one part": lambda token: token.split(".")[0],
    "two parts": lambda token: token.rpartition(".")[0],
    "four parts": lambda token: token + ".AAAA",
    "five parts": lambda token: token + ".AAAA.AAAA",
    "many dots": lambda token: "." * 8000,
    "no header": lambda token: token[token.index(".") :],
    "no payload": lambda token: "..".join(token.split(".")[::2]),
    "no signature": lambda token: token.rpartition(".")[0] + ".",
    "only dots": lambda token: "..",
    "scheme before": lambda token: "Bearer " + token,
    "quoted": lambda token: f'"{token}"',
    "percent": lambda token: token.replace(".", "%2E"),
    "JSON serialization": lambda token: json.dumps(
        dict(zip(("protected", "payload", "signature"), token.split("."), strict=True))
    ),
    "bytes": lambda token: token.encode(),
    "bytearray": lambda token: bytearray(token.encode()),
    "list": lambda token: [token],
    "None": lambda token: None,
    "number": lambda token: 5,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("algorithm", ["EdDSA", "HS256", "RS256"])
def test_spelling_that_is_not_the_one(algorithm: str, spelling: str) -> None:
    key = key_of(algorithm)
    refuse(TokenMalformed, SPELLINGS[spelling](signed(key)), key)


def test_no_token_at_all() -> None:
    refuse(TokenMissing, "")


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_last_character_of_the_signature_has_one_spelling(algorithm: str) -> None:
    key = key_of(algorithm)
    token = signed(key)
    size = len(token.rpartition(".")[2])
    unused_bits = {0: 0, 2: 4, 3: 2}[size % 4]
    value = ALPHABET.index(token[-1])
    accepted = 0
    for other in range(2**unused_bits):
        variant = token[:-1] + ALPHABET[value - value % 2**unused_bits + other]
        if variant == token:
            verifier(key).verify(variant)
            accepted += 1
        else:
            refuse(TokenMalformed, variant, key)
    assert accepted == 1


@pytest.mark.parametrize("part", [0, 1])
def test_last_character_of_header_and_payload_has_one_spelling(part: int) -> None:
    key = key_of("EdDSA")
    texts = [as_bytes(header(key)), as_bytes(payload())]
    while len(texts[part]) % 3 != 1:
        texts[part] += b" "
    parts = [encode_base64url(text) for text in texts]
    parts[part] = parts[part][:-1] + ALPHABET[ALPHABET.index(parts[part][-1]) + 1]
    text = ".".join(parts)
    refuse(TokenMalformed, f"{text}.{encode_base64url(key.sign(text.encode()))}", key)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_part_of_an_impossible_length(part: int) -> None:
    key = key_of("EdDSA")
    parts = signed(key).split(".")
    parts[part] = parts[part][: len(parts[part]) // 4 * 4 + 1].ljust(5, "A")
    if len(parts[part]) % 4 != 1:
        parts[part] = parts[part][: len(parts[part]) - len(parts[part]) % 4] + "A"
    assert len(parts[part]) % 4 == 1
    text = ".".join(parts[:2])
    signature = parts[2] if part == 2 else encode_base64url(key.sign(text.encode()))
    refuse(TokenMalformed, f"{text}.{signature}", key)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_any_changed_character_is_noticed(part: int) -> None:
    key = key_of("ES256")
    parts = signed(key).split(".")
    for position in range(0, len(parts[part]), 7):
        old = parts[part][position]
        new = "A" if old != "A" else "B"
        changed_part = parts[part][:position] + new + parts[part][position + 1 :]
        with pytest.raises(InvalidToken):
            verifier(key).verify(".".join([*parts[:part], changed_part, *parts[part + 1 :]]))


# --- Types of tokens -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        ABSENT,
        None,
        "",
        "JWT",
        "jwt",
        "rt+jwt",
        "at+JWT2",
        "at-jwt",
        "at+jwt ",
        " at+jwt",
        "at+jwt;v=1",
        "id+jwt",
        "logout+jwt",
        "dpop+jwt",
        "application/jwt",
        "text/at+jwt",
        "application/application/at+jwt",
        "application/",
        5,
        True,
        ["at+jwt"],
        {"at+jwt": 1},
    ],
)
def test_type_that_is_no_access_token(kind: Any) -> None:
    key = key_of("EdDSA")
    refuse(TokenTypeInvalid, signed(key, header(key, typ=kind)), key)


@pytest.mark.parametrize("kind", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
def test_spellings_of_the_type_that_rfc_9068_allows(kind: str) -> None:
    key = key_of("EdDSA")
    assert verifier(key).verify(signed(key, header(key, typ=kind))).subject == "alice"


def test_refresh_token_is_no_access_token() -> None:
    refresh = RefreshToken("alice", b"s" * 16, 0, b"x" * 32, b"t" * 16).encode()
    refuse(TokenTypeInvalid, refresh)
    refuse(TokenTypeInvalid, "cpr_" + signed(key_of("EdDSA")))


def test_access_token_is_no_refresh_token() -> None:
    token = signed(key_of("EdDSA"))
    for text in (token, "cpr_" + token, "cpr_" + token.replace(".", "")):
        with pytest.raises(InvalidRefreshToken) as caught:
            parse_refresh_token(text)
        assert caught.value.reason == "malformed"


# --- Claims --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "issuer",
    [ABSENT, None, "", "https://evil.example", ISSUER + "/", ISSUER.upper(), [ISSUER], 5, True, {}],
)
def test_issuer_that_is_another(issuer: Any) -> None:
    key = key_of("EdDSA")
    refuse(TokenIssuerInvalid, signed(key, None, payload(iss=issuer)), key)


@pytest.mark.parametrize(
    "audience",
    [
        ABSENT,
        None,
        "",
        "https://other.example",
        AUDIENCE + "/",
        "x" + AUDIENCE,
        AUDIENCE.upper(),
        f"{AUDIENCE} https://other.example",
        [],
        ["https://other.example"],
        [[AUDIENCE]],
        [f"x{AUDIENCE}"],
        {AUDIENCE: True},
        5,
        0,
        True,
        1.5,
    ],
)
def test_audience_that_is_another(audience: Any) -> None:
    key = key_of("EdDSA")
    refuse(TokenAudienceInvalid, signed(key, None, payload(aud=audience)), key)


@pytest.mark.parametrize("odd", [5, None, True, {"a": 1}, ["x"], 1.5])
def test_audience_list_with_something_that_is_no_text(odd: Any) -> None:
    # RFC 7519 section 4.1.3: an array of strings.
    key = key_of("EdDSA")
    refuse(TokenAudienceInvalid, signed(key, None, payload(aud=[AUDIENCE, odd])), key)


def test_audience_among_others() -> None:
    key = key_of("EdDSA")
    token = signed(key, None, payload(aud=["https://other.example", AUDIENCE]))
    assert verifier(key).verify(token).audience == ("https://other.example", AUDIENCE)


@pytest.mark.parametrize("name", ["sub", "jti", "sid"])
@pytest.mark.parametrize("value", [ABSENT, None, "", 5, True, ["alice"], {"alice": 1}])
def test_name_that_is_missing_or_no_text(name: str, value: Any) -> None:
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, None, payload(**{name: value})), key)


ODD_TIMES = [None, NOW + 0.5, float(NOW), True, False, str(NOW), "", [NOW], {"now": NOW}]


@pytest.mark.parametrize("name", ["exp", "iat"])
@pytest.mark.parametrize("value", [ABSENT, *ODD_TIMES])
def test_time_that_is_missing_or_no_whole_number(name: str, value: Any) -> None:
    key = key_of("EdDSA")
    token = signed(key, None, payload(**{name: value}))
    refuse(TokenMalformed, token, key)
    with pytest.raises(TokenMalformed):
        verifier(key).verify(token, allow_expired=True)


@pytest.mark.parametrize("value", ODD_TIMES)
def test_not_before_that_is_no_whole_number(value: Any) -> None:
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, None, payload(nbf=value)), key)


@pytest.mark.parametrize("expiry", [NOW, NOW - 1, NOW - 10**6, 0, -1, -NOW])
def test_expired(expiry: int) -> None:
    key = key_of("EdDSA")
    token = signed(key, None, payload(exp=expiry))
    refuse(TokenExpired, token, key)
    assert verifier(key).verify(token, allow_expired=True).expires_at == expiry


@pytest.mark.parametrize(
    ("leeway", "past", "is_expired"),
    [
        (0, -1, False),
        (0, -0.001, False),
        (0, 0, True),
        (0, 1, True),
        (5, 4, False),
        (5, 4.999, False),
        (5, 5, True),
        (5, 6, True),
    ],
)
def test_expiry_to_the_second(leeway: int, past: float, is_expired: bool) -> None:
    key = key_of("EdDSA")
    token = signed(key, None, payload(exp=NOW + 100))
    now = NOW + 100 + past
    if is_expired:
        refuse(TokenExpired, token, key, now=now, expiry_leeway=leeway)
    else:
        verifier(key, now=now, expiry_leeway=leeway).verify(token)


@pytest.mark.parametrize("name", ["iat", "nbf"])
@pytest.mark.parametrize(
    ("leeway", "ahead", "is_early"),
    [(30, 30, False), (30, 31, True), (0, 0, False), (0, 1, True), (30, 10**9, True)],
)
def test_not_yet_valid_to_the_second(name: str, leeway: int, ahead: int, is_early: bool) -> None:
    key = key_of("EdDSA")
    token = signed(key, None, payload(**{name: NOW + ahead, "exp": NOW + 10**10}))
    if is_early:
        refuse(TokenNotYetValid, token, key, clock_leeway=leeway)
        with pytest.raises(TokenNotYetValid):
            verifier(key, clock_leeway=leeway).verify(token, allow_expired=True)
    else:
        verifier(key, clock_leeway=leeway).verify(token)


def test_old_not_before_does_not_hide_a_late_issue() -> None:
    key = key_of("EdDSA")
    refuse(TokenNotYetValid, signed(key, None, payload(iat=NOW + 1000, nbf=1)), key)
    refuse(TokenNotYetValid, signed(key, None, payload(iat=1, nbf=NOW + 1000)), key)


def test_nothing_of_the_payload_is_read_before_the_signature() -> None:
    key = key_of("EdDSA")
    for body in (payload(exp=1), payload(iss="x"), payload(aud="x"), b"no json", b"{" * 5000):
        refuse(TokenSignatureInvalid, signed(other_key_of("EdDSA"), None, body), key)


def test_allow_expired_forgives_nothing_else() -> None:
    key = key_of("EdDSA")
    checker = verifier(key)
    for kind, token in (
        (TokenSignatureInvalid, signed(other_key_of("EdDSA"), None, payload(exp=1))),
        (TokenIssuerInvalid, signed(key, None, payload(exp=1, iss="x"))),
        (TokenAudienceInvalid, signed(key, None, payload(exp=1, aud="x"))),
        (TokenTypeInvalid, signed(key, header(key, typ="JWT"), payload(exp=1))),
    ):
        with pytest.raises(kind):
            checker.verify(token, allow_expired=True)


# --- Signatures ----------------------------------------------------------------------------------


def with_signature(key: SigningKey, signature: bytes) -> str:
    return f"{signing_input(header(key), payload())}.{encode_base64url(signature)}"


def raw(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@pytest.mark.parametrize(
    ("r", "s"),
    [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
        (P256_ORDER, 0),
        (0, P256_ORDER),
        (P256_ORDER, P256_ORDER),
        (P256_ORDER, 1),
        (1, P256_ORDER - 1),
        (2**256 - 1, 2**256 - 1),
    ],
)
def test_ecdsa_signature_at_the_edges(r: int, s: int) -> None:
    # CVE-2022-21449: r = s = 0 was a signature of everything.
    key = key_of("ES256")
    refuse(TokenSignatureInvalid, with_signature(key, raw(r, s)), key)


def test_ecdsa_signature_in_der() -> None:
    key = key_of("ES256")
    message = signing_input(header(key), payload()).encode()
    der = native_private(key).sign(message, ec.ECDSA(hashes.SHA256()))
    refuse(TokenSignatureInvalid, with_signature(key, der), key)
    assert verifier(key).verify(with_signature(key, raw(*decode_dss_signature(der))))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_signature_of_another_length(algorithm: str) -> None:
    key = key_of(algorithm)
    good = key.sign(signing_input(header(key), payload()).encode())
    for signature in (
        good[:-1],
        good + b"\0",
        b"\0" + good,
        good[1:],
        good[: len(good) // 2],
        good + good,
        b"\0",
        b"\0" * len(good),
        b"\xff" * len(good),
    ):
        refuse(TokenSignatureInvalid, with_signature(key, signature), key)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_empty_signature(algorithm: str) -> None:
    key = key_of(algorithm)
    refuse(TokenMalformed, with_signature(key, b""), key)
    assert key.verify(b"message", b"") is False


def test_ed25519_signature_with_a_scalar_beyond_the_order() -> None:
    # RFC 8032 section 5.1.7: S must be below the order, or one signature has several spellings.
    key = key_of("EdDSA")
    order = 2**252 + 27742317777372353535851937790883648493
    good = key.sign(signing_input(header(key), payload()).encode())
    scalar = int.from_bytes(good[32:], "little") + order
    refuse(
        TokenSignatureInvalid, with_signature(key, good[:32] + scalar.to_bytes(32, "little")), key
    )


def test_parts_of_two_tokens_do_not_mix() -> None:
    key = key_of("EdDSA")
    first = signed(key).split(".")
    second = signed(key, None, payload(sub="admin")).split(".")
    refuse(TokenSignatureInvalid, ".".join([first[0], second[1], first[2]]), key)


# --- The life of a key ---------------------------------------------------------------------------


def issue(ring: KeyRing) -> str:
    issuer = TokenIssuer(
        ring.signing_key, issuer=ISSUER, audience=AUDIENCE, random_bytes=lambda count: b"r" * count
    )
    return issuer.issue("alice", SESSION_ID, issued_at=NOW, expires_at=NOW + 900, claims={})


def test_key_that_was_removed_from_the_set() -> None:
    token = issue(KeyRing([key_of("ES256")]))
    refuse(TokenKeyUnknown, token, key_of("EdDSA"))


def test_removed_key_whose_id_was_given_away_again() -> None:
    token = issue(KeyRing([key_of("ES256")]))
    refuse(TokenSignatureInvalid, token, other_key_of("ES256"))


def test_key_is_rolled_by_configuration() -> None:
    old, new = key_of("ES256"), key_of("EdDSA")
    before = KeyRing([old])
    published = KeyRing([old, new])
    moved = KeyRing([new, old])
    after = KeyRing([new])
    old_token, new_token = issue(published), issue(moved)
    assert issue(before).split(".")[0] == old_token.split(".")[0]
    assert published.signing_key is old
    assert moved.signing_key is new
    for ring in (published, moved):
        for token in (old_token, new_token):
            verifier(*ring.all()).verify(token)
    verifier(*after.all()).verify(new_token)
    refuse(TokenKeyUnknown, old_token, *after.all())
    refuse(TokenKeyUnknown, new_token, *before.all())


@pytest.mark.parametrize("algorithm", PUBLIC_ALGORITHMS)
def test_public_set_refuses_to_sign(algorithm: str) -> None:
    ring = KeyRing.from_jwks(KeyRing([key_of(algorithm)]).public_jwks())
    assert not ring.can_sign
    with pytest.raises(ConfigurationError):
        _ = ring.signing_key
    key = ring.all()[0]
    with pytest.raises(ConfigurationError):
        key.sign(b"message")
    with pytest.raises(ConfigurationError):
        key.derive_secret("cookies")


@pytest.mark.parametrize("algorithm", PUBLIC_ALGORITHMS)
def test_verifier_needs_and_holds_no_private_key(algorithm: str) -> None:
    key = key_of(algorithm)
    ring = KeyRing.from_jwks(json.dumps(KeyRing([key]).public_jwks()))
    checker = TokenVerifier(ring, issuer=ISSUER, audience=AUDIENCE, clock=lambda: NOW)
    assert checker.verify(signed(key)).subject == "alice"
    for held in ring.all():
        assert not held.is_private
        assert not PRIVATE_MEMBERS & held.jwk(private=False).keys()
        with pytest.raises(ValueError, match="not a private key"):
            held.jwk(private=True)


def test_public_key_in_front_is_passed_over_when_signing() -> None:
    public = SigningKey.from_jwk(key_of("ES256").jwk(private=False))
    ring = KeyRing([public, key_of("EdDSA")])
    assert ring.signing_key is key_of("EdDSA")


# --- Keys that are refused -----------------------------------------------------------------------


def secret_jwk(secret: bytes, **changes: Any) -> dict[str, Any]:
    return changed({"kty": "oct", "kid": "shared", "k": encode_base64url(secret)}, changes)


def number(value: int) -> str:
    return encode_base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


RSA_PRIVATE = ("d", "p", "q", "dp", "dq", "qi")


def rsa_jwk(key: rsa.RSAPrivateKey) -> dict[str, Any]:
    own = key.private_numbers()
    values = {
        "n": own.public_numbers.n,
        "e": own.public_numbers.e,
        "d": own.d,
        "p": own.p,
        "q": own.q,
        "dp": own.dmp1,
        "dq": own.dmq1,
        "qi": own.iqmp,
    }
    return {"kty": "RSA", **{name: number(value) for name, value in values.items()}}


@cache
def weak_keys() -> dict[str, dict[str, Any]]:
    small = rsa.generate_private_key(65_537, 1024)
    three = rsa.generate_private_key(3, 2048)
    good = key_of("EdDSA").jwk(private=True)
    ec_good = key_of("ES256").jwk(private=True)
    huge = {"kty": "RSA", "kid": "huge", "e": "AQAB", "n": number(2**16_383 + 2**64 + 1)}
    return {
        "HS256 of 31 bytes": secret_jwk(bytes(range(31))),
        "HS256 of 8 bytes": secret_jwk(b"geheim!!"),
        "HS256 of 1 byte": secret_jwk(b"x"),
        "HS256 of 0 bytes": secret_jwk(b""),
        "HS256 of one character": secret_jwk(b"a" * 64),
        "HS256 of zeros": secret_jwk(bytes(32)),
        "HS256 of eleven characters": secret_jwk(b"abcdefghijk" * 5),
        "RSA 1024": rsa_jwk(small),
        "RSA 1024, public": {**rsa_jwk(small), **dict.fromkeys(RSA_PRIVATE, ABSENT)},
        "RSA exponent 3": rsa_jwk(three),
        "RSA exponent 3, public": {**rsa_jwk(three), **dict.fromkeys(RSA_PRIVATE, ABSENT)},
        "RSA exponent 1": {**key_of("RS256").jwk(private=False), "e": "AQ"},
        "RSA 16384": huge,
        "P-384": ECKey.generate_key("P-384").as_dict(private=True),
        "P-521": ECKey.generate_key("P-521").as_dict(private=True),
        "Ed448": OKPKey.import_key(ed448.Ed448PrivateKey.generate()).as_dict(private=True),
        "X25519": OKPKey.import_key(x25519.X25519PrivateKey.generate()).as_dict(private=True),
        "EC off the curve": {**ec_good, "x": ec_good["y"], "d": ABSENT},
        "EC with the halves of two keys": {
            **ec_good,
            **{m: other_key_of("ES256").jwk(private=False)[m] for m in "xy"},
        },
        "Ed25519 with the halves of two keys": {
            **good,
            "x": other_key_of("EdDSA").jwk(private=False)["x"],
        },
        "RSA with the halves of two keys": {
            **key_of("RS256").jwk(private=True),
            "n": other_key_of("RS256").jwk(private=False)["n"],
        },
        "use enc": {**good, "use": "enc"},
        "use unknown": {**good, "use": "SIG"},
        "use no text": {**good, "use": ["sig"]},
        "key_ops without sign and verify": {**good, "use": ABSENT, "key_ops": ["encrypt"]},
        "key_ops without verify": {**good, "use": ABSENT, "key_ops": ["sign"]},
        "key_ops empty": {**good, "use": ABSENT, "key_ops": []},
        "key_ops no list": {**good, "use": ABSENT, "key_ops": "verify"},
        "alg HS256 on an Ed25519 key": {**good, "alg": "HS256"},
        "alg EdDSA on a P-256 key": {**ec_good, "alg": "EdDSA"},
        "alg ES384 on a P-256 key": {**ec_good, "alg": "ES384"},
        "alg HS256 on an RSA key": {**key_of("RS256").jwk(private=False), "alg": "HS256"},
        "alg PS256 on an RSA key": {**key_of("RS256").jwk(private=False), "alg": "PS256"},
        "alg RS256 on a secret": secret_jwk(bytes(range(32)), alg="RS256"),
        "alg HS512 on a secret": secret_jwk(bytes(range(64)), alg="HS512"),
        "alg null": {**good, "alg": None},
        "alg list": {**good, "alg": ["EdDSA"]},
        "kty missing": {**good, "kty": ABSENT},
        "kty unknown": {**good, "kty": "AKP"},
        "kty of another kind": {**good, "kty": "EC"},
        "kty in lower case": {**good, "kty": "okp"},
        "kty list": {**good, "kty": ["OKP"]},
        "x missing": {**good, "x": ABSENT, "d": ABSENT},
        "x no text": {**good, "x": 5},
        "x too short": {**good, "x": "AAAA", "d": ABSENT},
        "d no text": {**good, "d": 5},
        "d too short": {**good, "d": "AAAA"},
        "k no text": secret_jwk(b"", k=5),
        "k missing": secret_jwk(b"", k=ABSENT),
    }


WEAK_KEYS = [
    "HS256 of 31 bytes",
    "HS256 of 8 bytes",
    "HS256 of 1 byte",
    "HS256 of 0 bytes",
    "HS256 of one character",
    "HS256 of zeros",
    "HS256 of eleven characters",
    "RSA 1024",
    "RSA 1024, public",
    "RSA exponent 3",
    "RSA exponent 3, public",
    "RSA exponent 1",
    "RSA 16384",
    "P-384",
    "P-521",
    "Ed448",
    "X25519",
    "EC off the curve",
    "EC with the halves of two keys",
    "Ed25519 with the halves of two keys",
    "RSA with the halves of two keys",
    "use enc",
    "use unknown",
    "use no text",
    "key_ops without sign and verify",
    "key_ops without verify",
    "key_ops empty",
    "key_ops no list",
    "alg HS256 on an Ed25519 key",
    "alg EdDSA on a P-256 key",
    "alg ES384 on a P-256 key",
    "alg HS256 on an RSA key",
    "alg PS256 on an RSA key",
    "alg RS256 on a secret",
    "alg HS512 on a secret",
    "alg null",
    "alg list",
    "kty missing",
    "kty unknown",
    "kty of another kind",
    "kty in lower case",
    "kty list",
    "x missing",
    "x no text",
    "x too short",
    "d no text",
    "d too short",
    "k no text",
    "k missing",
]


def test_the_list_of_weak_keys_is_whole() -> None:
    assert sorted(WEAK_KEYS) == sorted(weak_keys())
    assert {form for _, form in CONFUSIONS} == set(public_texts("RS256"))


@pytest.mark.parametrize("name", WEAK_KEYS)
def test_key_that_is_refused(name: str) -> None:
    jwk = changed({"kid": "weak"}, weak_keys()[name])
    with pytest.raises(KeyRejected):
        SigningKey.from_jwk(jwk)
    with pytest.raises(KeyRejected):
        KeyRing.from_jwks(json.dumps({"keys": [jwk]}))


@pytest.mark.parametrize(
    "kid",
    [
        ABSENT,
        None,
        "",
        5,
        True,
        ["a"],
        "a" * 129,
        "../key",
        "a/b",
        "a b",
        "a\n",
        "\na",
        "a\0",
        "ключ",
        "a'b",
        '"',
        "\ud800",
    ],
)
def test_kid_that_is_refused(kid: Any) -> None:
    with pytest.raises(KeyRejected):
        SigningKey.from_jwk(changed(key_of("EdDSA").jwk(private=True), {"kid": kid}))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_key_that_may_only_verify_is_not_used_to_sign(algorithm: str) -> None:
    # RFC 7517 section 4.3: key_ops says what a key is for.
    jwk = changed(key_of(algorithm).jwk(private=True), {"use": ABSENT, "key_ops": ["verify"]})
    try:
        key = SigningKey.from_jwk(jwk)
    except KeyRejected:
        return
    assert not key.is_private
    with pytest.raises(ConfigurationError):
        key.sign(b"message")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_key_with_both_operations_is_accepted(algorithm: str) -> None:
    jwk = {**key_of(algorithm).jwk(private=True), "key_ops": ["sign", "verify"]}
    key = SigningKey.from_jwk(jwk)
    assert key.verify(b"message", key.sign(b"message"))


def test_random_secret_that_begins_like_a_text_is_accepted() -> None:
    # One random secret in 256 begins with each byte: refusing it would be a lottery.
    for start in (b"{", b"\n{", b"[", b"0\x82", b"0\x59", b"0*", b"-", b"s", b"e"):
        secret = start + bytes(range(100, 140))
        assert SigningKey.from_jwk(secret_jwk(secret)).is_symmetric, start


def test_new_secret_is_accepted_whatever_its_first_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    made = OctKey.import_key(b"{" + bytes(range(200, 231)))
    monkeypatch.setattr(OctKey, "generate_key", lambda *_, **__: made)
    assert len(KeyRing.generate("HS256")) == 1


@pytest.mark.parametrize(
    "jwks",
    [
        {"keys": []},
        {},
        {"keys": None},
        {"keys": {}},
        {"keys": "x"},
        {"keys": ["x"]},
        {"keys": [None]},
        {"keys": [[]]},
        "",
        "[]",
        "null",
        "{",
        b"\xff",
        "\ud800",
        '{"keys":[],"keys":[]}',
        "[" * 100_000,
        '{"keys":' + "1" * 100 + "}",
    ],
)
def test_key_set_that_is_none(jwks: Any) -> None:
    with pytest.raises(KeyRejected):
        KeyRing.from_jwks(jwks)


def test_duplicate_kid() -> None:
    first = SigningKey.generate("EdDSA", kid="same")
    second = SigningKey.generate("ES256", kid="same")
    with pytest.raises(KeyRejected):
        KeyRing([first, second])
    with pytest.raises(KeyRejected):
        KeyRing([first, first])


def test_duplicate_member_in_a_key_set() -> None:
    text = json.dumps({"keys": [secret_jwk(bytes(range(32)))]})
    assert KeyRing.from_jwks(text)
    with pytest.raises(KeyRejected):
        KeyRing.from_jwks(text.replace('"kid"', '"kid": "other", "kid"'))


@pytest.mark.parametrize("algorithm", PUBLIC_ALGORITHMS)
def test_symmetric_and_public_keys_do_not_mix(algorithm: str) -> None:
    for keys in ([key_of(algorithm), key_of("HS256")], [key_of("HS256"), key_of(algorithm)]):
        with pytest.raises(KeyRejected):
            KeyRing(keys)


def test_empty_key_set() -> None:
    with pytest.raises(KeyRejected):
        KeyRing([])


def test_more_than_100_keys() -> None:
    keys = [SigningKey.generate("EdDSA", kid=f"key-{number}") for number in range(101)]
    assert len(KeyRing(keys[:100])) == 100
    with pytest.raises(KeyRejected):
        KeyRing(keys)


# --- Nothing secret leaves -----------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", PUBLIC_ALGORITHMS)
def test_published_set_holds_nothing_private(algorithm: str) -> None:
    published = KeyRing([key_of(algorithm)]).public_jwks()
    (jwk,) = published["keys"]
    assert jwk.keys() <= PUBLIC_MEMBERS
    text = json.dumps(published)
    for secret in secrets_of(key_of(algorithm)):
        assert secret not in text


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_published_set_holds_no_member_that_we_do_not_know(algorithm: str) -> None:
    jwk = {**key_of(algorithm).jwk(private=True), "seed": "geheim", "priv": "geheim", "k": "geheim"}
    published = KeyRing([SigningKey.from_jwk(jwk)]).public_jwks()
    assert published["keys"][0].keys() <= PUBLIC_MEMBERS
    assert "geheim" not in json.dumps(published)


def test_published_set_of_a_symmetric_set_is_empty() -> None:
    assert KeyRing([key_of("HS256")]).public_jwks() == {"keys": []}
    with pytest.raises(ConfigurationError):
        key_of("HS256").jwk(private=False)


def secrets_of(key: SigningKey) -> list[str]:
    jwk = key.jwk(private=True)
    secrets = [str(jwk[name]) for name in PRIVATE_MEMBERS & jwk.keys()]
    assert secrets
    return secrets


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_printed_of_keys_holds_no_secret(algorithm: str) -> None:
    key = key_of(algorithm)
    ring = KeyRing([key])
    config = Config(issuer=ISSUER, keys=ring)
    issuer = TokenIssuer(key, issuer=ISSUER, audience=AUDIENCE, random_bytes=bytes)
    things = (key, ring, ring.all(), config, issuer, verifier(key))
    printed = "".join(f"{thing!r}{thing!s}" for thing in things)
    assert key.kid in printed
    for secret in secrets_of(key):
        assert secret not in printed
        assert repr(base64.urlsafe_b64decode(secret + "==")) not in printed


def test_what_is_printed_of_tokens_holds_no_secret() -> None:
    secret = bytes(range(32))
    refresh = RefreshToken("alice", b"s" * 16, 0, secret, b"t" * 16)
    pair = TokenPair(
        access_token="the-access-token",
        refresh_token="the-refresh-token",
        expires_in=900,
        session_id=SESSION_ID,
        subject="alice",
        durable=True,
    )
    printed = f"{refresh!r}{refresh!s}{pair!r}{pair!s}"
    assert "alice" in printed
    for hidden in ("the-access-token", "the-refresh-token", repr(secret), refresh.encode()):
        assert hidden not in printed


def printed_error(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + str(error) + str(error.args)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_error_about_a_key_does_not_quote_it(algorithm: str) -> None:
    good = key_of(algorithm).jwk(private=True)
    name = "k" if algorithm == "HS256" else "d"
    broken = [
        {**good, "use": "enc"},
        {**good, "alg": "none"},
        {**good, "crv": "P-384"},
        {**good, "key_ops": ["encrypt"]},
        {**good, "kid": None},
        {**good, name: good[name][:20]},
        {**good, name: "geheimes Wort!" + good[name]},
        {**good, name: [good[name]]},
        {**good, name: good[name] + "é"},
    ]
    rejected = 0
    for jwk in broken:
        try:
            KeyRing.from_jwks({"keys": [jwk]})
        except ClusterPassError as error:
            rejected += 1
            printed = printed_error(error)
            assert "geheim" not in printed
            for secret in secrets_of(key_of(algorithm)):
                assert secret[:20] not in printed
    assert rejected >= 7


def test_error_about_a_weak_secret_does_not_quote_it() -> None:
    for secret in (b"hunter2-hunter2", b"abab" * 20, b'{"kty": "oct", "k": "hunter2"}          '):
        with pytest.raises(KeyRejected) as caught:
            KeyRing.from_jwks({"keys": [secret_jwk(secret)]})
        printed = printed_error(caught.value)
        for spelling in (secret.decode(), repr(secret), encode_base64url(secret), "hunter2"):
            assert spelling not in printed


def test_error_about_a_key_file_does_not_quote_it(tmp_path: Any) -> None:
    path = tmp_path / "keys.json"
    path.write_text('{"keys": [{"kty": "oct", "k": "hunter2hunter2", ')
    with pytest.raises(KeyRejected) as caught:
        KeyRing.load(path)
    assert "hunter2" not in printed_error(caught.value)


def test_error_about_a_token_does_not_quote_it() -> None:
    key = key_of("EdDSA")
    marker = "TheSecretMarker"
    tokens = [
        signed(key, header(key, typ=marker)),
        signed(key, header(key, kid=marker)),
        signed(key, header(key, alg=marker)),
        signed(key, header(key, **{marker: 1})),
        signed(key, None, payload(iss=marker)),
        signed(key, None, payload(aud=marker)),
        signed(key, None, payload(exp=marker)),
        signed(key, None, payload(sub=[marker])),
        signed(key, None, payload(exp=1, sub=marker)),
        signed(key, None, f'{{"{marker}"'.encode()),
        signed(other_key_of("EdDSA"), None, payload(sub=marker)),
        marker,
        f"{marker}.{marker}.{marker}",
        f"{marker}é",
    ]
    for token in tokens:
        with pytest.raises(InvalidToken) as caught:
            verifier(key).verify(token)
        printed = printed_error(caught.value)
        assert marker not in printed
        assert all(part not in printed for part in token.split(".") if len(part) > 10)


def test_error_about_a_refresh_token_does_not_quote_it() -> None:
    good = RefreshToken(
        "alice", b"s" * 16, 0, b"TheSecretMarkerTheSecretMarker!!", b"t" * 16
    ).encode()
    for token in (good[:-1], good + "=", good + "é", good.replace("cpr_", "cpx_"), good * 2):
        with pytest.raises(InvalidRefreshToken) as caught:
            parse_refresh_token(token)
        printed = printed_error(caught.value)
        assert "TheSecretMarker" not in printed
        assert good[4:40] not in printed


def test_derived_secret_reveals_neither_the_key_nor_another_purpose() -> None:
    for algorithm in ALGORITHMS:
        key = key_of(algorithm)
        cookies, forms = key.derive_secret("cookies"), key.derive_secret("forms")
        assert len(cookies) == len(forms) == 32
        assert cookies != forms
        assert cookies == SigningKey.from_jwk(key.jwk(private=True)).derive_secret("cookies")
        assert cookies != other_key_of(algorithm).derive_secret("cookies")
        for secret in secrets_of(key):
            assert base64.urlsafe_b64decode(secret + "==") not in (cookies, forms)


def test_private_set_can_be_saved_and_loaded(tmp_path: Any) -> None:
    for algorithm in ALGORITHMS:
        ring = KeyRing([key_of(algorithm)])
        path = tmp_path / f"{algorithm}.json"
        path.write_text(ring.private_jwks_text())
        loaded = KeyRing.load(path)
        assert loaded.can_sign
        verifier(*loaded.all()).verify(issue(ring))
        verifier(*ring.all()).verify(issue(loaded))


def test_serialized_private_key_is_no_key_file() -> None:
    pem = native_private(key_of("EdDSA")).private_bytes(
        Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(KeyRejected) as caught:
        KeyRing.from_jwks(pem)
    assert pem.decode().splitlines()[1] not in printed_error(caught.value)


NO_TEXTS = [5, True, 1.5, ["1"], {"1": 1}]


@pytest.mark.parametrize("value", NO_TEXTS)
def test_level_that_is_no_text(value: Any) -> None:
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, None, payload(acr=value)), key)


@pytest.mark.parametrize("value", [None, "pwd", {"pwd": 1}, 5, True, ["pwd", 5], [["pwd"]], [None]])
def test_methods_that_are_no_list_of_texts(value: Any) -> None:
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, None, payload(amr=value)), key)


@pytest.mark.parametrize("value", [NOW + 0.5, float(NOW), True, False, str(NOW), "", [NOW], {}])
def test_time_of_the_authentication_that_is_no_whole_number(value: Any) -> None:
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, None, payload(auth_time=value)), key)


@pytest.mark.parametrize("value", [5, 1.5, True, [], ["x"], {"id": "x"}])
def test_step_up_that_is_no_text(value: Any) -> None:
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, None, payload(step_up=value)), key)


ACTORS = ["sam", 5, True, [], ["sam"], {}, {"sub": "sam"}, {"sid": "x"}, {"sub": 5, "sid": "x"}]
ACTORS += [{"sub": "sam", "sid": None}, {"sub": ["sam"], "sid": "x"}]


@pytest.mark.parametrize("value", ACTORS)
def test_actor_that_cannot_be_read(value: Any) -> None:
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, None, payload(act=value)), key)


def test_authentication_that_is_missing_is_none() -> None:
    key = key_of("EdDSA")
    claims = verifier(key).verify(signed(key, None, payload(acr=None, auth_time=None, act=None)))
    assert (claims.acr, claims.auth_time, claims.amr, claims.act) == (None, None, (), None)
