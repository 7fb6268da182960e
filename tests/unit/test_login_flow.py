"""The login flow: the call of the store, the token pair and the claims."""

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from clusterpass.model.errors import ConfigurationError, InvalidInput
from clusterpass.model.policy import SessionPolicy
from clusterpass.model.values import TokenPair
from clusterpass.protocol.records import HAS_DETAILS
from clusterpass.protocol.script import Answer
from clusterpass.tokens.encoding import encode_base64url
from clusterpass.tokens.identifiers import decode_session_id, encode_session_id
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.refresh import parse_refresh_token

from .driven_flows import (
    NOW,
    REFRESH,
    SESSION_ID,
    WRITTEN,
    access_token,
    drive,
    first_call,
    housekeeping,
    life,
    live,
    opened,
    refuse_at_once,
    ring,
    rotated,
    stored,
)


def test_login_asks_once_and_hands_out_a_pair() -> None:
    own = life()
    pair, (call,) = drive(own.login("alice", device="phone"), opened(live()))
    assert isinstance(pair, TokenPair)
    refresh = parse_refresh_token(pair.refresh_token)
    assert call.script.name == "login"
    assert call.keys == WRITTEN
    assert call.arguments[:10] == (
        housekeeping(own),
        refresh.session_id,
        refresh.digest,
        86_400,
        3600,
        0,
        b"phone",
        b"",
        50,
        0,
    )
    assert (refresh.subject, refresh.rotation) == ("alice", 0)
    assert decode_session_id(pair.session_id) == refresh.session_id
    assert (pair.subject, pair.expires_in, pair.durable) == ("alice", pair.expires_in, True)
    assert 855 <= pair.expires_in <= 900
    assert pair.token_type == "Bearer"
    claims = own.verifier.verify(pair.access_token)
    assert (claims.subject, claims.session_id) == ("alice", pair.session_id)
    assert (claims.issued_at, claims.expires_at) == (NOW, NOW + pair.expires_in)
    assert (claims.auth_time, claims.acr, claims.amr, claims.act) == (NOW, "1", (), None)
    assert [event.kind for event in own.told] == ["login"]


def test_login_sends_no_secret_to_the_store() -> None:
    pair, (call,) = drive(life().login("alice"), opened(live()))
    secret = parse_refresh_token(pair.refresh_token).secret
    sent = b"|".join(
        str(part).encode() if isinstance(part, int) else part for part in call.arguments
    )
    assert secret not in sent
    assert secret[:16] not in sent
    assert pair.refresh_token not in repr(call)


def test_each_login_has_its_own_id_and_secret() -> None:
    own = life()
    pairs = [drive(own.login("alice"), opened(live()))[0] for _ in range(3)]
    assert len({pair.session_id for pair in pairs}) == 3
    assert len({parse_refresh_token(pair.refresh_token).secret for pair in pairs}) == 3
    assert len({pair.access_token for pair in pairs}) == 3


def test_login_carries_claims_and_a_long_device_beside_the_record() -> None:
    own = life(policy=SessionPolicy.single_session())
    flow = own.login("alice", device="d" * 22, claims={"role": "é"})
    pair, (call,) = drive(flow, opened(live(flags=HAS_DETAILS)), durable=False)
    assert call.arguments[5:7] == (HAS_DETAILS, b"")
    assert json.loads(call.arguments[7]) == {"claims": {"role": "é"}, "device": "d" * 22}
    assert call.arguments[8] == 1
    assert own.verifier.verify(pair.access_token).claims == {"role": "é"}
    assert pair.durable is False


@pytest.mark.parametrize(
    ("device", "is_short"), [("d" * 21, True), ("é" * 10, True), ("é" * 11, False)]
)
def test_device_goes_where_it_fits(device: str, is_short: bool) -> None:
    _, (call,) = drive(life().login("alice", device=device), opened(live()))
    assert call.arguments[6] == (device.encode() if is_short else b"")
    assert (call.arguments[7] == b"") == is_short


@pytest.mark.parametrize(
    ("subject", "device", "claims"),
    [
        ("", None, None),
        (None, None, None),
        (5, None, None),
        ("a\n", None, None),
        ("\ud800", None, None),
        ("a" * 256, None, None),
        ("alice", "\ud800", None),
        ("alice", 5, None),
        ("alice", "\0", None),
        ("alice", None, {"sub": "admin"}),
        ("alice", None, {"exp": 9_999_999_999}),
        ("alice", None, {5: 1}),
        ("alice", None, ["role"]),
        ("alice", None, {"a": object()}),
        ("alice", None, {"a": float("nan")}),
        ("alice", None, {"a": "x" * 5000}),
        ("alice", None, {"a": "\ud800"}),
        ("alice", None, {"a": 10**30}),
        ("alice", None, []),
        ("alice", None, ""),
        ("alice", None, 0),
        ("alice", None, False),
    ],
)
def test_login_refuses_bad_input_before_it_asks(subject: Any, device: Any, claims: Any) -> None:
    refuse_at_once(InvalidInput, life().login(subject, device=device, claims=claims))


