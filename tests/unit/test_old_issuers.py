"""Tokens of old issuers for the migration: accepted, expired and refused ones."""

import json
import math
import re
from typing import Any

import jwt
import pytest

from clusterpass import ConfigurationError, InvalidInput, TokenExpired
from clusterpass.migrate import (
    OldIssuer,
    OldToken,
    authlib,
    authx,
    fastapi_users_jwt,
    flask_jwt_extended,
    pyjwt,
    simplejwt,
)
from clusterpass.tokens.verifier import LONGEST_TOKEN

SECRET = "the-secret-of-the-old-application"
NOW = 1_800_000_000
MEMBERS: dict[str, Any] = {"sub": "7", "iat": NOW - 10, "exp": NOW + 50}


def signed(secret: str = SECRET, headers: Any = None, **members: Any) -> str:
    found = {**MEMBERS, **members}
    given = {name: value for name, value in found.items() if value is not None}
    return jwt.encode(given, secret, algorithm="HS256", headers=headers)


def read(token: str, issuer: OldIssuer | None = None, now: float = NOW) -> OldToken | None:
    return (issuer or pyjwt(SECRET, lifetime=60)).read(token, now=now)


def test_what_is_read() -> None:
    found = read(signed(role="admin", jti="j", sid="s"))
    assert found == OldToken(
        text=signed(role="admin", jti="j", sid="s"),
        subject="7",
        kind="access",
        issued_at=NOW - 10,
        expires_at=NOW + 50,
        claims={"role": "admin"},
        is_exchangeable=True,
        issuer="pyjwt",
    )
    assert SECRET not in repr(pyjwt(SECRET, lifetime=60))
    assert signed() not in repr(read(signed()))


@pytest.mark.parametrize(
    "members",
    [
        {"sub": None},
        {"sub": ""},
        {"sub": "a\nb"},
        {"sub": "x" * 300},
        {"sub": ["7"]},
        {"sub": True},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": -1},
        {"exp": math.nan},
        {"exp": math.inf},
        {"iat": "now"},
        {"iat": NOW + 61},
        {"iat": -5},
        {"nbf": NOW + 1},
        {"nbf": "x"},
        {"nbf": True},
        {"nbf": 2**40},
        {"aud": "password-reset"},
        {"aud": ["shop"]},
    ],
)
def test_what_is_no_token_of_use(members: dict[str, Any]) -> None:
    secret: Any = SECRET
    token = jwt.PyJWS().encode(
        json.dumps(
            {name: value for name, value in {**MEMBERS, **members}.items() if value is not None}
        ).encode(),
        secret,
        algorithm="HS256",
    )
    assert read(token) is None


@pytest.mark.parametrize("token", ["", "a.b.c", "x" * 20_000, "..", signed("another-secret" * 3)])
def test_what_another_signed_or_nobody_is_not_read(token: str) -> None:
    assert read(token) is None
    assert read(5) is None  # type: ignore[arg-type]


def test_a_token_may_be_as_long_as_one_of_ours() -> None:
    longest, longer = (signed(x="x" * size) for size in (9103, 9104))
    assert (len(longest), len(longer)) == (LONGEST_TOKEN, LONGEST_TOKEN + 1)
    assert read(longest) is not None
    assert read(longer) is None


def test_a_subject_may_be_a_number() -> None:
    issuer = simplejwt(SECRET, lifetime=60)
    found = read(signed(user_id=7, token_type="access"), issuer)
    assert found is not None
    assert found.subject == "7"


def test_a_token_expires_by_itself_and_by_the_lifetime(caplog: Any) -> None:
    with pytest.raises(TokenExpired):
        read(signed(), now=NOW + 50)
    for far in (NOW + 500, 9_999_999_999):
        found = read(signed(exp=far))
        assert found is not None
        assert found.expires_at == NOW + 50
    with pytest.raises(TokenExpired):
        read(signed(exp=NOW + 500), now=NOW + 50)
    assert "set lifetime" in caplog.text


