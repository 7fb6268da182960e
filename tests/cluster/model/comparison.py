"""Comparison of the reference model with the real manager, call by call."""

import copy
import dataclasses
import time
from collections.abc import Callable
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from clusterpass import TokenVerifier
from clusterpass.model.values import Session, TokenPair

from .model import Model
from .records import Made, Rules
from .sequences import numbers
from .world import DAY, World, outcome

SHOWN = (
    *("subject", "session_id", "device", "device_type"),
    *("created_at", "refreshed_at", "active_at", "expires_at"),
    *("claims", "auth_time", "acr", "amr"),
)
"""What a session shows that the model says in the same words."""


class Comparison(RuleBasedStateMachine):
    """Does the same to the model and to the real manager, and compares all that can be seen."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.real = world.manager
        run = next(numbers)
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
