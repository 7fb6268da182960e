"""Access tokens: the verifier reads those that the issuer makes."""

import json
from datetime import date
from functools import cache
from typing import Any, get_args

import pytest
from hypothesis import given, strategies as st

from clusterpass.config import Config
from clusterpass.limits import LARGEST_CLAIMS_BYTES
from clusterpass.model.authentication_errors import TokenExpired
from clusterpass.model.errors import ConfigurationError, InvalidInput
from clusterpass.tokens.algorithms import SigningAlgorithm
from clusterpass.tokens.encoding import decode_base64url, encode_json
from clusterpass.tokens.issuer import RESERVED_CLAIMS, TokenIssuer, check_claims
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.keys import SigningKey
from clusterpass.tokens.verifier import LONGEST_TOKEN, TokenVerifier

NOW = 1_800_000_000
ISSUER = "https://auth.example"
AUDIENCE = "https://api.example"
SESSION_ID = "AAECAwQFBgcICQoLDA0ODw"
ALGORITHMS: tuple[SigningAlgorithm, ...] = get_args(SigningAlgorithm)


@cache
def key_of(algorithm: SigningAlgorithm) -> SigningKey:
    return SigningKey.generate(algorithm)


def issue(
    key: SigningKey,
    subject: str = "alice",
    *,
    claims: Any = None,
    issuer: str = ISSUER,
    audience: str = AUDIENCE,
) -> str:
    maker = TokenIssuer(
        key, issuer=issuer, audience=audience, random_bytes=lambda count: b"r" * count
    )
    return maker.issue(
        subject,
        SESSION_ID,
        issued_at=NOW,
        expires_at=NOW + 900,
        claims=check_claims(claims or {}),
    )


def verifier(key: SigningKey, *, issuer: str = ISSUER, audience: str = AUDIENCE) -> TokenVerifier:
    return TokenVerifier(KeyRing([key]), issuer=issuer, audience=audience, clock=lambda: NOW)


# --- Round trips ---------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_round_trip(algorithm: SigningAlgorithm) -> None:
    key = key_of(algorithm)
    claims = verifier(key).verify(issue(key, claims={"role": "admin", "groups": [1, None]}))
    assert claims.issuer == ISSUER
    assert claims.subject == "alice"
    assert claims.audience == (AUDIENCE,)
    assert (claims.issued_at, claims.expires_at) == (NOW, NOW + 900)
    assert claims.token_id == "cnJycnJycnJycnJycnJycg"
    assert claims.session_id == SESSION_ID
    assert claims.claims == {"role": "admin", "groups": [1, None]}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_header_is_exactly_the_three_parameters(algorithm: SigningAlgorithm) -> None:
    key = key_of(algorithm)
    header = json.loads(decode_base64url(issue(key).split(".")[0]))
    assert header == {"alg": algorithm, "kid": key.kid, "typ": "at+jwt"}


def test_payload_has_the_members_that_rfc_9068_asks_for() -> None:
    payload = json.loads(decode_base64url(issue(key_of("EdDSA")).split(".")[1]))
    assert payload.keys() == {"iss", "sub", "aud", "client_id", "exp", "iat", "jti", "sid"}


@pytest.mark.parametrize(("given", "written"), [(None, ISSUER), ("shop", "shop")])
def test_client_is_the_issuer_unless_it_is_named(given: str | None, written: str) -> None:
    maker = TokenIssuer(
        key_of("EdDSA"), issuer=ISSUER, audience=AUDIENCE, random_bytes=bytes, client_id=given
    )
    token = maker.issue(
        "alice",
        SESSION_ID,
        issued_at=NOW,
        expires_at=NOW + 900,
        claims={"client_id": "of the store"},
    )
    claims = verifier(key_of("EdDSA")).verify(token)
    assert (claims.client_id, claims.claims) == (written, {})


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_public_half_verifies(algorithm: SigningAlgorithm) -> None:
    key = key_of(algorithm)
    public = SigningKey.from_jwk(key.jwk(private=False))
    assert verifier(public).verify(issue(key)).subject == "alice"


def test_each_token_asks_for_new_randomness() -> None:
    asked: list[int] = []

    def random_bytes(count: int) -> bytes:
        asked.append(count)
        return bytes([len(asked)]) * count

    maker = TokenIssuer(
        key_of("EdDSA"), issuer=ISSUER, audience=AUDIENCE, random_bytes=random_bytes
    )
    tokens = {
        maker.issue("alice", SESSION_ID, issued_at=NOW, expires_at=NOW + 1, claims={})
        for _ in range(3)
    }
    assert len(tokens) == 3
    assert asked == [16, 16, 16]


