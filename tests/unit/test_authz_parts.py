"""Parts of the front door that need no server: reload, headers, assertions, credentials, audit."""

import asyncio
import io
import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest

from clusterpass import (
    Actor,
    Config,
    ConfigurationError,
    InvalidToken,
    KeyRing,
    Session,
    TokenIssuer,
    TokenMalformed,
    TokenMissing,
    TokenTypeInvalid,
    TokenVerifier,
)
from clusterpass.service.asgi.log_lines import make_logger
from clusterpass.service.authz.assertion import LIFETIME, REUSED_FOR, Assertions
from clusterpass.service.authz.credentials import token_of
from clusterpass.service.authz.identity import HEADER_SETS, OWN_HEADERS, Identity
from clusterpass.service.authz.log_fields import attempted_subject, audit_fields
from clusterpass.service.authz.original_request import OriginalRequest
from clusterpass.service.authz.policy import EVERYWHERE, Ruling
from clusterpass.service.authz.policy_file import load_policies
from clusterpass.service.authz.reload import ReloadedPolicies

ISSUER = "https://auth.example"
SESSION = Session(
    subject="ali ce",
    session_id="sid-1",
    device=None,
    created_at=1,
    refreshed_at=1,
    expires_at=9,
    auth_time=1,
    acr="1",
    claims={
        "scope": "a:b c",
        "email": "alice@app.example",
        "name": "Alice Ä",
        "groups": ["staff", "a,b"],
        "preferred_username": "al",
    },
)


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


# A file that changes.

ONE = '[[rules]]\nname = "one"\nhosts = "app.example"\n'


def write(file: Path, text: str) -> None:
    """Replace a file as an editor or a volume does; its time changes also within one tick."""
    before = file.stat().st_mtime_ns if file.exists() else 0
    new = file.with_suffix(".new")
    new.write_text(text)
    if new.stat().st_mtime_ns <= before:
        os.utime(new, ns=(before + 1, before + 1))
    new.replace(file)


def names(policies: ReloadedPolicies) -> list[str]:
    current = policies.current()
    return [] if current is None else [rule.name for rule in current.all_rules()]


def test_a_changed_file_is_read_again_after_a_second(tmp_path: Path, clock: Clock):
    file, log = tmp_path / "policy.toml", io.StringIO()
    write(file, ONE)
    policies = ReloadedPolicies(file, load_policies, make_logger("json", log), clock=clock)
    write(file, ONE.replace("one", "two"))
    clock.now += 0.9
    assert names(policies) == ["one"]
    clock.now += 0.1
    assert names(policies) == ["two"]
    (line,) = map(json.loads, log.getvalue().splitlines())
    assert (line["event"], line["level"], line["rules"]) == ("authz_policy_loaded", "info", 1)
    clock.now += 1
    assert names(policies) == ["two"]
    assert len(log.getvalue().splitlines()) == 1


@pytest.mark.parametrize("broken", ["", "[[rules]]\nhost = 'x'\n", "[[rules"])
def test_a_broken_file_changes_nothing_and_is_reported_once(tmp_path, clock, broken):
    file, log = tmp_path / "policy.toml", io.StringIO()
    write(file, ONE)
    policies = ReloadedPolicies(file, load_policies, make_logger("json", log), clock=clock)
    write(file, broken)
    for _ in range(3):
        clock.now += 1
        assert names(policies) == ["one"]
    (line,) = map(json.loads, log.getvalue().splitlines())
    assert (line["event"], line["level"]) == ("authz_policy_kept", "error")
    assert str(file) in line["problem"]
    write(file, ONE.replace("one", "two"))
    clock.now += 1
    assert names(policies) == ["two"]


