"""The contract of the verbs, for every manager on every engine."""

import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from clusterpass import (
    InvalidInput,
    InvalidRefreshToken,
    KeyRing,
    RefreshTokenReused,
    SessionExpired,
    SessionNotFound,
    SessionPolicy,
    SessionRevoked,
    SessionUnknown,
    TokenExpired,
    TokenVerifier,
    UnreadableRecord,
)
from clusterpass.model.authentication_errors import (
    TokenKeyUnknown,
    TokenMalformed,
    TokenTypeInvalid,
)
from clusterpass.model.errors import ConfigurationError
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import parse_record
from clusterpass.tokens.identifiers import decode_session_id
from tests.cluster.stored import home_of, make_known


def test_a_login_is_known_and_described(manager, subject):
    pair = manager.login(subject, device="laptop", claims={"role": "editor", "n": [1, {"a": None}]})
    session = manager.verify(pair.access_token)
    assert session.subject == subject == pair.subject
    assert session.session_id == pair.session_id
    assert session.device == "laptop"
    assert session.claims == {"role": "editor", "n": [1, {"a": None}]}
    assert abs(session.created_at - time.time()) < 60
    assert session.expires_at == session.refreshed_at + 7 * 86400
    assert pair.token_type == "Bearer"
    assert 855 <= pair.expires_in <= 900


def test_a_login_on_one_manager_is_known_on_another(open_manager, config, manager, subject):
    other = open_manager(config)
    pair = manager.login(subject)
    assert other.verify(pair.access_token).subject == subject
    other.logout(pair.access_token)
    with pytest.raises(SessionRevoked):
        manager.verify(pair.access_token)


def test_durable_tells_whether_there_is_a_replica(engine, manager, subject):
    pair = manager.login(subject)
    assert pair.durable is (len(engine[0].nodes) > 1)
    assert manager.logout(pair.access_token).durable is pair.durable


def test_a_refresh_keeps_the_session_and_uses_up_the_token(manager, subject):
    first = manager.login(subject, device="phone", claims={"role": "reader"})
    second = manager.refresh(first.refresh_token)
    assert second.session_id == first.session_id
    assert second.access_token != first.access_token
    session = manager.verify(second.access_token)
    assert session.device == "phone"
    assert session.claims == {"role": "reader"}
    # The earlier access token of a live session stays good until it expires.
    assert manager.verify(first.access_token).session_id == first.session_id
    # Presented again a moment later, the token gets the very same successor.
    assert manager.refresh(first.refresh_token).refresh_token == second.refresh_token
    third = manager.refresh(second.refresh_token)
    assert manager.verify(third.access_token).subject == subject


def test_without_a_grace_a_token_is_good_for_one_exchange(open_manager, config, subject):
    manager = open_manager(dataclasses.replace(config, refresh_grace=0))
    first = manager.login(subject)
    second = manager.refresh(first.refresh_token)
    with pytest.raises(RefreshTokenReused) as refusal:
        manager.refresh(first.refresh_token)
    assert refusal.value.reason == "recent"
    with pytest.raises(SessionRevoked) as end:
        manager.verify(second.access_token)
    assert end.value.reason == "reused"
    with pytest.raises(InvalidRefreshToken) as refusal:
        manager.refresh(second.refresh_token)
    assert refusal.value.reason == "reused"


@pytest.mark.parametrize("lost", [1, 2, 3])
@pytest.mark.parametrize("again", [0, -1])
def test_a_retry_after_refreshes_that_the_store_has_lost_is_no_theft(
    engine, manager, subject, lost, again
):
    """As a failover may lose them. ``again``: which token another tab presents a moment later."""
    pairs, key = [manager.login(subject)], Keyspace().sessions(subject)
    with home_of(engine, key) as client:
        before = client.dump(key)
        for _ in range(lost):
            pairs.append(manager.refresh(pairs[-1].refresh_token))
        client.restore(key, 0, before, replace=True)
    make_known(key)
    newest = manager.refresh(pairs[-1].refresh_token)
    followed = pairs[1:][again]
    assert manager.refresh(pairs[:-1][again].refresh_token).refresh_token == followed.refresh_token
    assert manager.verify(newest.access_token)
    assert manager.refresh(newest.refresh_token)


def test_racing_refreshes_of_one_token_have_one_successor(manager, subject):
    pair = manager.login(subject)
    with ThreadPoolExecutor(16) as pool:
        pairs = list(pool.map(lambda _: manager.refresh(pair.refresh_token), range(32)))
    assert len({each.refresh_token for each in pairs}) == 1
    assert manager.verify(pairs[0].access_token)
    assert manager.refresh(pairs[0].refresh_token)


