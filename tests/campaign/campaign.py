"""One campaign: start all, let the nemesis work, stop all, and judge."""

import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from clusterpass import EmbeddedCluster, KeyRing
from clusterpass.store.location import Address
from tests.staleness.workers import Worker

from .builds import BROKEN
from .checker import check
from .faults import FAULTS
from .history import Fault, History, read_history
from .lifelines import Violation
from .lives import USUAL, Mix
from .nemesis import Nemesis, strike
from .network import Network
from .processes import REFRESH_GRACE, Start, make


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a campaign is made of."""

    faults: int = 10
    names: Sequence[str] = tuple(FAULTS)
    seed: int = 1
    bound: float = 0.5
    node_timeout: float = 1.0
    options: str = ""
    """Of the store URL."""
    server: str | None = None
    broken: str = ""
    """The name of a build that is broken on purpose."""
    mix: Mix = USUAL
    quiet_seconds: float = 1.0
    """Before the first fault."""
    soaks: bool = False
    """See :class:`.processes.Start`."""


def plan_of(broken: str, plan: Plan) -> Plan:
    """``plan`` for a build that is broken on purpose, and with what brings that to light."""
    build = BROKEN[broken]
    return replace(
        plan,
        broken=broken,
        names=build.faults,
        options=build.options,
        mix=build.mix,
        quiet_seconds=build.quiet_seconds,
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of it."""

    history: History
    violations: list[Violation]
    counted: list[dict[str, Any]]
    seconds: float


_AFTERMATH = 10.0
"""Seconds for which a fault is worth naming."""
_IMPATIENT = "?timeout=0.3&deadline=0.8&replica_wait=0.15"


class Processes:
    """Three of them: two with threads, one with tasks."""

    def __init__(self, plan: Plan, url: str, folder: Path, keys: Path) -> None:
        self._plan, self._url, self._folder, self._keys = plan, url, folder, keys
        self._generation = 0
        self.random = random.Random(f"processes {plan.seed}")
        self.all: list[Worker] = []
        for kind in ("threads", "tasks", "threads"):
            self._start(kind)

    def _start(self, kind: str) -> None:
        self._generation += 1
        name = f"{kind}-{self._generation}"
        plan = self._plan
        start = Start(
            kind=kind,
            name=name,
            folder=self._folder,
            keys=self._keys,
            seed=plan.seed,
            bound=plan.bound,
            mix=plan.mix,
            broken=plan.broken,
            soaks=plan.soaks,
        )
        worker = Worker(name, make, start)
        # Every other one is impatient, so that it meets more failures than it rides out.
        impatient = "" if plan.options or self._generation % 2 else _IMPATIENT
        worker.call("begin", f"{self._url}{impatient}")
        self.all.append(worker)

    def names(self) -> list[str]:
        """In an order of chance."""
        names = [worker.name for worker in self.all]
        self.random.shuffle(names)
        return names

    def reach(self, name: str, reached_at: Mapping[Address, Address]) -> None:
        """Let a process connect to proxies; KeyError when it is not there any more."""
        self._of(name).call("reach", reached_at)

    def jump(self, name: str, seconds: float) -> None:
        """Let the clock of a process be ahead by this much."""
        self._of(name).call("jump", seconds)

    def _of(self, name: str) -> Worker:
        return {worker.name: worker for worker in self.all}[name]

    def kill(self, name: str) -> None:
        """Kill a process and start another one of its kind."""
        worker = self._of(name)
        self.all.remove(worker)
        worker.kill()
        self._start(name.partition("-")[0])

    def end(self) -> list[dict[str, Any]]:
        """End all; what each has counted."""
        counted = [{"process": each.name, **each.call("end")} for each in self.all]
        for each in self.all:
            each.stop()
        return counted


def run(plan: Plan, folder: Path, say: Callable[[str], None] = lambda _: None) -> Verdict:
    """Carry out ``plan``; what is recorded stays in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = folder / "keys.json"
    keys.write_text(KeyRing.generate().private_jwks_text())
    (folder / "meta.json").write_text(
        json.dumps({"bound": plan.bound, "seed": plan.seed, "refresh_grace": REFRESH_GRACE})
    )
    begun = time.monotonic()
    with EmbeddedCluster(
        nodes=6, node_timeout=plan.node_timeout, persistent=True, server=plan.server
    ) as cluster:
        processes = Processes(plan, f"{cluster.url}{plan.options}", folder, keys)
        network = Network(cluster, plan.seed, processes.reach)
        nemesis = Nemesis(
            cluster, plan.node_timeout, random.Random(f"nemesis {plan.seed}"), processes, network
        )
        nemesis.pause(plan.quiet_seconds, plan.quiet_seconds + 0.5)
        with (
            contextlib.closing(network),
            (folder / "faults").open("w", encoding="utf-8") as log,
        ):
            for name in _names(plan, nemesis):
                nemesis.pause(0.2, 1.2)
                began, ended, detail = strike(nemesis, FAULTS[name])
                fault = Fault(name, detail, began, ended)
                log.write(json.dumps(asdict(fault)) + "\n")
                log.flush()
                say(f"{began - begun:7.1f} s  {name}: {detail}")
        nemesis.pause(1.5, 2)
        counted = processes.end()
    history = read_history(folder)
    return Verdict(history, check(history), counted, time.monotonic() - begun)


def _names(plan: Plan, nemesis: Nemesis) -> list[str]:
    """Each kind of fault about as often as the others, in an order of chance."""
    names: list[str] = []
    while len(names) < plan.faults:
        some = list(plan.names)
        nemesis.random.shuffle(some)
        names += some
    return names[: plan.faults]


def _faults_before(history: History, violation: Violation) -> str:
    """Which faults came shortly before, or were under way."""
    at = violation.operation.began
    near = [
        f"{fault.name} from {fault.began:.3f} to {fault.ended:.3f}"
        for fault in history.faults
        if fault.began <= at <= fault.ended + _AFTERMATH
    ]
    return f"faults: {', '.join(near) or 'none'}"


def summary(verdict: Verdict) -> str:
    """The figures, for people."""
    operations = verdict.history.operations
    outcomes = Counter((each.verb, each.outcome or "killed") for each in operations)
    faults = Counter(each.name for each in verdict.history.faults)
    lines = [
        f"{len(operations):,} operations, {sum(faults.values())} faults in"
        f" {verdict.seconds:.0f} s: {len(verdict.violations)} violations",
        "faults: " + ", ".join(f"{name} {count}" for name, count in sorted(faults.items())),
    ]
    for verb in sorted({verb for verb, _ in outcomes}):
        told = {o: n for (v, o), n in sorted(outcomes.items()) if v == verb}
        lines.append(f"{verb}: " + ", ".join(f"{name} {count:,}" for name, count in told.items()))
    lines += [str(each) for each in verdict.counted]
    for each in verdict.violations[:20]:
        lines.append(f"{each}; {_faults_before(verdict.history, each)}")
    return "\n".join(lines)
