"""Keys that can be broken are refused by name, with what is wrong and what helps."""

import base64
import math
import random
import secrets
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc.jwk import OKPKey

from clusterpass.model.errors import KeyRejected
from clusterpass.tokens.encoding import encode_base64url
from clusterpass.tokens.key_strength import rsa_fault
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.keys import SigningKey
from clusterpass.tokens.secret_strength import secret_fault

from .keys import ABSENT, changed, key_of, other_key_of, secret_jwk

# The curve of Ed25519, written down again for these tests.
P = 2**255 - 19
D = -121_665 * pow(121_666, -1, P) % P
ORDER = 2**252 + 27742317777372353535851937790883648493
IDENTITY = (0, 1)
Point = tuple[int, int]


def add(one: Point, other: Point) -> Point:
    (x1, y1), (x2, y2) = one, other
    product = D * x1 * x2 * y1 * y2 % P
    return (
        (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P,
        (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P,
    )


def times(factor: int, point: Point) -> Point:
    result = IDENTITY
    for bit in bin(factor)[2:]:
        result = add(result, result)
        if bit == "1":
            result = add(result, point)
    return result


def with_x(y: int) -> Point | None:
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    for root in (x, x * pow(2, (P - 1) // 4, P) % P):
        if root * root % P == square:
            return root, y
    return None


def points_of_small_order() -> list[Point]:
    """The eight points, found as what is left of any point times the order of the large group."""
    y = 2
    while True:
        point = with_x(y)
        y += 1
        if point is None:
            continue
        generator = times(ORDER, point)
        eight = [times(factor, generator) for factor in range(8)]
        if len(set(eight)) == 8:
            return eight


def encoded(number: int, sign: int) -> bytes:
    return (number | sign << 255).to_bytes(32, "little")


def all_encodings_of_small_order() -> list[bytes]:
    ys = {y for _, y in points_of_small_order()}
    spellings = [*ys, *(y + P for y in ys if y + P < 2**255)]
    return [encoded(y, sign) for y in spellings for sign in (0, 1)]


def ed25519_jwk(public: bytes) -> dict[str, Any]:
    return {"kty": "OKP", "crv": "Ed25519", "kid": "mine", "x": encode_base64url(public)}


def refused(jwk: dict[str, Any]) -> str:
    with pytest.raises(KeyRejected) as caught:
        SigningKey.from_jwk(jwk)
    message = caught.value.message
    assert repr(jwk["kid"]) in message
    for name, value in jwk.items():
        if name in ("d", "k", "p", "q", "x", "n"):
            assert value not in message
    return message


@pytest.mark.parametrize("public", all_encodings_of_small_order(), ids=bytes.hex)
def test_ed25519_keys_of_small_order(public: bytes) -> None:
    message = refused(ed25519_jwk(public))
    assert "small order" in message or "canonical" in message
    assert "clusterpass keys generate" in message


def test_a_signature_could_be_forged_under_such_a_key() -> None:
    """What makes them dangerous, as the library shows that the keys stand for."""
    identity = ed25519.Ed25519PublicKey.from_public_bytes(encoded(1, 0))
    forged = encoded(1, 0) + bytes(32)
    identity.verify(forged, b"whatever anybody likes")


def test_ed25519_encodings_that_are_not_canonical() -> None:
    for y in range(P, 2**255):
        for sign in (0, 1):
            assert "canonical" in refused(ed25519_jwk(encoded(y, sign)))


def test_ed25519_points_off_the_curve() -> None:
    off = [y for y in range(2, 60) if with_x(y) is None]
    assert 15 < len(off) < 45
    for y in range(2, 60):
        jwk = ed25519_jwk(encoded(y, 0))
        if y in off:
            assert "no point of the curve" in refused(jwk)
        else:
            SigningKey.from_jwk(jwk)


def test_real_ed25519_keys_are_taken() -> None:
    for _ in range(50):
        key = OKPKey.generate_key("Ed25519").as_dict(private=False)
        SigningKey.from_jwk({**key, "kid": "fine"})


def test_es256_points_off_the_curve_are_named() -> None:
    good = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    for x, y in ((good.y, good.x), (good.x, good.x), (0, 0), (good.x + 1, good.y)):
        texts = [encode_base64url(value.to_bytes(32, "big")) for value in (x, y)]
        jwk = {"kty": "EC", "crv": "P-256", "kid": "mine", "x": texts[0], "y": texts[1]}
        message = refused(jwk)
        assert "no point of the curve P-256" in message
        assert "clusterpass keys generate" in message


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_halves_of_two_keys(algorithm: str) -> None:
    own = key_of(algorithm).jwk(private=True)
    other = other_key_of(algorithm).jwk(private=True)
    for name in {"d", "p", "q", "dp", "dq", "qi"} & own.keys():
        message = refused({**own, name: other[name]})
        assert "does not match its public half" in message
        assert "from the same key" in message
    short = {**own, **dict.fromkeys(("p", "q", "dp", "dq", "qi"), ABSENT)}
    if algorithm == "RS256":
        assert "does not match" in refused(changed(short, {"d": other["d"]}))


# RSA.


def number(value: int) -> str:
    return encode_base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def rsa_public(modulus: int) -> dict[str, Any]:
    return {"kty": "RSA", "kid": "mine", "e": "AQAB", "n": number(modulus)}


def is_prime(candidate: int) -> bool:
    small = math.prod(each for each in range(3, 1000, 2))
    if candidate % 2 == 0 or math.gcd(candidate, small) != 1:
        return False
    return all(pow(base, candidate - 1, candidate) == 1 for base in (2, 3, 5))


def prime_from(start: int) -> int:
    candidate = start | 1
    while not is_prime(candidate):
        candidate += 2
    return candidate


def good_modulus() -> int:
    return rsa.generate_private_key(65_537, 2048).public_key().public_numbers().n


def test_even_rsa_modulus() -> None:
    assert "its modulus is even" in refused(rsa_public(good_modulus() + 1))


@pytest.mark.parametrize("factor", [3, 17, 251, 7919, 9973])
def test_rsa_modulus_with_a_small_factor(factor: int) -> None:
    assert "has a factor below 10000" in refused(rsa_public(factor * good_modulus()))


@pytest.mark.parametrize(
    "distance",
    [0, 2, 1 << 100, 1 << 510, 1 << 517],
    ids=["equal", "next", "half", "most", "after many steps"],
)
def test_rsa_modulus_of_close_primes(distance: int) -> None:
    first = prime_from(secrets.randbits(1024) | 3 << 1022)
    second = first if distance == 0 else prime_from(first + distance)
    message = refused(rsa_public(first * second))
    assert "Fermat" in message


@pytest.mark.parametrize(
    ("first", "second"), [(3727, 5111), (2197, 5111), (1937, 2197), (2197, 3727)]
)
def test_the_square_of_half_the_distance_of_two_primes_has_any_rest(
    first: int, second: int
) -> None:
    """The rests modulo 16 that a square may have are 0, 1, 4 and 9."""
    modulus = ((3 << 1022) + first) * ((3 << 1022) + second)
    assert "Fermat" in refused(rsa_public(modulus))


def test_rsa_modulus_of_the_faulty_generator() -> None:
    """Primes as the paper of Nemec and others describes them: k·M + (65537^a mod M)."""
    primorial = math.prod(each for each in range(2, 702) if is_small_prime(each))

    def faulty_prime() -> int:
        while True:
            power = pow(65_537, secrets.randbits(64), primorial)
            candidate = (secrets.randbits(53) | 1 << 52) * primorial + power
            if is_prime(candidate):
                return candidate

    modulus = faulty_prime() * faulty_prime()
    assert modulus.bit_length() >= 2000
    assert "ROCA, CVE-2017-15361" in str(rsa_fault(modulus))


def is_small_prime(candidate: int) -> bool:
    return candidate > 1 and all(candidate % each for each in range(2, math.isqrt(candidate) + 1))


def test_real_rsa_keys_are_taken() -> None:
    for _ in range(4):
        assert rsa_fault(good_modulus()) is None


# Shared secrets.

GUESSABLE = [
    b"secretsecretsecretsecretsecretsecret",
    b"my-super-secret-key-for-my-application-please-change",
    b"your-256-bit-secret-your-256-bit-secret",
    b"thisisaverylongsecretkeyforjwtsigning",
    b"supersecretjwtkeythatshouldbelongenough",
    b"correct-horse-battery-staple-secret",
    b"The quick brown fox jumps over the lazy dog",
    b"changeme-changeme-changeme-changeme",
    b"abcdefghijklmnopqrstuvwxyz0123456789",
    b"0123456789abcdef0123456789abcdef",
    b"hunter2hunter2hunter2hunter2hunter2",
    b"q7Zm2x-q7Zm2x.q7Zm2x_q7Zm2x+q7Zm2x=q7Zm2x!",
    b"qwertyuiopasdfghjklzxcvbnm1234567890",
    b"dasisteinsehrlangesgeheimesPasswort123",
    bytes(range(32)),
    bytes(range(0, 256, 5)),
    bytes(range(64, 32, -1)) * 3,
    base64.b64encode(b"abc" * 20),
]


@pytest.mark.parametrize("secret", GUESSABLE, ids=repr)
def test_secrets_that_can_be_guessed(secret: bytes) -> None:
    message = refused(secret_jwk(secret))
    assert "clusterpass keys generate --algorithm HS256" in message or "use random bytes" in message


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        (b"my-dog-rex-likes-my-dog-rex-toys-", "it repeats itself"),
        (b"abcdefghijklmnopqrstuvwxyz0123456789", "it counts up or down"),
        (b"my-jwt-signing-secret-rex-of-the-dog", "it holds well-known words"),
        (b"The quick brown fox jumps over the lazy dog", "it is made of words"),
        (b"00110100111010110000101111010011", "it has too little variety"),
    ],
)
def test_why_a_secret_can_be_guessed(secret: bytes, why: str) -> None:
    assert secret_fault(secret) == why


@pytest.mark.parametrize(
    "make",
    [
        lambda chance: chance.randbytes(32),
        lambda chance: chance.randbytes(16).hex().encode(),
        lambda chance: chance.randbytes(32).hex().upper().encode(),
        lambda chance: base64.b64encode(chance.randbytes(32)),
        lambda chance: base64.urlsafe_b64encode(chance.randbytes(24)),
        lambda chance: base64.b32encode(chance.randbytes(20)),
        lambda chance: b"django-insecure-" + base64.urlsafe_b64encode(chance.randbytes(38)),
        lambda chance: b"secret: " + base64.urlsafe_b64encode(chance.randbytes(32)),
    ],
    ids=["bytes", "hex", "HEX", "base64", "short", "base32", "django", "named"],
)
def test_random_secrets_are_taken_however_they_are_written(make: Any) -> None:
    """Always the same ones: two in a million would be taken for words."""
    chance = random.Random(1)
    for _ in range(300):
        secret = make(chance)
        assert secret_fault(secret) is None, secret


def test_pairs_of_letters_that_are_common_by_chance_are_no_words() -> None:
    for secret in (
        b"uSILYqP7E77s4TILlO13YpjQdg8RS2StoS3st0rt4UU=",
        b"geaoIteOleQd+Nz6UOcti+vh6iPB4DESS7ermaUSiG4=",
        b"l1ndETrElIlHnd8tHDi7NJoj0wCZ/7I6aFbOTHY2ntI=",
    ):
        assert secret_fault(secret) is None


def test_a_secret_has_twelve_different_bytes() -> None:
    """One of 32 random hex digits hardly ever has fewer."""
    secret = b"a2b4c6d8e0f1b2a0d6c0e4f8a1d2b1e6"
    KeyRing.from_jwks({"keys": [secret_jwk(secret)]})
    fewer = secret.replace(b"f", b"c")
    assert "too few distinct bytes" in refused(secret_jwk(fewer))


def test_a_weak_public_key_is_left_out_of_a_set_and_a_private_one_refuses_it() -> None:
    ours = key_of("EdDSA").jwk(private=True)
    ring = KeyRing.from_jwks({"keys": [ours, ed25519_jwk(encoded(1, 0))]})
    assert len(ring) == 1
    assert "small order" in ring.ignored[0]
    with pytest.raises(KeyRejected, match="can be guessed"):
        KeyRing.from_jwks({"keys": [secret_jwk(GUESSABLE[1])]})
