"""Live claims: changes that sessions see while they live."""

import pytest

from clusterpass import InvalidInput, SessionPolicy, TokenVerifier
from tests.cluster.stored import fields_of, let_expire


@pytest.fixture
def read(config):
    """The application's claims in an access token, without the store."""
    verify = TokenVerifier(config.keys, issuer=config.issuer, audience=config.audience).verify
    return lambda pair: verify(pair.access_token).claims


def test_the_next_verify_anywhere_returns_them(open_manager, config, manager, subject):
    pairs = [manager.login(subject) for _ in range(2)]
    other = open_manager(config)
    assert manager.claims.set(subject, {"plan": "pro", "n": [1, {"é": None}]}).count == 2
    for pair in pairs:
        assert other.verify(pair.access_token).claims == {"plan": "pro", "n": [1, {"é": None}]}
    assert other.claims.get(subject) == {"plan": "pro", "n": [1, {"é": None}]}
    assert [each.claims["plan"] for each in other.sessions(subject)] == ["pro", "pro"]


def test_the_next_refresh_puts_them_into_the_token(manager, read, subject):
    pair = manager.login(subject, claims={"role": "editor"})
    manager.claims.set(subject, {"plan": "pro"})
    assert read(pair) == {"role": "editor"}
    pair = manager.refresh(pair.refresh_token)
    assert read(pair) == {"role": "editor", "plan": "pro"}
    manager.claims.set(subject, {"plan": "free"})
    assert read(manager.refresh(pair.refresh_token)) == {"role": "editor", "plan": "free"}


def test_a_later_login_has_them_while_another_session_lives(manager, read, subject):
    manager.login(subject)
    manager.claims.set(subject, {"plan": "pro"})
    pair = manager.login(subject, claims={"role": "editor"})
    assert read(pair) == {"role": "editor", "plan": "pro"}
    assert manager.verify(pair.access_token).claims == {"role": "editor", "plan": "pro"}


def test_a_step_up_puts_them_into_its_token(manager, read, subject):
    pair = manager.login(subject)
    session = manager.verify(pair.access_token)
    manager.claims.set(subject, {"plan": "pro"})
    assert read(manager.elevate(session, "2", for_seconds=60)) == {"plan": "pro"}


def test_they_lie_over_those_of_the_login(manager, read, subject):
    pair = manager.login(subject, claims={"role": "editor", "plan": "free"})
    manager.claims.set(subject, {"plan": "pro"})
    assert manager.verify(pair.access_token).claims == {"role": "editor", "plan": "pro"}
    manager.claims.set(subject, {"role": None})
    assert manager.verify(pair.access_token).claims == {"role": None, "plan": "free"}
    manager.claims.set(subject, {})
    assert manager.verify(pair.access_token).claims == {"role": "editor", "plan": "free"}
    assert read(manager.refresh(pair.refresh_token)) == {"role": "editor", "plan": "free"}


def test_each_setting_replaces_the_whole(engine, manager, subject):
    pair = manager.login(subject)
    manager.claims.set(subject, {"a": 1, "b": 2})
    manager.claims.set(subject, {"b": 3})
    assert manager.claims.get(subject) == manager.verify(pair.access_token).claims == {"b": 3}
    assert manager.claims.set(subject, {}).count == 1
    assert manager.claims.get(subject) == {}
    assert b"c" not in fields_of(engine, subject)


def test_scopes_change_while_a_session_lives(manager, subject):
    pair = manager.login(subject, claims={"scope": "orders:*"})
    manager.claims.set(subject, {"scope": "comments:*"})
    session = manager.verify(pair.access_token)
    assert session.has_scope("comments:write")
    assert not session.has_scope("orders:read")


def test_nothing_is_kept_for_who_is_not_logged_in(engine, manager, subject):
    assert manager.claims.set(subject, {"plan": "pro"}).count == 0
    assert fields_of(engine, subject) == {}
    assert manager.claims.get(subject) == {}
    assert manager.verify(manager.login(subject).access_token).claims == {}


def test_nothing_is_kept_for_who_is_banned_or_logged_out(manager, subject):
    manager.logout(manager.login(subject).access_token)
    assert manager.claims.set(subject, {"plan": "pro"}).count == 0
    manager.bans.add(subject, scope="comments")
    assert manager.claims.set(subject, {"plan": "pro"}).count == 0
    assert manager.claims.get(subject) == {}


@pytest.mark.parametrize("end", ["logout", "revoke_all", "ban"])
def test_they_go_with_the_last_session(engine, manager, subject, end):
    pairs = [manager.login(subject) for _ in range(2)]
    manager.claims.set(subject, {"plan": "pro"})
    manager.logout(pairs[0].access_token)
    assert manager.claims.get(subject) == {"plan": "pro"}, "one session is left"
    if end == "logout":
        manager.logout(pairs[1].access_token)
    elif end == "revoke_all":
        manager.revoke_all(subject)
    else:
        manager.bans.add(subject)
        manager.bans.lift(subject)
    assert b"c" not in fields_of(engine, subject)
    assert manager.claims.get(subject) == {}
    assert manager.verify(manager.login(subject).access_token).claims == {}


def test_they_go_with_a_last_session_that_ends_by_itself(engine, manager, read, subject):
    over = manager.login(subject)
    manager.claims.set(subject, {"role": "admin"})
    let_expire(engine, over)
    pair = manager.login(subject)
    assert manager.verify(pair.access_token).claims == {}
    assert read(pair) == {}
    assert manager.claims.get(subject) == {}


def test_they_are_not_set_where_the_last_session_has_ended_by_itself(engine, manager, subject):
    let_expire(engine, manager.login(subject))
    assert manager.claims.set(subject, {"role": "admin"}).count == 0
    assert manager.claims.get(subject) == {}


def test_they_stay_where_a_new_session_replaces_the_last_one(manager, subject):
    policy = SessionPolicy.single_session()
    manager.login(subject, policy=policy)
    manager.claims.set(subject, {"plan": "pro"})
    pair = manager.login(subject, policy=policy)
    assert manager.verify(pair.access_token).claims == {"plan": "pro"}


def test_the_largest_are_kept_whole_and_larger_ones_refused(manager, read, subject):
    pair = manager.login(subject, claims={"x": "y" * 4000})
    largest = {"z": "w" * (2048 - len('{"z":""}'))}
    manager.claims.set(subject, largest)
    pair = manager.refresh(pair.refresh_token)
    assert read(pair) == manager.verify(pair.access_token).claims
    assert read(pair) == {"x": "y" * 4000} | largest
    with pytest.raises(InvalidInput):
        manager.claims.set(subject, {"z": largest["z"] + "w"})
    assert manager.claims.get(subject) == largest


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "mallory"},
        {"exp": 1},
        {"acr": "3"},
        {"act": {"sub": "x"}},
        {"auth_time": 1},
        {1: 2},
        {"x": float("inf")},
        {"x": {1, 2}},
        {"x": 10**30},
        ["x"],
        "x",
        None,
    ],
    ids=str,
)
def test_what_is_no_claim_is_refused(manager, subject, claims):
    manager.login(subject)
    with pytest.raises(InvalidInput):
        manager.claims.set(subject, claims)
    assert manager.claims.get(subject) == {}


def test_setting_the_same_again_is_no_error(engine, manager, subject):
    manager.login(subject)
    first = manager.claims.set(subject, {"plan": "pro"})
    assert manager.claims.set(subject, {"plan": "pro"}) == first
    assert first.durable is (len(engine[0].nodes) > 1)
    assert manager.claims.get(subject) == {"plan": "pro"}
