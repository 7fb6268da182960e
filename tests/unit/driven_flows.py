"""Flows that a test drives step by step, giving them the replies of the store."""

from collections.abc import Generator, Mapping
from functools import cache
from typing import Any, cast

import pytest

from clusterpass.config import Config
from clusterpass.model.clock import Clock
from clusterpass.model.errors import ClusterPassError
from clusterpass.model.events import SessionEvent
from clusterpass.protocol.calls.fingerprints import NO_FINGERPRINT
from clusterpass.protocol.calls.subject_change import NO_OPERATION
from clusterpass.protocol.keyspace import Keyspace, slot_of
from clusterpass.protocol.records import LiveRecord, Tombstone
from clusterpass.protocol.script import Answer, Rest, ScriptCall
from clusterpass.sessions.flows import Flows
from clusterpass.tokens.identifiers import encode_session_id
from clusterpass.tokens.issuer import TokenIssuer
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.refresh import RefreshTokens, parse_refresh_token
from clusterpass.tokens.refresh_secrets import new_refresh_secret, read_refresh_secrets
from clusterpass.tokens.verifier import TokenVerifier

NOW = 1_800_000_000
ISSUER = "https://auth.example"
SESSION_ID = bytes(range(16))
SECRET = b"x" * 32
KEYSPACE = Keyspace()
TOMBSTONE = Tombstone("revoked", NOW - 5, NOW + 900)


@cache
def ring() -> KeyRing:
    return KeyRing.generate("EdDSA")


REFRESH_SECRETS = (new_refresh_secret(),)
"""Refresh secrets in the configuration, so that the store is not asked for them."""


def refresh_tokens(secrets: tuple[str, ...] = REFRESH_SECRETS) -> RefreshTokens:
    """Return a maker of refresh tokens with the one secret that is not random."""
    return RefreshTokens(
        read_refresh_secrets(secrets),
        lambda count: SECRET[:count],
        issuer=ISSUER,
        audience=ISSUER,
    )


def refresh_token(
    subject: str = "alice", rotation: int = 3, secrets: tuple[str, ...] = REFRESH_SECRETS
) -> str:
    """The token of that rotation of a session, as these secrets make it."""
    made = refresh_tokens(secrets)
    token = made.first(subject, SESSION_ID)
    for _ in range(rotation):
        token = made.successor(token)
    return token.encode()


REFRESH = parse_refresh_token(refresh_token())


def config(**values: Any) -> Config:
    base = {"issuer": ISSUER, "keys": ring(), "access_lifetime": 900, "idle_lifetime": 3600}
    base["refresh_secrets"] = REFRESH_SECRETS
    return Config(**{**base, "absolute_lifetime": 86_400, **values})