def test_without_a_time_of_issue_the_lifetime_tells_it() -> None:
    found = read(signed(iat=None))
    assert found is not None
    assert found.issued_at == NOW - 10
    first = read(signed(iat=None, exp=30), now=10)
    assert first is not None
    assert first.issued_at == 0, "no sooner than the epoch"


def test_a_clock_that_is_fast_issues_now() -> None:
    found = read(signed(iat=NOW + 30, exp=NOW + 80))
    assert found is not None
    assert found.issued_at == NOW


@pytest.mark.parametrize(
    ("make", "members", "kind"),
    [
        (lambda: flask_jwt_extended(SECRET), {"type": "access", "aud": "any"}, ("access", False)),
        (lambda: flask_jwt_extended(SECRET), {"type": "refresh"}, ("refresh", True)),
        (lambda: flask_jwt_extended(SECRET), {"type": "reset"}, None),
        (lambda: flask_jwt_extended(SECRET), {}, None),
        (lambda: authx(SECRET), {"type": "refresh"}, ("refresh", True)),
        (lambda: authx(SECRET), {"type": "access", "aud": "other"}, None),
        (
            lambda: authx(SECRET, audience="shop"),
            {"type": "access", "aud": "shop"},
            ("access", False),
        ),
        (
            lambda: simplejwt(SECRET, user_id_claim="sub"),
            {"token_type": "sliding"},
            ("access", True),
        ),
        (
            lambda: simplejwt(SECRET, user_id_claim="sub"),
            {"token_type": "access"},
            ("access", False),
        ),
        (
            lambda: fastapi_users_jwt(SECRET, lifetime=60),
            {"aud": ["fastapi-users:auth"]},
            ("access", True),
        ),
        (lambda: fastapi_users_jwt(SECRET, lifetime=60), {"aud": ["fastapi-users:reset"]}, None),
        (lambda: fastapi_users_jwt(SECRET, lifetime=60), {}, None),
        (
            lambda: pyjwt(SECRET, lifetime=60, issuer="https://i"),
            {"iss": "https://i"},
            ("access", True),
        ),
        (lambda: pyjwt(SECRET, lifetime=60, issuer="https://i"), {"iss": "https://j"}, None),
    ],
)
def test_what_a_token_is_for(
    make: Any, members: dict[str, Any], kind: tuple[str, bool] | None
) -> None:
    found = read(signed(**members), make())
    assert (found and (found.kind, found.is_exchangeable)) == kind


@pytest.mark.parametrize("name", ["a", "a-1", "x" * 32])
def test_what_an_issuer_may_be_named(name: str) -> None:
    assert pyjwt(SECRET, lifetime=60, name=name).name == name
    for wrong in ("", "x" * 33, "A", "a_b", 5):
        with pytest.raises(ConfigurationError, match="name of an old issuer"):
            pyjwt(SECRET, lifetime=60, name=wrong)  # type: ignore[arg-type]


def test_how_far_the_clock_of_an_old_server_may_be_ahead() -> None:
    assert read(signed(iat=NOW + 60, exp=NOW + 90))
    assert read(signed(iat=NOW + 61, exp=NOW + 90)) is None
    assert read(signed(nbf=NOW))


def test_a_token_that_lives_as_long_as_was_said_is_none_to_warn_of(caplog: Any) -> None:
    issuer = pyjwt(SECRET, lifetime=60)
    assert read(signed(), issuer)
    assert caplog.records == []
    for _ in range(2):
        assert read(signed(exp=NOW + 51), issuer)
    (record,) = caplog.records
    assert "tokens of pyjwt live for 61 s, but are accepted for 60 s only" in record.getMessage()


@pytest.mark.parametrize(
    ("exp", "expires_at"), [(2**40, NOW + 50), (NOW + 49.9, NOW + 49), (NOW + 1, NOW + 1)]
)
def test_when_a_token_expires_is_whole_seconds(exp: float, expires_at: int) -> None:
    found = read(signed(exp=exp))
    assert found is not None
    assert found.expires_at == expires_at