def test_a_file_that_disappears_changes_nothing(tmp_path: Path, clock: Clock):
    file, log = tmp_path / "policy.toml", io.StringIO()
    write(file, ONE)
    policies = ReloadedPolicies(file, load_policies, make_logger("json", log), clock=clock)
    file.unlink()
    clock.now += 1
    assert names(policies) == ["one"]
    assert json.loads(log.getvalue())["event"] == "authz_policy_kept"
    with pytest.raises(ConfigurationError):
        ReloadedPolicies(file, load_policies, make_logger("json", log), clock=clock)


def test_a_file_that_is_written_in_place_is_read_when_it_is_whole(tmp_path: Path, clock: Clock):
    """Half of a rule may open what the whole does not."""
    file, log = tmp_path / "policy.toml", io.StringIO()
    write(file, ONE)
    policies = ReloadedPolicies(file, load_policies, make_logger("json", log), clock=clock)
    half = "[[rules]]\nname = 'half'\nhosts = '*'\naccess = 'public'\n"
    for text in (half, f"{half}paths = '/assets/**'\n"):
        file.write_text(text)
        os.utime(file, ns=(len(text), len(text)))
        clock.now += 1
        assert names(policies) == ["one"]
    clock.now += 1
    (rule,) = policies.current().all_rules()
    assert (rule.name, len(rule.paths)) == ("half", 1)


def test_a_file_that_became_a_pipe_holds_up_nobody(tmp_path: Path, clock: Clock):
    file, log = tmp_path / "policy.toml", io.StringIO()
    write(file, ONE)
    policies = ReloadedPolicies(file, load_policies, make_logger("json", log), clock=clock)
    file.unlink()
    os.mkfifo(file)

    def look() -> None:
        for _ in range(2):  # the pipe may have the number that the file had
            clock.now += 1
            policies.current()

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(5)
    assert not looking.is_alive()
    assert "has no rules" in json.loads(log.getvalue())["problem"]
    assert names(policies) == ["one"]


async def test_a_large_file_that_is_read_again_holds_up_no_request(tmp_path: Path):
    file, log, may_end = tmp_path / "policy.toml", io.StringIO(), threading.Event()
    write(file, ONE)
    first = load_policies(file)
    loaded = iter([first])

    def load(path: Path):
        if (policies := next(loaded, None)) is None:
            assert may_end.wait(10)
            policies = load_policies(path)
        return policies

    policies = ReloadedPolicies(file, load, make_logger("json", log))
    watching = asyncio.create_task(policies.watch())
    await asyncio.sleep(0)
    write(file, ONE.replace("one", "two"))
    async with asyncio.timeout(10):
        while policies._seen != policies._look():
            await asyncio.sleep(0.05)
        assert names(policies) == ["one"]
        may_end.set()
        while names(policies) != ["two"]:
            await asyncio.sleep(0.05)
    watching.cancel()


def test_a_worker_that_replaces_another_one_waits_for_a_correct_file(tmp_path, clock):
    file, log = tmp_path / "policy.toml", io.StringIO()
    write(file, "[[rules")
    logger = make_logger("json", log)
    policies = ReloadedPolicies(file, load_policies, logger, may_be_broken=True, clock=clock)
    assert policies.current() is None
    assert json.loads(log.getvalue())["event"] == "authz_policy_kept"
    write(file, ONE)
    clock.now += 1
    assert names(policies) == ["one"]
    again = ReloadedPolicies(file, load_policies, logger, may_be_broken=True, clock=clock)
    assert names(again) == ["one"]


# Identity headers.


def test_every_header_is_always_there():
    identity = Identity(tuple(HEADER_SETS))
    nobody = identity.of(None)
    assert set(nobody.values()) == {""}
    assert nobody.keys() == identity.of(SESSION).keys()
    assert set(OWN_HEADERS) == Identity(()).of(None).keys() == Identity(()).of(SESSION).keys()
    plain = identity.of(replace(SESSION, claims={}))
    assert (plain["X-Auth-Actor"], plain["X-Auth-Grace"], plain["Remote-Groups"]) == ("", "", "")


