"""Public values made of stored records: sessions, bans, history lines and addresses."""

import dataclasses
from typing import Any

import pytest

from clusterpass import (
    AccessClaims,
    Actor,
    Ban,
    HistoryEntry,
    InvalidInput,
    Session,
    SessionExpired,
    SessionRevoked,
    SessionUnknown,
)
from clusterpass.model.values import NO_CLAIMS
from clusterpass.protocol.records import BY_PASSWORD, LiveRecord, Tombstone
from clusterpass.protocol.replies import (
    Details,
    Elevation,
    HistoryLine,
    Listed,
    Stored,
    StoredBan,
)
from clusterpass.sessions.public_values import (
    describe_bans,
    describe_claims,
    describe_line,
    describe_live,
    describe_session,
    live_record,
    pack_address,
)
from clusterpass.tokens.identifiers import encode_session_id

from .driven_flows import NOW, SESSION_ID, config, live

NAME = encode_session_id(SESSION_ID)
CONFIG = config()


def described(record: LiveRecord, **beside: Any) -> Session:
    stored = Stored(NOW * 1000, record, **beside)
    return describe_session(CONFIG, "alice", NAME, stored, record)


def test_a_session_with_everything_is_described() -> None:
    record = live(device="tv\0Sofa", seen_at=NOW + 5, refreshed_at=NOW + 2)
    session = described(
        record,
        details=Details({"a": 1, "b": 2}, None, "2", ("otp",), ("root", "r" * 22, "help")),
        live_claims={"b": 3},
        bans=(StoredBan("chat", 1, 0, "rude", 7), StoredBan("old", 1, NOW, "", 8)),
    )
    assert session == Session(
        subject="alice",
        session_id=NAME,
        device="Sofa",
        created_at=NOW,
        refreshed_at=NOW + 2,
        expires_at=NOW + 3605,
        claims={"a": 1, "b": 3},
        device_type="tv",
        active_at=NOW + 5,
        auth_time=NOW,
        acr="2",
        amr=("otp",),
        act=Actor("root", "r" * 22, "help"),
        bans=(Ban("chat", 1, None, "rude", 7),),
    )


def test_a_session_with_nothing_is_described() -> None:
    session = described(live(device="", flags=BY_PASSWORD))
    assert (session.device, session.device_type, session.act, session.bans) == (
        None,
        None,
        None,
        (),
    )
    assert session.claims is NO_CLAIMS
    assert (session.acr, session.amr) == ("1", ("pwd",))
    assert not session.is_stateless


@pytest.mark.parametrize(
    ("device", "details", "name", "kind"),
    [
        ("Sofa", None, "Sofa", None),
        ("tv\0", None, None, "tv"),
        ("tv\0", "a long name", "a long name", "tv"),
        ("", "a long name", "a long name", None),
    ],
)
def test_where_the_device_is(device: str, details: Any, name: Any, kind: Any) -> None:
    session = described(live(device=device), details=Details({}, details))
    assert (session.device, session.device_type) == (name, kind)


def test_claims_of_a_session_cannot_be_changed() -> None:
    claims: Any = described(live(), live_claims={"a": {"b": 1}}).claims
    with pytest.raises(TypeError):
        claims["a"] = 2


CLAIMS = AccessClaims(
    subject="alice",
    session_id=NAME,
    token_id="t",
    issuer="i",
    audience="i",
    issued_at=NOW,
    expires_at=NOW + 900,
    claims={"a": 1},
)


def test_a_token_that_says_little_is_described() -> None:
    assert describe_claims(CONFIG, CLAIMS) == Session(
        subject="alice",
        session_id=NAME,
        device=None,
        created_at=NOW,
        refreshed_at=NOW,
        expires_at=NOW + 900,
        claims={"a": 1},
        active_at=NOW,
        auth_time=NOW,
        acr="1",
        is_stateless=True,
    )


def test_a_token_that_says_everything_is_described() -> None:
    actor = Actor("root", "r" * 22)
    claims = dataclasses.replace(
        CLAIMS, claims={}, auth_time=NOW - 9, acr="3", amr=("otp",), act=actor
    )
    session = describe_claims(CONFIG, claims)
    assert (session.created_at, session.auth_time) == (NOW - 9, NOW - 9)
    assert (session.refreshed_at, session.active_at) == (NOW, NOW)
    assert (session.acr, session.amr, session.act) == ("3", ("otp",), actor)
    assert session.claims is NO_CLAIMS


def end_of(record: Any, cutoff: int = 0) -> Any:
    with pytest.raises((SessionRevoked, SessionExpired, SessionUnknown)) as caught:
        live_record(Stored(NOW * 1000 + 999, record), cutoff)
    return caught.value


@pytest.mark.parametrize("reason", ["revoked", "replaced", "banned", "logged_out", "reused"])
def test_who_ended_a_session_and_when_is_told(reason: Any) -> None:
    end = end_of(Tombstone(reason, NOW - 5, NOW + 5, "by Ann"))
    assert type(end) is SessionRevoked
    assert (end.reason, end.ended_at, end.note) == (reason, NOW - 5, "by Ann")


