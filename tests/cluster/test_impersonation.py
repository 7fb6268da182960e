"""Impersonation: visible to all parties, short, and limited in its rights."""

import dataclasses
import time

import pytest

from clusterpass import (
    ImpersonationRefused,
    InvalidInput,
    InvalidRefreshToken,
    SessionExpired,
    SessionRevoked,
    SubjectBanned,
    TokenVerifier,
)
from clusterpass.model.values import Actor
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.tokens.identifiers import decode_session_id
from tests.cluster.stored import fields_of, home_of, let_expire, let_idle, record_of


@pytest.fixture
def support(manager, new_subject):
    """The pair of who acts."""
    return manager.login(new_subject())


@pytest.fixture
def actor(manager, support):
    return manager.verify(support.access_token)


def test_who_acts_and_why_is_seen_everywhere(manager, config, actor, subject):
    own = manager.login(subject, device="laptop")
    acting = manager.impersonate(actor, subject, reason="ticket 4711")
    expected = Actor(actor.subject, actor.session_id, "ticket 4711")
    session = manager.verify(acting.access_token)
    assert (session.subject, session.act) == (subject, expected)
    assert manager.verify(own.access_token).act is None
    assert [(each.session_id, each.act) for each in manager.sessions(subject)] == [
        (acting.session_id, expected),
        (own.session_id, None),
    ]
    entry = manager.history(subject)[0]
    assert (entry.kind, entry.session_id) == ("impersonated", acting.session_id)
    assert entry.text == f"{actor.subject}: ticket 4711"[:40]
    verifier = TokenVerifier(config.keys, issuer=config.issuer, audience=config.audience)
    told = verifier.verify(acting.access_token)
    assert (told.subject, told.act) == (subject, Actor(actor.subject, actor.session_id, ""))
    assert verifier.verify(own.access_token).act is None
    assert manager.sessions(actor.subject)[0].act is None, "the actor's own is no impersonation"


def test_a_refresh_keeps_who_acts(manager, config, actor, subject):
    acting = manager.impersonate(actor, subject, reason="ticket")
    newer = manager.refresh(acting.refresh_token)
    verifier = TokenVerifier(config.keys, issuer=config.issuer, audience=config.audience)
    assert verifier.verify(newer.access_token).act.subject == actor.subject
    assert manager.verify(newer.access_token).act.reason == "ticket"


def test_it_lasts_an_hour_at_most_and_is_not_prolonged(engine, manager, actor, subject):
    pair = manager.impersonate(actor, subject, reason="ticket")
    assert pair.session_expires_in == 900
    longest = manager.impersonate(actor, subject, reason="ticket", for_seconds=3600)
    assert longest.session_expires_in == 3600
    end = record_of(engine, longest).ends_at
    longest = manager.refresh(longest.refresh_token)
    assert manager.verify(longest.access_token).expires_at == end
    brief = manager.impersonate(actor, subject, reason="ticket", for_seconds=5)
    assert brief.expires_in <= 5
    for wrong in (0, 3601, -1, True, 1.5, None):
        with pytest.raises(InvalidInput):
            manager.impersonate(actor, subject, reason="ticket", for_seconds=wrong)
    let_expire(engine, longest)
    with pytest.raises(SessionExpired):
        manager.verify(longest.access_token)


@pytest.mark.parametrize("reason", ["", "x" * 201, "two\nlines", None, 7], ids=repr)
def test_a_reason_must_be_given(manager, actor, subject, reason):
    with pytest.raises(InvalidInput):
        manager.impersonate(actor, subject, reason=reason)
    assert manager.sessions(subject) == []


def test_some_can_never_be_impersonated(open_manager, config, actor, new_subject):
    root = new_subject()
    manager = open_manager(dataclasses.replace(config, protected_subjects=frozenset({root})))
    with pytest.raises(ImpersonationRefused) as refusal:
        manager.impersonate(actor, root, reason="curious")
    assert (refusal.value.reason, refusal.value.status) == ("protected", 403)
    assert manager.sessions(root) == []
    assert manager.impersonate(actor, new_subject(), reason="ticket")


def test_nobody_impersonates_from_within_an_impersonation(manager, actor, new_subject):
    acting = manager.impersonate(actor, new_subject(), reason="ticket")
    victim = new_subject()
    with pytest.raises(ImpersonationRefused) as refusal:
        manager.impersonate(manager.verify(acting.access_token), victim, reason="further")
    assert refusal.value.reason == "nested"
    assert manager.sessions(victim) == []


def test_nobody_impersonates_themselves(manager, actor):
    with pytest.raises(ImpersonationRefused) as refusal:
        manager.impersonate(actor, actor.subject, reason="mirror")
    assert refusal.value.reason == "self"
    assert len(manager.sessions(actor.subject)) == 1


def test_a_banned_subject_is_impersonated_by_nobody(manager, actor, subject):
    manager.bans.add(subject, reason="fraud")
    with pytest.raises(SubjectBanned):
        manager.impersonate(actor, subject, reason="ticket")


def log_out(manager, engine, support):
    manager.logout(support.access_token)


def revoke(manager, engine, support):
    manager.revoke(support.subject, support.session_id, reason="rogue")