def test_header_in_another_order_with_spaces_is_the_same() -> None:
    from clusterpass.tokens.encoding import encode_base64url

    key = key_of("EdDSA")
    payload = issue(key).split(".")[1]
    header = f' {{ "typ": "at+jwt",\n "kid": "{key.kid}", "alg" : "EdDSA" }} '
    text = f"{encode_base64url(header.encode())}.{payload}"
    token = f"{text}.{encode_base64url(key.sign(text.encode()))}"
    assert verifier(key).verify(token).subject == "alice"


@pytest.mark.parametrize(
    "subject", ["a", "é" * 127, "\U0001f600" * 63, '"' * 255, "a\u2028b", "{}", "</script>"]
)
def test_any_subject_survives(subject: str) -> None:
    key = key_of("EdDSA")
    token = issue(key, subject)
    assert token.isascii()
    assert verifier(key).verify(token).subject == subject


def test_expiry_is_judged_by_the_given_clock() -> None:
    key = key_of("EdDSA")
    token = issue(key)
    for now, fits in ((NOW + 899, True), (NOW + 900, False)):
        checker = TokenVerifier(
            KeyRing([key]), issuer=ISSUER, audience=AUDIENCE, clock=lambda now=now: now
        )
        if fits:
            checker.verify(token)
        else:
            with pytest.raises(TokenExpired):
                checker.verify(token)
            assert checker.verify(token, allow_expired=True).expires_at == NOW + 900


def test_verified_claims_cannot_be_changed() -> None:
    key = key_of("EdDSA")
    claims = verifier(key).verify(issue(key, claims={"role": "user"}))
    with pytest.raises(TypeError):
        claims.claims["role"] = "admin"  # type: ignore[index]
    with pytest.raises(AttributeError):
        claims.subject = "bob"  # type: ignore[misc]


# --- The application's own claims ----------------------------------------------------------------


