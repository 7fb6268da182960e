"""All that is known of each session, gathered from a history."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from .clock_tolerance import ServerClocks
from .history import ENDS_ALL, ENDS_ONE, OPENS, History, Operation

DEAD = frozenset({"session_revoked", "session_unknown", "session_expired"})
REFUSED = DEAD | {"invalid_refresh_token", "refresh_token_reused", "invalid_token"}
PENDING = frozenset({"revocation_pending", "store_unavailable"})
_NEVER = float("inf")
_MOST_IMPERSONATIONS = 10
"""The most impersonations of one subject; one more ends the oldest."""
_CLOCKS = 1.0
"""Seconds between the clocks by which a cutoff and a login were timed, at most."""

_RETRIED = 30.0
"""Seconds within which a copy of a cutoff is reached, which settles its time."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken."""

    promise: str
    session: str
    subject: str
    operation: Operation
    because: str

    def __str__(self) -> str:
        each = self.operation
        return (
            f"{self.promise}: session {self.session} of {self.subject}: {each.verb}"
            f"{' (strict)' * each.is_strict} by"
            f" {each.process} from {each.began:.3f} to {each.ended or 0:.3f} answered"
            f" {each.outcome} ({each.reason}); {self.because}"
        )


@dataclass(slots=True, eq=False)
class Lifeline:
    """A session: its login, and what concerned it, in order of their begin."""

    login: Operation
    verifies: list[Operation] = field(default_factory=list)
    refreshes: list[Operation] = field(default_factory=list)
    step_ups: list[Operation] = field(default_factory=list)
    ends: list[Operation] = field(default_factory=list)
    sweeps: list[Operation] = field(default_factory=list)
    """What ends all sessions of the subject; the same list for all of these."""
    logins: list[Operation] = field(default_factory=list)
    """Logins of the subject, this one included; the same list for all of its sessions."""
    impersonations: list[Operation] = field(default_factory=list)
    """Impersonations of the subject; the same list for all of its sessions."""
    cutoffs: list[Operation] = field(default_factory=list)
    """What ends all sessions of the namespace; the same list for all."""
    actor: "Lifeline | None" = None
    """The session of the actor of an impersonation, which ends with it."""
    clocks: ServerClocks = field(default_factory=ServerClocks)

    @property
    def is_durable(self) -> bool:
        """Whether it and all its successors are, and whoever acts."""
        return (
            bool(self.login.durable)
            and all(
                each.durable for each in (*self.refreshes, *self.step_ups) if each.outcome == "ok"
            )
            and (not self.login.actor or (self.actor is not None and self.actor.is_durable))
        )

    @property
    def replacing(self) -> list[Operation]:
        """Logins and impersonations for which this session may have had to leave."""
        if self.login.verb == "impersonate":
            later = [
                each
                for each in self.impersonations
                if each is not self.login and _may_follow(each, self)
            ]
            return later[_MOST_IMPERSONATIONS - 1 :]
        if self.login.limit is None:
            return []
        return [each for each in self.logins if each is not self.login and _may_follow(each, self)]

    def sweeps_after(self) -> Iterator[Operation]:
        """Those that began, or were first asked for, after the session had been opened."""
        opened = end_of(self.login)
        return (each for each in self._sweeps() if opened < (each.since or each.began))

    def sweeps_concerning(self) -> Iterator[Operation]:
        """Those that may have ended it. One that is retried may be carried out at any time."""
        return (
            each
            for each in self._sweeps()
            if each.outcome != "ok" or end_of(each) > self.login.began
        )

    def _sweeps(self) -> Iterator[Operation]:
        return (each for each in self.sweeps if each.keep != self.login.session)

    def cutoffs_after(self) -> Iterator[Operation]:
        """Those that certainly lie after its login."""
        opened = end_of(self.login)
        for each in self.cutoffs:
            before = each.began if each.before is None else each.before - _CLOCKS
            if opened < before - self._off(each):
                yield each

    def cutoffs_concerning(self) -> Iterator[Operation]:
        """Those that may have ended it."""
        for each in self.cutoffs:
            if each.before is not None:
                if self.login.began < each.before + _CLOCKS + self._off(each):
                    yield each
            elif each.ended is None or self.login.began < each.ended + self._off(each) + (
                0 if each.outcome == "ok" else _RETRIED
            ):
                yield each

    def _off(self, cutoff: Operation) -> float:
        """Return by how many seconds the clocks of the login and of the cutoff may differ."""
        first, *_, last = sorted((self.login.began, end_of(self.login), cutoff.began))
        return self.clocks.off(first, last)

    def used_up(self) -> list[Operation]:
        """Refreshes that were refused, and may have ended it; also repeated ones whose answer
        nobody has got, as their process was killed or the answer was late."""
        return [
            each
            for each in self.refreshes
            if each.outcome in REFUSED
            or (each.outcome in {None, "store_unavailable"} and self.reuse_at(each) < each.began)
        ]

    def may_end(self) -> list[Operation]:
        """Every operation that may have ended it."""
        return [
            *self.ends,
            *self.sweeps_concerning(),
            *self.cutoffs_concerning(),
            *self.replacing,
            *self.used_up(),
            *(self.actor.may_end() if self.actor is not None else ()),
        ]

    def over_at(self) -> float:
        """The first moment at which its lifetime may be over."""
        own, began = _NEVER, self.login.began
        if self.login.lifetime is not None:
            own = began + self.login.lifetime - 1
            own = min(own - self.clocks.off(began, own), self.clocks.deleted_at(began, own))
        return own if self.actor is None else min(own, self.actor.over_at())

    def certain_end(self) -> Operation | None:
        """The acknowledged end of its own that came first, cutoffs apart."""
        ends = [
            *(each for each in self.ends if each.outcome == "ok"),
            # Of those that were opened meanwhile nothing is certain.
            *(each for each in self.sweeps_after() if each.outcome == "ok"),
        ]
        return min(ends, key=end_of, default=None)

    def certain_cutoff(self) -> Operation | None:
        """The acknowledged end of the namespace that came first and concerns it."""
        ends = (each for each in self.cutoffs_after() if each.outcome == "ok")
        return min(ends, key=end_of, default=None)

    def reuse_at(self, refresh: Operation) -> float:
        """The first moment at which a refresh may be a reuse of its token."""
        same = (each for each in self.refreshes if each.presented == refresh.presented)
        moments = [each.began for each in same if each is not refresh]
        # After a step-up there are two tokens, of which the first one that is used ends the other.
        return min([*moments, *(each.began for each in self.step_ups)], default=_NEVER)

    def violation(self, promise: str, operation: Operation, end: Operation | None) -> Violation:
        """A promise that ``operation`` broke, after ``end``."""
        login = self.login
        because = f"opened by {login.process} at {login.ended:.3f}, durable={login.durable}"
        if login.actor:
            because += f", the actor's session is {login.actor}"
        if end is not None:
            until = "its death" if end.ended is None else f"{end.ended:.3f}"
            because += (
                f"; {end.verb} by {end.process} from {end.began:.3f} to {until}"
                f" answered {end.outcome} ({end.reason})"
            )
        return Violation(promise, login.session, login.subject, operation, because)


