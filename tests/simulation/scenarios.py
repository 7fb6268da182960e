"""The scenarios: events of the processes and the cluster, planned in a simulation."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from .clock import Clock
from .run import EVENT, Result, Setup, Simulation
from .store import virtual_time

_NODE_TIMEOUT = 1.0
_VOTE_SECONDS = 0.6
_SHARE_CUT_OFF = 0.3
_AWAY = 4.0
"""Seconds until a primary that was lost returns, as a replica."""


@dataclass(frozen=True)
class Scenario:
    """A scenario. ``is_healthy``: whether nothing may be refused."""

    name: str
    what: str
    plan: Callable[[Simulation], None]
    is_healthy: bool = False
    has_event: bool = True
    lasts: float = 0.0
    """Seconds from the beginning of the event to its end."""
    seconds: float = 16.0
    """How long to look on after the beginning of the event."""
    is_used: bool = True
    """Whether anybody verifies."""

    def run(self, setup: Setup, seconds: float | None = None) -> Result:
        """Run the scenario; ``seconds``: after its event."""
        if not self.is_used:
            setup = replace(setup, traffic=replace(setup.traffic, verifies=0.0))
        clock = Clock(setup.seed)
        with virtual_time(clock):
            simulation = Simulation(setup, clock)
            looks_on = self.seconds if seconds is None else seconds
            return simulation.run(self.plan, looks_on, lasts=self.lasts)


def _nothing(_: Simulation) -> None:
    """Leave everything as it is."""


def _failover(sim: Simulation) -> None:
    old = sim.cluster.shards[1].primary
    sim.after(EVENT, old.stop)
    sim.after(EVENT + _NODE_TIMEOUT + _VOTE_SECONDS, sim.cluster.promote, old)
    sim.after(EVENT + _AWAY, sim.cluster.return_as_replica, old)


def _replaced(sim: Simulation) -> None:
    cluster, network = sim.cluster, sim.network
    old = cluster.shards[1].primary
    cut_off = sim.processes[: int(len(sim.processes) * _SHARE_CUT_OFF)]
    numbers = {each.number for each in cut_off}
    others = [each.number for each in (*sim.processes, sim.revoker) if each.number not in numbers]

    def part() -> None:
        cluster.cut_off(old)
        network.part(numbers, [each for each in cluster.servers if each != old.address])
        network.part(others, [old.address])

    def heal() -> None:
        cluster.return_as_replica(old)
        network.heal()

    sim.after(EVENT, part)
    sim.after(EVENT + _NODE_TIMEOUT + _VOTE_SECONDS, cluster.promote, old)
    sim.after(EVENT + _AWAY, heal)


def _cut_off(sim: Simulation) -> None:
    cut_off = sim.processes[: int(len(sim.processes) * _SHARE_CUT_OFF)]
    numbers = [each.number for each in cut_off]
    sim.after(EVENT, sim.network.part, numbers, list(sim.cluster.servers))
    sim.after(EVENT + 3, sim.network.heal)


def _moved_around(sim: Simulation) -> None:
    """Give a slot of each shard to the next one, in turns: each takes an epoch for it."""
    cluster, by_slot = sim.cluster, sim.keys_by_slot()
    firsts = [cluster.owners.index(shard) for shard in range(3)]
    for number in range(20):
        shard = number % 3
        slot = firsts[shard] + number // 3
        keys = by_slot.get(slot, [])
        sim.after(EVENT + number * 0.5, cluster.move_slot, slot, (shard + 1) % 3, keys)


def _moved(count: int, seconds: float) -> Callable[[Simulation], None]:
    def plan(sim: Simulation) -> None:
        """Give the first shard slots of the others, in turns: their first ones."""
        cluster, by_slot = sim.cluster, sim.keys_by_slot()
        firsts = [cluster.owners.index(shard) for shard in (1, 2)]
        for number in range(count):
            slot = firsts[number % 2] + number // 2
            keys = by_slot.get(slot, [])
            after = EVENT + number * seconds / count
            sim.after(after, cluster.move_slot, slot, 0, keys)

    return plan


def _deploy(sim: Simulation) -> None:
    def restart(place: int) -> None:
        sim.processes[place].end()
        sim.clock.after(0.5, start, place)

    def start(place: int) -> None:
        sim.processes[place] = sim.new_process(place)
        sim.start(sim.processes[place])

    for place in range(len(sim.processes)):
        sim.after(EVENT + sim.random.uniform(0, 5), restart, place)


def _revocation(sim: Simulation) -> None:
    """End a tenth of all sessions."""
    sampled = len(sim.users) // 10
    for number in range(sampled * sim.weight):
        do = sim.end_one if number % sim.weight == 0 else sim.anonymous_write
        sim.after(EVENT + sim.random.uniform(0, 5), do)


def _stalls(sim: Simulation) -> None:
    def stall(place: int) -> None:
        sim.processes[place].stalled_until = sim.clock.now + 1.0

    for place in range(len(sim.processes)):
        sim.after(EVENT + sim.random.uniform(0, 4), stall, place)


SCENARIOS = {
    each.name: each
    for each in (
        Scenario(
            "idle",
            "Nobody verifies anything",
            _nothing,
            is_healthy=True,
            has_event=False,
            seconds=10,
            is_used=False,
        ),
        Scenario(
            "steady",
            "Users come as always",
            _nothing,
            is_healthy=True,
            has_event=False,
            seconds=10,
        ),
        Scenario(
            "failover",
            "The host of a primary falls silent; its replica replaces it after 1.6 s, and it"
            " returns after 4 s",
            _failover,
            lasts=_AWAY,
        ),
        Scenario(
            "replaced",
            "A primary is cut off from the others together with three tenths of the processes, and"
            " replaced; it returns after 4 s",
            _replaced,
            lasts=_AWAY,
        ),
        Scenario(
            "cut-off", "Three tenths of the processes reach no server for 3 s", _cut_off, lasts=3
        ),
        Scenario(
            "moved-20",
            "20 slots move to one primary in 2 s, which takes an epoch with the first",
            _moved(20, 2.0),
            is_healthy=True,
            lasts=2,
        ),
        Scenario(
            "moved-5000",
            "5,000 slots move to another primary in 10 s",
            _moved(5_000, 10.0),
            is_healthy=True,
            lasts=10,
        ),
        Scenario(
            "moved-around",
            "20 slots move among all primaries in 10 s, each of which takes an epoch for each",
            _moved_around,
            is_healthy=True,
            lasts=10,
        ),
        Scenario("deploy", "All processes restart within 5 s", _deploy, is_healthy=True, lasts=5),
        Scenario(
            "revocation",
            "A tenth of all sessions is revoked within 5 s",
            _revocation,
            is_healthy=True,
            lasts=5,
        ),
        Scenario(
            "stalls",
            "Every process stands still for 1 s, at some time within 4 s",
            _stalls,
            is_healthy=True,
            lasts=5,
        ),
    )
}
