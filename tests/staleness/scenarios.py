"""All scenarios of the campaign, by name."""

from collections.abc import Callable

from . import cluster_faults, faults
from .run import Scenario
from .stage import Stage


def _parting(
    name: str, fault: Callable[[Stage], None], span: float, *, is_promised: bool = True
) -> Scenario:
    return Scenario(
        name,
        fault,
        span,
        reaches_writers=True,
        reaches_buses=True,
        is_promised=is_promised,
    )


_ALL = (
    Scenario("quiet", faults.nothing, 1.5),
    Scenario("dropped-one", faults.drop_one, 4.0),
    Scenario("dropped-all", faults.drop_all, 4.0),
    Scenario("dropped-to-verifier", faults.drop_to_verifier, 4.0),
    Scenario("dropped-to-node", faults.drop_to_node, 4.0),
    Scenario("dropped-others", faults.drop_the_others, 4.0),
    Scenario("delayed", faults.delay, 4.0),
    Scenario("pushes-held", faults.hold_pushes, 4.0),
    Scenario("resets", faults.reset_connections, 4.0),
    Scenario("primary-stopped", cluster_faults.stop_primary_for_a_moment, 3.4),
    Scenario("primary-replaced", cluster_faults.stop_primary_past_failover, 5.0),
    Scenario("primary-replaced-alone", cluster_faults.stop_primary_that_is_alone, 5.0),
    Scenario("primary-replaced-unseen", cluster_faults.stop_primary_seen_by_others, 5.0),
    Scenario("primary-killed", cluster_faults.kill_primary, 5.0),
    _parting("primary-parted", cluster_faults.part_primary, 5.0),
    _parting("primary-parted-stopped", cluster_faults.part_stopped_primary, 7.0),
    _parting("primary-parted-alone", cluster_faults.part_primary_alone, 5.0),
    _parting("primary-parted-alone-stopped", cluster_faults.part_stopped_primary_alone, 7.0),
    _parting("slots-moved-parted", cluster_faults.part_new_owner, 3.0, is_promised=False),
    Scenario("failover-by-hand", cluster_faults.fail_over_by_hand, 3.0),
    Scenario("failover-by-hand-unseen", cluster_faults.fail_over_unseen, 2.5),
    Scenario("slots-moved", cluster_faults.move_slots, 2.0),
    Scenario("slots-moved-unseen", cluster_faults.move_slots_unseen, 2.5),
    Scenario("slots-moved-at-once", cluster_faults.move_slots_atomically, 2.0),
    Scenario("slots-moved-at-once-unseen", cluster_faults.move_slots_atomically_unseen, 2.5),
    Scenario("verifier-stopped", faults.stop_verifiers, 2.5),
    Scenario("loop-stalled", faults.stall_loops, 3.6),
    Scenario("interpreter-busy", faults.keep_the_interpreter_busy, 4.0),
    Scenario("flushed", faults.flush, 2.0),
    Scenario("flushed-unseen", faults.flush_unseen, 2.0),
    Scenario("cutoff", faults.nothing, 1.5, is_cutoff=True),
    Scenario("cutoff-one-reached", faults.cut_off_one_by_one, 1.6, is_cutoff=True),
    Scenario("cutoff-unseen", faults.cut_off_hidden, 1.6, is_cutoff=True),
)
SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
