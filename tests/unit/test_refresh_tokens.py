"""Refresh tokens: what is written is read, and any other text is refused in one way."""

import base64
import dataclasses
import hashlib
import hmac
import secrets
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from clusterpass.model.authentication_errors import InvalidRefreshToken
from clusterpass.tokens.encoding import encode_base64url
from clusterpass.tokens.keys import SigningKey
from clusterpass.tokens.refresh import (
    RefreshToken,
    RefreshTokens,
    looks_like_refresh_token,
    parse_refresh_token,
)
from clusterpass.tokens.refresh_secrets import new_refresh_secret, read_refresh_secrets

subjects = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=255).filter(
    lambda text: len(text.encode()) <= 255
)
tokens = st.builds(
    RefreshToken,
    subject=subjects,
    session_id=st.binary(min_size=16, max_size=16),
    rotation=st.integers(0, 2**32 - 2),
    secret=st.binary(min_size=32, max_size=32),
    tag=st.binary(min_size=16, max_size=16),
    secret_id=st.binary(min_size=4, max_size=4),
)


def parse_or_refuse(text: Any) -> RefreshToken | None:
    """The token, or None when it was refused as malformed; any other exception is a failure."""
    try:
        return parse_refresh_token(text)
    except InvalidRefreshToken as error:
        assert error.reason == "malformed"
        assert error.code == "invalid_refresh_token"
        return None


@given(tokens)
def test_round_trip(token: RefreshToken) -> None:
    text = token.encode()
    assert text.isascii()
    assert len(text) <= 512
    assert looks_like_refresh_token(text)
    assert parse_refresh_token(text) == token


def test_longest_and_shortest_subject() -> None:
    for subject in ("a", "a" * 255, "\U0001f600" * 63 + "abc"):
        token = RefreshToken(subject, b"s" * 16, 2**32 - 2, b"x" * 32, b"t" * 16, b"1234")
        assert parse_refresh_token(token.encode()) == token


@settings(max_examples=200)
@given(tokens, st.data())
def test_mutated_token_is_refused_or_another(token: RefreshToken, data: st.DataObject) -> None:
    text = token.encode()
    position = data.draw(st.integers(0, len(text)))
    removed = data.draw(st.integers(0, 3))
    added = data.draw(
        st.text(max_size=3)
        | st.text("ABCDwxyz0189-_+/=", max_size=3)
        | st.sampled_from(["\n", "."])
    )
    mutant = text[:position] + added + text[position + removed :]
    parsed = parse_or_refuse(mutant)
    if parsed is not None:
        assert (parsed == token) == (mutant == text)
        assert parsed.encode() == mutant


@given(tokens, st.integers(0, 500))
def test_truncated_token_is_refused_or_another(token: RefreshToken, size: int) -> None:
    text = token.encode()
    parsed = parse_or_refuse(text[:size])
    assert (parsed == token) == (size >= len(text))


@given(
    st.text()
    | st.text().map("cpr_".__add__)
    | st.binary(max_size=400).map(lambda data: "cpr_" + encode_base64url(data))
    | st.none()
    | st.integers()
    | st.binary()
)
def test_random_text_is_refused_or_a_token(text: Any) -> None:
    parsed = parse_or_refuse(text)
    assert parsed is None or parsed.encode() == text


GOOD = RefreshToken("alice", b"s" * 16, 7, b"x" * 32, b"t" * 16, b"1234")
BODY = base64.urlsafe_b64decode(GOOD.encode()[4:] + "=" * (-len(GOOD.encode()[4:]) % 4))


def wrapped(data: bytes) -> str:
    return "cpr_" + encode_base64url(data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cpr_",
        "cpr",
        "CPR_" + GOOD.encode()[4:],
        " " + GOOD.encode(),
        GOOD.encode() + " ",
        GOOD.encode() + "\n",
        GOOD.encode() + "=",
        GOOD.encode()[4:],
        "cpr_" + GOOD.encode(),
        wrapped(b""),
        wrapped(BODY[:72]),
        wrapped(BODY[:73]),
        wrapped(b"\x00" + BODY[1:]),
        wrapped(b"\x01" + BODY[1:]),
        wrapped(b"\xff" + BODY[1:]),
        wrapped(BODY + b"\n"),
        wrapped(BODY + b"\x00"),
        wrapped(BODY[:73] + b"\xff"),
        wrapped(BODY[:73] + b"\xed\xa0\x80"),
        wrapped(BODY[:73] + b"\xc0\xaf"),
        wrapped(BODY[:73] + b"a" * 256),
        "cpr_" + "A" * 509,
        "cpr_" + "A" * 10_000_000,
        "cpr_" + "\u0661" * 80,
        "cpr_\ud800",
        None,
        5,
        GOOD.encode().encode(),
        [GOOD.encode()],
    ],
)
def test_malformed(text: Any) -> None:
    assert parse_or_refuse(text) is None


def test_too_long_text_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(_: str) -> bytes:
        raise AssertionError("a token that is too long was decoded")

    monkeypatch.setattr("clusterpass.tokens.refresh.decode_base64url", decode)
    assert parse_or_refuse("cpr_" + "A" * 509) is None


def test_digest_is_half_of_the_hash_of_the_secret() -> None:
    assert GOOD.digest == hashlib.sha256(b"x" * 32).digest()[:16]


