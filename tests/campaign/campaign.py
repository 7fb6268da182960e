"""One campaign: starts the processes, lets the nemesis inject faults, and judges the history."""

import contextlib
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

from clusterpass import AuditPolicy, Config, KeyRing, SessionManager, StoreUnavailable

from .application import Processes
from .checker import check
from .clock_faults import OF_CLOCKS
from .clusters import cluster_of, why_without_clocks
from .faults import FAULTS
from .history import Fault, read_history
from .nemesis import Nemesis, strike
from .network import Network
from .parameters import Plan
from .processes import REFRESH_GRACE
from .verdict import Verdict

_FAULTS_ON_A_CLUSTER = 25
"""So that the histories of long campaigns fit into memory, and shapes alternate."""
_SECONDS_TO_READ = 60.0
_SHAPES = {"1": (1,), "2": (2,), "both": (1, 2)}


def campaigns(
    plan: Plan, replicas: str, folder: Path, say: Callable[[str], None]
) -> Iterator[tuple[Path, Verdict]]:
    """Carry out ``plan`` in parts, each on a cluster of its own; the folder and what came of each.

    ``replicas``: of each primary: ``1``, ``2``, or ``both`` in turn.
    """
    plan = possible(plan, say)
    shapes, left, part = _SHAPES[replicas], plan.faults, 0
    deck = _Deck(plan)
    while left > 0:
        faults = min(left, _FAULTS_ON_A_CLUSTER, -(-plan.faults // len(shapes)))
        names = deck.take(faults)
        shape = shapes[part % len(shapes)]
        part, left = part + 1, left - faults
        say(f"part {part}: {faults} faults on {3} primaries with {shape} replicas each")
        where = folder / f"part-{part}"
        of_part = replace(plan, names=names, faults=faults, seed=plan.seed + part, replicas=shape)
        yield where, run(of_part, where, say)


def possible(plan: Plan, say: Callable[[str], None]) -> Plan:
    """``plan`` without the faults that cannot be carried out here; ``say`` is told which ones.

    Raises ValueError when none is left.
    """
    why = why_without_clocks(plan.server)
    left_out = [name for name in plan.names if why and name in OF_CLOCKS]
    if not left_out:
        return plan
    told = f"left out: {', '.join(left_out)}, as {why}"
    names = [name for name in plan.names if name not in left_out]
    if not names:
        raise ValueError(told)
    say(told)
    return replace(plan, names=names)


class _Deck:
    """Each kind of fault about as often as the others, in an order of chance."""

    def __init__(self, plan: Plan) -> None:
        self._names, self._random = list(plan.names), random.Random(f"faults {plan.seed}")
        self._rest: list[str] = []

    def take(self, count: int) -> list[str]:
        while len(self._rest) < count:
            self._random.shuffle(self._names)
            self._rest += self._names
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken


def run(plan: Plan, folder: Path, say: Callable[[str], None] = lambda _: None) -> Verdict:
    """Carry out ``plan`` on one cluster; what is recorded stays in ``folder``."""
    plan = possible(plan, say)
    folder.mkdir(parents=True, exist_ok=True)
    keys = folder / "keys.json"
    keys.unlink(missing_ok=True)  # of a run before
    KeyRing.generate().save(keys)
    (folder / "meta.json").write_text(
        json.dumps({"bound": plan.bound, "seed": plan.seed, "refresh_grace": REFRESH_GRACE})
    )
    begun = time.monotonic()
    with cluster_of(
        plan.replicas, folder, plan.server, node_timeout=plan.node_timeout, persistent=True
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
            for name in _Deck(plan).take(plan.faults):
                nemesis.pause(0.2, 1.2)
                began, ended, detail = strike(nemesis, FAULTS[name])
                fault = Fault(name, detail, began, ended)
                log.write(json.dumps(asdict(fault)) + "\n")
                log.flush()
                say(f"{began - begun:7.1f} s  {name}: {detail}")
        nemesis.pause(1.5, 2)
        counted = processes.end()
        trail = _faults_of_the_trail(cluster.url, keys)
    history = read_history(folder)
    return Verdict(history, check(history), counted, time.monotonic() - begun, trail)


def _faults_of_the_trail(url: str, keys: Path) -> list[str]:
    """What nobody did who wrote to the audit trail: killed processes and failovers lose entries,
    but change none."""
    config = Config(issuer="https://auth.example", keys=KeyRing.load(keys), audit=AuditPolicy())
    until = time.monotonic() + _SECONDS_TO_READ
    with SessionManager.from_url(url, config) as manager:
        while True:
            try:
                report = manager.audit.check()
                break
            except StoreUnavailable:
                if time.monotonic() > until:
                    raise
    return [each.message for each in report.faults if each.kind in {"changed", "unreadable"}]
