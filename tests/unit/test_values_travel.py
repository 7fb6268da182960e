"""Every public value can be copied, pickled and written as JSON; settings reach other processes."""

import copy
import dataclasses
import json
import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import pytest
from fastapi.encoders import jsonable_encoder
from pydantic import PydanticSchemaGenerationError, TypeAdapter

import clusterpass
from clusterpass import (
    AccessClaims,
    Actor,
    Applied,
    AuditEntry,
    AuditFault,
    AuditPage,
    AuditPolicy,
    AuditReport,
    AuditStats,
    Ban,
    CacheStats,
    Config,
    Credentials,
    Ended,
    HistoryEntry,
    KeyRing,
    ListenerStats,
    ManagedKey,
    ManagedKeys,
    ManagerStats,
    NodeStats,
    OneTimeLink,
    OnlineCount,
    OnlinePage,
    PasswordPolicy,
    PendingStats,
    RevokedBefore,
    Session,
    SessionChange,
    SessionEvent,
    SessionPolicy,
    SessionRevoked,
    StoreLocation,
    StoreUnavailable,
    ThrottlePolicy,
    TlsFiles,
    TokenIssuer,
    TokenPair,
    TokenVerifier,
    User,
    parse_store_url,
)
from clusterpass.model.frozen import frozen

from .test_errors import OWN, make

ID = "A" * 22
BAN = Ban("chat", 3, None, "spam", 5)
CLAIMS = frozen({"scope": "orders:read", "plan": {"names": ["pro", {"since": 7}], "price": 1.5}})
SESSION = Session(
    "alice",
    ID,
    "phone",
    1,
    2,
    3,
    CLAIMS,
    amr=("pwd", "otp"),
    act=Actor("bob", "B" * 22, "support"),
    bans=(BAN,),
)
CACHE = CacheStats(
    entries=1, bytes=2, hits=3, misses=4, evictions=5, invalidations=6, invalidations_per_second=0.5
)
NODE = NodeStats(
    address="10.0.0.1:7000",
    is_connected=True,
    has_lease=True,
    lease_seconds=0.4,
    beat_age=None,
    epoch=7,
    is_outdated=False,
)
PENDING = PendingStats(waiting=1, oldest_seconds=0.5, confirmed=2, refused=0)
LISTENERS = ListenerStats(waiting=0, dropped=1, reads=2, unread=3, overrun=4, gaps=5)
AUDITED = AuditEntry(
    *(7, "5-0", 5.25, "revoke", "done", "root", "alice", ID),
    details={"count": 1},
    writer="77" * 8,
    writer_number=3,
)
VALUES: dict[type[Any], Any] = {
    type(value): value
    for value in (
        AccessClaims("iss", "alice", ("a", "b"), 1, 2, "jti", ID, CLAIMS, 1, "2", ("pwd",)),
        Actor("bob", ID, "support"),
        Applied(2, durable=True),
        AUDITED,
        AuditFault("missing", 7, "entries 5 to 6 are not there"),
        AuditPage((AUDITED,), "5-0"),
        AuditPolicy(retention=7200, most_entries=2000),
        AuditReport(2, 5, 7, f"7:{'0' * 40}", (AuditFault("lost", 7, "x"),)),
        AuditStats(written=1, waiting=2, failed=3, logged=4),
        BAN,
        CACHE,
        Ended(2, durable=True, journaled=True),
        HistoryEntry("login", 5, 1, ID, "192.0.2.1", "phone"),
        LISTENERS,
        ManagerStats(
            verification="cached",
            staleness_bound=0.5,
            cache=CACHE,
            nodes=(NODE,),
            refusal="",
            pending=PENDING,
            silent_nodes=("10.0.0.2:7000",),
            listeners=LISTENERS,
        ),
        NODE,
        OneTimeLink("alice", "cpl_token", 5),
        OnlineCount(3, 4),
        OnlinePage((SESSION, SESSION), None),
        PENDING,
        RevokedBefore(7, durable=False),
        SESSION,
        SessionChange("changed", SESSION),
        SessionEvent("elevated", "alice", 5, (ID,), actor=Actor("bob", ID)),
        PasswordPolicy(shortest=15),
        SessionPolicy(max_sessions=3, overflow="refuse"),
        ManagedKeys(algorithm="ES256", rotate_after=7200, publish_before=60),
        ManagedKey("a", "ES256", "passive", 1, 2, 3, 4),
        ThrottlePolicy(account_attempts=7),
        TokenPair("the-access", "the-refresh", 900, ID, "alice", True, 600, "1"),
        User("alice", disabled=False, created_at=5),
    )
}
RING = KeyRing.generate()
SETTINGS: dict[type[Any], Any] = {
    Credentials: Credentials(username="app", password="secret", expires_in=900),
    Config: Config(issuer="https://a.example", keys=RING, protected_subjects=frozenset({"root"})),
    StoreLocation: parse_store_url("rediss+cluster://app:secret@10.0.0.5:7000?timeout=0.3"),
    TlsFiles: TlsFiles(Path("ca.pem"), Path("cert.pem"), Path("key.pem")),
}
"""What may hold secrets, and is therefore no answer to anybody."""
CHANGES = [
    SessionChange("ended", SESSION, SessionRevoked(reason="revoked", ended_at=5, note="stolen")),
    SessionChange("unavailable", SESSION, StoreUnavailable(reason="busy", retry_after=9)),
]