def read_lifelines(
    history: History, without_effect: Collection[int] = frozenset()
) -> dict[str, Lifeline]:
    """Return the lifeline of each session, by session id.

    ``without_effect`` has the :func:`id` of operations that ended nothing.
    """
    lifelines: dict[str, Lifeline] = {}
    sweeps: dict[str, list[Operation]] = defaultdict(list)
    logins: dict[str, list[Operation]] = defaultdict(list)
    impersonations: dict[str, list[Operation]] = defaultdict(list)
    cutoffs = [each for each in history.operations if each.verb == "revoke_before"]
    clocks = ServerClocks(history.faults)
    for each in history.operations:
        if each.verb in ENDS_ALL and not each.scope and id(each) not in without_effect:
            sweeps[each.subject].append(each)
        elif each.verb == "login":
            logins[each.subject].append(each)
        elif each.verb == "impersonate":
            impersonations[each.subject].append(each)
    for each in history.operations:
        if each.verb in OPENS and each.session:
            subject = each.subject
            lifelines[each.session] = Lifeline(
                each,
                sweeps=sweeps[subject],
                logins=logins[subject],
                impersonations=impersonations[subject],
                cutoffs=cutoffs,
                actor=lifelines.get(each.actor),
                clocks=clocks,
            )
    for each in history.operations:
        life = lifelines.get(each.session)
        if life is None:
            continue
        if each.verb == "verify":
            life.verifies.append(each)
        elif each.verb == "refresh":
            life.refreshes.append(each)
        elif each.verb == "elevate":
            life.step_ups.append(each)
        elif each.verb in ENDS_ONE and id(each) not in without_effect:
            life.ends.append(each)
    return lifelines


def end_of(operation: Operation) -> float:
    """Return the time at which the operation returned; only for operations that have."""
    assert operation.ended is not None
    return operation.ended


def _may_follow(login: Operation, life: Lifeline) -> bool:
    """Whether ``login`` may have been carried out after that of ``life``."""
    return login.ended is None or login.outcome != "ok" or login.ended > life.login.began
