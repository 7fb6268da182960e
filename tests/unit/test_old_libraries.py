"""The old issuer of each supported library: its name, lifetimes, algorithms and tokens."""

import functools
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from clusterpass import ConfigurationError, TokenExpired
from clusterpass.migrate import (
    OldToken,
    authlib,
    authx,
    fastapi_users_jwt,
    flask_jwt_extended,
    pyjwt,
    simplejwt,
)
from clusterpass.migrate.accepted import check_look_up, checked, lifetimes_of

from .test_old_issuers import MEMBERS, SECRET, read, signed

DAY = 86_400
RSA_NAMES = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")


@pytest.mark.parametrize(
    ("make", "name", "days"),
    [
        (lambda: flask_jwt_extended(SECRET), "flask-jwt-extended", 30),
        (lambda: simplejwt(SECRET), "simplejwt", 1),
        (lambda: authx(SECRET), "authx", 20),
        (lambda: fastapi_users_jwt(SECRET, lifetime=3 * DAY), "fastapi-users", 3),
        (
            lambda: authlib(SECRET, algorithm="HS256", lifetime=DAY, issuer="i", audience="a"),
            "authlib",
            1,
        ),
        (lambda: pyjwt(SECRET, lifetime=DAY), "pyjwt", 1),
        (lambda: flask_jwt_extended(SECRET, name="a", lifetime=DAY), "a", 1),
        (lambda: simplejwt(SECRET, name="b", lifetime=2 * DAY), "b", 2),
        (lambda: authx(SECRET, name="c", lifetime=3 * DAY), "c", 3),
        (lambda: fastapi_users_jwt(SECRET, name="d", lifetime=DAY), "d", 1),
        (lambda: pyjwt(SECRET, name="e", lifetime=DAY), "e", 1),
    ],
)
def test_the_name_and_the_lifetime_that_each_library_has(make: Any, name: str, days: int) -> None:
    issuer = make()
    assert (issuer.name, issuer.lifetime) == (name, days * DAY)


@pytest.mark.parametrize(
    ("make", "members", "left"),
    [
        (lambda: flask_jwt_extended(SECRET), {"type": "access", "fresh": True, "csrf": "x"}, set()),
        (
            lambda: authx(SECRET),
            {"type": "access", "fresh": 1, "csrf": "x", "token_type": "t"},
            set(),
        ),
        (
            lambda: simplejwt(SECRET),
            {"user_id": 7, "token_type": "access", "refresh_exp": 1},
            set(),
        ),
        (lambda: simplejwt(SECRET, user_id_claim="id"), {"id": 7, "token_type": "access"}, set()),
        (
            lambda: simplejwt(SECRET, user_id_claim="id", token_type_claim="kind"),
            {"id": 7, "kind": "access", "token_type": "of the application"},
            {"token_type"},
        ),
        (
            lambda: flask_jwt_extended(SECRET, identity_claim="id"),
            {"id": "7", "type": "access"},
            set(),
        ),
        (
            lambda: pyjwt(SECRET, lifetime=60, subject_claim="id", kind_claim="use"),
            {"id": "7", "use": "access", "type": "of the application"},
            {"type"},
        ),
    ],
)
def test_a_session_carries_no_claim_that_the_library_wrote_for_itself(
    make: Any, members: dict[str, Any], left: set[str]
) -> None:
    found = read(signed(role="admin", **members), make())
    assert found is not None
    assert (found.subject, set(found.claims)) == ("7", {"role"} | left)


@pytest.mark.parametrize(
    ("make", "members"),
    [
        (flask_jwt_extended, {"type": "access"}),
        (simplejwt, {"user_id": 7, "token_type": "access"}),
        (authx, {"type": "access"}),
        (functools.partial(pyjwt, lifetime=60), {}),
    ],
)
def test_who_issued_a_token_and_for_whom_can_be_required(make: Any, members: Any) -> None:
    issuer = make(SECRET, issuer="https://i", audience="shop")
    assert read(signed(**members, iss="https://i", aud="shop"), issuer)
    assert read(signed(**members, iss="https://i", aud=["blog", "shop"]), issuer)
    for wrong in ({"iss": "https://j", "aud": "shop"}, {"iss": "https://i", "aud": "blog"}, {}):
        assert read(signed(**members, **wrong), issuer) is None


@pytest.mark.parametrize(
    ("make", "members", "takes"),
    [
        (flask_jwt_extended, {"type": "access"}, True),
        (simplejwt, {"user_id": 7, "token_type": "access"}, True),
        (authx, {"type": "access"}, False),
        (functools.partial(pyjwt, lifetime=60), {}, False),
    ],
)
def test_a_token_for_somebody_is_taken_where_the_library_took_it(
    make: Any, members: Any, takes: bool
) -> None:
    assert (read(signed(**members, aud="shop"), make(SECRET)) is not None) is takes
    assert read(signed(**members, iss="https://i"), make(SECRET)), "any issuer"


