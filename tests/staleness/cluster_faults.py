"""Faults of the nodes and changes of the cluster; each is a scenario's ``fault``."""

import contextlib
import time
from collections.abc import Callable
from math import inf

import redis

from .cluster_operations import (
    WAITING,
    await_that,
    begin_to_move_slots,
    fail_over,
    is_owner,
    move_slot,
    move_slots_at_once,
)
from .proxies import FORWARD, HOLD, Behaviour
from .run import CannotRun
from .stage import WRITERS, Stage


def stop_primary_for_a_moment(stage: Stage) -> None:
    """A primary is stopped by a signal for half a node timeout, then for nine tenths of one."""
    for timeouts in (0.5, 0.9):
        stage.cluster.pause(stage.victim)
        try:
            stage.sleep(timeouts * stage.node_timeout)
        finally:
            stage.cluster.resume(stage.victim)
        stage.sleep(1.0)


def stop_primary_past_failover(stage: Stage) -> None:
    """A primary is stopped by a signal, replaced, and goes on."""
    _stop_past_failover(stage, stage.random.uniform(0.2, 1.5))


def stop_primary_that_is_alone(stage: Stage) -> None:
    """Stop a primary past the failover, while verifiers reach only the node that was replaced."""
    # A server with many threads has many idle connections; what was asked over them is what a
    # stopped node reads first when it goes on, before it hears that it was replaced.
    threads, names = stage.verifiers["threads"], [token.name for token in stage.victims]
    threads.call("crowd", names, 60)
    others = [node for node in stage.cluster.nodes if node != stage.victim]
    stage.behave(HOLD, nodes=others)

    def ask_before_it_goes_on() -> None:
        threads.begin("burst", names, 30)
        stage.sleep(0.2)

    _stop_past_failover(stage, 1.5, before_it_goes_on=ask_before_it_goes_on)
    threads.finish()
    stage.sleep(1.0)


def stop_primary_seen_by_others(stage: Stage) -> None:
    """Stop a primary past the failover, while verifiers reach all nodes but the new primary."""
    (replica, *_) = stage.cluster.replicas_of(stage.a_key)
    stage.behave(HOLD, nodes=[replica])
    _stop_past_failover(stage, 1.0)
    stage.sleep(1.0)


def _stop_past_failover(
    stage: Stage, seconds_more: float, before_it_goes_on: Callable[[], None] = lambda: None
) -> None:
    key = stage.a_key
    stage.cluster.pause(stage.victim)
    paused_at = time.monotonic()
    try:
        stage.cluster.wait_until_primary_changes(key, stage.victim, WAITING)
        stage.sleep(seconds_more)
        before_it_goes_on()
        resumed_at = time.monotonic()
    finally:
        stage.cluster.resume(stage.victim)
    stage.sleep(1.0)
    # In the first moment after it went on the old primary may still acknowledge what is lost.
    stage.safe = [(paused_at, resumed_at), (time.monotonic(), inf)]


def kill_primary(stage: Stage) -> None:
    """A primary is killed and replaced; later it comes back as a replica."""
    key = stage.a_key
    stage.cluster.kill(stage.victim)
    stage.safe = [(time.monotonic(), inf)]
    try:
        stage.cluster.wait_until_primary_changes(key, stage.victim, WAITING)
        stage.sleep(1.5)
    finally:
        stage.cluster.restart(stage.victim)


def fail_over_by_hand(stage: Stage) -> None:
    """The replica takes over as an operator wants it, there and back."""
    key = stage.a_key
    for _ in range(2):
        fail_over(stage.cluster, key)
        stage.safe = [(time.monotonic(), inf)]
        stage.sleep(0.5)
        stage.cluster.wait_until_healthy(WAITING)


def fail_over_unseen(stage: Stage) -> None:
    """The replica takes over by hand while the verifiers reach the old primary alone."""
    others = [node for node in stage.cluster.nodes if node != stage.victim]
    stage.behave(HOLD, nodes=others)
    stage.sleep(0.2)
    fail_over(stage.cluster, stage.a_key)
    stage.safe = [(time.monotonic(), inf)]
    stage.sleep(2.0)
    stage.behave(FORWARD)


def move_slots(stage: Stage) -> None:
    """The slots of the subjects move to another primary, key by key."""
    _move_slot_by_slot(stage)


