"""Random sequences of all verbs do on a real cluster what a plain model says they should."""

import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from clusterpass import SessionPolicy

from .comparison import Comparison
from .records import Policy
from .sequences import EXAMPLES, run
from .world import MOST_AGE, World

ADDRESS = "192.0.2.7"
LONG_NAME = "a device whose name is too long for a record"

pytestmark = pytest.mark.timeout(0 if EXAMPLES else 400)

picks = st.sampled_from([0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 7, 9])
"""Which of the latest sessions, which subject."""
texts = st.sampled_from(
    ["", "why", "a reason of more than sixty bytes, which a tombstone cuts short"]
)
addresses = st.sampled_from([None, ADDRESS])
methods = st.sampled_from([(), ("pwd",), ("pwd", "otp")])
levels = st.sampled_from(["1", "2", "3"])
claims = st.sampled_from([{}, {"role": "editor"}, {"role": "reader", "n": [1, {"a": None}]}])
kinds = st.sampled_from([None, "phone", "web"])
scopes = st.sampled_from(["", "posts", "posts:*", "posts:write", "mail"])
policies = st.sampled_from(
    [
        Policy(),
        Policy(),
        Policy(1),
        Policy(2),
        Policy(2, overflow="least_recently_used"),
        Policy(3, overflow="least_recently_used"),
        Policy(3, 1),
        Policy(2, 1, "least_recently_used"),
        Policy(2, overflow="refuse"),
        Policy(50, 1, "refuse"),
    ]
)


