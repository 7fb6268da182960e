"""The leases as a state machine: never stale beyond the bound, whatever happens in which order."""

import itertools
from math import inf

import pytest
from hypothesis import given, settings, strategies as st

from clusterpass import Config, KeyRing, SessionManager
from clusterpass.sessions.memory.leases import Leases
from clusterpass.sessions.memory.node_state import Lease, NodeState

from .lease_world import BOUND, World

NODES = ("a", "b", "c")
STEPS = 400


def explore(leases: type[Leases], seed: int, steps: int = STEPS) -> tuple[float, int]:
    """The longest staleness of a run of random events, and how often something was served."""
    world, worst = World(leases, seed), 0.0
    for _ in range(steps):
        world.something()
        worst = max(worst, world.staleness())
    return worst, world.served


@settings(max_examples=300)
@given(st.integers(0, 2**32))
def test_nothing_is_served_beyond_the_bound(seed):
    worst, _ = explore(Leases, seed)
    assert worst <= BOUND + 1e-9


def test_the_exploration_serves_and_meets_old_values():
    """Otherwise it could not find anything."""
    runs = [explore(Leases, seed) for seed in range(150)]
    assert sum(served for _, served in runs) > 5_000
    assert max(worst for worst, _ in runs) > 0.3 * BOUND


class Endless(Leases):
    """A lease never runs out."""

    def _renew(self) -> None:
        super()._renew()
        for state in self._nodes.values():
            if state.lease is not None:
                state.lease.until = inf


class FromTheReply(Leases):
    """A lease runs from when a reply arrives, not from when the beat was sent."""

    def beat_answered(self, node, number, **told):
        state = self._nodes.get(node)
        if state is not None:
            state.unanswered = type(state.unanswered)(
                [(n, at + 3 * BOUND) for n, at in state.unanswered], state.unanswered.maxlen
            )
        return super().beat_answered(node, number, **told)


class NoGenerations(Leases):
    """A connection that is lost and made anew changes nothing."""

    def connected(self, node, *, pushes=True, at=None):
        state = self._nodes.setdefault(node, NodeState())
        state.is_met = True
        if state.lease is None:
            state.lease = Lease(node, 0)
        self._renew()

    def lost(self, node):
        pass


class NoMajority(Leases):
    """The node's own beats are enough, and what epoch it tells does not matter."""

    def _majority_until(self):
        return inf

    def _majority_up_to(self, epoch):
        return inf

    def _effective(self, state):
        return self.epoch

    def _note_epoch(self, node, state, epoch, sent_at, heard_at):
        state.epoch = epoch
        return False


@pytest.mark.parametrize("mutant", [Endless, FromTheReply, NoGenerations, NoMajority])
def test_a_broken_rule_is_found_out(mutant):
    assert any(explore(mutant, seed)[0] > BOUND for seed in range(600)), "the test has no power"


def with_beats(leases: Leases, node: str, *beats: tuple[float, int]) -> None:
    for at, epoch in beats:
        leases.beat_answered(node, leases.beat_sent(node, at), epoch=epoch)


def made(*nodes: str, **options) -> Leases:
    leases = Leases(BOUND, **options)
    leases.set_primaries(frozenset(nodes))
    for node in nodes:
        leases.connected(node)
    return leases


def test_two_beats_of_a_majority_give_a_lease():
    leases = made(*NODES)
    with_beats(leases, "a", (0.0, 5))
    with_beats(leases, "b", (0.0, 5))
    assert leases.lease("a").until == -inf, "one beat proves nothing"
    with_beats(leases, "a", (0.2, 5))
    assert leases.lease("a").until == 0.0 + BOUND, "from the sending of the one before"
    with_beats(leases, "a", (0.4, 5))
    assert leases.lease("a").until == BOUND, "the majority's latest common time"
    with_beats(leases, "b", (0.4, 5))
    assert leases.lease("a").until == 0.2 + BOUND


@pytest.mark.parametrize("order", list(itertools.permutations(NODES)))
def test_whoever_tells_an_older_epoch_has_no_lease(order):
    leases = made(*NODES)
    for at in (0.0, 0.1, 0.2):
        for node in order:
            with_beats(leases, node, (at, 5))
    assert all(leases.lease(node).until > 1 for node in NODES)
    old = leases.lease("a")
    leases.beat_answered("b", leases.beat_sent("b", 0.3), epoch=6)
    assert old.until == -inf and leases.lease("a") is old
    assert leases.outdated == {"a", "c"}
    with_beats(leases, "c", (0.4, 6))
    assert leases.outdated == {"a"}
    with_beats(leases, "b", (0.4, 6), (0.5, 6))
    with_beats(leases, "c", (0.5, 6))
    leases.mapped(0.55, {})
    assert leases.lease("c").until > 1.2 and leases.lease("a").until == -inf
    with_beats(leases, "a", (0.6, 6), (0.7, 6))
    leases.mapped(0.65, {})
    assert leases.lease("a") is old and old.until > 1.2, "what was read from it is as good again"


