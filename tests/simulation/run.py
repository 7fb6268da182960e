"""One run: a number of processes on a cluster, a scenario, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import process_time

from clusterpass.protocol.keyspace import slot_of
from clusterpass.sessions.memory.leases import Leases

from .clock import START, Clock, spawn
from .cluster import Cluster
from .costs import DESIGNS, Costs, Design
from .invariants import SMALL, Judge, amplification
from .network import Network
from .process import BOUND, Process, Traffic, User
from .server_load import SLICE, Meter
from .store import Running

START_WITHIN = 12.0
"""Seconds within which the processes start at first."""
WARM = 20.0
"""Seconds in which each process then loads its sessions, before users come."""
STEADY = 21.0
"""From then on the load is steady."""
EVENT = 25.0
"""When a scenario begins what it is about, in seconds."""
MOST_SAMPLED = 20
_REVOKER = -1
_PROBES = 40
_BETWEEN_PROBES = 0.05


@dataclass(frozen=True)
class Setup:
    """The parameters of a run."""

    processes: int
    seed: int = 1
    sampled: int = MOST_SAMPLED
    """The most processes that are simulated; each then stands for several."""
    design: Design = DESIGNS["today"]
    traffic: Traffic = field(default_factory=Traffic)
    costs: Costs = field(default_factory=Costs)
    loss: float = 0.0
    endings: float = 5.0
    """Revocations a second, of sessions that simulated processes hold."""
    leases: type[Leases] = Leases
    reloads_at_once: bool = False


@dataclass
class Result:
    """The result of a run."""

    setup: Setup
    steady: float
    """Cores that all servers together need before the event."""
    busiest: float
    """Cores that the busiest server needs before the event: above 1, it cannot keep up."""
    peak: float
    """Cores that all servers together need after the event, at most."""
    highest: float
    """Cores that any one server needs after the event, at most."""
    seconds: float
    """From the end of the event until the load is back."""
    judge: Judge
    series: dict[str, list[float]]
    """Cores by kind of request, from the steady load on."""
    events: int
    processor_seconds: float

    @property
    def refusals_before(self) -> bool:
        """Whether anything was refused before the event, on a healthy cluster."""
        return self.judge.first_refusal < EVENT

    @property
    def is_saturated(self) -> bool:
        return self.busiest > 0.9


class Simulation:
    """All parts of a run."""

    def __init__(self, setup: Setup, clock: Clock) -> None:
        """``clock``: as in :func:`virtual_time`, within which all of a simulation happens."""
        self.setup = setup
        self.clock = clock
        self.random = self.clock.random
        self.meter = Meter()
        self.network = Network(self.clock, loss=setup.loss)
        self.cluster = Cluster(self.clock, self.meter, setup.costs, setup.design)
        self.judge = Judge(self.clock, BOUND)
        sampled = min(setup.processes, setup.sampled)
        self.weight = setup.processes // sampled
        assert self.weight * sampled == setup.processes, "each stands for as many as the others"
        half = setup.traffic.sessions // 2
        self.users = [User(number) for number in range(sampled * half)]
        for user in self.users:
            self.cluster.store(user.keys.sessions)
        self.processes = [self.new_process(number) for number in range(sampled)]
        self.revoker = Process(
            _REVOKER, self.cluster, self.network, self.judge, [], leases=setup.leases
        )
        self._operations = 0
        self._not_ended = list(self.users)
        self.random.shuffle(self._not_ended)

    def new_process(self, number: int) -> Process:
        """A process that has the sessions of ``number``, half of which the next one has too."""
        setup, users = self.setup, self.users
        half = setup.traffic.sessions // 2
        at = number * half
        own = [users[each % len(users)] for each in range(at, at + 2 * half)]
        return Process(
            number,
            self.cluster,
            self.network,
            self.judge,
            list(dict.fromkeys(own)),
            weight=self.weight,
            leases=setup.leases,
            reloads_at_once=setup.reloads_at_once,
        )

    def after(self, seconds: float, do: Callable[..., None], *args: object) -> None:
        """Call ``do`` so many seconds after the beginning of the run."""
        self.clock.at(START + seconds, do, *args)

    def run(
        self, begin: Callable[["Simulation"], None], seconds: float, *, lasts: float = 0.0
    ) -> Result:
        """Run the scenario that ``begin`` plans, for ``seconds`` from its event on, which ``lasts``
        so many of them."""
        took = process_time()
        self.revoker.begin()
        for process in self.processes:
            late = self.random.uniform(0, START_WITHIN)
            process.later(late, self._start_cold, process, WARM - late)
        if self.setup.traffic.verifies:
            self._next_anonymous_write()
            self.after(STEADY, self._next_ending)
        begin(self)
        self.clock.run(START + EVENT + seconds)
        return self._result(seconds, lasts, process_time() - took)

    def start(self, process: Process, *, warm: float = 0.0) -> None:
        """Let a process live; ``warm``: seconds in which it loads its sessions first."""
        traffic = self.setup.traffic
        is_used = traffic.verifies and process.number < traffic.busy * len(self.processes)
        if is_used or warm:
            process.begin()  # a new process connects when it is asked first
        if not is_used:
            return
        process.later(warm, process.live, traffic)
        for number, user in enumerate(tuple(process.users) if warm else ()):
            process.later(
                0.3 + (warm - 0.3) * (number + 1) / len(process.users), process.verify, user
            )

    def _start_cold(self, process: Process, warm: float) -> None:
        self.start(process, warm=warm)

    # What happens all the time.

    def _next_anonymous_write(self) -> None:
        """The refreshes of processes that are not simulated."""
        traffic, count = self.setup.traffic, len(self.processes)
        others = (
            traffic.busy
            * count
            * (self.weight - 1)
            * traffic.sessions
            / 2
            / traffic.refresh_seconds
        )
        if others:
            self.anonymous_write()
            self.clock.after(self.random.expovariate(others), self._next_anonymous_write)

    def anonymous_write(self) -> None:
        """A change of a session that two processes hold, neither of which is simulated."""
        server = self.random.choice(self.cluster.primaries())
        server.burden("write", self.setup.costs.write, server.push_cost(2))

    def _next_ending(self) -> None:
        self.end_one()
        self.clock.after(self.random.expovariate(self.setup.endings), self._next_ending)

    def end_one(self) -> None:
        """Revoke a session, and have those that hold it verify it afterwards."""
        if self._not_ended:
            spawn(self.revoker.later, self._end(self._not_ended.pop()))

    def _end(self, user: User) -> Running:
        self._operations += 1
        holders = [each for each in self.processes if user in each.users]
        yield from self.revoker.revoke(user, self._operations)
        for number in range(_PROBES):
            yield _BETWEEN_PROBES
            for process in holders:
                asks = number in {1, 12} and self.random.random() * self.weight < 1
                self._probe(process, user, asks=asks)

    def _probe(self, process: Process, user: User, *, asks: bool) -> None:
        now = self.clock.now
        if process.is_gone or now < process.stalled_until:
            return
        if asks:
            process.verify(user)
        elif process.find(user):
            self.judge.accepted(process.number, user.name, now, from_memory=True)

    def keys_by_slot(self) -> dict[int, list[bytes]]:
        found: dict[int, list[bytes]] = {}
        for user in self.users:
            found.setdefault(slot_of(user.keys.sessions), []).append(user.keys.sessions)
        return found

    def _result(self, seconds: float, lasts: float, took: float) -> Result:
        end = EVENT + seconds
        before = self.meter.cores(STEADY + 1, EVENT)
        steady = sum(before) / len(before)
        load = self.meter.cores(EVENT, end)
        small = SMALL * len(self.cluster.primaries())
        peak, until = amplification(load, steady, SLICE, small)
        return Result(
            self.setup,
            steady,
            self.meter.busiest(STEADY, EVENT),
            peak,
            self.meter.highest(EVENT, end),
            max(0.0, until - lasts),
            self.judge,
            self.meter.cores_by_kind(STEADY + 1, end),
            self.clock.events,
            took,
        )
