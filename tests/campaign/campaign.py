"""One campaign: start all, let the nemesis work, stop all, and judge."""

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clusterpass import EmbeddedCluster, KeyRing
from tests.staleness.workers import Worker

from .checker import Violation, check
from .history import Fault, History, read_history
from .nemesis import FAULTS, Nemesis, strike
from .processes import make


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


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of it."""

    history: History
    violations: list[Violation]
    counted: list[dict[str, Any]]
    seconds: float


class _Processes:
    def __init__(self, plan: Plan, url: str, folder: Path, keys: Path) -> None:
        self._plan, self._url, self._folder, self._keys = plan, url, folder, keys
        self._generation = 0
        self.all: list[Worker] = []
        for kind in ("threads", "tasks", "threads"):
            self._start(kind)

    def _start(self, kind: str) -> None:
        self._generation += 1
        name = f"{kind}-{self._generation}"
        plan, folder = self._plan, str(self._folder)
        worker = Worker(
            name, make, kind, plan.broken, name, folder, plan.seed, plan.bound, str(self._keys)
        )
        worker.call("begin", self._url)
        self.all.append(worker)

    def kill_one(self, nemesis: Nemesis) -> str:
        """Kill a process and start another one of its kind."""
        worker = self.all.pop(nemesis.random.randrange(len(self.all)))
        name = worker.name
        worker.kill()
        self._start(name.partition("-")[0])
        return name

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
    (folder / "meta.json").write_text(json.dumps({"bound": plan.bound, "seed": plan.seed}))
    begun = time.monotonic()
    with EmbeddedCluster(
        nodes=6, node_timeout=plan.node_timeout, persistent=True, server=plan.server
    ) as cluster:
        processes = _Processes(plan, f"{cluster.url}{plan.options}", folder, keys)
        nemesis = Nemesis(cluster, plan.node_timeout, plan.seed, lambda: "")
        nemesis.kill_process = lambda: processes.kill_one(nemesis)
        nemesis.pause(1, 1.5)
        with (folder / "faults").open("w", encoding="utf-8") as log:
            for name in _names(plan, nemesis):
                nemesis.pause(0.2, 1.2)
                began, ended, detail = strike(nemesis, name)
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
    lines += [str(each) for each in verdict.violations[:20]]
    return "\n".join(lines)
