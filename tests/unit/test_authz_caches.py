"""Caches of the front door: bounded, and invalidated with the policies or the session."""

import dataclasses

from clusterpass import Session
from clusterpass.service.authz.caches import Allowance, KeptBySession, KnownRule, KnownRules
from clusterpass.service.authz.policy import EVERYWHERE, Policies

SESSION = Session(
    subject="alice",
    session_id="sid-1",
    device=None,
    created_at=1,
    refreshed_at=1,
    expires_at=9,
)


def test_rules_of_other_policies_are_forgotten() -> None:
    rules, known = KnownRules(), KnownRule(EVERYWHERE, "app.example")
    before, after = Policies({}), Policies({})
    assert rules.find(before, (b"a",)) is None
    rules.keep((b"a",), known)
    assert rules.find(before, (b"a",)) is known
    assert rules.find(after, (b"a",)) is None
    assert rules.find(before, (b"a",)) is None


def test_rules_are_bounded_and_those_used_last_stay() -> None:
    rules, known = KnownRules(longest=20), KnownRule(EVERYWHERE, "app.example")
    rules.find(None, (b"first",))
    rules.keep((b"first",), known)
    rules.keep((b"x" * 20, b"x"), known)
    assert len(rules) == 1
    for number in range(10_000):
        rules.keep((b"%d" % number,), known)
        assert rules.find(None, (b"first",)) is known
    assert len(rules) == 2048
    assert rules.find(None, (b"0",)) is None


def test_what_was_made_of_another_session_or_assertion_is_made_again() -> None:
    made: list[tuple[Session | None, str]] = []

    def make(session: Session | None, assertion: str) -> int:
        made.append((session, assertion))
        return len(made)

    kept = KeptBySession(make)
    assert kept.of(Allowance("", None, "")) == kept.of(Allowance("", None, "")) == 1
    assert kept.of(Allowance("token", SESSION, "")) == kept.of(Allowance("token", SESSION, "")) == 2
    equal = dataclasses.replace(SESSION)
    assert kept.of(Allowance("token", equal, "")) == 3
    assert kept.of(Allowance("token", equal, "a.b.c")) == 4
    for number in range(5_000):
        kept.of(Allowance(str(number), SESSION, ""))
        assert kept.of(Allowance("token", equal, "a.b.c")) == 4
    assert len(kept) == 4096