def test_headers_say_who_calls_in_visible_ascii():
    headers = Identity(("remote", "x-auth-request")).of(SESSION, "signed")
    assert headers["X-Auth-Subject"] == headers["Remote-User"] == "ali%20ce"
    assert headers["X-Auth-Request-User"] == "ali%20ce"
    assert headers["Remote-Groups"] == headers["X-Auth-Request-Groups"] == "staff,a%2Cb"
    assert headers["Remote-Email"] == headers["X-Auth-Request-Email"] == "alice@app.example"
    assert headers["Remote-Name"] == "Alice%20%C3%84"
    assert headers["X-Auth-Request-Preferred-Username"] == "al"
    assert headers["X-Auth-Assertion"] == "signed"
    acting = replace(SESSION, act=Actor("root", "sid-2"), in_grace=True)
    assert Identity(()).of(acting)["X-Auth-Actor"] == "root"
    assert Identity(()).of(acting)["X-Auth-Grace"] == "1"


@pytest.mark.parametrize(
    ("groups", "shown"),
    [
        ("a b,c", "a,b,c"),
        ([], ""),
        ([1, "x", None], "x"),
        ({"a": 1}, ""),
        (7, ""),
        (["a\r\nX: y"], "a%0D%0AX:%20y"),
    ],
)
def test_groups_of_any_form(groups, shown):
    found = Identity(("remote",)).of(replace(SESSION, claims={"groups": groups, "email": 7}))
    assert (found["Remote-Groups"], found["Remote-Email"]) == (shown, "")


# Assertions.


def read(token: str, keys: KeyRing, audience: str) -> dict[str, Any]:
    """What an upstream with another library reads, given the published keys."""
    published = jwt.PyJWKSet.from_dict(keys.public_jwks())
    header = jwt.get_unverified_header(token)
    assert header["typ"] == "clusterpass-assertion+jwt"
    key = published[header["kid"]]
    options = {"verify_exp": False}  # the clock of the tests is not that of the library
    claims: dict[str, Any] = jwt.decode(
        token, key, [header["alg"]], options, audience=audience, issuer=ISSUER
    )
    return claims


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
def test_an_assertion_is_checked_against_the_published_keys(algorithm, clock):
    keys = KeyRing.generate(algorithm)
    token = Assertions(keys, ISSUER, clock=clock).of(SESSION, "app.example")
    claims = read(token, keys, "app.example")
    with pytest.raises(jwt.InvalidAudienceError):
        read(token, keys, "other.example")
    assert claims.pop("jti")
    assert claims == {
        "iss": ISSUER,
        "aud": "app.example",
        "sub": "ali ce",
        "sid": "sid-1",
        "acr": "1",
        "auth_time": 1,
        "scope": "a:b c",
        "iat": 1_000_000,
        "exp": 1_000_000 + LIFETIME,
    }


def test_an_assertion_names_the_actor_and_the_grace(clock):
    keys = KeyRing.generate()
    acting = replace(SESSION, act=Actor("root", "sid-2"), in_grace=True)
    token = Assertions(keys, ISSUER, clock=clock).of(acting, "app.example")
    claims = read(token, keys, "app.example")
    assert (claims["act"], claims["grace"]) == ({"sub": "root"}, True)


@pytest.mark.parametrize("host", ["app.example", ISSUER])
def test_an_assertion_is_no_access_token(host):
    keys = KeyRing.generate()
    token = Assertions(keys, ISSUER).of(SESSION, host)
    with pytest.raises(TokenTypeInvalid):
        TokenVerifier(keys, issuer=ISSUER, audience=host).verify(token)