def test_login_and_refresh_need_a_private_key_before_they_ask() -> None:
    public = KeyRing.from_jwks(ring().public_jwks())
    refuse_at_once(ConfigurationError, life(keys=public).login("alice"))
    refuse_at_once(ConfigurationError, life(keys=public).refresh(REFRESH.encode()))
    session, _ = drive(life(keys=public).verify(access_token()), stored(live()))
    assert session.subject == "alice"


def test_claims_that_change_while_the_store_is_asked_do_not_reach_the_token() -> None:
    own = life()
    claims: dict[str, Any] = {"roles": ["user"]}
    flow = own.login("alice", device=None, claims=claims)
    call = first_call(flow)
    claims["roles"].append("admin")
    claims["more"] = True
    with pytest.raises(StopIteration) as end:
        flow.send(Answer(call.read(opened(live(flags=HAS_DETAILS))), True))
    assert own.verifier.verify(end.value.value.access_token).claims == {"roles": ["user"]}


@settings(max_examples=60)
@given(
    access=st.integers(10, 86_400),
    absolute=st.integers(1, 200_000),
    idle=st.none() | st.integers(1, 200_000),
    since_refresh=st.integers(0, 5),
)
def test_access_token_never_outlives_the_session(
    access: int, absolute: int, idle: int | None, since_refresh: int
) -> None:
    own = life(access_lifetime=access, idle_lifetime=0)
    record = live(
        absolute_end=NOW + absolute,
        idle_seconds=0 if idle is None else idle + since_refresh,
        refreshed_at=NOW - since_refresh,
    )
    for flow, answer in (
        (own.login("alice"), opened(record)),
        (own.refresh(REFRESH.encode()), rotated("OK", record)),
    ):
        pair, _ = drive(flow, answer)
        claims = own.verifier.verify(pair.access_token)
        assert claims.expires_at <= record.ends_at
        assert min(NOW + access - access // 20, record.ends_at) <= claims.expires_at
        assert claims.expires_at <= NOW + access
        assert pair.expires_in == claims.expires_at - NOW > 0


def test_times_of_a_token_come_from_the_clock_of_the_store() -> None:
    own = life(now=NOW + 200)
    record = live(refreshed_at=NOW + 180, absolute_end=NOW + 9999)
    flow = own.login("alice")
    pair, _ = drive(flow, opened(record, now=NOW + 180))
    claims = own.verifier.verify(pair.access_token)
    assert (claims.issued_at, claims.expires_at) == (NOW + 180, NOW + 180 + pair.expires_in)


def test_text_of_a_session_id_is_what_tokens_carry() -> None:
    assert encode_session_id(SESSION_ID) == encode_base64url(SESSION_ID)


def test_a_call_carries_how_long_to_keep_what_is_left() -> None:
    keeping = life(
        history_entries=7,
        history_lifetime=77,
        generation_lifetime=7200,
        access_lifetime=600,
        expiry_leeway=5,
        index_online=False,
    ).flows.context.keeping()
    assert (keeping.history_entries, keeping.history_seconds) == (7, 77)
    assert keeping.generation_seconds == 7200
    assert keeping.tombstone_seconds == 600 + 5 + 60
    assert not keeping.indexed


def test_a_login_without_options_has_the_usual_ones() -> None:
    policy = SessionPolicy(max_sessions=3, max_per_device=2, overflow="refuse")
    _, (call,) = drive(life(policy=policy).login("alice"), opened(live()))
    assert call.arguments[8:11] == (3, 2, b"refuse")


def test_a_login_reads_the_cutoff_where_it_is_not_known_well_enough() -> None:
    own = life()
    assert next(own.login("alice")).script.name == "read_not_before"
    cutoff = own.flows.context.memory.cutoff
    cutoff.learn(0, cutoff.now())
    assert next(own.login("alice")).script.name == "login"


@pytest.mark.parametrize(
    ("kept", "address", "stored"),
    [
        ("full", "192.0.2.77", bytes([192, 0, 2, 77])),
        ("network", "192.0.2.77", bytes([192, 0, 2, 0])),
        ("network", "2001:db8:1:2::3", bytes.fromhex("20010db80001") + bytes(10)),
        ("network", None, b""),
        ("network", "a socket", b""),
        ("none", "192.0.2.77", b""),
    ],
)
def test_of_an_address_is_stored_what_was_chosen(
    kept: Any, address: str | None, stored: bytes
) -> None:
    own = life(stored_addresses=kept)
    assert own.flows.context.stored_address(address) == stored
    _, (call,) = drive(own.login("alice", address=address), opened(live()))
    assert call.arguments[13] == stored
    assert own.told[0].address == address, "the process itself is told"


@pytest.mark.parametrize("name", ["Sofa", "a device whose name is too long for a record " * 2])
def test_names_of_devices_are_stored_if_that_was_chosen(name: str) -> None:
    for is_stored in (True, False):
        own = life(stored_devices=is_stored)
        options = {"device": name, "device_type": "phone"}
        _, (call,) = drive(own.login("alice", **options), opened(live()))
        sent = b" ".join(part for part in call.arguments if isinstance(part, bytes))
        assert (name[:20].encode() in sent) == is_stored
        assert b"phone" in sent
        assert own.told[0].device == name
