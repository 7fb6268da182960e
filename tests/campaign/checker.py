"""Reads a history and says which promise was broken, by which session and which events.

Only what is certain is reported. An operation that did not return, that said 503, or that is
pending may have been carried out at any time from its begin on: it obliges nobody but the process
that made it, and it may explain any end that follows.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .history import ENDS_ALL, ENDS_ONE, History, Operation

DEAD = frozenset({"session_revoked", "session_unknown", "session_expired"})
REFUSED = DEAD | {"invalid_refresh_token", "refresh_token_reused", "invalid_token"}
_PENDING = frozenset({"revocation_pending", "store_unavailable"})


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
            f"{self.promise}: session {self.session} of {self.subject}: {each.verb} by"
            f" {each.process} from {each.began:.3f} to {each.ended or 0:.3f} answered"
            f" {each.outcome} ({each.reason}); {self.because}"
        )


@dataclass(slots=True)
class _Session:
    login: Operation
    verifies: list[Operation] = field(default_factory=list)
    refreshes: list[Operation] = field(default_factory=list)
    ends: list[Operation] = field(default_factory=list)


def check(history: History) -> list[Violation]:
    """Every violation that is certain, in order of time."""
    sessions, sweeps = _sort(history)
    found: list[Violation] = []
    for session in sessions.values():
        of_subject = sweeps[session.login.subject]
        found += _accepted_after_an_end(session, of_subject, history.bound)
        found += _accepted_by_who_knew(session, of_subject)
        found += _refused_without_an_end(session, of_subject)
        found += _mixed_up(session)
    found += _successors(history.operations)
    return sorted(found, key=lambda each: each.operation.began)


def _sort(history: History) -> tuple[dict[str, _Session], dict[str, list[Operation]]]:
    sessions: dict[str, _Session] = {}
    sweeps: dict[str, list[Operation]] = defaultdict(list)
    for each in history.operations:
        if each.verb == "login" and each.session:
            sessions[each.session] = _Session(each)
    for each in history.operations:
        if each.verb in ENDS_ALL:
            sweeps[each.subject].append(each)
        session = sessions.get(each.session)
        if session is None:
            continue
        if each.verb == "verify":
            session.verifies.append(each)
        elif each.verb == "refresh":
            session.refreshes.append(each)
        elif each.verb in ENDS_ONE:
            session.ends.append(each)
    return sessions, sweeps


def _certain_end(session: _Session, sweeps: Iterable[Operation]) -> Operation | None:
    """The acknowledged end that came first."""
    opened = session.login.ended
    assert opened is not None
    ends = [
        *(each for each in session.ends if each.outcome == "ok"),
        # Of those that were opened meanwhile nothing is certain.
        *(each for each in sweeps if each.outcome == "ok" and opened < each.began),
    ]
    return min(ends, key=_end_of, default=None)


def _end_of(operation: Operation) -> float:
    assert operation.ended is not None
    return operation.ended


def _accepted_after_an_end(
    session: _Session, sweeps: Iterable[Operation], bound: float
) -> Iterator[Violation]:
    end = _certain_end(session, sweeps)
    if end is None:
        return
    for each in (*session.verifies, *session.refreshes):
        grace = 0.0 if each.is_strict or each.verb == "refresh" else bound
        if each.outcome == "ok" and each.began > _end_of(end) + grace:
            yield _violation("accepted after an acknowledged end", session, each, end)


def _accepted_by_who_knew(session: _Session, sweeps: Iterable[Operation]) -> Iterator[Violation]:
    """By the process that had made an end, or had seen one."""
    opened = session.login.ended
    assert opened is not None
    known: dict[str, Operation] = {}
    made = [
        each
        for each in (*session.ends, *(each for each in sweeps if opened < each.began))
        if each.ended is not None and each.outcome in {"ok", *_PENDING}
    ]
    seen = [each for each in session.verifies if each.outcome in DEAD - {"session_unknown"}]
    for each in sorted((*made, *seen), key=_end_of):
        known.setdefault(each.process, each)
    for each in (*session.verifies, *session.refreshes):
        end = known.get(each.process)
        if each.outcome == "ok" and end is not None and each.began > _end_of(end):
            yield _violation("accepted by who knew of the end", session, each, end)


def _refused_without_an_end(session: _Session, sweeps: Iterable[Operation]) -> Iterator[Violation]:
    """Of what was durable nothing is lost, and a fault is no 401."""
    if not session.login.durable or any(
        each.outcome == "ok" and not each.durable for each in session.refreshes
    ):
        return
    may_end = [*session.ends, *(each for each in sweeps if _may_concern(each, session.login))]
    may_end += [each for each in session.refreshes if each.outcome in REFUSED]
    first = min((each.began for each in may_end), default=float("inf"))
    for each in session.verifies:
        if each.outcome in REFUSED and each.ended is not None and each.ended < first:
            yield _violation("lost, or refused for a fault", session, each, None)
    for each in session.refreshes:
        others = [end.began for end in may_end if end is not each]
        before = min(others, default=float("inf"))
        if each.outcome in REFUSED and each.ended is not None and each.ended < before:
            yield _violation("refresh lost, or refused for a fault", session, each, None)


def _may_concern(sweep: Operation, login: Operation) -> bool:
    # One that is retried may be carried out at any time.
    return sweep.outcome != "ok" or _end_of(sweep) > login.began


def _mixed_up(session: _Session) -> Iterator[Violation]:
    for each in (*session.verifies, *session.refreshes):
        if each.outcome == "ok" and each.answered != each.session:
            yield _violation("an answer that was another's", session, each, None)


def _successors(operations: Iterable[Operation]) -> Iterator[Violation]:
    """A refresh token has at most one successor."""
    first: dict[str, Operation] = {}
    for each in operations:
        if each.verb == "refresh" and each.outcome == "ok":
            known = first.setdefault(each.presented, each)
            if known.successor != each.successor:
                because = f"{known.process} got another successor at {known.ended:.3f}"
                yield Violation("two successors", each.session, each.subject, each, because)


def _violation(
    promise: str, session: _Session, operation: Operation, end: Operation | None
) -> Violation:
    login = session.login
    because = f"opened by {login.process} at {login.ended:.3f}, durable={login.durable}"
    if end is not None:
        because += (
            f"; {end.verb} by {end.process} from {end.began:.3f} to {_end_of(end):.3f}"
            f" answered {end.outcome}"
        )
    return Violation(promise, operation.session, operation.subject, operation, because)
