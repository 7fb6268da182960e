"""Plots of several calls, such as a refresh after a step-up: generators that yield each step."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from clusterpass import RevocationPending, Session, TokenPair

from .acts import Act, Known, Plot, digest
from .history import IDS

if TYPE_CHECKING:
    from .lives import Lives

_IMPERSONATED_SECONDS = 600
_ELEVATED_SECONDS = (3, 60)
_SCOPES = ("chat", "forum")
_BANNED_SECONDS = (3, 30)
_OFTEN = (0.05,) * 60
_LATE = (1.5, 6.0)
"""Seconds after which a call is repeated late."""


class Plots:
    """Chooses what each is about."""

    def __init__(self, lives: "Lives") -> None:
        self._lives, self._of = lives, lives.ordinary
        self._random, self._sessions = lives.random, lives.sessions
        self._begin = lives.begin

    def look_at(self, known: Known) -> Plot:
        """A session of which something was told just now."""
        chance = self._random.random()
        if chance < 0.3:
            yield 0, lambda: self._of.list_of(known.subject)
        elif chance < 0.6:
            yield 0, lambda: self._of.strict(known)
        else:
            yield 0, lambda: self._of.look_at(known)

    def after_an_end(self, known: Known, end: Act) -> Plot:
        """Who has ended a session looks at it at once; the others are told."""
        self._sessions.tell(known)  # while it is under way: they look before and after
        yield 0, lambda: end
        yield 0, lambda: self._of.look_at(known)
        self._sessions.tell(known)
        yield 0, lambda: self._of.list_of(known.subject)

    def impersonation(self) -> Plot:
        """An actor begins to act, and ends now and then."""
        actor = self._sessions.any()
        session = yield 0, lambda: self._of.look_at(actor)
        subject = self._of.subject()
        if not isinstance(session, Session) or session.act is not None or subject == actor.subject:
            return
        pair = yield 0, lambda: self._impersonate(session, subject)
        if not isinstance(pair, TokenPair):
            return
        acting = Known(pair.subject, pair.session_id, pair.access_token, _digest_of(pair))
        yield 0, lambda: self._of.look_at(acting)
        if self._random.random() < 0.5:
            yield 0.2, lambda: self._of.look_at(acting)
            ended = yield 0, lambda: self._log_out(actor)
            yield 0, lambda: self._of.look_at(acting)
            self._sessions.tell(acting)
            yield 0, lambda: self._impersonate(session, subject)
            # While it is pending, the store may say for a moment that the actor lives.
            is_pending = isinstance(ended, RevocationPending)
            for pause in _OFTEN if is_pending else (0.1, 0.5, 1.0, 2.0):
                yield pause, lambda: self._of.look_at(acting)

    def step_up(self) -> Plot:
        """A session of this process gets stronger tokens; the older ones stay as weak as before."""
        if not self._sessions.mine:
            return
        known = self._random.choice(self._sessions.mine)
        older = Known(known.subject, known.session, known.access_token, known.token)
        session = yield 0, lambda: self._of.look_at(older)
        if not isinstance(session, Session) or session.act is not None:
            return
        pair = yield 0, lambda: self._elevate(known, session)
        if not isinstance(pair, TokenPair):
            return
        newer = Known(pair.subject, pair.session_id, pair.access_token, _digest_of(pair))
        for each in (newer, older, newer, older):
            yield self._random.choice((0, 0.3)), functools.partial(self._of.look_at, each, "2")
            yield 0, functools.partial(self._of.look_at, each)

    def scope_ban(self) -> Plot:
        """Somebody is banned from a scope, and sessions show that; now and then it is lifted."""
        known, scope = self._sessions.any(), self._random.choice(_SCOPES)
        if known.subject.startswith(IDS):
            return
        seconds = self._random.randint(*_BANNED_SECONDS)
        yield 0, lambda: self._ban(known.subject, scope, seconds)
        yield 0, lambda: self._of.look_at(known)
        self._sessions.tell(known)
        yield 0.6, lambda: self._of.look_at(known)
        if self._random.random() < 0.3:
            yield 0.5, lambda: self._lift(known.subject, scope)
            yield 0, lambda: self._of.look_at(known)

    def operation_id(self) -> Plot:
        """A request that is repeated, or another one that brings its id.

        Nobody else changes anything about the subject, so that it is certain what was done.
        """
        number = self._random.randrange(1_000_000_000)
        subject = f"{IDS}{self._lives.name}-{number}"
        first = yield 0, lambda: self._of.login(subject)
        second = yield 0, lambda: self._of.login(subject)
        if not isinstance(first, TokenPair) or not isinstance(second, TokenPair):
            return
        requests = self._requests(subject, first.session_id, second.session_id)
        chosen = self._random.choice(sorted(requests))
        operation_id = f"{self._random.randrange(1, 2**64):016x}"
        yield 0, functools.partial(requests[chosen], operation_id)
        late = self._random.uniform(*_LATE) if self._random.random() < 0.4 else 0.0
        if self._random.random() < 0.5:
            third = yield 0, lambda: self._of.login(subject)
            yield late, functools.partial(requests[chosen], operation_id)
            left = third if isinstance(third, TokenPair) else second
        else:
            other = self._random.choice(sorted(set(requests) - {chosen}))
            yield late, functools.partial(requests[other], operation_id)
            left = second
        known = Known(subject, left.session_id, left.access_token, _digest_of(left))
        yield 0, lambda: self._of.look_at(known)
        self._sessions.tell(known)
        yield 0.1, lambda: self._of.strict(known)
        yield 0, lambda: self._of.list_of(subject)

    def _requests(self, subject: str, first: str, second: str) -> dict[str, Callable[[str], Act]]:
        """Return different requests about ``subject`` by name; each takes its operation id."""
        return {
            "revoke first": lambda id_: self._asked(
                "revoke",
                subject,
                lambda m: m.revoke(subject, first, operation_id=id_),
                session=first,
                operation_id=id_,
                request="revoke first",
            ),
            "revoke second": lambda id_: self._asked(
                "revoke",
                subject,
                lambda m: m.revoke(subject, second, operation_id=id_),
                session=second,
                operation_id=id_,
                request="revoke second",
            ),
            "revoke all but second": lambda id_: self._asked(
                "revoke_all",
                subject,
                lambda m: m.revoke_all(subject, keep=second, operation_id=id_),
                keep=second,
                operation_id=id_,
                request="revoke all but second",
            ),
            "revoke all": lambda id_: self._asked(
                "revoke_all",
                subject,
                lambda m: m.revoke_all(subject, operation_id=id_),
                operation_id=id_,
                request="revoke all",
            ),
            "ban": lambda id_: self._asked(
                "ban",
                subject,
                lambda m: m.bans.add(subject, scope="chat", for_seconds=60, operation_id=id_),
                scope="chat",
                seconds=60,
                operation_id=id_,
                request="ban",
            ),
        }

    def _asked(self, verb: str, subject: str, call: Callable[[Any], Any], **more: Any) -> Act:
        return Act(self._begin(verb, subject, **more), call)

    def _impersonate(self, actor: Session, subject: str) -> Act:
        operation = self._begin(
            "impersonate", subject, actor=actor.session_id, lifetime=_IMPERSONATED_SECONDS
        )
        return Act(
            operation,
            lambda manager: manager.impersonate(
                actor, subject, reason="help", for_seconds=_IMPERSONATED_SECONDS
            ),
        )

    def _log_out(self, known: Known) -> Act:
        if known.subject.startswith(IDS):
            return self._of.look_at(known)
        operation = self._begin("logout", known.subject, session=known.session)
        return Act(operation, lambda manager: manager.logout(known.access_token))

    def _elevate(self, known: Known, session: Session) -> Act:
        seconds = self._random.randint(*_ELEVATED_SECONDS)
        operation = self._begin(
            "elevate",
            known.subject,
            session=known.session,
            level="2",
            seconds=seconds,
            ends_older=self._lives.is_strict or None,
        )
        return Act(
            operation, lambda manager: manager.elevate(session, "2", for_seconds=seconds), known
        )

    def _ban(self, subject: str, scope: str, seconds: int) -> Act:
        operation = self._begin("ban", subject, scope=scope, seconds=seconds)
        return Act(
            operation, lambda manager: manager.bans.add(subject, scope=scope, for_seconds=seconds)
        )

    def _lift(self, subject: str, scope: str) -> Act:
        operation = self._begin("lift", subject, scope=scope)
        return Act(operation, lambda manager: manager.bans.lift(subject, scope=scope))


def _digest_of(pair: TokenPair) -> str:
    return digest(pair.access_token)