@pytest.mark.parametrize(
    "make",
    [
        flask_jwt_extended,
        simplejwt,
        authx,
        functools.partial(fastapi_users_jwt, lifetime=60, audience="shop"),
        functools.partial(pyjwt, lifetime=60),
    ],
)
def test_the_algorithm_is_hs256_unless_another_one_is_named(make: Any) -> None:
    members = {"type": "access", "token_type": "access", "user_id": "7"}
    if "audience" in getattr(make, "keywords", {}):
        members["aud"] = "shop"
    other = jwt.encode({**MEMBERS, **members}, SECRET * 2, algorithm="HS512")
    assert read(other, make(SECRET * 2, algorithm="HS512"))
    assert read(other, make(SECRET * 2)) is None
    assert read(signed(SECRET * 2, **members), make(SECRET * 2))


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_each_algorithm_of_a_secret(algorithm: str) -> None:
    secret = SECRET * 2
    issuer = pyjwt(secret, algorithm=algorithm, lifetime=60)
    assert read(jwt.encode(MEMBERS, secret, algorithm=algorithm), issuer)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize(
    ("algorithm", "make"),
    [
        *((name, functools.partial(rsa.generate_private_key, 65_537, 2048)) for name in RSA_NAMES),
        ("ES256", functools.partial(ec.generate_private_key, ec.SECP256R1())),
        ("ES384", functools.partial(ec.generate_private_key, ec.SECP384R1())),
        ("ES512", functools.partial(ec.generate_private_key, ec.SECP521R1())),
        ("EdDSA", ed25519.Ed25519PrivateKey.generate),
    ],
)
def test_each_algorithm_of_a_public_key(algorithm: str, make: Any) -> None:
    key = make()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    issuer = pyjwt(public, algorithm=algorithm, lifetime=60)
    assert read(jwt.encode(MEMBERS, key, algorithm=algorithm), issuer)


def test_authlib_signs_with_rs256_unless_another_algorithm_is_named() -> None:
    with pytest.raises(ConfigurationError, match="no key for RS256"):
        authlib(SECRET, lifetime=60, issuer="https://i", audience="shop")


def test_the_values_of_a_claim_say_what_a_token_is_for() -> None:
    kinds: Any = {"a": "access", "r": "refresh"}
    issuer = pyjwt(SECRET, lifetime=60, kind_claim="use", kinds=kinds)
    access, refresh = read(signed(use="a"), issuer), read(signed(use="r"), issuer)
    assert access is not None and refresh is not None
    assert (access.kind, access.is_exchangeable) == ("access", False)
    assert (refresh.kind, refresh.is_exchangeable) == ("refresh", True)
    assert read(signed(use="access"), issuer) is None


def test_two_issuers_with_one_name_or_with_one_key_that_tells_no_kinds() -> None:
    flask, auth = flask_jwt_extended(SECRET), authx(SECRET)
    plain, other = pyjwt(SECRET, lifetime=60), pyjwt(SECRET * 2, lifetime=60, name="other")
    assert lifetimes_of([flask, auth, other]) == {
        "flask-jwt-extended": 30 * DAY,
        "authx": 20 * DAY,
        "other": 60,
    }
    with pytest.raises(ConfigurationError, match="pyjwt and flask-jwt-extended have one key"):
        lifetimes_of([plain, other, flask])
    with pytest.raises(ConfigurationError, match="two issuers are named 'authx'"):
        lifetimes_of([auth, authx(SECRET * 2)])
    with pytest.raises(ConfigurationError, match="what flask_jwt_extended"):
        lifetimes_of([flask, "authx"])
    assert lifetimes_of([]) == {}


@pytest.mark.parametrize(
    ("name", "lifetime", "is_good"),
    [
        ("table", 1, True),
        ("table", 10 * 366 * DAY, True),
        ("", 1, False),
        ("known", 1, False),
        (None, 1, False),
        ("table", 0, False),
        ("table", 10 * 366 * DAY + 1, False),
    ],
)
def test_what_a_look_up_may_be_called_and_how_long_its_tokens_may_live(
    name: Any, lifetime: int, is_good: bool
) -> None:
    if is_good:
        check_look_up(name, lifetime, {"known": 5})
        return
    with pytest.raises(ConfigurationError, match="look_up_"):
        check_look_up(name, lifetime, {"known": 5})


def test_a_token_that_was_looked_up_is_valid_for_no_longer_than_was_said() -> None:
    old = OldToken(
        text="t", subject="7", kind="access", issued_at=100, expires_at=900, issuer="table"
    )
    assert checked(old, "table", {"table": 60}, 159.9).expires_at == 160
    assert checked(old, "table", {"table": 1000}, 899.9) == old
    for lifetime, now in ((60, 160), (1000, 900)):
        with pytest.raises(TokenExpired):
            checked(old, "table", {"table": lifetime}, now)
    for wrong in (None, "t", old):
        with pytest.raises(ConfigurationError, match="'other', its look_up_name"):
            checked(wrong, "other", {"other": 60}, 0)


def test_how_long_the_tokens_of_an_issuer_may_live() -> None:
    for seconds in (1, 10 * 366 * DAY):
        assert pyjwt(SECRET, lifetime=seconds).lifetime == seconds
    for seconds in (0, 10 * 366 * DAY + 1):
        with pytest.raises(ConfigurationError, match="lifetime"):
            pyjwt(SECRET, lifetime=seconds)