def test_all_events_of_three_end_every_lease_that_they_touch():
    """Every sequence of three events, on every node: an ended lease never comes back to life."""
    events = {
        "lost": lambda leases, node: leases.lost(node),
        "connected": lambda leases, node: leases.connected(node),
        "epoch": lambda leases, node: leases.beat_answered(
            node, leases.beat_sent(node, 0.5), epoch=leases.epoch + 1
        ),
        "beats": lambda leases, node: with_beats(
            leases, node, (0.5, leases.epoch), (0.6, leases.epoch)
        ),
        "left": lambda leases, node: leases.set_primaries(frozenset(NODES) - {node}),
    }
    for sequence in itertools.product(itertools.product(events, NODES), repeat=3):
        leases = made(*NODES)
        for node in NODES * 2:
            with_beats(leases, node, (0.0, 1), (0.1, 1))
        ended: set[Lease] = set()
        for name, node in sequence:
            before = {each: leases.lease(each) for each in NODES}
            events[name](leases, node)
            for each, lease in before.items():
                if lease is not None and leases.lease(each) is not lease:
                    ended.add(lease)
            assert all(lease.until == -inf for lease in ended), sequence
            for each in NODES:
                lease = leases.lease(each)
                assert lease is None or lease.until <= 0.6 + BOUND


def test_a_beat_of_an_earlier_generation_counts_for_nothing():
    leases = made("a")
    number = leases.beat_sent("a", 0.0)
    leases.connected("a")
    assert leases.beat_answered("a", number, epoch=1) is False
    assert leases.state("a").previous is None


def test_the_cutoff_has_to_be_as_fresh():
    leases = made("a", "b", "c")
    for at in (0.0, 0.1, 0.2):
        for node in NODES:
            leases.beat_answered(
                node, leases.beat_sent(node, at), epoch=1, knows_cutoff=node == "b"
            )
    assert leases.lease("a").until == 0.1 + BOUND
    leases.cutoff_changed(0.25)
    assert all(leases.lease(node).until == -inf for node in NODES)
    late = leases.beat_sent("b", 0.24)
    leases.beat_answered("b", late, epoch=1)
    assert leases.lease("a").until == -inf, "it was asked before the change was known"
    leases.beat_answered("b", leases.beat_sent("b", 0.3), epoch=1)
    assert leases.lease("a").until == 0.1 + BOUND


def test_one_server_needs_no_majority():
    leases = made("a", has_epochs=False)
    with_beats(leases, "a", (0.0, 0), (0.2, 0))
    assert leases.lease("a").until == BOUND
    assert leases.outdated == frozenset()


@pytest.mark.parametrize(
    ("scheme", "until"), [("redis", inf), ("rediss", inf), ("redis+cluster", -inf)]
)
def test_a_manager_asks_for_a_majority_in_a_cluster_alone(scheme, until):
    config = Config(issuer="https://auth.example", keys=KeyRing.generate())
    with SessionManager.from_url(f"{scheme}://127.0.0.1:1", config) as manager:
        leases = manager._flows.memory.near.leases
    assert leases.majority_until == until
    assert leases.bound == config.staleness_bound


def test_a_cluster_that_was_made_anew_is_believed_again():
    leases = made(*NODES)
    for node in NODES:
        with_beats(leases, node, (0.0, 50), (0.1, 50))
    for node in NODES:
        leases.connected(node)
        with_beats(leases, node, (0.2, 3), (0.3, 3))
    assert (leases.epoch, leases.outdated) == (3, frozenset())
    for node in NODES:
        with_beats(leases, node, (0.4, 3))
    assert all(leases.lease(node).until > 1.2 for node in NODES)


def test_what_stats_say():
    leases = made("a", "b")
    for node in ("a", "b"):
        with_beats(leases, node, (0.0, 2), (0.5, 2))
    told = leases.describe("a", 0.75)
    assert (told.address, told.is_connected, told.has_lease) == ("a", True, True)
    assert (told.lease_seconds, told.beat_age, told.epoch) == (0.25, 0.25, 2)
    leases.lost("a")
    told = leases.describe("a", 0.75)
    assert (told.is_connected, told.has_lease, told.beat_age) == (False, False, None)
    assert leases.describe("nobody", 0.0).epoch is None


def test_after_a_fork_nothing_is_known():
    leases = made(*NODES)
    for node in NODES:
        with_beats(leases, node, (0.0, 2), (0.1, 2))
    kept = [leases.lease(node) for node in NODES]
    leases.forget()
    assert all(lease.until == -inf for lease in kept)
    assert leases.lease("a") is None and leases.primaries == frozenset()
    assert leases.majority_until == -inf, "the parent's majority is not the child's"
