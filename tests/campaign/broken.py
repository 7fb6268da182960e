"""Builds that are broken on purpose: each breaks a promise, and the campaign has to find it out.

A function changes the imported library within one process, never on a disk. Its docstring says
which mistake it stands for. Which promise each breaks, and what brings it to light, stands in
:mod:`.builds`.
"""

from math import inf
from typing import Any

from clusterpass import AsyncSessionManager, SessionManager
from clusterpass.model.authentication_errors import SessionUnknown
from clusterpass.model.errors import StoreUnavailable
from clusterpass.model.values import Ended
from clusterpass.sessions.memory.denials import Denials
from clusterpass.sessions.memory.memory import Memory
from clusterpass.sessions.memory.near_cache import NearCache
from clusterpass.sessions.revocations.add_ban import AddBan
from clusterpass.sessions.revocations.end_all import EndAll
from clusterpass.sessions.revocations.end_one import EndOne
from clusterpass.sessions.verbs.end import End
from clusterpass.sessions.verbs.outage_grace import OutageGrace
from clusterpass.sessions.verbs.verify import Verify
from clusterpass.store.exchanges import first_try, tries
from clusterpass.tokens.refresh import RefreshTokens
from clusterpass.tokens.verifier import TokenVerifier
from tests.staleness.leases_off import switch_leases_off

from .rewriting import rewrite


def wait_is_off() -> None:
    """Nobody waits for a replica, and all is called durable."""
    for module in (first_try, tries):
        module.wait_of = lambda *_: None
        module.is_durable = lambda *_: True


def wait_is_not_counted() -> None:
    """WAIT is sent, but what it answers is not looked at (or another shard is asked)."""
    for module in (first_try, tries):
        module.is_durable = lambda *_: True


def ends_are_not_remembered() -> None:
    """A process believes a store that has lost what it knew."""
    changed: Any = Denials
    changed.judge = lambda *_: None
    changed.of_session = lambda *_: None
    changed.without_store = lambda *_: None


def pending_is_not_enforced() -> None:
    """What could not be carried out yet is not in force here either."""
    for revocation in (EndOne, EndAll, AddBan):
        _only_when_confirmed(revocation)


def _only_when_confirmed(revocation: Any) -> None:
    whole = revocation.enforce

    def enforce(self: Any, operation: bytes, *, is_pending: bool) -> None:
        if not is_pending:
            whole(self, operation, is_pending=False)

    revocation.enforce = enforce


def sweeps_never_end() -> None:
    """Who has ended all sessions of a subject goes on to refuse those that are opened later."""
    whole = Memory.sweep

    def sweep(self: Any, key: bytes, operation: bytes, what: Any, _: Any) -> None:
        whole(self, key, operation, what, None)

    changed: Any = Memory
    changed.sweep = sweep


def pushes_are_ignored() -> None:
    """What the cluster pushes does not reach what is remembered."""
    changed: Any = NearCache
    changed.pushed = lambda *_: False


def unavailable_is_401() -> None:
    """A store that cannot be reached is answered as a session that is not known."""
    whole = Verify.verify

    def verify(self: Any, *given: Any, **more: Any) -> Any:
        try:
            return (yield from whole(self, *given, **more))
        except StoreUnavailable:
            raise SessionUnknown from None

    changed: Any = Verify
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

    changed: Any = End
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


def ends_leave_no_tombstone() -> None:
    """A session that has ended is removed: nobody can say any more that it did."""
    tombstone = "put(session_id, struct.pack('>BBI4I4', 130, reason, at, keep_until) .. text)"
    for script in ("end_session", "end_all", "ban"):
        rewrite(script, tombstone, "drop(session_id)")


def used_tokens_are_accepted() -> None:
    """An exchange does not compare the token with what is stored."""
    rewrite("rotate", "(line.digest == presented and line.rotation == rotation)", "true")


def the_limit_is_judged_outside() -> None:
    """A login counts the sessions first and opens one more then, in two steps."""
    sync, waiting = SessionManager.login, AsyncSessionManager.login

    def login(self: Any, subject: str, *, policy: Any = None, **more: Any) -> Any:
        for session in _surplus(self.sessions(subject) if policy else [], policy):
            self.revoke(subject, session.session_id)
        return sync(self, subject, **more)

    async def login_waiting(self: Any, subject: str, *, policy: Any = None, **more: Any) -> Any:
        for session in _surplus(await self.sessions(subject) if policy else [], policy):
            await self.revoke(subject, session.session_id)
        return await waiting(self, subject, **more)

    changed: Any = (SessionManager, AsyncSessionManager)
    changed[0].login, changed[1].login = login, login_waiting


def _surplus(found: Any, policy: Any) -> Any:
    return found[policy.max_sessions - 1 :] if policy else []


def leases_are_off() -> None:
    """What is remembered is served until a push says otherwise, and pushes may stay away.

    They come on connections of their own: who asks on one that is silent finds out.
    """
    switch_leases_off()
    changed: Any = NearCache
    changed.wants_all = property(lambda _: True, lambda *_: None)


def lifetimes_are_not_judged_here() -> None:
    """What is remembered is served although its time is over."""
    keep, verify = NearCache.keep, TokenVerifier.verify

    def keep_for_ever(self: Any, entry: Any, *rest: Any) -> None:
        keep(self, entry, *rest)
        entry.deadline = entry.expires_at = inf

    changed: Any = NearCache
    changed.keep = keep_for_ever
    changed = TokenVerifier
    changed.verify = lambda self, token, **_: verify(self, token, allow_expired=True)


def grace_is_given_to_all() -> None:
    """While the store is away whatever was ever seen is accepted."""

    def is_in_grace(_: Any, entry: Any, __: float) -> bool:
        return entry.loaded is not None

    changed: Any = OutageGrace
    changed._is_in_grace = is_in_grace
