"""Broken builds for a campaign, see :mod:`.broken`: operation ids, doubts, cutoffs, bans."""

from math import inf
from typing import Any

from clusterpass.sessions import loaded_session
from clusterpass.sessions.memory.cutoff import Cutoff
from clusterpass.sessions.memory.denials import Denials
from clusterpass.sessions.memory.near_cache import NearCache
from clusterpass.sessions.public_values import live_record
from clusterpass.sessions.revocations.confirm import Confirm
from clusterpass.sessions.verbs import requirements
from clusterpass.sessions.verbs.actor import Actors

from .rewriting import rewrite


def operations_are_not_compared() -> None:
    """An operation id answers for whatever request brings it."""
    _forget_own_requests()
    for script in ("ban", "end_all", "end_session", "set_claims", "unban"):
        rewrite(script, "return known ~= '' and known ~= fingerprint", "return false")


def repeats_are_carried_out_again() -> None:
    """A request that is repeated ends what came after its first run, too."""
    _forget_own_requests()
    for script in ("ban", "end_all"):
        rewrite(script, "if not value then\n        return nil", "if true then\n        return nil")


def _forget_own_requests() -> None:
    """A process would tell its own requests apart, whatever the scripts do."""
    changed: Any = Confirm
    changed._recall = lambda *_: None


def strict_does_not_doubt() -> None:
    """A strict manager believes whatever node answers it."""
    whole = NearCache.doubts

    def doubts(self: Any, node: Any, **options: Any) -> bool:
        return bool(self.prefixes) and whole(self, node, **options)

    changed: Any = NearCache
    changed.doubts = doubts


def impersonation_ignores_memory() -> None:
    """The store is trusted about an actor's session, whatever this process knows."""

    def judge(_: Any, __: str, ___: bytes, stored: Any, ____: float, cutoff: int) -> None:
        live_record(stored, cutoff)

    changed: Any = Actors
    changed._judge = judge


def step_up_elevates_older_tokens() -> None:
    """A step-up is one of the session, and so of every token that it ever had."""
    for module in (loaded_session, requirements):
        changed: Any = module
        changed.as_token_sees = lambda stored, _: stored


def cutoffs_are_not_learnt() -> None:
    """Who has read the time before which all sessions have ended never takes a later one."""
    whole = Cutoff.raise_to

    def raise_to(self: Any, milliseconds: int) -> None:
        if self.is_unknown and self._forgotten_at == -inf:
            whole(self, milliseconds)

    changed: Any = Cutoff
    changed.raise_to = raise_to


def pending_bans_are_not_shown() -> None:
    """Who has banned somebody from a scope does not show it before the store does."""
    changed: Any = Denials
    changed.pending_bans = lambda *_: ()