def test_an_assertion_is_reused_for_some_seconds_by_the_same_session_and_host(clock):
    assertions = Assertions(KeyRing.generate(), ISSUER, clock=clock)
    first = assertions.of(SESSION, "app.example")
    assert assertions.of(SESSION, "app.example") == first
    assert assertions.of(SESSION, "other.example") != first
    assert assertions.of(replace(SESSION, claims={"scope": "x"}), "app.example") != first
    assert assertions.of(replace(SESSION, subject="bob"), "app.example") != first
    assert assertions.of(replace(SESSION, acr="2"), "app.example") != first
    clock.now += REUSED_FOR - 1
    assert assertions.of(SESSION, "app.example") == first
    clock.now += 1
    second = assertions.of(SESSION, "app.example")
    assert second != first
    clock.now -= 3600  # the clock was set back: one from the future would not be accepted
    assert assertions.of(SESSION, "app.example") != second


def test_what_is_kept_is_bounded(clock, monkeypatch):
    monkeypatch.setattr("clusterpass.service.authz.assertion._MOST_KEPT", 3)
    assertions = Assertions(KeyRing.generate(), ISSUER, clock=clock)
    first = assertions.of(SESSION, "a")
    for host in "bcd":
        assertions.of(SESSION, host)
    assert len(assertions._kept) == 3
    assert assertions.of(SESSION, "a") != first


def test_a_shared_secret_signs_no_assertions():
    with pytest.raises(ConfigurationError, match="authz_assertion"):
        Assertions(KeyRing.generate("HS256"), ISSUER)


# Credentials.

COOKIE = "__Host-clusterpass-access"
BROUGHT = {"cookie": [f"a=b; {COOKIE}=from-cookie"]}


def test_the_token_is_in_the_header_or_else_in_the_cookie():
    assert token_of(BROUGHT, COOKIE) == "from-cookie"
    assert token_of({**BROUGHT, "authorization": ["Bearer from-header"]}, COOKIE) == "from-header"
    assert token_of({"authorization": ["bearer x"]}, COOKIE) == "x"


@pytest.mark.parametrize(
    ("values", "error"),
    [
        (["Bearer"], TokenMalformed),
        (["Bearer "], TokenMalformed),
        (["Basic YTpi"], TokenMissing),
        ([""], TokenMissing),
        (["from-header"], TokenMissing),
        (["Bearer x", "Bearer x"], TokenMalformed),
    ],
)
def test_a_wrong_header_never_makes_room_for_the_cookie(values, error):
    with pytest.raises(error):
        token_of({**BROUGHT, "authorization": values}, COOKIE)


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        f"{COOKIE}=",
        "clusterpass-access=x",
        f"{COOKIE}=x; {COOKIE}=y",
        f"\xa0{COOKIE}=x",
    ],
)
def test_without_a_token(cookie):
    with pytest.raises(TokenMissing):
        token_of({"cookie": [cookie]}, COOKIE)


# Audit.


def test_the_log_says_who_asked_for_what():
    original = OriginalRequest(
        "POST", "https", "app.example", None, f"/reset/{'S' * 41}/\x1b[31m\u0100", fault="x"
    )
    assert audit_fields(original, Ruling(EVERYWHERE, "x"), "192.0.2.1", "strict") == {
        "client": "192.0.2.1",
        "original_method": "POST",
        "original_host": "app.example",
        "original_uri": "/reset/[cut]/%1B[31m%C4%80",
        "policy": "strict",
        "rule": "authenticated everywhere",
    }
    assert audit_fields(OriginalRequest(fault="x"), Ruling(None), None, "") == {}


def test_a_name_is_known_from_a_genuine_token_alone():
    keys = KeyRing.generate()
    config = Config(issuer=ISSUER, keys=keys)

    def issued(ring: KeyRing) -> Callable[[], str]:
        issuer = TokenIssuer(
            ring.signing_key, issuer=ISSUER, audience=ISSUER, random_bytes=os.urandom
        )
        token = issuer.issue("alice", "sid", issued_at=1, expires_at=2, claims={})
        return lambda: token

    def missing() -> str:
        raise TokenMissing

    assert attempted_subject(config, issued(keys)) == "alice"
    assert attempted_subject(config, issued(KeyRing.generate())) is None
    assert attempted_subject(config, missing) is None
    assert issubclass(TokenMissing, InvalidToken)
