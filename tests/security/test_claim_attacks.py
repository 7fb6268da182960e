"""Known attacks on the claims of a token: issuer, audience, names and times."""

from typing import Any

import pytest

from clusterpass.model.authentication_errors import (
    TokenAudienceInvalid,
    TokenExpired,
    TokenIssuerInvalid,
    TokenMalformed,
    TokenNotYetValid,
    TokenSignatureInvalid,
    TokenTypeInvalid,
)

from .keys import ABSENT, key_of, other_key_of
from .tokens import AUDIENCE, ISSUER, NOW, as_bytes, header, payload, refuse, signed, verifier


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


@pytest.mark.parametrize("value", [5, True, ["shop"], {"shop": 1}, 1.5])
def test_client_that_is_no_text(value: Any) -> None:
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, None, payload(client_id=value)), key)


def test_client_that_is_named_twice() -> None:
    key = key_of("EdDSA")
    body = as_bytes(payload(client_id="shop")).replace(b"{", b'{"client_id":"other",', 1)
    refuse(TokenMalformed, signed(key, None, body), key)


def test_token_of_an_older_release_names_no_client() -> None:
    key = key_of("EdDSA")
    claims = verifier(key).verify(signed(key, None, payload(client_id=ABSENT)))
    assert (claims.client_id, claims.claims) == (None, {})


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