def test_an_identity_token_is_no_access_token() -> None:
    members = {"iss": "https://i", "aud": ["shop"]}
    web = authlib(SECRET, algorithm="HS256", lifetime=60, issuer="https://i", audience="shop")
    for typ in ("at+jwt", "application/at+jwt", "AT+JWT"):
        found = read(signed(headers={"typ": typ}, **members), web)
        assert found is not None
        assert not found.is_exchangeable
    assert read(signed(headers={"typ": "JWT"}, **members), web) is None
    assert read(signed(headers={"typ": "at+jwt"}, iss="https://i", aud="other"), web) is None


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: pyjwt("", lifetime=60), "a secret, a PEM key or a JWK"),
        (lambda: pyjwt(5, lifetime=60), "a secret, a PEM key or a JWK"),  # type: ignore[arg-type]
        (lambda: pyjwt("no pem", algorithm="RS256", lifetime=60), "no key for RS256"),
        (lambda: pyjwt(SECRET, algorithm="HS999", lifetime=60), "algorithm must be one of"),
        (lambda: pyjwt(SECRET, algorithm="none", lifetime=60), "algorithm must be one of"),
        (lambda: pyjwt(SECRET, lifetime=0), "lifetime must be"),
        (lambda: pyjwt(SECRET, lifetime=True), "lifetime must be"),
        (lambda: pyjwt(SECRET, lifetime=60, name="A B"), "name of an old issuer"),
        (lambda: pyjwt({"kty": "oct"}, lifetime=60), "no key for HS256"),
    ],
)
def test_an_issuer_that_cannot_be_is_refused(make: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(says)) as caught:
        make()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "changed",
    [{"subject": 7}, {"kind": "id"}, {"issued_at": 1.5}, {"expires_at": -1}, {"claims": []}],
)
def test_an_old_token_of_ones_own_is_checked(changed: dict[str, Any]) -> None:
    members: dict[str, Any] = {"text": "t", "subject": "7", "kind": "access"}
    members |= {"issued_at": 1, "expires_at": 2, **changed}
    with pytest.raises(InvalidInput):
        OldToken(**members)


def test_old_tokens_can_be_members_of_a_set() -> None:
    assert len({read(signed(role=["admin"])), read(signed(role=["admin"])), read(signed())}) == 2


def test_the_signature_is_no_part_of_what_a_token_is() -> None:
    def digest(text: str) -> bytes:
        return OldToken(text=text, subject="7", kind="access", issued_at=1, expires_at=2).digest()

    assert digest("head.payload.signature") == digest("head.payload.other")
    assert digest("head.payload.signature") != digest("head.other.signature")
    assert digest("opaque") != digest("other")
    assert digest("opaque.1") != digest("opaque.2")
    assert digest("a.b.c.d") != digest("a.b.c.e")


def test_an_issuer_of_which_only_the_least_is_said() -> None:
    issuer = OldIssuer("own", SECRET, lifetime=60)
    found = read(signed(), issuer)
    assert found is not None
    assert (found.subject, found.kind, found.issuer) == ("7", "access", "own")
    assert found.is_exchangeable
    assert read(signed(aud="shop"), issuer) is None
    assert read(jwt.encode(MEMBERS, SECRET * 2, algorithm="HS512"), issuer) is None


def test_an_authorization_server_is_named_by_its_tokens_and_so_is_the_audience() -> None:
    web = authlib(SECRET, algorithm="HS256", lifetime=60, issuer="https://i", audience="shop")
    headers = {"typ": "at+jwt"}
    found = read(signed(headers=headers, iss="https://i", aud="shop"), web)
    assert found is not None
    assert not found.is_exchangeable
    for wrong in ({"iss": "https://j"}, {"iss": None}, {"aud": "blog"}, {"aud": None}):
        members = {"iss": "https://i", "aud": "shop", **wrong}
        assert read(signed(headers=headers, **members), web) is None