@pytest.mark.parametrize(
    ("reason", "told"), [("expired", "session_expired"), ("idle", "session_idle")]
)
def test_which_limit_ended_a_session_is_told(reason: Any, told: str) -> None:
    end = end_of(Tombstone(reason, NOW - 5, NOW + 5))
    assert type(end) is SessionExpired
    assert (end.reason, end.ended_at) == (told, NOW - 5)


def test_which_limit_a_record_has_reached_is_told() -> None:
    absolute = end_of(live(absolute_end=NOW))
    assert (absolute.reason, absolute.ended_at) == ("session_expired", NOW)
    idle = end_of(live(refreshed_at=NOW - 100, idle_seconds=40))
    assert (idle.reason, idle.ended_at) == ("session_idle", NOW - 60)
    both = end_of(live(refreshed_at=NOW - 100, idle_seconds=40, absolute_end=NOW - 60))
    assert (both.reason, both.ended_at) == ("session_expired", NOW - 60)


def test_a_session_is_live_to_the_last_second_and_since_the_cutoff() -> None:
    record = live(absolute_end=NOW + 1)
    assert live_record(Stored(NOW * 1000 + 999, record)) is record
    created = record.created_milliseconds
    assert live_record(Stored(NOW * 1000, record), created) is record
    end = end_of(record, created + 1)
    assert (end.reason, end.ended_at) == ("revoked", (created + 1) // 1000)
    assert type(end_of(None)) is SessionUnknown


def test_bans_in_force() -> None:
    bans = (
        StoredBan("a", 1, NOW - 1, "", 1),
        StoredBan("b", 2, NOW, "", 2),
        StoredBan("c", 3, NOW + 1, "why", 3),
        StoredBan("d", 4, 0, "", 4),
    )
    assert describe_bans(bans, NOW) == (Ban("c", 3, NOW + 1, "why", 3), Ban("d", 4, None, "", 4))


def test_the_live_sessions_of_a_list() -> None:
    def entry(**values: Any) -> Stored:
        return Stored(NOW * 1000, live(**values))

    created = NOW * 1000
    sessions = {
        b"a" * 16: entry(created_milliseconds=created),
        b"b" * 16: entry(created_milliseconds=created - 1),
        b"c" * 16: entry(created_milliseconds=created + 1, absolute_end=NOW),
        b"d" * 16: entry(created_milliseconds=created + 1, absolute_end=NOW + 1),
        b"e" * 16: Stored(NOW * 1000, Tombstone("revoked", NOW, NOW)),
        b"f" * 16: entry(created_milliseconds=created, flags=8),
    }
    found = describe_live(CONFIG, "alice", Listed(NOW * 1000, sessions, []), created)
    assert [each.session_id for each in found] == [
        encode_session_id(name * 16) for name in (b"d", b"f", b"a")
    ]
    assert {each.subject for each in found} == {"alice"}


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (0, "login"),
        (1, "login"),
        (2, "refresh"),
        (13, "idle"),
        (15, "password_changed"),
        (16, "login"),
    ],
)
def test_the_kind_of_a_line(event: int, kind: Any) -> None:
    line = HistoryLine(event, 5, 2, SESSION_ID, b"\x7f\x00\x00\x01", "Sofa")
    assert describe_line(line, "alice") == HistoryEntry(kind, 5, 2, NAME, "127.0.0.1", "Sofa")


@pytest.mark.parametrize(
    ("packed", "address"),
    [(b"", None), (b"abc", None), (bytes(4), "0.0.0.0"), (bytes(16), "::"), (bytes(5), None)],
)
def test_the_address_of_a_line(packed: bytes, address: str | None) -> None:
    line = describe_line(HistoryLine(1, 5, 1, bytes(16), packed, ""), "alice")
    assert (line.address, line.session_id) == (address, None)


@pytest.mark.parametrize(
    ("address", "packed"),
    [
        (None, b""),
        ("", b""),
        ("127.0.0.1", b"\x7f\x00\x00\x01"),
        ("::1", bytes(15) + b"\x01"),
        ("fe80::1%eth0", b"\xfe\x80" + bytes(13) + b"\x01"),
        ("/run/app.sock", b""),
    ],
)
def test_an_address_is_packed(address: Any, packed: bytes) -> None:
    assert pack_address(address) == packed


@pytest.mark.parametrize("address", [5, b"127.0.0.1", ["127.0.0.1"]])
def test_what_is_no_address(address: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^address must be a string"):
        pack_address(address)


def test_a_step_up_in_force_is_what_a_list_shows() -> None:
    session = described(live(), elevation=Elevation(NOW - 2, NOW + 5, "3", ("otp",), b"s" * 8))
    assert (session.auth_time, session.acr, session.amr) == (NOW - 2, "3", ("otp",))
