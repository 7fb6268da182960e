"""The builds that are broken on purpose, with the faults and promises that expose each one."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from . import broken, broken_clocks, broken_journals, broken_requests
from .mix import USUAL, Mix

AFTER = "accepted after an acknowledged end"
KNEW = "accepted by who knew of the end"
OTHER_REQUEST = "another request under a used operation id"
LOST = "lost, or refused for a fault"
REFRESH_LOST = "refresh lost, or refused for a fault"


@dataclass(frozen=True, slots=True)
class Build:
    """A broken build."""

    apply: Callable[[], None]
    promises: Collection[str]
    """Promises, of which the checker has to find at least one broken."""
    faults: tuple[str, ...] = ("nothing",)
    """Faults that expose it."""
    options: str = ""
    """Further options of the store URL."""
    mix: Mix = USUAL
    quiet_seconds: float = 1.0
    """Before the first fault."""
    replicas: int = 1
    kinds: tuple[str, ...] = ("threads", "tasks", "threads")
    at_once: int = 1
    """How many faults one run has; the more, the more there is to remember."""


_STALE = ("promote_stale_replica",)
_NOBODY_CONFIRMS = ("part_process_from_all", "kill_two_primaries")
_NO_PRIMARY = ("stop_primary", "kill_primary")
_IMPATIENT = "?timeout=0.2&deadline=0.3&replica_wait=0.1"

BROKEN: dict[str, Build] = {
    each.apply.__name__: each
    for each in (
        Build(broken.wait_is_off, {AFTER, KNEW, LOST, REFRESH_LOST}, _STALE),
        Build(broken.wait_is_not_counted, {AFTER, KNEW, LOST, REFRESH_LOST}, _STALE),
        Build(broken.ends_are_not_remembered, {KNEW}, _STALE),
        Build(broken.pending_is_not_enforced, {KNEW}, _NOBODY_CONFIRMS, _IMPATIENT),
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
        Build(
            broken_journals.entries_are_not_known,
            {AFTER},
            ("stop_primary",),
            mix=Mix(end_one=20, login=6),
        ),
        Build(
            broken_journals.entries_are_not_carried_out_first,
            {AFTER},
            ("stop_primary",),
            mix=Mix(end_one=20, login=6),
        ),
        Build(
            broken_clocks.server_clocks_are_trusted,
            {AFTER, KNEW, LOST, REFRESH_LOST, "a used token was accepted"},
            ("jump_server_clock", "promote_replica_with_wrong_clock"),
            mix=Mix(refresh=10, end_all=3, short_login=2),
            at_once=3,
        ),
        Build(
            broken_requests.operations_are_not_compared,
            {OTHER_REQUEST},
            mix=Mix(operation_id=4),
            quiet_seconds=4,
        ),
        Build(
            broken_requests.repeats_are_carried_out_again,
            {LOST, "missing in a list"},
            mix=Mix(operation_id=4),
            quiet_seconds=6,
        ),
        Build(
            broken_requests.strict_does_not_doubt,
            {AFTER, KNEW, LOST},
            ("wake_replaced_primary",),
            mix=Mix(end_one=20, login=6),
            replicas=2,
            kinds=("strict", "strict", "threads"),
        ),
        Build(
            broken_requests.impersonation_ignores_memory,
            {KNEW, "acts although the process knew of the end"},
            _NOBODY_CONFIRMS,
            _IMPATIENT,
            mix=Mix(impersonation=15, end_one=8, end_all=2, login=6),
            at_once=2,
        ),
        Build(
            broken_requests.step_up_elevates_older_tokens,
            {"an older token rose with a step-up"},
            mix=Mix(step_up=3),
            quiet_seconds=3,
        ),
        Build(
            broken_requests.cutoffs_are_not_learnt,
            {AFTER, KNEW},
            mix=Mix(cutoff=0.2),
            quiet_seconds=6,
        ),
        Build(
            broken_requests.pending_bans_are_not_shown,
            {"a ban from a scope was not seen"},
            _NOBODY_CONFIRMS,
            _IMPATIENT,
            mix=Mix(scope_ban=6),
        ),
    )
}
