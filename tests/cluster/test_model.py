"""Random sequences of all verbs do on a real cluster what a plain model says they should.

Time is let pass by moving all that the store holds of a subject into the past. All durations here
lie half way between two sums of such moves, so that the seconds a run takes decide nothing.

``MODEL_EXAMPLES`` and ``MODEL_STEPS`` make it run longer, ``MODEL_SEED`` (a number) with other
sequences; ``MODEL_SHRINK`` looks for the shortest that fails.
"""

import copy
import dataclasses
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from clusterpass import (
    Config,
    EmbeddedCluster,
    KeyRing,
    SessionManager,
    SessionPolicy,
    TokenVerifier,
)
from clusterpass.model.errors import ClusterPassError
from clusterpass.model.values import Session, TokenPair
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import LiveRecord, parse_record
from clusterpass.tokens.identifiers import decode_session_id
from clusterpass.tokens.refresh import parse_refresh_token

from .conftest import Facade
from .model import Chain, Made, Model, Place, Policy, Refused, Rules
from .stored import OLDER_REFRESHED, earlier, forget_ends, make_known

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "0"))
STEPS = int(os.environ.get("MODEL_STEPS", "0"))
SEED = int(os.environ.get("MODEL_SEED", "0"))
SHRINK = "MODEL_SHRINK" in os.environ
DAY = 86_400
MOST_AGE = 80_000
"""Seconds in which nothing that has ended is forgotten."""
NAMESPACE = "model"
KEYSPACE = Keyspace(NAMESPACE)
ADDRESS = "192.0.2.7"
LONG_NAME = "a device whose name is too long for a record"

pytestmark = pytest.mark.timeout(0 if EXAMPLES else 180)
MOST_RUNS = 100_000
SHOWN = (
    *("subject", "session_id", "device", "device_type"),
    *("created_at", "refreshed_at", "active_at", "expires_at"),
    *("claims", "auth_time", "acr", "amr"),
)
"""What a session shows that the model says in the same words."""
_numbers = itertools.count()