def revoke_all(manager, engine, support):
    manager.revoke_all(support.subject)


def ban(manager, engine, support):
    manager.bans.add(support.subject, reason="rogue")


def expire(manager, engine, support):
    let_expire(engine, support)


def be_idle(manager, engine, support):
    let_idle(engine, support)


def vanish(manager, engine, support):
    """As after the time of its tombstone."""
    key = Keyspace().sessions(support.subject)
    with home_of(engine, key) as client:
        client.hdel(key, decode_session_id(support.session_id))


@pytest.mark.parametrize("end", [log_out, revoke, revoke_all, ban, expire, be_idle, vanish])
def test_it_ends_with_the_actors_session(engine, manager, support, actor, subject, end):
    own = manager.login(subject)
    acting = manager.impersonate(actor, subject, reason="ticket")
    end(manager, engine, support)
    with pytest.raises(SessionRevoked) as over:
        manager.verify(acting.access_token)
    # Why the actor's has ended is not the subject's to know.
    assert (over.value.reason, over.value.note) == ("revoked", "the impersonation has ended")
    with pytest.raises(InvalidRefreshToken) as refusal:
        manager.refresh(acting.refresh_token)
    assert (refusal.value.reason, refusal.value.note) == (over.value.reason, over.value.note)
    assert manager.verify(own.access_token), "the subject's own goes on"
    assert manager.refresh(own.refresh_token)


@pytest.mark.parametrize("let_end", [let_expire, let_idle])
def test_it_tells_when_the_actors_session_ended(engine, manager, support, actor, subject, let_end):
    acting = manager.impersonate(actor, subject, reason="ticket")
    ended_at = let_end(engine, support)
    with pytest.raises(SessionRevoked) as over:
        manager.verify(acting.access_token)
    with pytest.raises(InvalidRefreshToken) as refusal:
        manager.refresh(acting.refresh_token)
    assert over.value.ended_at == refusal.value.ended_at == ended_at


def test_another_session_of_the_actor_does_not_carry_it_on(manager, support, actor, subject):
    acting = manager.impersonate(actor, subject, reason="ticket")
    manager.login(actor.subject)
    manager.logout(support.access_token)
    with pytest.raises(SessionRevoked):
        manager.verify(acting.access_token)


def test_a_dead_session_of_an_actor_impersonates_nobody(manager, support, actor, subject):
    manager.logout(support.access_token)
    try:
        acting = manager.impersonate(actor, subject, reason="ticket")
    except SessionRevoked:
        return
    with pytest.raises(SessionRevoked):
        manager.verify(acting.access_token)


def test_the_subject_can_end_it(manager, actor, subject):
    own = manager.login(subject)
    first = manager.impersonate(actor, subject, reason="ticket")
    second = manager.impersonate(actor, subject, reason="ticket")
    assert manager.revoke(subject, first.session_id).count == 1
    assert manager.revoke_all(subject, keep=own.session_id).count == 1
    third = manager.impersonate(actor, subject, reason="ticket")
    assert manager.revoke_all(subject).count == 2
    for pair in (first, second, third):
        with pytest.raises(SessionRevoked) as end:
            manager.verify(pair.access_token)
        assert end.value.reason == "revoked"
    assert manager.verify(manager.login(actor.subject).access_token), "the actor is not concerned"


def test_a_ban_of_the_subject_ends_it(manager, actor, subject):
    acting = manager.impersonate(actor, subject, reason="ticket")
    assert manager.bans.add(subject, reason="fraud").count == 1
    with pytest.raises(SessionRevoked) as end:
        manager.verify(acting.access_token)
    assert end.value.reason == "banned"


def test_it_cannot_be_stepped_up(engine, manager, actor, subject):
    acting = manager.impersonate(actor, subject, reason="ticket")
    before = fields_of(engine, subject)
    with pytest.raises(ImpersonationRefused) as refusal:
        manager.elevate(manager.verify(acting.access_token), "2", for_seconds=60)
    assert refusal.value.reason == "impersonated"
    assert fields_of(engine, subject) == before
    # Nor by a session that hides what it is.
    disguised = dataclasses.replace(manager.verify(acting.access_token), act=None)
    with pytest.raises(ImpersonationRefused):
        manager.elevate(disguised, "2", for_seconds=60)


def test_it_inherits_nothing_from_either(manager, actor, support, subject):
    manager.elevate(actor, "3", for_seconds=600)
    manager.login(subject, acr="2", claims={"role": "owner"})
    session = manager.verify(manager.impersonate(actor, subject, reason="ticket").access_token)
    assert session.acr == "1"
    assert session.amr == ()
    assert session.claims == {}


def test_a_long_reason_and_an_odd_actor_are_kept_whole(manager, new_subject):
    support = manager.login(f"{{support}} 😀 {new_subject()}")
    actor = manager.verify(support.access_token)
    subject = new_subject()
    reason = "é" * 100
    acting = manager.impersonate(actor, subject, reason=reason)
    session = manager.verify(acting.access_token)
    assert session.act == Actor(actor.subject, actor.session_id, reason)
    assert manager.history(subject)[0].text.startswith("{support} 😀")
    assert abs(session.created_at - time.time()) < 60
