"""Regression tests for defects that random sequences of verbs found."""

import pytest

from .sequences import EXAMPLES
from .world import World, outcome

pytestmark = pytest.mark.timeout(0 if EXAMPLES else 180)


def test_the_history_keeps_the_order_of_its_lines_however_long_they_are(
    world: World, subject: str
) -> None:
    claims = {"more than fits a compact hash": "x" * 64}
    ids = [world.manager.login(subject, claims=claims).session_id for _ in range(10)]
    assert [line.session_id for line in world.manager.history(subject)] == ids[::-1]


def test_live_claims_do_not_come_back_with_the_login_after_the_last_session_ran_out(
    world: World, subject: str
) -> None:
    world.manager.login(subject, lifetime=900)
    world.manager.claims.set(subject, {"role": "administrator"})
    world.age(subject, 1200)
    pair = world.manager.login(subject, claims={"role": "reader"})
    assert world.manager.verify(pair.access_token).claims == {"role": "reader"}


def test_an_impersonation_whose_actor_ran_out_is_refused_as_a_refresh_token(
    world: World, subject: str
) -> None:
    login = world.manager.login(f"actor of {subject}", lifetime=900)
    actor = world.manager.verify(login.access_token)
    acting = world.manager.impersonate(actor, subject, reason="ticket 4711", for_seconds=3300)
    world.age(actor.subject, 1200)
    kind, refusal = outcome(lambda: world.manager.refresh(acting.refresh_token))
    assert (kind, refusal[:2]) == ("refused", ("InvalidRefreshToken", "revoked"))


@pytest.mark.parametrize("by_refresh", [False, True])
def test_a_session_ends_for_the_reason_that_came_first(
    world: World, subject: str, by_refresh: bool
) -> None:
    pair = world.manager.login(subject, lifetime=12_300, idle_lifetime=6300)
    world.age(subject, 30_000)  # beyond both
    verb = (
        (lambda: world.manager.refresh(pair.refresh_token))
        if by_refresh
        else (lambda: world.manager.verify(pair.access_token))
    )
    assert outcome(verb)[1][1] == ("idle" if by_refresh else "session_idle")