def run(machine: Callable[[], RuleBasedStateMachine], examples: int, steps: int) -> None:
    """Run it, ten sequences at a time: later ones would for the most part repeat the earlier."""
    how = settings(
        max_examples=10,
        stateful_step_count=STEPS or steps,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink) if SHRINK else (Phase.generate,),
    )
    for number in range((EXAMPLES or examples) // 10):
        run_state_machine_as_test(seed(SEED + number)(machine), settings=how)


@dataclass
class World:
    """A real cluster, and the managers that work on it."""

    running: EmbeddedCluster
    config: Config
    manager: Any
    open: Callable[[Config], Any]
    """Another manager of the same kind."""
    watcher: SessionManager
    """Looks without leaving a trace: it notes no use."""

    def age(self, subject: str, seconds: int) -> None:
        """Let ``seconds`` pass for all that the store holds of ``subject``."""
        key, activity = KEYSPACE.sessions(subject), KEYSPACE.activity(subject)
        with self.running.client(self.running.primary_of(key)) as client:
            fields = client.hgetall(key)
            if fields:
                moved = {name: _moved(name, value, seconds) for name, value in fields.items()}
                client.hset(key, mapping=moved)
            for session_id, seen in client.hgetall(activity).items():
                client.hset(activity, session_id, earlier(seen, 0, seconds))
        make_known(key)
        for manager in (self.manager, self.watcher):
            forget_ends(manager)


def _moved(name: bytes, value: bytes, seconds: int) -> bytes:
    """A field of a subject, ``seconds`` older."""
    if len(name) == 16:
        record = parse_record(value)
        if isinstance(record, LiveRecord):
            return dataclasses.replace(
                record,
                created_milliseconds=record.created_milliseconds - seconds * 1000,
                absolute_end=record.absolute_end - seconds,
                refreshed_at=record.refreshed_at - seconds,
            ).pack()
        return dataclasses.replace(
            record, ended_at=record.ended_at - seconds, keep_until=record.keep_until - seconds
        ).pack()
    if len(name) == 17 and name.endswith(b"e"):
        for start in (0, 4, OLDER_REFRESHED):
            value = earlier(value, start, seconds)
        return value
    if len(name) == 2 and name.startswith(b"h"):
        return earlier(value, 1, seconds)
    if name == b"b":
        bans = json.loads(value)
        for ban in bans.values():
            ban["a"] -= seconds
            ban["u"] -= seconds if ban["u"] else 0
        return json.dumps(bans).encode()
    return value


@pytest.fixture(params=["sync", "async"])
def world(
    request: pytest.FixtureRequest, cluster: EmbeddedCluster, keys: KeyRing
) -> Iterator[World]:
    config = Config(
        issuer="https://auth.example",
        keys=keys,
        access_lifetime=DAY,
        refresh_grace=300,
        activity_interval=300,
        protected_subjects=frozenset(f"protected-{number}" for number in range(MOST_RUNS)),
    )
    url = f"{cluster.url}?namespace={NAMESPACE}"
    kind: Any = SessionManager.from_url if request.param == "sync" else Facade
    manager = kind(url, config)

    def open_one(config: Config) -> Any:
        return kind(url, dataclasses.replace(config, verification="strict"))

    # What others have done a moment ago must be seen at once: it asks each time.
    quiet = dataclasses.replace(config, activity_interval=0, verification="strict")
    with SessionManager.from_url(url, quiet) as watcher:
        yield World(cluster, config, manager, open_one, watcher)
    manager.close()


def outcome(call: Callable[[], Any], age: int = 0) -> tuple[str, Any]:
    """What a call came to, in terms of the model's clock, which is ``age`` ahead."""
    try:
        return "done", call()
    except Refused as refusal:
        return "refused", refusal.args
    except ClusterPassError as error:
        at = getattr(error, "ended_at", 0)
        tells: Any = getattr(error, "note", "")
        if hasattr(error, "ban"):
            tells = error.ban.scope
        elif hasattr(error, "sessions"):
            tells = [each.session_id for each in error.sessions]
        elif hasattr(error, "acr_values"):
            tells = (error.acr_values, error.max_age)
        return "refused", (type(error).__name__, error.reason, tells, at and at + age)


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


class Lives(RuleBasedStateMachine):
    """Does the same to the model and to the real manager, and compares all that can be seen."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.real = world.manager
        run = next(_numbers)
        self.subjects = [f"ann-{run}", f"b{{o}}b-{run}", f"protected-{run}"]
        config = world.config
        self.verifier = TokenVerifier(config.keys, issuer=config.issuer, audience=config.audience)
        self.model = Model(
            Rules(
                absolute=config.absolute_lifetime,
                idle=config.idle_lifetime,
                remembered=config.remember_lifetime,
                remembered_idle=config.remember_idle_lifetime,
                grace=config.refresh_grace,
                note_use_after=config.activity_interval,
                history_entries=config.history_entries,
                ends_older=config.step_up_ends_older_tokens,
                protected=config.protected_subjects,
            ),
            self.subjects,
        )
        self.age = 0
        self.is_banned_from_much = False
        self.access: dict[str, list[str]] = {}
        self.handles: dict[str, Session] = {}
        self.generations: dict[str, dict[int, int]] = {name: {0: 0} for name in self.subjects}

    # -- one step, and what is compared

    def both(
        self,
        real: Callable[[], Any],
        modelled: Callable[[Model, int, Made | None], Any],
        only: str = "",
    ) -> None:
        """Do it to both. Of the seconds in which it may have happened, one must explain it all.

        ``only``: what is compared, where that is enough for once.
        """
        earliest = int(time.time())
        kind, result = outcome(real, self.age)
        latest = int(time.time())
        made = None
        if isinstance(result, TokenPair):
            made = Made(result.session_id, result.refresh_token)
            self.access.setdefault(result.session_id, []).append(result.access_token)
        seen = kind, self.described(result)
        if made and made.session_id not in self.handles:
            listed = self.world.watcher.sessions(result.subject)
            self.handles |= {each.session_id: each for each in listed}
        state = {only: self.seen_bans(only)} if only else self.seen_state()
        mismatches = []
        for second in range(earliest, latest + 1):
            model = copy.deepcopy(self.model) if second < latest else self.model
            now = second + self.age
            expected = outcome(lambda m=model, n=now: modelled(m, n, made))
            if only:
                expected_state = {only: model.bans(only, now)}
            else:
                for subject in self.subjects:
                    lines = state[f"history of {subject}"]
                    ended = [line[3] for line in lines if line[0] in {"expired", "idle"}]
                    model.adopt_order(subject, ended)
                expected_state = self.expected_state(model, now)
            if (expected, expected_state) == (seen, state):
                self.model = model
                return
            mismatches.append((expected, expected_state))
        expected, expected_state = mismatches[0]
        assert seen == expected
        for name, part in expected_state.items():
            assert (name, state[name]) == (name, part)
        raise AssertionError("explained by no second")

    def described(self, result: Any) -> Any:
        """A result in the words of the model."""
        if isinstance(result, TokenPair):
            told = self.verifier.verify(result.access_token)
            assert told.acr == result.acr
            assert told.expires_at == told.issued_at + result.expires_in
            assert 0 < result.expires_in <= min(DAY, result.session_expires_in)
            return {
                "subject": result.subject,
                "session_id": result.session_id,
                "refresh_token": result.refresh_token,
                "session_ends": told.issued_at + result.session_expires_in + self.age,
                "claims": told.claims,
                "auth_time": told.auth_time + self.age,
                "acr": told.acr,
                "amr": told.amr,
                "act": told.act and (told.act.subject, told.act.session_id),
            }
        if isinstance(result, Session):
            view = {name: getattr(result, name) for name in SHOWN}
            for name in ("created_at", "refreshed_at", "active_at", "expires_at", "auth_time"):
                view[name] += self.age
            act = result.act
            view["act"] = act and (act.subject, act.session_id, act.reason)
            view["bans"] = self.described(result.bans)
            return view
        if isinstance(result, tuple) and result and hasattr(result[0], "banned_at"):
            return self.described(list(result))
        if isinstance(result, list):
            return [
                (
                    ban.scope,
                    ban.level,
                    ban.until and ban.until + self.age,
                    ban.reason,
                    ban.banned_at + self.age,
                )
                for ban in result
            ]
        if result == () and isinstance(result, tuple):
            return []
        return getattr(result, "count", result) if not isinstance(result, tuple) else result

    def seen_state(self) -> dict[str, Any]:
        watcher = self.world.watcher
        state: dict[str, Any] = {}
        for subject in self.subjects:
            sessions = watcher.sessions(subject)
            state[f"sessions of {subject}"] = [self.described(each) for each in sessions]
            state[f"bans of {subject}"] = self.seen_bans(subject)
            state[f"claims of {subject}"] = dict(watcher.claims.get(subject)) if sessions else None
            state[f"history of {subject}"] = [
                (e.kind, e.at + self.age, e.count, e.session_id, e.address, e.text)
                for e in watcher.history(subject)
            ]
            state[f"generation of {subject}"] = watcher.generation(subject)
        for session_id, tokens in self.access.items():
            for which in (0, -1):
                kind, result = outcome(lambda t=tokens[which]: watcher.verify(t), self.age)
                if isinstance(result, Session) and result.act:
                    assert result.act in [each.act for each in watcher.sessions(result.subject)]
                state[f"token {which} of {session_id}"] = kind, self.described(result)
        return state

    def seen_bans(self, subject: str) -> list[Any]:
        return self.described(list(self.world.watcher.bans.list(subject)))

    def expected_state(self, model: Model, now: int) -> dict[str, Any]:
        state: dict[str, Any] = {}
        for subject in self.subjects:
            state[f"sessions of {subject}"] = model.sessions(subject, now)
            state[f"bans of {subject}"] = model.bans(subject, now)
            state[f"claims of {subject}"] = model.claims(subject, now)
            state[f"history of {subject}"] = [
                dataclasses.astuple(line) for line in model.history(subject)
            ]
            state[f"generation of {subject}"] = self.generation_of(model, subject)
        for session_id in self.access:
            for which in (0, -1):
                state[f"token {which} of {session_id}"] = outcome(
                    lambda i=session_id, w=which: model.verify(i, now, which=w, notes_use=False)
                )
        return state

    def generation_of(self, model: Model, subject: str) -> int:
        """The number that stands for how often all was revoked: larger than those before."""
        known, wiped = self.generations[subject], model.accounts[subject].wiped
        if wiped not in known:
            known[wiped] = self.world.watcher.generation(subject)
            assert known[wiped] > known[wiped - 1]
        return known[wiped]

    # -- which of what there is

    def subject(self, pick: int) -> str:
        return self.subjects[pick % len(self.subjects)]

    def session(self, pick: int) -> str:
        ids = list(self.access)
        return ids[-1 - pick % len(ids)]

    def handle(self, pick: int) -> Session:
        return self.handles[self.session(pick)]

    def some_session(self) -> bool:
        return bool(self.access)

    # -- the verbs

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

    @rule(who=picks)
    def look(self, who: int) -> None:
        """The manager under test shows what the watcher does, which is compared in each step."""
        subject, watcher = self.subject(who), self.world.watcher
        assert self.real.sessions(subject) == watcher.sessions(subject)
        assert self.real.history(subject) == watcher.history(subject)
        assert self.real.bans.list(subject) == watcher.bans.list(subject)
        assert self.real.claims.get(subject) == watcher.claims.get(subject)
        assert self.real.generation(subject) == watcher.generation(subject)

    @rule(seconds=st.sampled_from([600, 600, 600, 1200, 6000, 30_000]))
    def time_passes(self, seconds: int) -> None:
        if seconds and self.age + seconds <= MOST_AGE:
            for subject in self.subjects:
                self.world.age(subject, seconds)
            self.age += seconds


def test_any_sequence_of_verbs_does_what_the_model_says(world: World) -> None:
    run(lambda: Lives(world), examples=60, steps=40)


class StepUps(RuleBasedStateMachine):
    """Steps one session up, and presents any token that it ever had."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.lives = Lives(world)
        self.lives.subjects = self.lives.subjects[:1]  # the others would stay empty
        self.log_in()

    def log_in(self) -> None:
        self.lives.login_with(self.lives.subjects[0], Policy(1), {"acr": "1", "amr": ("pwd",)})

    @rule(level=levels, seconds=st.sampled_from([900, 3900]))
    def elevate(self, level: str, seconds: int) -> None:
        self.lives.elevate(0, level, seconds, ("otp",), None)

    @rule(back=st.sampled_from([0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 6]))
    def refresh(self, back: int) -> None:
        lives = self.lives
        if lives.model.find(lives.session(0)).ending:
            self.log_in()
        lives.refresh(0, back, None)

    refresh_more_often = refresh

    @rule(which=st.integers(0, 9), level=st.none() | levels, age=st.sampled_from([None, 900]))
    def verify(self, which: int, level: str | None, age: int | None) -> None:
        self.lives.verify(0, which, level, age)

    @rule(seconds=st.sampled_from([120, 600]))
    def time_passes(self, seconds: int) -> None:
        self.lives.time_passes(seconds)


@pytest.mark.parametrize("ends_older", [False, True])
def test_any_sequence_of_step_ups_does_what_the_model_says(world: World, ends_older: bool) -> None:
    config = dataclasses.replace(world.config, step_up_ends_older_tokens=ends_older)
    manager = world.open(config)
    one = dataclasses.replace(world, config=config, manager=manager)
    try:
        run(lambda: StepUps(one), examples=30, steps=30)
    finally:
        manager.close()


class Chains(RuleBasedStateMachine):
    """Presents any refresh token that ever was, to managers whose keys are in another order."""

    def __init__(self, world: World, managers: list[Any], grace: int) -> None:
        super().__init__()
        self.world, self.managers, self.grace = world, managers, grace
        self.subject = f"chain-{next(_numbers)}"
        self.age = 0
        self.tokens: list[tuple[Chain, str]] = []
        self.log_in()

    def stored(self) -> bytes:
        with self.client() as client:
            return client.hget(KEYSPACE.sessions(self.subject), self.session_id)

    def client(self) -> Any:
        running = self.world.running
        return running.client(running.primary_of(KEYSPACE.sessions(self.subject)))

    def now(self) -> int:
        return int(time.time()) + self.age

    def log_in(self) -> None:
        pair = self.managers[0].login(self.subject)
        self.session_id = decode_session_id(pair.session_id)
        self.access_token = pair.access_token
        self.chain = Chain(self.grace, pair.refresh_token, self.now())
        self.tokens.append((self.chain, pair.refresh_token))
        self.before: list[tuple[Place, int, bytes]] = []

    @rule(
        back=st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 9]), which=st.sampled_from([0, 0, 1])
    )
    def present(self, back: int, which: int) -> None:
        chain, token = self.tokens[-1 - back % len(self.tokens)]
        self.before.append((self.chain.place, self.age, self.stored()))
        kind, result = outcome(lambda: self.managers[which].refresh(token))
        made = result.refresh_token if kind == "done" else None
        seen = (kind, made) if made else (kind, result[:3])
        expected = outcome(lambda: chain.present(token, which, self.now(), made))
        assert seen == (expected if made else (expected[0], expected[1][:3]))
        if made and (chain, made) not in self.tokens:
            self.tokens.append((chain, made))
        self.compare()

    def compare(self) -> None:
        """The session lives and expects the one newest token, or says how it came to its end."""
        kind, result = outcome(lambda: self.world.watcher.verify(self.access_token))
        record = parse_record(self.stored())
        if self.chain.reuse:
            assert (kind, result[:3]) == (
                "refused",
                ("SessionRevoked", "reused", self.chain.reuse),
            )
            self.log_in()
        else:
            assert kind == "done"
            newest = parse_refresh_token(self.chain.place.newest.token)
            assert isinstance(record, LiveRecord)
            assert (record.rotation, record.refresh_digest) == (newest.rotation, newest.digest)

    @rule(seconds=st.sampled_from([120, 120, 600]))
    def time_passes(self, seconds: int) -> None:
        self.world.age(self.subject, seconds)
        self.age += seconds

    @precondition(lambda self: self.before)
    @rule(back=st.sampled_from([0, 0, 1, 2, 5]))
    def the_store_loses_exchanges(self, back: int) -> None:
        """As a failover may."""
        place, age, value = self.before[-1 - back % len(self.before)]
        value = _moved(self.session_id, value, self.age - age)
        with self.client() as client:
            client.hset(KEYSPACE.sessions(self.subject), self.session_id, value)
        make_known(KEYSPACE.sessions(self.subject))
        self.chain.place = place
        self.compare()


@pytest.mark.parametrize("grace", [0, 300])
def test_any_sequence_of_refreshes_does_what_the_model_says(
    world: World, keys: KeyRing, grace: int
) -> None:
    other = KeyRing.generate()
    rings = [KeyRing([*keys.all(), *other.all()]), KeyRing([*other.all(), *keys.all()])]
    configs = [dataclasses.replace(world.config, keys=r, refresh_grace=grace) for r in rings]
    managers = [world.open(config) for config in configs]
    try:
        run(lambda: Chains(world, managers, grace), examples=20, steps=40)
    finally:
        for manager in managers:
            manager.close()


# -- what such sequences came upon, one by one


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
