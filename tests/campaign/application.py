"""The processes of the application, as the parent starts, breaks and ends them."""

import json
import random
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clusterpass.store.address import Address
from tests.staleness.workers import Worker

from .parameters import Plan
from .processes import Start, make

_IMPATIENT = "?timeout=0.3&deadline=0.8&replica_wait=0.15"


class Processes:
    """One of each kind that the plan names."""

    def __init__(self, plan: Plan, url: str, folder: Path, keys: Path) -> None:
        self._plan, self._url, self._folder, self._keys = plan, url, folder, keys
        self._generation = 0
        self.random = random.Random(f"processes {plan.seed}")
        self.all: list[Worker] = []
        self.counted: list[dict[str, Any]] = []
        """What those have counted that have ended."""
        for kind in plan.kinds:
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

    def burst(self, name: str, count: int) -> str:
        """So many verifies at once; how they came out."""
        return json.dumps(self._of(name).call("burst", count))

    def stall(self, name: str, seconds: float) -> None:
        """Let the event loop, or all threads, stand still."""
        self._of(name).call("stall", seconds)

    def suspend(self, name: str, seconds: float) -> None:
        """Let the whole process stand still."""
        worker = self._of(name)
        worker.signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            worker.signal(signal.SIGCONT)

    def _of(self, name: str) -> Worker:
        return {worker.name: worker for worker in self.all}[name]

    def kill(self, name: str) -> None:
        """Kill a process and start another one of its kind."""
        worker = self._of(name)
        self.all.remove(worker)
        worker.kill()
        self._start(name.partition("-")[0])

    def close(self, name: str) -> str:
        """Close the manager of a process, whatever is pending, and start another process."""
        worker = self._of(name)
        self.all.remove(worker)
        said = {"process": name, **worker.call("end", False)}
        worker.stop()
        self._start(name.partition("-")[0])
        pending = said.pop("waiting")
        self.counted.append({**said, "waiting": 0})
        return f"{pending} pending, closed in {said['closed in']} s"

    def end(self) -> list[dict[str, Any]]:
        """End all; what each has counted."""
        counted = [{"process": each.name, **each.call("end")} for each in self.all]
        for each in self.all:
            each.stop()
        return [*self.counted, *counted]
