"""What each broken build breaks, and what brings that to light."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from . import broken
from .mix import USUAL, Mix

AFTER = "accepted after an acknowledged end"
KNEW = "accepted by who knew of the end"
LOST = "lost, or refused for a fault"
REFRESH_LOST = "refresh lost, or refused for a fault"


@dataclass(frozen=True, slots=True)
class Build:
    """One of them."""

    apply: Callable[[], None]
    promises: Collection[str]
    """One of these is found broken."""
    faults: tuple[str, ...] = ("nothing",)
    """These bring it to light."""
    options: str = ""
    """Of the store URL."""
    mix: Mix = USUAL
    quiet_seconds: float = 1.0
    """Before the first fault."""
    replicas: int = 1
    kinds: tuple[str, ...] = ("threads", "tasks", "threads")
    at_once: int = 1
    """How many faults one run has; the more, the more there is to remember."""


_STALE = ("promote_stale_replica",)
_NOBODY_LEFT = ("promote_stale_replica_and_kill_processes",)
_NO_PRIMARY = ("stop_primary", "kill_primary")
_IMPATIENT = "?timeout=0.2&deadline=0.3&replica_wait=0.1"
_REVOKES_ALL = Mix(login=6, end_one=0, end_all=3, known=1000)

BROKEN: dict[str, Build] = {
    each.apply.__name__: each
    for each in (
        Build(broken.wait_is_off, {AFTER, KNEW, LOST, REFRESH_LOST}, _STALE),
        Build(broken.wait_is_not_counted, {AFTER, KNEW, LOST, REFRESH_LOST}, _STALE),
        Build(broken.ends_are_not_remembered, {KNEW}, _STALE),
        Build(
            broken.generations_are_not_remembered,
            {KNEW},
            _NOBODY_LEFT,
            mix=_REVOKES_ALL,
            quiet_seconds=3,
            at_once=3,
        ),
        Build(broken.pending_is_not_enforced, {KNEW}, _NO_PRIMARY, _IMPATIENT),
        Build(broken.sweeps_never_end, {LOST}),
        Build(broken.pushes_are_ignored, {AFTER, KNEW}),
        Build(broken.leases_are_off, {AFTER, KNEW}, ("hold_pushes",)),
        Build(broken.unavailable_is_401, {LOST}, _NO_PRIMARY, _IMPATIENT),
        Build(broken.successors_are_random, {"two successors"}),
        Build(broken.used_tokens_are_accepted, {"a used token was accepted"}, quiet_seconds=10),
        Build(broken.logouts_are_not_awaited, {AFTER}),
        Build(broken.answers_of_others, {"an answer that was another's"}),
        Build(broken.ends_leave_no_tombstone, {"an end that is not explained"}),
        Build(
            broken.the_limit_is_judged_outside,
            {"more sessions than the limit"},
            mix=Mix(capped_login=1.5),
            quiet_seconds=5,
        ),
        Build(
            broken.lifetimes_are_not_judged_here,
            {"accepted past its lifetime"},
            quiet_seconds=14,
        ),
        Build(
            broken.grace_is_given_to_all,
            {"grace by who had not seen it alive"},
            ("part_process_from_all",),
            _IMPATIENT,
        ),
    )
}