class Verbs(Comparison):
    """The verbs, in any order and with any arguments."""

    def some_session(self) -> bool:
        return bool(self.access)

    @initialize(
        kinds=st.lists(kinds, min_size=2, max_size=4),
        lifetimes=st.lists(st.sampled_from([900, 3900, 63_900]), min_size=4, max_size=4),
        idle=st.sampled_from([0, 6300, 12_300]),
    )
    def some_are_logged_in(self, kinds: list[str | None], lifetimes: list[int], idle: int) -> None:
        for kind, lifetime in zip(kinds, lifetimes, strict=False):
            options = {"device_type": kind, "lifetime": lifetime, "idle_lifetime": idle}
            self.login_with(self.subjects[0], Policy(), options)
        self.login_with(self.subjects[1], Policy(), {"device": "laptop"})

    @rule(
        who=st.sampled_from([0, 0, 0, 1, 2]),
        after=st.sampled_from([0, 0, 600]),
        policy=policies,
        replace=st.sampled_from([None, None, None, 0, 1, 3]),
        overtaken=st.sampled_from([None, None, 0, 1]),
        options=st.fixed_dictionaries(
            {},
            optional={
                "device": st.sampled_from(["laptop", "pocket", LONG_NAME]),
                "device_type": st.sampled_from(["phone", "web"]),
                "claims": claims,
                "remember": st.booleans(),
                "lifetime": st.sampled_from([900, 900, 3900, 63_900]),
                "idle_lifetime": st.sampled_from([0, 6300, 12_300]),
                "acr": levels,
                "amr": methods,
                "address": addresses,
            },
        ),
    )
    def login(
        self,
        who: int,
        after: int,
        policy: Policy,
        replace: int | None,
        overtaken: int | None,
        options: dict[str, Any],
    ) -> None:
        self.time_passes(after)
        subject = self.subject(who)
        more: dict[str, Any] = {}
        if replace is not None and self.access:
            options = {**options, "replace": self.session(replace)}
        wiped_before = None
        if overtaken is not None:
            wiped_before = max(0, self.model.accounts[subject].wiped - overtaken)
            more["generation"] = self.generations[subject][wiped_before]
        self.login_with(subject, policy, options, wiped_before, **more)

    def login_with(
        self,
        subject: str,
        policy: Policy,
        options: dict[str, Any],
        wiped_before: int | None = None,
        **more: Any,
    ) -> None:
        real_policy = SessionPolicy(
            max_sessions=policy.most,
            max_per_device=policy.most_alike,
            overflow=policy.overflow,
        )
        self.both(
            lambda: self.real.login(subject, policy=real_policy, **options, **more),
            lambda model, now, made: model.login(
                subject, now, made, policy=policy, wiped_before=wiped_before, **options
            ),
        )

    @precondition(some_session)
    @rule(
        pick=picks,
        which=picks,
        level=st.none() | levels,
        max_auth_age=st.sampled_from([None, 300, 3900]),
    )
    def verify(self, pick: int, which: int, level: str | None, max_auth_age: int | None) -> None:
        session_id = self.session(pick)
        tokens = self.access[session_id]
        place = -1 - which % len(tokens)
        asked = {"level": level, "max_auth_age": max_auth_age}
        self.both(
            lambda: self.real.verify(tokens[place], **asked),
            lambda model, now, _: model.verify(session_id, now, which=place, **asked),
        )

    @rule(
        who=st.sampled_from([0, 0, 0, 1, 2]),
        place=st.integers(0, 2),
        policy=st.none() | policies,
    )
    def somebody_comes_back(self, who: int, place: int, policy: Policy | None) -> None:
        """To an old session, after a while; then to a new one."""
        self.time_passes(600)
        subject = self.subject(who)
        living = self.model.accounts[subject].living(int(time.time()) + self.age)
        if living:
            session_id = living[place % len(living)].session_id
            self.both(
                lambda: self.real.verify(self.access[session_id][0]),
                lambda model, now, _: model.verify(session_id, now, which=0),
            )
        if policy:
            self.login_with(subject, policy, {})

    somebody_comes_back_more_often = somebody_comes_back

    @precondition(some_session)
    @rule(pick=picks, back=st.sampled_from([0, 0, 0, 1, 1, 2, 3, 5]), address=addresses)
    def refresh(self, pick: int, back: int, address: str | None) -> None:
        tokens = [each for each in self.model.find(self.session(pick)).tokens if each]
        token = tokens[max(0, len(tokens) - 1 - back)]
        self.both(
            lambda: self.real.refresh(token, address=address),
            lambda model, now, made: model.refresh(token, now, made, address=address),
        )

    refresh_more_often = refresh

    @precondition(some_session)
    @rule(pick=picks, by_refresh_token=st.booleans(), address=addresses)
    def logout(self, pick: int, by_refresh_token: bool, address: str | None) -> None:
        session_id = self.session(pick)
        token = self.access[session_id][0]
        if by_refresh_token:
            token = self.model.find(session_id).tokens[0]
        self.both(
            lambda: self.real.logout(token, address=address),
            lambda model, now, _: model.logout(session_id, now, address=address),
        )

    @precondition(some_session)
    @rule(pick=picks, stranger=st.sampled_from([None, None, None, 0, 1]), reason=texts)
    def revoke(self, pick: int, stranger: int | None, reason: str) -> None:
        session_id = self.session(pick)
        subject = self.handles[session_id].subject
        if stranger is not None:
            subject = self.subject(stranger)
        self.both(
            lambda: self.real.revoke(subject, session_id, reason=reason),
            lambda model, now, _: model.revoke(subject, session_id, now, reason=reason),
        )

    @rule(
        who=picks,
        keep=st.none() | picks,
        kind=st.sampled_from([None, None, "phone", "web", "impersonation"]),
        reason=texts,
    )
    def revoke_all(self, who: int, keep: int | None, kind: str | None, reason: str) -> None:
        subject = self.subject(who)
        options = {
            "keep": None if keep is None or not self.access else self.session(keep),
            "device_type": kind,
            "reason": reason,
        }
        self.both(
            lambda: self.real.revoke_all(subject, **options),
            lambda model, now, _: model.revoke_all(subject, now, **options),
        )

    @precondition(some_session)
    @rule(
        pick=picks,
        limits=st.sampled_from([(900, None), (3900, None), (None, 6300), (3900, 12_300)]),
    )
    def shorten(self, pick: int, limits: tuple[int | None, int | None]) -> None:
        session_id = self.session(pick)
        subject = self.handles[session_id].subject
        options = {"lifetime": limits[0], "idle_lifetime": limits[1]}
        self.both(
            lambda: self.real.shorten(subject, session_id, **options),
            lambda model, now, _: model.shorten(session_id, now, **options),
        )

    @precondition(some_session)
    @rule(
        pick=picks,
        level=levels,
        seconds=st.sampled_from([900, 3900]),
        amr=methods,
        address=addresses,
    )
    def elevate(
        self, pick: int, level: str, seconds: int, amr: tuple[str, ...], address: str | None
    ) -> None:
        handle = self.handle(pick)
        options = {"for_seconds": seconds, "amr": amr, "address": address}
        self.both(
            lambda: self.real.elevate(handle, level, **options),
            lambda model, now, made: model.elevate(
                handle.session_id, level, now, made=made, **options
            ),
        )

    @precondition(some_session)
    @rule(pick=picks, who=picks, seconds=st.sampled_from([900, 3300]))
    def impersonate(self, pick: int, who: int, seconds: int) -> None:
        actor, subject = self.handle(pick), self.subject(who)
        options = {"reason": "ticket 4711", "for_seconds": seconds}
        self.both(
            lambda: self.real.impersonate(actor, subject, **options),
            lambda model, now, made: model.impersonate(
                actor.session_id, subject, now, made, **options
            ),
        )

    @rule(
        who=picks,
        scope=scopes,
        level=st.sampled_from([1, 2, 1000]),
        reason=texts,
        seconds=st.sampled_from([None, 900, 3900]),
    )
    def ban(self, who: int, scope: str, level: int, reason: str, seconds: int | None) -> None:
        subject = self.subject(who)
        options = {"scope": scope, "level": level, "reason": reason, "for_seconds": seconds}
        self.both(
            lambda: self.real.bans.add(subject, **options),
            lambda model, now, _: model.ban(subject, now, **options),
        )

    @rule(who=picks)
    def ban_from_very_much(self, who: int) -> None:
        """Two short of the most scopes, or over it with those of before. Once: it takes long."""
        if self.is_banned_from_much:
            return
        self.is_banned_from_much = True
        subject = self.subject(who)
        options = {"level": 1, "reason": "", "for_seconds": 900}
        for scope in (f"number:{number}" for number in range(30)):
            self.both(
                lambda s=scope: self.real.bans.add(subject, scope=s, **options),
                lambda model, now, _, s=scope: model.ban(subject, now, scope=s, **options),
                only=subject,
            )

    @rule(who=picks, scope=scopes)
    def lift(self, who: int, scope: str) -> None:
        subject = self.subject(who)
        self.both(
            lambda: self.real.bans.lift(subject, scope=scope),
            lambda model, now, _: model.lift(subject, now, scope=scope),
        )

    @rule(
        who=picks,
        scope=st.sampled_from(
            ["", "posts", "posts:write", "posts:write:own", "mail", "postscript"]
        ),
        level=st.sampled_from([1, 2]),
    )
    def check(self, who: int, scope: str, level: int) -> None:
        subject = self.subject(who)
        self.both(
            lambda: self.real.bans.check(subject, scope, level=level),
            lambda model, now, _: model.check(subject, scope, now, level=level),
        )

    @rule(who=picks, value=claims)
    def set_claims(self, who: int, value: dict[str, Any]) -> None:
        subject = self.subject(who)
        self.both(
            lambda: self.real.claims.set(subject, value),
            lambda model, now, _: model.set_claims(subject, value, now),
        )

    @rule(who=picks, address=addresses)
    def login_failed(self, who: int, address: str | None) -> None:
        subject = self.subject(who)
        self.both(
            lambda: self.real.login_failed(subject, address=address),
            lambda model, now, _: model.login_failed(subject, now, address=address),
        )

    @rule(who=picks)
    def look(self, who: int) -> None:
        """The manager under test shows what the watcher does, which is compared in each step."""
        subject, watcher = self.subject(who), self.world.watcher
        assert self.real.sessions(subject) == watcher.sessions(subject)
        assert self.real.history(subject) == watcher.history(subject)
        assert self.real.bans.list(subject) == watcher.bans.list(subject)
        assert self.real.claims.get(subject) == watcher.claims.get(subject)
        assert self.real.generation(subject) == watcher.generation(subject)
        for listed in watcher.sessions(subject):
            if listed.act is None:
                found = self.real.get(subject, listed.session_id)
                # A list counts every step-up, and a session without its token none.
                shown = {name: getattr(listed, name) for name in ("acr", "amr", "auth_time")}
                assert replace(found, **shown) == listed

    @rule(seconds=st.sampled_from([600, 600, 600, 1200, 6000, 30_000]))
    def time_passes(self, seconds: int) -> None:
        if seconds and self.age + seconds <= MOST_AGE:
            for subject in self.subjects:
                self.world.age(subject, seconds)
            self.age += seconds


@pytest.mark.sampled(1)  # either face is led through the same sequences
def test_any_sequence_of_verbs_does_what_the_model_says(
    world: World, selection_seed: int, pytestconfig: pytest.Config
) -> None:
    # Each face has both halves in turn.
    turn = None if pytestconfig.option.everything else selection_seed // 2
    run(lambda: Verbs(world), examples=40, steps=40, turn=turn)
