"""Rejects shared secrets (HS256) that are too short, a public key, or easy to guess.

Anybody who has a token can try secrets as fast as their machines can hash. The guessable parts of a
secret are removed, and the rest counts as many bits as its alphabet allows: a random secret exceeds
what is required by far, and a text that somebody has thought of falls short.
"""

import base64
import math
import re
from contextlib import suppress
from itertools import pairwise
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key

from clusterpass.model.errors import KeyRejected

_SMALLEST_SECRET_BYTES: Final = 32
_SMALLEST_SECRET_VARIETY: Final = 12
_PUBLIC_KEY_TEXT: Final = re.compile(rb"-----? ?BEGIN |ssh-(rsa|dss|ed25519) |ecdsa-sha2-")
_SSH: Final = re.compile(rb"\0\0\0.(ssh-|ecdsa-sha2-)", re.DOTALL)
_FROM_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
LEAST_BITS: Final = 100
"""The fewest bits that a secret has to have by this estimate. 16 random bytes in hex have 128."""
# A chance repetition in a random secret of hex digits costs it less than the difference.
_LONGEST_CHANCE_REPETITION: Final = 6
_LONGEST_CHANCE_ROW: Final = 4
_BITS_OF_A_LETTER: Final = 2.0
"""Of a letter in a text of words."""
_WORDS: Final = re.compile(rb"[A-Za-z]?[a-z]+(?:[\s,.;:!?_-]+(?:[A-Za-z]?[a-z]+|[A-Z]+)){3,}\W*")
_HEX: Final = re.compile(rb"[0-9a-f]*|[0-9A-F]*")
_FEWEST_PAIRS: Final = 12
_LIKELIHOOD: Final = 1e-6
_LIKELIHOOD_IN_BASE64: Final = 1e-7
# As in base64, of which many more random texts are made than of small letters alone.
_MIXED: Final = re.compile(rb"[0-9]|[a-z][A-Z]")
_WELL_KNOWN: Final = re.compile(
    rb"secret|passw[o0]rd|passphrase|passwort|change-?_?me|change-?_?this|default|example|insecure"
    rb"|placeholder|replace-?_?me|your-?_?|development|production|testing|please|clusterpass|jwt"
    rb"|token|signing|private|shared|admin|qwerty|qwertz|uiop|asdfgh|zxcvbn|letmein",
    re.IGNORECASE,
)
# The commonest pairs of letters in English text, about two thirds of all.
_PAIRS: Final = (
    "th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le"
    " ve co me de hi ri ro ic ne ea ra ce li ch ll be ma si om ur ca el ta la ns di fo ho pe ec"
    " pr no ct us ac ot il tr ly nc et ut ss so rs un lo wa ge ie wh ee wi em ad ol rt po we na"
)
_COMMON_PAIRS: Final = frozenset(_PAIRS.split())
_ALPHABETS: Final = (
    (re.compile(rb"[0-9]*"), 10),
    (_HEX, 16),
    (re.compile(rb"[a-z]*|[A-Z]*"), 26),
    (re.compile(rb"[0-9a-z]*|[0-9A-Z]*"), 36),
    (re.compile(rb"[0-9A-Za-z+/=_-]*"), 64),
    (re.compile(rb"[ -~\s]*"), 95),
)


def check_secret(secret: bytes, kid: str) -> None:
    """Return if ``secret`` is fit for HS256; raise KeyRejected, which names ``kid``, otherwise."""
    if len(secret) < _SMALLEST_SECRET_BYTES:
        raise KeyRejected(
            f"key {kid!r} has {len(secret)} bytes; HS256 needs {_SMALLEST_SECRET_BYTES} random ones"
            " (RFC 7518 section 3.2)"
        )
    # A public key used as an HMAC secret is the classic algorithm confusion (RFC 8725 section 2.1).
    if _is_public_key_text(secret):
        raise KeyRejected(f"key {kid!r} looks like an encoded public key, not a secret")
    if len(set(secret)) < _SMALLEST_SECRET_VARIETY:
        raise KeyRejected(f"key {kid!r} has too few distinct bytes; use random bytes")
    fault = secret_fault(secret)
    if fault is not None:
        raise KeyRejected(
            f"key {kid!r} can be guessed: {fault}; use random bytes, such as those of"
            " clusterpass keys generate --algorithm HS256"
        )