def test_layout_is_the_documented_one() -> None:
    head = b"\x03" + b"1234" + b"s" * 16 + (7).to_bytes(4, "big") + b"x" * 32
    assert head + b"t" * 16 + b"alice" == BODY


SECRET, NEWER = new_refresh_secret(), new_refresh_secret()


def made_with(*secret_texts: str, **more: Any) -> RefreshTokens:
    bound = {"issuer": "https://auth.example", "audience": "shop", **more}
    return RefreshTokens(read_refresh_secrets(secret_texts), secrets.token_bytes, **bound)


MADE = made_with(SECRET)


def test_only_what_was_made_here_is_genuine() -> None:
    token = MADE.first("alice", b"s" * 16)
    assert MADE.is_genuine(token)
    assert MADE.is_genuine(MADE.successor(token))
    assert not made_with(NEWER).is_genuine(token)
    assert not made_with(NEWER).knows(token)
    for change in (
        {"subject": "bob"},
        {"session_id": b"t" * 16},
        {"rotation": 1},
        {"secret": bytes(32)},
        {"tag": bytes(16)},
        {"secret_id": bytes(4)},
        {"secret_id": b""},
    ):
        assert not MADE.is_genuine(dataclasses.replace(token, **change))


@pytest.mark.parametrize(
    "other", [{"audience": "blog"}, {"issuer": "https://other.example"}, {"audience": ""}]
)
def test_a_token_is_bound_to_issuer_and_audience(other: Any) -> None:
    token = MADE.first("alice", b"s" * 16)
    assert made_with(SECRET).is_genuine(token)
    assert made_with(SECRET, **other).knows(token)
    assert not made_with(SECRET, **other).is_genuine(token)


def test_every_secret_is_accepted_and_the_first_makes_tokens() -> None:
    both = made_with(NEWER, SECRET)
    assert both.is_genuine(MADE.first("alice", b"s" * 16))
    assert made_with(NEWER).is_genuine(both.first("alice", b"s" * 16))
    assert not MADE.is_genuine(both.first("alice", b"s" * 16))


def test_successor_is_derived_and_the_same_on_each_server() -> None:
    token = MADE.first("alice", b"s" * 16)
    elsewhere = made_with(SECRET)
    assert MADE.successor(token) == elsewhere.successor(token)
    assert MADE.successor(token).rotation == 1
    assert MADE.successor(token).secret != token.secret
    assert MADE.unique_successor(token) != MADE.unique_successor(token)


def test_chains_name_the_next_four_tokens_for_each_secret() -> None:
    both = made_with(NEWER, SECRET)
    token = MADE.first("alice", b"s" * 16)
    chains = both.chains(token)
    digests = [chains[start : start + 16] for start in range(0, len(chains), 16)]
    assert len(digests) == 8
    link = token
    for digest in digests[4:]:
        link = MADE.successor(link)
        assert digest == link.digest
    assert both.successor(token, key=1) == MADE.successor(token), "the very same, tag and all"


KEY = SigningKey.generate()


def version_2(key: SigningKey, rotation: int = 3) -> str:
    """A token as it was made before there were refresh secrets."""
    link = b"s" * 16 + rotation.to_bytes(4, "big") + b"x" * 32
    tag = hmac.digest(key.derive_secret("refresh token tag"), b"\x02" + link + b"alice", "sha256")
    return wrapped(b"\x02" + link + tag[:16] + b"alice")


def test_a_token_of_before_leads_to_one_of_now_while_its_key_is_there() -> None:
    token = parse_refresh_token(version_2(KEY))
    assert (token.subject, token.rotation, token.secret_id) == ("alice", 3, b"")
    with_key = made_with(SECRET, older_keys=[SigningKey.generate(), KEY])
    assert with_key.knows(token)
    assert with_key.is_genuine(token)
    assert not MADE.is_genuine(token)
    newer = with_key.successor(token)
    assert MADE.is_genuine(newer), "it needs the signing key no more"
    assert with_key.is_genuine(parse_refresh_token(newer.encode()))


def test_what_the_key_of_before_derived_is_found_again() -> None:
    token = parse_refresh_token(version_2(KEY))
    link = b"s" * 16 + (3).to_bytes(4, "big") + b"x" * 32
    secret = hmac.digest(KEY.derive_secret("refresh token successor"), link, "sha256")
    with_key = made_with(SECRET, older_keys=[KEY])
    chains = with_key.chains(token)
    assert len(chains) == 2 * 4 * 16
    assert chains[64:80] == hashlib.sha256(secret).digest()[:16]
    assert with_key.successor(token, key=1).secret == secret


@pytest.mark.parametrize("left", [0, 1, 2, 3])
def test_chains_at_the_last_rotation_are_as_long_as_any(left: int) -> None:
    """The numbers end there: what would come after has a digest that no token has."""
    token = dataclasses.replace(MADE.first("alice", b"s" * 16), rotation=2**32 - 1 - left)
    chains = MADE.chains(token)
    assert len(chains) == 4 * 16
    link = token
    for number in range(left):
        link = MADE.successor(link)
        assert chains[number * 16 : (number + 1) * 16] == link.digest
    assert len({chains[start : start + 16] for start in range(0, 64, 16)}) == 4
