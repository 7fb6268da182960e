"""A soak: hours of ordinary life with a fault now and then, in which nothing may grow.

What is looked at: the memory, the descriptors and the threads of each process of the application;
the connections, the keys and the used memory of all servers. What is bounded (the near cache, what
is remembered of ends) has small bounds here, and sessions live for a minute or two, so that
everything that may fill up is full after some minutes.
"""

import contextlib
import json
import os
import random
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import redis

from clusterpass import EmbeddedCluster, KeyRing

from .application import Processes
from .clock_faults import OF_CLOCKS
from .faults import FAULTS
from .mix import Mix
from .nemesis import Nemesis, strike
from .network import Network
from .parameters import Plan

_FAULTS = tuple(
    name
    for name in FAULTS
    if "kill_process" not in name
    and name not in {"close_with_pending", "join_in_the_middle", *OF_CLOCKS}
)
"""A process that is killed could not be watched; the servers of a soak have right clocks."""
_KINDS = ("threads", "tasks", "threads")
_BETWEEN_FAULTS = 20.0
_SAMPLES = 240
_SETTLING = 4.0
"""Minutes until all that is bounded is full, at most; half of a soak that is shorter."""
_MORE = 1.08
_MIX = Mix(generations=6)
"""That all sessions of a subject were ended is kept for an hour: the same subjects come back."""
_ALLOWED: dict[str, float] = {
    "memory of a process, MiB": 3,
    "descriptors of a process": 4,
    "threads of a process": 2,
    "blocks of memory of a process, thousands": 3,
    "connections of all servers": 12,
    "keys": 100,
    "used memory of all servers, MiB": 1,
}
"""What may come on top of 8 %: chance."""
Series = dict[tuple[str, str], list[tuple[float, float]]]
"""Points of time and value, for each figure and process."""


def soak(minutes: float, seed: int, folder: Path, say: Callable[[str], None]) -> list[str]:
    """Live for so long; what has grown. The samples stay in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = folder / "keys.json"
    keys.unlink(missing_ok=True)  # of a run before
    KeyRing.generate().save(keys)
    plan = Plan(seed=seed, soaks=True, mix=_MIX, kinds=_KINDS)
    series: Series = defaultdict(list)
    with EmbeddedCluster(nodes=6, node_timeout=plan.node_timeout, persistent=True) as cluster:
        processes = Processes(plan, cluster.url, folder, keys)
        network = Network(cluster, seed, processes.reach)
        chance = random.Random(f"soak {seed}")
        nemesis = Nemesis(cluster, plan.node_timeout, chance, processes, network)
        with contextlib.closing(network):
            faults = _live(nemesis, processes, series, minutes * 60, say)
        counted = processes.end()
    operations = sum(each["operations"] for each in counted)
    say(f"{operations:,} operations, {faults} faults in {minutes:g} minutes, seed {seed}")
    problems = [f"{each['process']}: {each['errors']}" for each in counted if each["errors"]]
    problems += [f"{each['process']} has endings pending" for each in counted if each["waiting"]]
    (folder / "samples.json").write_text(
        json.dumps(
            [{"what": what, "of": of, "samples": all_} for (what, of), all_ in series.items()]
        )
    )
    return problems + judge(series, say)


def _live(
    nemesis: Nemesis,
    processes: Processes,
    series: Series,
    seconds: float,
    say: Callable[[str], None],
) -> int:
    begun = time.monotonic()
    interval = seconds / _SAMPLES
    fault_at, faults = begun + _BETWEEN_FAULTS, 0
    while (now := time.monotonic()) < begun + seconds:
        _look(nemesis.cluster, processes, series, now - begun)
        time.sleep(max(0.0, now + interval - time.monotonic()))
        if time.monotonic() > fault_at:
            name = nemesis.random.choice(_FAULTS)
            _, _, detail = strike(nemesis, FAULTS[name])
            faults += 1
            fault_at = time.monotonic() + _BETWEEN_FAULTS
            say(f"{time.monotonic() - begun:7.0f} s  {name}: {detail}")
    return faults


def _look(cluster: EmbeddedCluster, processes: Processes, series: Series, at: float) -> None:
    for worker in processes.all:
        status = dict(
            line.split(":", 1)
            for line in Path(f"/proc/{worker.pid}/status").read_text().splitlines()
        )
        for what, value in (
            ("memory of a process, MiB", int(status["VmRSS"].split()[0]) / 1024),
            ("descriptors of a process", len(os.listdir(f"/proc/{worker.pid}/fd"))),
            ("threads of a process", int(status["Threads"])),
            ("blocks of memory of a process, thousands", worker.call("blocks") / 1000),
        ):
            series[what, worker.name].append((at, value))
    found: list[dict[str, Any]] = []
    for node in cluster.nodes:
        with cluster.client(node) as client:
            try:
                found.append(client.info())
            except (redis.RedisError, OSError):
                return  # it is not there at this moment: no sum can be told
    primaries = [info for info in found if info["role"] == "master"]
    for what, value in (
        ("connections of all servers", sum(info["connected_clients"] for info in found)),
        ("keys", sum(info.get("db0", {}).get("keys", 0) for info in primaries)),
        (
            "used memory of all servers, MiB",
            sum(info["used_memory_dataset"] for info in found) / 2**20,
        ),
    ):
        series[what, "servers"].append((at, value))


def judge(series: Series, say: Callable[[str], None] = lambda _: None) -> list[str]:
    """What is larger in the last third of the time that counts than in its first third."""
    grown = []
    for (what, of), samples in series.items():
        length = samples[-1][0]
        start = min(_SETTLING * 60, length / 2)
        third = (length - start) / 3
        early = [value for at, value in samples if start <= at <= start + third]
        # A slow machine may look so seldom that nothing was seen in that third.
        first = median(early or [value for at, value in samples if at >= start][:1])
        last = median(value for at, value in samples if at >= length - third)
        is_grown = last > _MORE * first + _ALLOWED[what]
        line = f"{what} ({of}): {first:.1f}, at the end {last:.1f}"
        say(f"  {line}{' GROWN' * is_grown}")
        if is_grown:
            grown.append(line)
    return grown
