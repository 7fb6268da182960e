"""A token of one type is not accepted as one of another type."""

from typing import Any

import pytest

from clusterpass.model.authentication_errors import InvalidRefreshToken, TokenTypeInvalid
from clusterpass.tokens.refresh import RefreshToken, parse_refresh_token

from .keys import ABSENT, key_of
from .tokens import header, refuse, signed, verifier


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