def test_a_forged_refresh_token_harms_nobody(manager, subject):
    from clusterpass.tokens.refresh import parse_refresh_token

    pair = manager.login(subject)
    genuine = parse_refresh_token(pair.refresh_token)
    forged = dataclasses.replace(genuine, secret=b"x" * 32).encode()
    with pytest.raises(InvalidRefreshToken) as refusal:
        manager.refresh(forged)
    assert refusal.value.reason == "mismatch"
    ahead = dataclasses.replace(genuine, rotation=5).encode()
    with pytest.raises(InvalidRefreshToken) as refusal:
        manager.refresh(ahead)
    assert refusal.value.reason == "mismatch"
    stranger = dataclasses.replace(genuine, subject=f"{subject}-other").encode()
    with pytest.raises(InvalidRefreshToken) as refusal:
        manager.refresh(stranger)
    assert refusal.value.reason == "mismatch"
    with pytest.raises(InvalidRefreshToken):
        manager.logout(forged)
    assert manager.refresh(pair.refresh_token), "none of it harmed the session"


def test_logout_is_told_at_once_and_again(manager, subject):
    pair = manager.login(subject)
    assert manager.logout(pair.access_token).count == 1
    with pytest.raises(SessionRevoked) as refusal:
        manager.verify(pair.access_token)
    assert refusal.value.reason == "logged_out"
    assert abs(refusal.value.ended_at - time.time()) < 60
    with pytest.raises(InvalidRefreshToken) as refusal:
        manager.refresh(pair.refresh_token)
    assert refusal.value.reason == "logged_out"
    assert manager.logout(pair.access_token).count == 0


def test_logout_takes_a_refresh_token_too(manager, subject):
    pair = manager.login(subject)
    assert manager.logout(pair.refresh_token).count == 1
    with pytest.raises(SessionRevoked):
        manager.verify(pair.access_token)


def test_sessions_are_listed_newest_first(manager, subject):
    pairs = [manager.login(subject, device=f"device {n}", claims={"n": n}) for n in range(5)]
    listed = manager.sessions(subject)
    assert [s.session_id for s in listed] == [p.session_id for p in reversed(pairs)]
    assert [s.device for s in listed] == [f"device {n}" for n in reversed(range(5))]
    assert [s.claims["n"] for s in listed] == list(reversed(range(5)))
    assert manager.sessions(f"{subject}-nobody") == []


def test_a_long_device_name_is_kept_whole(manager, subject):
    name = "Ünïcödé " * 10
    pair = manager.login(subject, device=name)
    assert manager.verify(pair.access_token).device == name
    assert manager.sessions(subject)[0].device == name
    assert manager.verify(manager.refresh(pair.refresh_token).access_token).device == name


def test_revoke_ends_one_session_and_only_the_owners(manager, subject):
    kept, ended = manager.login(subject), manager.login(subject)
    with pytest.raises(SessionNotFound):
        manager.revoke(f"{subject}-other", ended.session_id)
    assert manager.verify(ended.access_token)
    assert manager.revoke(subject, ended.session_id).count == 1
    assert manager.revoke(subject, ended.session_id).count == 0
    with pytest.raises(SessionRevoked) as refusal:
        manager.verify(ended.access_token)
    assert refusal.value.reason == "revoked"
    assert manager.verify(kept.access_token)
    assert [s.session_id for s in manager.sessions(subject)] == [kept.session_id]
    for nonsense in ["", "x", "A" * 22, "../../etc", "é" * 22, None, 7]:
        with pytest.raises(SessionNotFound):
            manager.revoke(subject, nonsense)


def test_revoke_all_ends_all_but_the_kept_one(manager, subject):
    pairs = [manager.login(subject, claims={"n": n}) for n in range(4)]
    assert manager.revoke_all(subject, keep=pairs[1].session_id).count == 3
    assert [s.session_id for s in manager.sessions(subject)] == [pairs[1].session_id]
    assert manager.verify(pairs[1].access_token).claims == {"n": 1}
    assert manager.revoke_all(subject).count == 1
    assert manager.revoke_all(subject).count == 0
    assert manager.sessions(subject) == []
    for pair in pairs:
        with pytest.raises(SessionRevoked):
            manager.verify(pair.access_token)
    with pytest.raises(SessionNotFound):
        manager.revoke_all(subject, keep="nonsense")


