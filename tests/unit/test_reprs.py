"""The ``repr`` of stored, sent and public values: no token, digest or password hash."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import pytest

import clusterpass.config
import clusterpass.model
import clusterpass.protocol
import clusterpass.tokens
import clusterpass.users
import clusterpass.web
from clusterpass import Config, KeyRing, TokenPair
from clusterpass.integrations import fastapi, litestar_router
from clusterpass.protocol.calls import directory, session
from clusterpass.protocol.calls.directory import StoredUser
from clusterpass.protocol.calls.subject_change import Housekeeping
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import LiveRecord
from clusterpass.protocol.replies import NO_DETAILS, Listed, Stored, read_stored
from clusterpass.protocol.script import Answer, ScriptCall
from clusterpass.sessions.memory.entries import CachedSession
from clusterpass.web import endpoints
from clusterpass.web.gate import Gate, Visit
from clusterpass.web.messages import WebAnswer
from clusterpass.web.settings import WebSettings

from .web_request import FakeRequest

DIGEST = b"refresh-digest-1"
HASH = "$argon2id$v=19$password-hash"
KEYSPACE, KEEPING, ID = Keyspace(), Housekeeping(60), b"session-id-of-16"
RECORD = LiveRecord(1, 2, 3, 4, 5, DIGEST, "phone")
STORED = Stored(9, RECORD)
RAW = [9, RECORD.pack(), b"", b"", b"", b"", 0, b""]
NEW_SESSION = session.NewSession(
    session_id=ID,
    refresh_digest=DIGEST,
    absolute_seconds=6,
    idle_seconds=0,
    details=NO_DETAILS,
    most_sessions=5,
)


def sent(call: ScriptCall[Any]) -> ScriptCall[Any]:
    """The call as a driver leaves it."""
    call.packed = b"|".join(part for part in call.arguments if isinstance(part, bytes))
    return call


LOGIN = sent(session.login(KEYSPACE, KEEPING, "alice", NEW_SESSION))
ROTATE = sent(
    session.rotate(
        KEYSPACE,
        KEEPING,
        "alice",
        session_id=ID,
        presented_digest=DIGEST,
        rotation=0,
        successor_digest=DIGEST,
        chains=DIGEST * 4,
    )
)
ADD_USER = sent(directory.add_user(KEYSPACE, "alice", password_hash=HASH, operation=ID))
CHANGE_USER = sent(
    directory.change_user(KEYSPACE, "alice", field_name="password", value=HASH, expected=HASH)
)
SHOWN: dict[str, Callable[[], object]] = {
    "LiveRecord": lambda: RECORD,
    "Stored": lambda: STORED,
    "stored as read": lambda: read_stored(RAW),
    "Listed": lambda: Listed(9, {ID: STORED}, []),
    "NewSession": lambda: NEW_SESSION,
    "Opened": lambda: session.Opened("OK", STORED, (), Listed(9, {ID: STORED}, [])),
    "Rotated": lambda: session.Rotated("OK", STORED),
    "StoredUser": lambda: StoredUser(HASH, disabled=False, created_at=5),
    "call of login": lambda: LOGIN,
    "call of rotate": lambda: ROTATE,
    "call of user_add": lambda: ADD_USER,
    "call of user_change": lambda: CHANGE_USER,
    "Answer": lambda: Answer(STORED, durable=False),
    "Answer with what came": lambda: Answer(RAW, durable=False),
}


def every_class() -> list[type[Any]]:
    names = [
        module.name
        for module in pkgutil.walk_packages(clusterpass.protocol.__path__, "clusterpass.protocol.")
    ]
    return [
        value
        for name in names
        for value in vars(importlib.import_module(name)).values()
        if isinstance(value, type) and dataclasses.is_dataclass(value) and value.__module__ == name
    ]


@pytest.mark.parametrize("name", SHOWN)
def test_nothing_secret_is_printed(name: str) -> None:
    value = SHOWN[name]()
    for printed in (repr(value), str(value), f"{[value]}"):
        assert type(value).__name__ in printed
        assert DIGEST.decode() not in printed
        assert HASH not in printed


def test_what_is_sent_does_hold_the_secrets() -> None:
    """The test above would see them."""
    for call, secret in ((LOGIN, DIGEST), (ROTATE, DIGEST), (ADD_USER, HASH.encode())):
        assert secret in call.arguments
        assert call.packed is not None
        assert secret in call.packed
        assert secret.decode() in repr((call.arguments, call.packed))


def test_every_member_that_is_secret_by_its_name_or_holds_anything_is_hidden() -> None:
    found = every_class()
    assert {LiveRecord, StoredUser, ScriptCall, Answer, session.NewSession} <= set(found)
    for kind in found:
        for member in dataclasses.fields(kind):
            if member.name in {"arguments", "packed", "reply"} or any(
                word in member.name for word in ("digest", "hash", "secret", "password")
            ):
                assert not member.repr, f"{kind.__name__}.{member.name}"
    (raw,) = (member for member in dataclasses.fields(CachedSession) if member.name == "raw")
    assert not raw.repr, "what is remembered of a session holds the record"


def test_a_script_is_printed_by_its_name() -> None:
    assert "name='login'" in repr(LOGIN)
    assert len(repr(LOGIN)) < 600, "the source is left out"


def test_no_public_value_prints_a_token_or_a_key() -> None:
    """By its name: whatever is called a token, a password, a secret or a key stays hidden."""
    modules = [
        importlib.import_module(module.name)
        for package in (clusterpass.model, clusterpass.tokens, clusterpass.users)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    kinds = {
        kind
        for module in [*modules, clusterpass.config]
        for kind in vars(module).values()
        if isinstance(kind, type)
        and dataclasses.is_dataclass(kind)
        and not kind.__module__.startswith("clusterpass.protocol")
    }
    secret = {
        (kind.__name__, member.name): member.repr
        for kind in kinds
        for member in dataclasses.fields(kind)
        if member.name.endswith(("token", "password", "secret", "keys", "digest", "hash", "tag"))
    }
    assert {("TokenPair", "access_token"), ("TokenPair", "refresh_token")} <= set(secret)
    assert {name for name, is_shown in secret.items() if is_shown} == set()


def test_no_answer_and_no_body_of_an_integration_prints_a_token_or_a_password() -> None:
    gate = Gate(Config(issuer="i", keys=KeyRing.generate()), WebSettings())
    pair = TokenPair("the-access", "the-refresh", 900, "A" * 22, "alice", True, 600, "1")
    visit = Visit(FakeRequest())
    gate.keep(visit, pair)
    shown = [
        visit,
        endpoints.pair_answer(gate, Visit(FakeRequest()), pair, to_browser=False),
        WebAnswer(headers=tuple(visit.headers)),
        fastapi.LoginBody(username="alice", password="the-password"),
        fastapi.RefreshBody(refresh_token="the-refresh"),
        litestar_router.LoginBody("alice", "the-password"),
    ]
    for value in shown:
        for printed in (repr(value), str(value), f"{[value]}"):
            assert "the-" not in printed
    assert "the-refresh" in str(visit.headers)


def test_no_value_of_the_web_prints_what_may_hold_a_token() -> None:
    modules = [
        importlib.import_module(module.name)
        for module in pkgutil.walk_packages(clusterpass.web.__path__, "clusterpass.web.")
    ]
    secret = {"headers", "members", "text", "renewed", "presented", "access_token"}
    secret |= {"refresh_token", "values"}
    shown = {
        (kind.__name__, member.name)
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and dataclasses.is_dataclass(kind)
        for member in dataclasses.fields(kind)
        if member.repr and member.name in secret
    }
    # A problem has no cookies: its headers are WWW-Authenticate and Retry-After.
    assert shown == {("Problem", "headers")}