def test_no_public_value_is_forgotten() -> None:
    public = {getattr(clusterpass, name) for name in clusterpass.__all__}
    kinds = {kind for kind in public if isinstance(kind, type) and dataclasses.is_dataclass(kind)}
    assert kinds == VALUES.keys() | SETTINGS.keys()


@pytest.mark.parametrize("kind", [*VALUES, *SETTINGS], ids=lambda kind: kind.__name__)
def test_copies_are_equal(kind: type[Any]) -> None:
    value = {**VALUES, **SETTINGS}[kind]
    copies = [copy.copy(value), copy.deepcopy(value)]
    copies += [pickle.loads(pickle.dumps(value, each)) for each in range(2, 6)]
    for twin in copies:
        assert type(twin) is kind
        assert twin == value
        assert repr(twin) == repr(value)


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_values_are_members_of_sets(kind: type[Any]) -> None:
    value = VALUES[kind]
    assert {value, copy.deepcopy(value)} == {value}


def plain(value: Any) -> bool:
    """Whether there is nothing but the types that JSON has."""
    if type(value) is dict:
        return all(type(name) is str and plain(each) for name, each in value.items())
    if type(value) is list:
        return all(map(plain, value))
    return type(value) in {str, int, float, bool, type(None)}


@pytest.mark.parametrize("value", [*VALUES.values(), *CHANGES], ids=lambda each: repr(each)[:40])
def test_a_value_is_plain_json(value: Any) -> None:
    told = value.to_dict()
    assert plain(told)
    assert told.keys() == {each.name for each in dataclasses.fields(value)}
    assert json.loads(json.dumps(told)) == told
    assert TypeAdapter(type(value)).dump_python(value, mode="json") == told
    assert dataclasses.asdict(value).keys() == told.keys()
    assert json.loads(json.dumps(jsonable_encoder(value))).keys() == told.keys()


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_a_value_is_read_from_its_json(kind: type[Any]) -> None:
    adapter = TypeAdapter(kind)
    assert adapter.validate_json(json.dumps(VALUES[kind].to_dict())) == VALUES[kind]
    assert adapter.validate_python(VALUES[kind]) == VALUES[kind]
    assert jsonable_encoder(VALUES[kind]) == VALUES[kind].to_dict()
    assert adapter.json_schema(mode="serialization")["type"] == "object"


def test_what_a_dictionary_holds_is_its_own() -> None:
    told = SESSION.to_dict()
    told["claims"]["plan"]["names"].append("changed")
    told["amr"].append("hwk")
    assert SESSION.to_dict() != told
    assert SESSION.claims == CLAIMS