def _is_public_key_text(secret: bytes) -> bool:
    # joserfc has refused what its loaders can parse: PEM, DER, SSH, certificates.
    if _PUBLIC_KEY_TEXT.search(secret) or b'"kty"' in secret:
        return True
    try:
        # Line breaks, the alphabet of URLs, and padding that is missing leave the same key.
        decoded = base64.b64decode(secret.translate(_FROM_URL_SAFE) + b"==")
    except ValueError:
        return False
    if _SSH.match(decoded):
        return True
    from cryptography.x509 import load_der_x509_certificate  # noqa: PLC0415 - for secrets alone

    for load in (load_der_public_key, load_der_x509_certificate):
        with suppress(ValueError, UnsupportedAlgorithm):
            load(decoded)
            return True
    return False


def secret_fault(secret: bytes) -> str | None:
    """Return why ``secret`` can be guessed; None when it looks random."""
    without = _WELL_KNOWN.sub(b"", secret)
    unrepeated = _without_repetitions(without)
    unpredicted = _without_rows(unrepeated)
    if _bits(unpredicted) >= LEAST_BITS:
        return None
    for shorter, longer, why in (
        (unrepeated, without, "it repeats itself"),
        (unpredicted, unrepeated, "it counts up or down"),
        (without, secret, "it holds well-known words"),
    ):
        if len(shorter) < 3 * len(longer) // 4:
            return why
    return "it is made of words" if _is_text(unpredicted) else "it has too little variety"


def _bits(secret: bytes) -> float:
    if _is_text(secret):
        return _BITS_OF_A_LETTER * len(secret)
    size = next((size for pattern, size in _ALPHABETS if pattern.fullmatch(secret)), 256)
    return len(secret) * math.log2(max(1, min(size, 2 * len(set(secret)))))


def _without_repetitions(secret: bytes) -> bytes:
    """Return ``secret`` without the parts that are already in it before."""
    kept = bytearray()
    place, least = 0, _LONGEST_CHANCE_REPETITION
    while place < len(secret):
        length = 0
        # What has begun may go on into itself, as in a text of one character.
        while (
            place + length < len(secret)
            and secret.find(secret[place : place + length + 1], 0, place + length) >= 0
        ):
            length += 1
        if length < least:
            kept += secret[place : place + 1]
        place += length if length >= least else 1
    return bytes(kept)


def _without_rows(secret: bytes) -> bytes:
    """Return ``secret`` without the bytes that lie as far from the last as that from its last."""
    kept = bytearray(secret[:1])
    last_step, length = None, 0
    for before, byte in pairwise(secret):
        step = byte - before
        length = length + 1 if step == last_step else 1
        last_step = step
        if length < _LONGEST_CHANCE_ROW:
            kept.append(byte)
    return bytes(kept)


def _is_text(secret: bytes) -> bool:
    """Return whether ``secret`` is words, or its letters follow each other as in words.

    About two in a million random texts in base64 are taken for words. (The letters of pairs
    overlap, so that the likelihood is exceeded some ten times as often as it says.)
    """
    if _WORDS.fullmatch(secret):
        return True
    if _HEX.fullmatch(secret):  # six letters, whose pairs are common
        return False
    letters = secret.decode("ascii", "replace").lower()
    pairs = [a + b for a, b in pairwise(letters) if a.isascii() and (a + b).isalpha()]
    if len(pairs) < _FEWEST_PAIRS:
        return False
    common = sum(pair in _COMMON_PAIRS for pair in pairs)
    chance = len(_COMMON_PAIRS) / 26**2
    tail = sum(
        math.comb(len(pairs), count) * chance**count * (1 - chance) ** (len(pairs) - count)
        for count in range(common, len(pairs) + 1)
    )
    return tail < (_LIKELIHOOD_IN_BASE64 if _MIXED.search(secret) else _LIKELIHOOD)