def test_the_oldest_session_leaves_when_there_are_too_many(open_manager, config, subject):
    manager = open_manager(dataclasses.replace(config, policy=SessionPolicy(max_sessions=3)))
    pairs = [manager.login(subject, device=str(n)) for n in range(5)]
    assert [s.device for s in manager.sessions(subject)] == ["4", "3", "2"]
    with pytest.raises(SessionRevoked) as refusal:
        manager.verify(pairs[0].access_token)
    assert refusal.value.reason == "replaced"


def test_racing_logins_never_exceed_the_limit(open_manager, config, subject):
    manager = open_manager(dataclasses.replace(config, policy=SessionPolicy.single_session()))
    with ThreadPoolExecutor(16) as pool:
        pairs = list(pool.map(lambda _: manager.login(subject), range(32)))
    assert len(manager.sessions(subject)) == 1
    alive = 0
    for pair in pairs:
        try:
            manager.verify(pair.access_token)
            alive += 1
        except SessionRevoked as refusal:
            assert refusal.reason == "replaced"
    assert alive == 1


def test_a_session_ends_with_its_idle_or_absolute_limit(open_manager, config, subject):
    short = dataclasses.replace(
        config, access_lifetime=10, idle_lifetime=0, absolute_lifetime=10, expiry_leeway=5
    )
    manager = open_manager(short)
    pair = manager.login(subject)
    session = manager.verify(pair.access_token)
    assert session.expires_at == session.created_at + 10
    assert pair.expires_in == 10
    idle = open_manager(dataclasses.replace(short, idle_lifetime=10, absolute_lifetime=100))
    assert idle.verify(idle.login(subject).access_token).expires_at <= time.time() + 15


def test_an_ended_session_is_refused_although_its_token_is_fresh(manager, engine, subject, config):
    """The store's record decides, not the token: let the record's end lie in the past."""
    pair = manager.login(subject)
    running = engine[0]
    key = b"cp:{%b}" % subject.encode()
    client = running.client(running.primary_of(key))
    field = decode_session_id(pair.session_id)
    record = parse_record(client.hget(key, field))
    past = dataclasses.replace(record, absolute_end=int(time.time()) - 1)
    client.hset(key, field, past.pack())
    client.close()
    with pytest.raises(SessionExpired):
        manager.verify(pair.access_token)
    with pytest.raises(InvalidRefreshToken) as refusal:
        manager.refresh(pair.refresh_token)
    assert refusal.value.reason == "expired"
    assert manager.sessions(subject) == []


@pytest.mark.parametrize("value", [b"\x03" + bytes(63), b"\xff", b""], ids=["3", "255", "empty"])
def test_a_record_of_a_later_release_costs_nobody_the_refresh_token(
    manager, engine, subject, value
):
    """A rolling upgrade: what this release cannot read is its own fault, not the token's."""
    pair = manager.login(subject)
    key, field = Keyspace().sessions(subject), decode_session_id(pair.session_id)
    with home_of(engine, key) as client:
        known = client.hget(key, field)
        client.hset(key, field, value)
        make_known(key)
        for _ in range(2):
            with pytest.raises(UnreadableRecord) as caught:
                manager.refresh(pair.refresh_token)
            assert (caught.value.status, caught.value.code) == (500, "record_unreadable")
            assert client.hget(key, field) == value, "the session is left alone"
        client.hset(key, field, known)
        make_known(key)
    assert manager.refresh(pair.refresh_token).session_id == pair.session_id


def test_an_access_token_never_outlives_its_session(open_manager, config, subject):
    manager = open_manager(dataclasses.replace(config, absolute_lifetime=60, idle_lifetime=0))
    pair = manager.login(subject)
    assert 57 <= pair.expires_in <= 60


def test_logout_works_with_an_expired_access_token(open_manager, config, subject, keys):
    """An access token that expired a moment ago, signed by our key."""
    import secrets

    from clusterpass import TokenIssuer

    manager = open_manager(config)
    pair = manager.login(subject)
    issuer = TokenIssuer(
        keys.signing_key,
        issuer=config.issuer,
        audience=config.audience,
        random_bytes=secrets.token_bytes,
    )
    now = int(time.time())
    expired = issuer.issue(
        subject, pair.session_id, issued_at=now - 100, expires_at=now - 50, claims={}
    )
    with pytest.raises(TokenExpired):
        manager.verify(expired)
    assert manager.logout(expired).count == 1
    with pytest.raises(SessionRevoked):
        manager.verify(pair.access_token)


