"""Read your own writes: the next verify after a change sees it."""

import pytest

from clusterpass import InvalidInput, SessionRevoked

ROUNDS = 300


def test_the_next_verify_sees_the_claims_that_were_just_set(manager, subject):
    """From memory it would be stale for as long as the notice of the change is on its way."""
    pair = manager.login(subject)
    stale = 0
    for number in range(ROUNDS):
        manager.claims.set(subject, {"number": number})
        stale += manager.verify(pair.access_token).claims["number"] != number
        manager.verify(pair.access_token)  # and into memory again
    assert stale == 0


def test_the_next_verify_sees_a_step_up_a_ban_and_a_shorter_life(manager, subject):
    for number in range(30):
        pair = manager.login(subject)
        session = manager.verify(pair.access_token)
        manager.verify(pair.access_token)
        pair = manager.elevate(session, "3", for_seconds=600)
        assert manager.verify(pair.access_token, level="3")
        manager.bans.add(subject, scope=f"scope-{number}", level=2)
        assert f"scope-{number}" in {each.scope for each in manager.verify(pair.access_token).bans}
        manager.bans.lift(subject, scope=f"scope-{number}")
        assert manager.verify(pair.access_token).bans == ()
        manager.shorten(subject, pair.session_id, lifetime=600 + number)
        shorter = manager.verify(pair.access_token)
        assert shorter.expires_at < session.expires_at
        manager.revoke(subject, pair.session_id)
        with pytest.raises(SessionRevoked):
            manager.verify(pair.access_token)


def test_what_is_no_claims_changes_nothing(manager, subject):
    pair = manager.login(subject, claims={"plan": "pro"})
    with pytest.raises(InvalidInput):
        manager.claims.set(subject, ["plan"])
    assert manager.verify(pair.access_token).claims == {"plan": "pro"}