def move_slots_unseen(stage: Stage) -> None:
    """Move slots one by one, while the verifiers do not reach the new owner."""
    stage.behave(HOLD, nodes=[stage.others[0]])
    _move_slot_by_slot(stage)
    stage.sleep(1.0)


def _move_slot_by_slot(stage: Stage) -> None:
    for slot in stage.victims_slots:
        move_slot(stage.cluster, slot, stage.victim, stage.others[0])


def move_slots_atomically(stage: Stage) -> None:
    """The slots of the subjects move to another primary at once, as Valkey 9 can."""
    slots = stage.victims_slots
    half = len(slots) // 2
    for chosen in (slots[:half], slots[half:]):
        try:
            move_slots_at_once(stage.cluster, chosen, stage.victim, stage.others[0])
        except redis.ResponseError as error:
            raise CannotRun(f"this server does not move slots atomically: {error}") from None
        stage.sleep(0.3)


def move_slots_atomically_unseen(stage: Stage) -> None:
    """Move slots at once, while the verifiers do not reach the new owner."""
    stage.behave(HOLD, nodes=[stage.others[0]])
    move_slots_atomically(stage)
    stage.sleep(1.0)


def part_primary(stage: Stage) -> None:
    """A primary is parted from all other nodes, together with the verifiers, and replaced."""
    _leave_alone_with_verifiers(stage)
    _part(stage)


def part_primary_alone(stage: Stage) -> None:
    """A primary is parted from all other nodes and replaced; the verifiers reach all nodes."""
    stage.behave(HOLD, nodes=[stage.victim], verifiers=[WRITERS])
    _part(stage)


def _part(stage: Stage) -> None:
    stage.part(stage.victim)
    stage.safe = [(time.monotonic(), inf)]
    stage.cluster.wait_until_primary_changes(stage.a_key, stage.victim, WAITING)
    stage.sleep(2.0)
    stage.part()


def part_stopped_primary(stage: Stage) -> None:
    """A primary, parted with the verifiers, is stopped, replaced, and goes on."""
    _leave_alone_with_verifiers(stage)
    _part_and_stop(stage)


def part_stopped_primary_alone(stage: Stage) -> None:
    """A primary, parted from the others, is stopped, replaced, and goes on; verifiers reach all."""
    stage.behave(HOLD, nodes=[stage.victim], verifiers=[WRITERS])
    _part_and_stop(stage)


def _part_and_stop(stage: Stage) -> None:
    stage.part(stage.victim)
    stage.safe = [(time.monotonic(), inf)]
    stage.cluster.pause(stage.victim)
    try:
        stage.cluster.wait_until_primary_changes(stage.a_key, stage.victim, WAITING)
        stage.sleep(1.5)
    finally:
        stage.cluster.resume(stage.victim)
    stage.sleep(2 * stage.node_timeout)
    stage.part()


def part_new_owner(stage: Stage) -> None:
    """Slots move at once to a node that is parted, with the writers, in the moment it owns them."""
    target = stage.others[0]
    others = [node for node in stage.cluster.nodes if node != target]
    stage.behave(HOLD, nodes=[target])
    stage.behave(Behaviour(lifetime=0.001), nodes=others, verifiers=[WRITERS])
    slots = stage.victims_slots
    stage.part(target)
    parted_at = time.monotonic()
    try:
        begin_to_move_slots(stage.cluster, slots, stage.victim, target)
    except redis.ResponseError as error:
        raise CannotRun(f"this server does not move slots atomically: {error}") from None
    with contextlib.suppress(TimeoutError):
        await_that(
            lambda: is_owner(stage.cluster, target, slots), "owned", 0.8 * stage.node_timeout
        )
    # Any longer, and it would be replaced in its turn.
    stage.sleep(max(0.0, parted_at + 1.1 * stage.node_timeout - time.monotonic()))
    stage.part()
    stage.behave(FORWARD)
    stage.behave(FORWARD, verifiers=[WRITERS])
    await_that(lambda: stage.cluster.primary_of(stage.a_key) == target, "the slots have moved")


def _leave_alone_with_verifiers(stage: Stage) -> None:
    """The verifiers reach the victim alone, the writers all but the victim."""
    others = [node for node in stage.cluster.nodes if node != stage.victim]
    stage.behave(HOLD, nodes=[stage.victim], verifiers=[WRITERS])
    stage.behave(HOLD, nodes=others)