def test_an_unknown_session_is_refused(open_manager, config, keys, subject):
    import secrets

    from clusterpass import TokenIssuer

    manager = open_manager(config)
    issuer = TokenIssuer(
        keys.signing_key,
        issuer=config.issuer,
        audience=config.audience,
        random_bytes=secrets.token_bytes,
    )
    now = int(time.time())
    for session_id in ["A" * 22, "not an id"]:
        token = issuer.issue(subject, session_id, issued_at=now, expires_at=now + 60, claims={})
        with pytest.raises(SessionUnknown):
            manager.verify(token)


def test_keys_are_rolled_by_configuration(open_manager, config, keys, subject):
    old = open_manager(config)
    pair = old.login(subject)
    new_key = KeyRing.generate("ES256")
    rolled = KeyRing([*new_key.all(), *keys.all()])
    new = open_manager(dataclasses.replace(config, keys=rolled))
    assert new.verify(pair.access_token).subject == subject
    newer = new.refresh(pair.refresh_token)
    assert new.verify(newer.access_token)
    with pytest.raises(TokenKeyUnknown):
        old.verify(newer.access_token)


def test_a_manager_with_public_keys_verifies_and_cannot_issue(open_manager, config, keys, subject):
    pair = open_manager(config).login(subject)
    public = KeyRing.from_jwks(keys.public_jwks())
    manager = open_manager(dataclasses.replace(config, keys=public))
    assert manager.verify(pair.access_token).subject == subject
    assert manager.sessions(subject)
    for act in (lambda: manager.login(subject), lambda: manager.refresh(pair.refresh_token)):
        with pytest.raises(ConfigurationError):
            act()


def test_a_resource_server_needs_the_public_keys_only(manager, keys, config, subject):
    pair = manager.login(subject, claims={"role": "editor"})
    verifier = TokenVerifier(
        KeyRing.from_jwks(keys.public_jwks()), issuer=config.issuer, audience=config.audience
    )
    claims = verifier.verify(pair.access_token)
    assert claims.subject == subject
    assert claims.session_id == pair.session_id
    assert claims.claims == {"role": "editor"}


def test_kinds_of_tokens_are_not_confused(manager, subject):
    pair = manager.login(subject)
    with pytest.raises(TokenTypeInvalid):
        manager.verify(pair.refresh_token)
    with pytest.raises(InvalidRefreshToken):
        manager.refresh(pair.access_token)
    with pytest.raises(TokenMalformed):
        manager.verify(None)


@pytest.mark.parametrize(
    "bad",
    ["", "x" * 256, "a\x00b", "a\nb", "\ud800", None, 7, b"bytes"],
    ids=["empty", "long", "nul", "newline", "surrogate", "none", "number", "bytes"],
)
def test_bad_subjects_are_refused_before_anything_is_sent(manager, bad):
    for verb in (manager.login, manager.sessions, manager.revoke_all):
        with pytest.raises(InvalidInput):
            verb(bad)


@pytest.mark.parametrize(
    "options",
    [
        {"device": 7},
        {"claims": {"sub": "mallory"}},
        {"claims": {"x": "y" * 4096}},
        {"claims": {"x": float("nan")}},
        {"claims": {1: 2}},
        {"claims": {"x": {1}}},
        {"claims": ["x"]},
    ],
    ids=str,
)
def test_bad_options_are_refused(manager, subject, options):
    with pytest.raises(InvalidInput):
        manager.login(subject, **options)
    assert manager.sessions(subject) == []


@pytest.mark.parametrize(
    ("device", "kept"),
    [("", None), ("x" * 129, "x" * 128), ("é" * 100, "é" * 64), (None, None)],
    ids=["empty", "long", "wide", "none"],
)
def test_no_device_name_keeps_a_user_out(manager, subject, device, kept):
    pair = manager.login(subject, device=device, device_type="phone")
    (session,) = manager.sessions(subject)
    assert (session.session_id, session.device, session.device_type) == (
        pair.session_id,
        kept,
        "phone",
    )


_subjects = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40
) | st.sampled_from(["{", "}", "{}", "a{b}c", "}{", "%7B", "😀", "cp:{alice}", " ", "*", "[a]"])


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(names=st.lists(_subjects, min_size=2, max_size=4, unique=True))
def test_odd_subjects_are_kept_apart(manager, names):
    pairs = {name: manager.login(name, device="odd") for name in names}
    for name, pair in pairs.items():
        assert manager.verify(pair.access_token).subject == name
        assert manager.revoke_all(name).count >= 1
        with pytest.raises(SessionRevoked):
            manager.verify(pair.access_token)
        assert manager.sessions(name) == []