class Counter:
    """Bytes that are never the same twice."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, count: int) -> bytes:
        self.calls += 1
        return bytes([self.calls]) * count


class Life:
    """The flows by the names of the verbs."""

    def __init__(self, now: float, values: dict[str, Any]) -> None:
        self.told: list[SessionEvent] = []
        self.flows = Flows(
            config(**values),
            KEYSPACE,
            deadline=3,
            tell=self.told.append,
            clock=Clock(wall=lambda: now),
            random_bytes=Counter(),
        )
        values = self.flows.context.config
        self.verifier = TokenVerifier(
            values.keys, issuer=values.issuer, audience=values.audience, clock=lambda: now
        )
        known = self.flows.known_secrets
        for _ in range(3):  # each copy was read a moment ago
            known.learn(known.announcements())
        self.tombstone_seconds = self.flows.context.tombstone_seconds
        self.verify = self.flows.verify.verify
        self.refresh = self.flows.refresh.refresh
        self.logout = self.flows.end.logout
        self.sessions = self.flows.subject.sessions

    def login(self, subject: Any, **options: Any) -> Any:
        return self.flows.login.login(subject, cast("Any", options))

    def revoke(self, subject: Any, session_id: Any, reason: str = "") -> Any:
        return self.flows.end.revoke(subject, session_id, reason=reason)

    def revoke_all(self, subject: Any, keep: Any = None) -> Any:
        return self.flows.end.revoke_all(subject, keep=keep, device_type=None, reason="")


def life(now: float = NOW, **values: Any) -> Life:
    return Life(now, values)


administration = life


def live(**values: Any) -> LiveRecord:
    base: dict[str, Any] = {
        "created_milliseconds": NOW * 1000 + 123,
        "absolute_end": NOW + 86_400,
        "refreshed_at": NOW,
        "idle_seconds": 3600,
        "rotation": 0,
        "refresh_digest": REFRESH.digest,
        "device": "",
    }
    return LiveRecord(**{**base, **values})


def drive(flow: Generator[Any, Any, Any], *raw: Any, durable: bool = True) -> tuple[Any, list[Any]]:
    """The result of ``flow``, and its calls, when the store answers ``raw``."""
    asked: list[ScriptCall[Any]] = []
    try:
        call = _past_the_cutoff(flow, next(flow))
        for answer in raw:
            asked.append(call)
            call = _past_the_cutoff(flow, flow.send(Answer(call.read(answer), durable)))
    except StopIteration as end:
        assert len(asked) == len(raw), "fewer calls than answers"
        return end.value, asked
    raise AssertionError(f"asked once more: {call.script.name}")


def _past_the_cutoff(flow: Generator[Any, Any, Any], call: ScriptCall[Any]) -> ScriptCall[Any]:
    """The first call that is none of those that have their own tests; no time passes in a rest."""
    aside = {"read_not_before", "touch", "never_promoted"}
    copies = {"read_secrets", "add_secrets"}
    while isinstance(call, Rest) or call.script.name in aside | copies:
        if isinstance(call, Rest):
            call = flow.send(None)
            continue
        raw: Any = [] if call.script.name in copies else 0
        call = flow.send(Answer(call.read(raw), False))
    return call


def first_call(flow: Generator[Any, Any, Any]) -> ScriptCall[Any]:
    return _past_the_cutoff(flow, next(flow))


def refuse_at_once(kind: type[ClusterPassError], flow: Generator[Any, Any, Any]) -> Any:
    """The error that ``flow`` raises before it asks anything."""
    with pytest.raises(ClusterPassError) as caught:
        next(flow)
    assert type(caught.value) is kind
    return caught.value


def opened(record: LiveRecord, now: int = NOW) -> list[Any]:
    return [b"OK", stored(record, now=now), [], [], []]


def stored(
    record: LiveRecord | Tombstone | None, details: bytes = b"", now: int = NOW
) -> list[Any]:
    value = b"" if record is None else record.pack()
    return [now * 1000 + 999, value, details, b"", b"", b"", 0, b""]


def rotated(status: str, record: LiveRecord | Tombstone | None = None, **more: Any) -> list[Any]:
    return [status.encode(), stored(record, **more), 0]


KEY = KEYSPACE.sessions("alice")
READ = (KEY, KEYSPACE.activity("alice"))
WRITTEN = (*READ, KEYSPACE.online(slot_of(KEY)))


def housekeeping(own: Life, subject: str = "alice") -> bytes:
    """The first argument of each script that writes."""
    return own.flows.context.keeping().pack(subject)


def told_to_end(own: Life, call: ScriptCall[Any]) -> tuple[Any, ...]:
    """The arguments of a script that ends sessions, once its operation is seen to be one."""
    packed = call.arguments[0]
    assert isinstance(packed, bytes)
    operation, fingerprint = packed[15:23], packed[23:31]
    assert operation != NO_OPERATION
    assert fingerprint != NO_FINGERPRINT
    assert packed == own.flows.context.keeping().pack("alice", operation, fingerprint)
    return call.arguments[1:]


def end_of_one(status: bytes) -> list[Any]:
    return [NOW * 1000, status]


def access_token(
    subject: str = "alice",
    session_id: str | None = None,
    *,
    issued_at: int = NOW,
    expires_at: int = NOW + 900,
    claims: Mapping[str, Any] | None = None,
    keys: KeyRing | None = None,
    rotation: int = 0,
) -> str:
    maker = TokenIssuer(
        (keys or ring()).signing_key, issuer=ISSUER, audience=ISSUER, random_bytes=Counter()
    )
    return maker.issue(
        subject,
        encode_session_id(SESSION_ID) if session_id is None else session_id,
        issued_at=issued_at,
        expires_at=expires_at,
        claims=claims or {},
        rotation=rotation,
    )
