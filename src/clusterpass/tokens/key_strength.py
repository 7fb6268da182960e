"""Detects faults of public keys that a library accepts although a forger could sign for them.

Each function returns what is wrong with a key, and None when nothing was found. They judge public
values alone: nothing here signs, verifies or generates.
"""

import math
from functools import cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicNumbers

# Ed25519 (RFC 8032 section 5.1): -x² + y² = 1 + d·x²·y² modulo p.
_P: Final = 2**255 - 19
_D: Final = -121_665 * pow(121_666, -1, _P) % _P
_Y_OF_ORDER_8: Final = 0x5FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER: Final = frozenset({0, 1, _P - 1, _Y_OF_ORDER_8, _P - _Y_OF_ORDER_8})
"""The y coordinates of the eight points whose order divides 8."""

_MOST_SMALL_FACTOR: Final = 10_000
_FERMAT_STEPS: Final = 300
_SQUARES_MODULO_16: Final = frozenset({0, 1, 4, 9})
# "The Return of Coppersmith's Attack" (Nemec and others, CCS 2017), section 5.1: the primes of the
# faulty generator are powers of 65537 modulo many small primes, and so are their products.
_ROCA_GENERATOR: Final = 65_537
_ROCA_PRIMES: Final = tuple(
    prime for prime in range(3, 168, 2) if all(prime % each for each in range(3, prime, 2))
)


def ed25519_fault(encoded: bytes) -> str | None:
    """Return what is wrong with the public key that the 32 bytes ``encoded`` stand for.

    Under a key of small order, signatures can be forged that fit any message. An encoding that is
    not canonical stands for the same key as another one.
    """
    number = int.from_bytes(encoded, "little")
    y = number & (2**255 - 1)  # without the sign of x
    if y >= _P:
        return "its x is not the canonical encoding of a point (RFC 8032 section 5.1.3)"
    if y in _SMALL_ORDER:
        return "its x is a point of small order, under which signatures can be forged"
    above, below = (y * y - 1) % _P, (_D * y * y + 1) % _P
    # x² = above / below has a solution where this is a square; x = 0 was among the small ones.
    if pow(above * below, (_P - 1) // 2, _P) != 1:
        return "its x is no point of the curve Ed25519"
    return None


def p256_fault(x: bytes, y: bytes) -> str | None:
    """Return what is wrong with the point of a P-256 key: whether it is on the curve."""
    numbers = EllipticCurvePublicNumbers(
        int.from_bytes(x, "big"), int.from_bytes(y, "big"), SECP256R1()
    )
    try:
        numbers.public_key()
    except ValueError:
        return "its x and y are no point of the curve P-256"
    return None


def rsa_fault(modulus: int) -> str | None:
    """Return why ``modulus`` can be factored with little effort."""
    if modulus % 2 == 0:
        return "its modulus is even"
    if math.gcd(_product_of_small_primes() % modulus, modulus) != 1:
        return f"its modulus has a factor below {_MOST_SMALL_FACTOR}"
    if _has_close_factors(modulus):
        return "the two primes of its modulus are so close that they are easily found (Fermat)"
    if all(modulus % prime in powers for prime, powers in _roca_powers().items()):
        return "it was made by a faulty generator (ROCA, CVE-2017-15361)"
    return None


@cache
def _product_of_small_primes() -> int:
    is_prime = bytearray(b"\x01") * _MOST_SMALL_FACTOR
    for number in range(2, math.isqrt(_MOST_SMALL_FACTOR) + 1):
        if is_prime[number]:
            is_prime[number * number :: number] = bytes(
                len(range(number * number, _MOST_SMALL_FACTOR, number))
            )
    return math.prod(number for number in range(2, _MOST_SMALL_FACTOR) if is_prime[number])


def _has_close_factors(modulus: int) -> bool:
    """Return whether some steps of Fermat's method find two factors of an odd number."""
    middle = math.isqrt(modulus - 1) + 1
    rest = middle * middle - modulus
    for _ in range(_FERMAT_STEPS):
        if rest & 15 in _SQUARES_MODULO_16 and math.isqrt(rest) ** 2 == rest:
            return True
        rest += 2 * middle + 1
        middle += 1
    return False


@cache
def _roca_powers() -> dict[int, frozenset[int]]:
    """Return the powers of the generator modulo each of the primes."""
    return {
        prime: frozenset(pow(_ROCA_GENERATOR, power, prime) for power in range(prime))
        for prime in _ROCA_PRIMES
    }