def test_an_error_that_ends_a_watch_says_its_code() -> None:
    assert CHANGES[0].to_dict()["error"] == {
        "code": "session_revoked",
        "message": str(CHANGES[0].error),
        "reason": "revoked",
        "ended_at": 5,
        "note": "stolen",
    }
    for change in CHANGES:
        twin = pickle.loads(pickle.dumps(change))
        assert (type(twin.error), twin.to_dict()) == (type(change.error), change.to_dict())


@pytest.mark.parametrize("kind", OWN, ids=lambda kind: kind.__name__)
def test_an_error_is_plain_json(kind: type[Any]) -> None:
    error = make(kind)
    told = error.to_dict()
    assert plain(told)
    assert (told["code"], told["message"]) == (error.code, error.message)
    assert TypeAdapter(kind).dump_python(error, mode="json") == told
    twin = pickle.loads(pickle.dumps(error))
    assert (twin.code, twin.reason, twin.message) == (error.code, error.reason, error.message)


ALGORITHMS = ("EdDSA", "Ed25519", "ES256", "RS256", "HS256")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_ring_is_pickled_whole(algorithm: Any) -> None:
    ring = KeyRing([*KeyRing.generate(algorithm).all(), *KeyRing.generate(algorithm).all()])
    twin = pickle.loads(pickle.dumps(ring))
    assert twin == ring
    assert hash(twin) == hash(ring)
    assert twin.signing_key.kid == ring.signing_key.kid
    assert ring.signing_key.verify(b"message", twin.signing_key.sign(b"message"))
    assert copy.copy(ring) == copy.deepcopy(ring) == ring
    assert ring != KeyRing(reversed(ring.all()))
    assert ring != ring.all()


def test_a_key_ring_knows_after_a_journey_how_its_keys_are_rotated() -> None:
    how = ManagedKeys(algorithm="ES256", rotate_after=7 * 86400)
    unread = pickle.loads(pickle.dumps(KeyRing.in_store(how)))
    assert unread.managed == how
    assert unread.public_jwks() == {"keys": []}, "its keys are still to be read"
    read = pickle.loads(pickle.dumps(KeyRing(RING.all(), ignored=("x",), managed=how)))
    assert (read, read.managed, read.ignored) == (RING, how, ("x",))


def test_a_public_half_stays_one_and_differs_from_the_private_one() -> None:
    public = KeyRing.from_jwks(RING.public_jwks())
    twin = pickle.loads(pickle.dumps(public))
    assert twin == public
    assert not twin.can_sign
    assert public != RING
    assert b'"d"' not in pickle.dumps(public)


def test_other_keys_under_a_name_are_other_keys() -> None:
    first, second = KeyRing.generate(kid="one"), KeyRing.generate(kid="one")
    assert first != second
    assert first.signing_key != second.signing_key


def _sign_and_verify(config: Config) -> tuple[str, str]:
    issuer = TokenIssuer(
        config.keys.signing_key, issuer=config.issuer, audience="a", random_bytes=bytes
    )
    token = issuer.issue("alice", ID, issued_at=1, expires_at=2**40, claims={})
    return token, repr(config)


def test_a_configuration_reaches_a_process_that_is_spawned() -> None:
    config = SETTINGS[Config]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        token, shown = pool.apply(_sign_and_verify, (config,))
    verifier = TokenVerifier(RING, issuer=config.issuer, audience="a")
    assert verifier.verify(token).subject == "alice"
    assert shown == repr(config)


@pytest.mark.parametrize(
    "value", [SETTINGS[Config], RING, RING.signing_key], ids=["config", "ring", "key"]
)
def test_no_private_key_is_shown_or_written_as_json(value: Any) -> None:
    secret = json.loads(RING.private_jwks_text())["keys"][0]["d"]
    assert secret not in f"{value!r} {value} {[value]}"
    assert secret.encode() in pickle.dumps(value), "the test would see it"
    with pytest.raises(ValueError, match="not iterable") as caught:
        jsonable_encoder(value)
    assert secret not in str(caught.value)
    with pytest.raises(PydanticSchemaGenerationError):
        TypeAdapter(type(value))
    with pytest.raises(TypeError):
        json.dumps(value)
