"""Builds that are broken on purpose: each breaks a promise, and the campaign has to find it out.

A function changes the imported library within one process, never on a disk. Its docstring says
which mistake it stands for. (A cache without leases is found out in ``tests/staleness``, where the
network is cut.)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from clusterpass import AsyncSessionManager, SessionManager
from clusterpass.errors import SessionUnknown, StoreUnavailable
from clusterpass.models import Ended
from clusterpass.sessions import orders
from clusterpass.sessions.context import Context
from clusterpass.sessions.denials import Denials
from clusterpass.sessions.ending import Ending
from clusterpass.sessions.near_cache import NearCache
from clusterpass.sessions.verification import Verification
from clusterpass.store import aio, exchange
from clusterpass.tokens.refresh import RefreshTokens


def wait_is_off() -> None:
    """Nobody waits for a replica, and all is called durable."""
    for module in (aio, exchange):
        module.wait_of = lambda *_: None  # type: ignore[attr-defined]
    exchange.is_durable = lambda *_: True


def wait_is_not_counted() -> None:
    """WAIT is sent, but what it answers is not looked at (or another shard is asked)."""
    for module in (aio, exchange):
        module.is_durable = lambda *_: True  # type: ignore[attr-defined]


def ends_are_not_remembered() -> None:
    """A process believes a store that has lost what it knew."""
    changed: Any = Denials
    changed.judge = lambda *_: None
    changed.of_session = lambda *_: None
    changed.without_store = lambda *_: None


def pending_is_not_enforced() -> None:
    """What could not be carried out yet is not in force here either."""
    for order in (orders.EndOne, orders.EndAll, orders.AddBan):
        _only_when_confirmed(order)


def _only_when_confirmed(order: Any) -> None:
    whole = order.enforce

    def enforce(self: Any, operation: bytes, *, is_pending: bool) -> None:
        if not is_pending:
            whole(self, operation, is_pending=False)

    order.enforce = enforce


def sweeps_never_end() -> None:
    """Who has ended all sessions of a subject goes on to refuse those that are opened later."""
    whole = Context.sweep

    def sweep(self: Any, subject: str, operation: bytes, what: Any, _: Any) -> None:
        whole(self, subject, operation, what, None)

    changed: Any = Context
    changed.sweep = sweep


def pushes_are_ignored() -> None:
    """What the cluster pushes does not reach what is remembered."""
    changed: Any = NearCache
    changed.pushed = lambda *_: False


def unavailable_is_401() -> None:
    """A store that cannot be reached is answered as a session that is not known."""
    whole = Verification.verify

    def verify(self: Any, *given: Any, **more: Any) -> Any:
        try:
            return (yield from whole(self, *given, **more))
        except StoreUnavailable:
            raise SessionUnknown from None

    changed: Any = Verification
    changed.verify = verify


def successors_are_random() -> None:
    """A refresh that is repeated gets another token than the first time."""
    whole = RefreshTokens.successor

    def successor(self: Any, token: Any, **of_repetition: Any) -> Any:
        return self.unique_successor(token) if of_repetition else whole(self, token)

    changed: Any = RefreshTokens
    changed.successor = successor


def logouts_are_not_awaited() -> None:
    """A logout is acknowledged before it was sent; it never is."""

    def logout(self: Any, token: str, **_: Any) -> Any:
        return Ended(1, True)
        yield

    changed: Any = Ending
    changed.logout = logout


def answers_of_others() -> None:
    """Now and then an answer is that of the call before."""
    last: list[Any] = []
    for manager in (SessionManager, AsyncSessionManager):
        _answer_again(manager, last)


def _answer_again(manager: Any, last: list[Any]) -> None:
    whole = manager.__init__

    def initialise(self: Any, *given: Any) -> None:
        whole(self, *given)
        find = self._remembered

        def remembered(token: str) -> Any:
            session = find(token)
            if session is not None:
                last.append(session)
                return last[-2] if len(last) % 50 == 0 else session
            return None

        self._remembered = remembered

    manager.__init__ = initialise


@dataclass(frozen=True, slots=True)
class Broken:
    """One of them."""

    apply: Callable[[], None]
    promises: frozenset[str]
    """One of these is found broken."""
    faults: tuple[str, ...]
    """These bring it to light."""
    options: str = ""
    """Of the store URL."""


AFTER = "accepted after an acknowledged end"
KNEW = "accepted by who knew of the end"
LOST = "lost, or refused for a fault"
REFRESH_LOST = "refresh lost, or refused for a fault"
_STALE = ("promote_stale_replica",)
_IMPATIENT = "?timeout=0.2&deadline=0.3&replica_wait=0.1"

BROKEN: dict[str, Broken] = {
    each.apply.__name__: each
    for each in (
        Broken(wait_is_off, frozenset({AFTER, KNEW, LOST, REFRESH_LOST}), _STALE),
        Broken(wait_is_not_counted, frozenset({AFTER, KNEW, LOST, REFRESH_LOST}), _STALE),
        Broken(ends_are_not_remembered, frozenset({KNEW}), _STALE),
        Broken(
            pending_is_not_enforced, frozenset({KNEW}), ("stop_primary", "kill_primary"), _IMPATIENT
        ),
        Broken(sweeps_never_end, frozenset({LOST}), ("nothing",)),
        Broken(pushes_are_ignored, frozenset({AFTER, KNEW}), ("nothing",)),
        Broken(unavailable_is_401, frozenset({LOST}), ("stop_primary", "kill_primary"), _IMPATIENT),
        Broken(successors_are_random, frozenset({"two successors"}), ("nothing",)),
        Broken(logouts_are_not_awaited, frozenset({AFTER}), ("nothing",)),
        Broken(answers_of_others, frozenset({"an answer that was another's"}), ("nothing",)),
    )
}
