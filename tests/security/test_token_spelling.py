"""A token has one spelling and a bounded size; any other text is refused."""

import json
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from clusterpass.model.authentication_errors import InvalidToken, TokenMalformed, TokenMissing
from clusterpass.tokens import verifier as verifier_module
from clusterpass.tokens.encoding import encode_base64url
from clusterpass.tokens.verifier import LONGEST_TOKEN

from .keys import ALGORITHMS, key_of
from .tokens import as_bytes, header, payload, refuse, signed, verifier


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


def test_a_token_of_the_longest_size_is_accepted() -> None:
    key = key_of("EdDSA")
    shortest = len(signed(key, None, payload(pad="")))
    most = (LONGEST_TOKEN - shortest) * 3 // 4
    # A header may end in spaces: each size is that of some token.
    tokens = (
        signed(key, as_bytes(header(key)) + b" " * spaces, payload(pad="x" * pad))
        for spaces, pad in product(range(3), range(most - 4, most + 4))
    )
    token = next(each for each in tokens if len(each) == LONGEST_TOKEN)
    assert verifier(key).verify(token).subject == "alice"


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