def test_reserved_names() -> None:
    # "typ", "alg" and the like belong to the header and may be claims.
    assert {
        *("iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "client_id", "auth_time"),
        *("acr", "amr", "act", "step_up", "cnf", "azp", "nonce"),
    } == RESERVED_CLAIMS
    for name in RESERVED_CLAIMS:
        with pytest.raises(InvalidInput, match=name):
            check_claims({name: 1, "other": 2})
        assert check_claims({name.upper(): 1}) == {name.upper(): 1}


def of_size(size: int) -> dict[str, str]:
    return {"a": "x" * (size - len('{"a":""}'))}


def test_limit_of_4096_bytes() -> None:
    assert LARGEST_CLAIMS_BYTES == 4096
    largest = of_size(4096)
    assert len(encode_json(largest)) == 4096
    assert check_claims(largest) == largest
    with pytest.raises(InvalidInput, match="4097"):
        check_claims(of_size(4097))
    with pytest.raises(InvalidInput):
        check_claims(of_size(10_000_000))
    # What counts is the JSON: six bytes for a letter outside ASCII.
    with pytest.raises(InvalidInput):
        check_claims({"a": "é" * 700})


@pytest.mark.parametrize(
    "claims",
    [
        [],
        ["a"],
        "role",
        "",
        0,
        5,
        False,
        b"x",
        {1: 2},
        {None: 1},
        {("a",): 1},
        {"a": object()},
        {"a": {1, 2}},
        {"a": b"x"},
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": [float("-inf")]},
        {"a": 1j},
    ],
)
def test_claims_that_are_no_json_object(claims: Any) -> None:
    with pytest.raises(InvalidInput):
        check_claims(claims)


def nested(depth: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return {"a": value}


def cyclic() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["a"] = value
    return value


UNVERIFIABLE: dict[str, Any] = {
    "integer of twenty digits": {"a": 10**19},
    "integer of a thousand digits": {"a": 10**1000},
    "integer of ten thousand digits": {"a": 10**10_000},
    "negative integer of twenty digits": {"a": -(10**19)},
    "lone surrogate": {"a": "\ud800"},
    "lone surrogate as a name": {"\udfff": 1},
    "lone surrogate inside": {"a": [{"b": "\ud83d"}]},
    "two names that are one in JSON": {"a": {1: "x", "1": "y"}},
    "deep": nested(1900),
    "cycle": cyclic(),
}


@pytest.mark.parametrize("name", UNVERIFIABLE)
def test_claims_that_no_verifier_would_read_are_refused_at_once(name: str) -> None:
    # Else a login succeeds and hands out a token that is refused everywhere.
    with pytest.raises(InvalidInput):
        check_claims(UNVERIFIABLE[name])


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"a": 1, "birth": date(2000, 1, 1)}, "'birth' cannot stand in a token: a date is no JSON"),
        ({"a": 1, "tags": [{"x": {1, 2}}]}, "'tags' cannot stand in a token: a set is no JSON"),
        ({"a": 1, "raw": b"secret"}, "'raw' cannot stand in a token: a bytes is no JSON"),
        ({"a": 1, "rate": float("nan")}, "'rate' cannot stand in a token: NaN"),
        ({"a": 1, "big": [10**19]}, "'big' cannot stand in a token: a whole number has more than"),
        ({"a": 1, "huge": -(10**10_000)}, "'huge' cannot stand in a token: a whole number"),
        ({"a": 1, "text": "secret\ud800"}, "'text' cannot stand in a token: a text is not valid"),
        ({"a": 1, "map": {1: "x", "1": "y"}}, "'map' cannot stand in a token: a name in it"),
        ({"a": 1, "deep": nested(40)}, "'deep' is nested more than 32 levels deep"),
        ({"a": 1, "cycle": cyclic()}, "'cycle' is nested more than 32 levels deep"),
        ({"a": 1, 2: "secret"}, "every claim name must be a string; '2' is of type int"),
        ({"a": 1, (2,): "secret"}, "every claim name must be a string; 'one' is of type tuple"),
        ({"a": 1, "jti": "secret"}, "the claim 'jti' is reserved"),
        ({"a": 1, "x" * 64: {1}}, "the claim '" + "x" * 64 + "' cannot"),
        ({"a": 1, "x" * 100: {1}}, "the claim '" + "x" * 64 + "...' cannot"),
        ({"a": 1, "line\nbreak": {1}}, r"the claim 'line\nbreak' cannot"),
        ({"a": "x" * 10, "photo": "y" * 5000}, "The largest is 'photo' with 5002"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_claim_that_is_wrong_is_named(claims: Any, why: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_claims(claims)
    assert why in caught.value.message
    assert "secret" not in caught.value.message
    assert caught.value.__cause__ is None


texts = st.text(max_size=8)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(texts | st.integers(), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(texts, plain, max_size=4))
def test_claims_are_refused_or_come_back(claims: dict[str, Any]) -> None:
    try:
        own = check_claims(claims)
    except InvalidInput:
        return
    key = key_of("HS256")
    assert verifier(key).verify(issue(key, claims=claims)).claims == own


def test_claims_are_copied_to_the_bottom() -> None:
    claims: dict[str, Any] = {"roles": ["user"]}
    own = check_claims(claims)
    claims["roles"].append("admin")
    claims["new"] = 1
    assert own == {"roles": ["user"]}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_longest_token_that_can_be_made_is_accepted(algorithm: SigningAlgorithm) -> None:
    """All at their limits: subject, claims, issuer, audience and key id."""
    jwk = {**key_of(algorithm).jwk(private=True), "kid": "k" * 128}
    key = SigningKey.from_jwk(jwk)
    for letter in ("x", '"', "é", "\U0001f600"):
        issuer = letter * 255
        try:
            Config(issuer=issuer, keys=KeyRing([key]))
        except ConfigurationError:
            continue
        subject = letter * (255 // len(letter.encode()))
        token = issue(key, subject, claims=of_size(4096), issuer=issuer, audience=issuer)
        claims = verifier(key, issuer=issuer, audience=issuer).verify(token)
        assert claims.subject == subject


def test_longest_token_leaves_room_for_a_header_line() -> None:
    # Servers commonly allow 8 or 16 KiB for a line of a request.
    assert LONGEST_TOKEN <= 16_384


def test_what_the_issuer_says_is_not_overridden_by_stored_claims() -> None:
    key = key_of("EdDSA")
    maker = TokenIssuer(key, issuer=ISSUER, audience=AUDIENCE, random_bytes=lambda n: b"r" * n)
    token = maker.issue(
        "alice",
        SESSION_ID,
        issued_at=NOW,
        expires_at=NOW + 900,
        claims={"sub": "bob", "exp": NOW + 10**6, "role": "admin", "act": {"sub": "eve"}},
        authentication={"act": {"sub": "carol", "sid": SESSION_ID}, "acr": 'a"b'},
    )
    claims = verifier(key).verify(token)
    assert (claims.subject, claims.expires_at) == ("alice", NOW + 900)
    assert (claims.act and claims.act.subject, claims.acr) == ("carol", 'a"b')
    assert claims.claims == {"role": "admin"}
