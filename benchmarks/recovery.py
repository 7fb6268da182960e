"""Errors and delays for users when a primary dies or hangs: on its shard, and on the others.

``python -m benchmarks.recovery`` takes about ten minutes, and writes docs/why/failover.md.
"""

import argparse
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from benchmarks.fixtures import make_config, server_version
from benchmarks.open_loop import AsyncLoad, Call, ShardLoad, SyncLoad, subjects_of
from benchmarks.report import Goal, Report, versions
from clusterpass import EmbeddedCluster
from clusterpass.embedded import Node
from clusterpass.embedded.topology import view
from clusterpass.store.store_url import parse_store_url
from clusterpass.store.topology.cluster_nodes import Member

PAGE = Path(__file__).parents[1] / "docs" / "why" / "failover.md"
STYLES: dict[str, type[SyncLoad] | type[AsyncLoad]] = {"sync": SyncLoad, "async": AsyncLoad}
FAULTS = ("killed", "stopped")
_RATE = 80.0
"""Calls a second for each of the three shards: well below what the machine can do."""
_BEFORE, _AFTER = 8.0, 3.0
_WINDOW = 0.25
_FULL = 0.95
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The effect of one fault. All times are in seconds from the fault on."""

    replaced: float
    """Until the cluster had another primary for the shard: nobody can be quicker."""
    recovered: float
    """Until a call on the shard was answered well, after which none failed any more."""
    full_again: float
    """Until 95 % of the throughput of before."""
    failed: int
    """Calls of the shard that were answered 503."""
    failed_elsewhere: int
    slower_elsewhere: float
    """The 99th percentile of the other shards' latency while the shard was away : before."""


def _strike(
    cluster: EmbeddedCluster, style: str, fault: str, seed: int
) -> tuple[Outcome, Sequence[str]]:
    keyspace = parse_store_url(cluster.url).keyspace
    owned = _owners(cluster)
    shards = [ShardLoad(str(node.port), subjects_of(member, keyspace)) for node, member in owned]
    load = STYLES[style](shards, _RATE, seed)
    load.begin(cluster.url, make_config("HS256"))
    victim, _ = random.Random(seed).choice(owned)
    hit = next(shard for shard in shards if shard.name == str(victim.port))
    try:
        time.sleep(_BEFORE)
        at = time.monotonic()
        if fault == "killed":
            cluster.kill(victim)
        else:
            cluster.pause(victim)
        key = keyspace.sessions(hit.subjects[0])
        cluster.wait_until_primary_changes(key, victim, _PATIENCE)
        replaced = time.monotonic() - at
        _wait_until_quiet(hit)
    finally:
        load.end()
        if fault == "killed":
            cluster.restart(victim)
        else:
            cluster.resume(victim)
        cluster.wait_until_healthy(_PATIENCE)
    others = [call for shard in shards if shard is not hit for call in shard.calls]
    return _outcome(hit.calls, others, at, replaced), sorted(
        set().union(*(s.failures for s in shards))
    )


def _wait_until_quiet(hit: ShardLoad) -> None:
    """Until nothing has failed on the shard for a while."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        seen = hit.calls[-int(_AFTER * _RATE) :]
        if seen and all(c.is_good for c in seen) and seen[-1].ended - seen[0].ended > _AFTER - 0.5:
            return
        time.sleep(0.1)


def _outcome(hit: list[Call], others: list[Call], at: float, replaced: float) -> Outcome:
    # A call that was under way when the fault came, and was answered well, has waited for it.
    disturbed = [c for c in hit if c.ended > at and (not c.is_good or c.latency > _WINDOW)]
    last = max((call.ended for call in disturbed), default=at)
    recovered = last - at
    before = [call for call in others if at - _BEFORE + 1 < call.due < at]
    during = [call for call in others if at <= call.due <= at + max(1.0, recovered)]
    return Outcome(
        replaced=replaced,
        recovered=recovered,
        full_again=_full_again(hit, at),
        failed=sum(not call.is_good for call in hit),
        failed_elsewhere=sum(not call.is_good for call in others),
        slower_elsewhere=_p99(during) / _p99(before),
    )


def _full_again(hit: list[Call], at: float) -> float:
    """The end of the first window from which on the shard answers as much as it did before."""
    wanted = _FULL * _RATE * _WINDOW
    end = max(call.ended for call in hit)
    windows = int((end - at) / _WINDOW)
    counts = [0] * (windows + 1)
    for call in hit:
        if call.is_good and call.ended >= at:
            counts[min(windows, int((call.ended - at) / _WINDOW))] += 1
    first = windows
    # A window may miss a call that the next one has: two are taken together.
    while first > 1 and (counts[first - 1] + counts[first - 2]) >= 2 * wanted:
        first -= 1
    return first * _WINDOW


def _p99(calls: list[Call]) -> float:
    return quantiles([call.latency for call in calls], n=100)[98]


def _owners(cluster: EmbeddedCluster) -> list[tuple[Node, Member]]:
    with cluster.client(cluster.nodes[0]) as client:
        members = view(client) or ()
    by_port = {node.port: node for node in cluster.nodes}
    owners = [(by_port[each.port], each) for each in members if each.is_primary and each.slots]
    return sorted(owners, key=lambda each: each[0].port)


def run(*, node_timeouts: Sequence[float], repetitions: int, seed: int) -> Report:
    """Measure; each row is the worst of the repetitions, but for the medians."""
    rows, goals, version = [], [], ""
    errors: set[str] = set()
    for timeout in node_timeouts:
        with EmbeddedCluster(nodes=6, node_timeout=timeout, persistent=True) as cluster:
            version = server_version(cluster)
            for style in STYLES:
                for fault in FAULTS:
                    outcomes = []
                    for repetition in range(repetitions):
                        outcome, failures = _strike(cluster, style, fault, seed + repetition)
                        print(f"  {timeout:g} s, {style}, {fault}: {outcome}", flush=True)
                        outcomes.append(outcome)
                        errors.update(failures)
                    rows.append(_row(timeout, style, fault, outcomes))
                    goals += _goals(timeout, style, fault, outcomes)
    goals.append(Goal("answers other than 503", len(errors), at_most=0))
    return Report(
        name="recovery",
        program="python -m benchmarks.recovery",
        title="Failover",
        text=(
            f"A process sends calls to each of three shards {_RATE:g} times a second, whether "
            "or not earlier ones were answered: four strict verifies for each login, from "
            "eight threads per shard or as tasks of one event loop. Then a primary is killed, "
            "or stopped by a signal for good. *Replaced* is the time until the cluster has "
            "another primary, *recovered* the time until the end of the last call on its shard "
            "that failed or took a quarter of a second, *full* the time until throughput is "
            "back at 95 % of what it was. For the other two shards: calls that failed, and the "
            "99th percentile of their latency until then, divided by that of before. The worst "
            f"of {repetitions} faults, in brackets the median."
        ),
        columns=(
            "node timeout s",
            "manager",
            "the primary is",
            "replaced s",
            "recovered s",
            "full again s",
            "503s there",
            "failed elsewhere",
            "p99 elsewhere : before",
        ),
        rows=rows,
        goals=goals,
        servers=[version],
        arguments=["--repetitions", str(repetitions), "--seed", str(seed)],
    )


def _row(timeout: float, style: str, fault: str, outcomes: Sequence[Outcome]) -> list[str]:
    def worst(values: Sequence[float]) -> str:
        return f"{max(values):.2f} ({median(values):.2f})"

    return [
        f"{timeout:g}",
        style,
        fault,
        worst([each.replaced for each in outcomes]),
        worst([each.recovered for each in outcomes]),
        worst([each.full_again for each in outcomes]),
        f"{max(each.failed for each in outcomes)}",
        f"{max(each.failed_elsewhere for each in outcomes)}",
        worst([each.slower_elsewhere for each in outcomes]),
    ]


def _goals(timeout: float, style: str, fault: str, outcomes: Sequence[Outcome]) -> list[Goal]:
    what = f"{timeout:g} s, {style}, {fault}"
    return [
        Goal(
            f"recovered, {what}",
            max(each.recovered for each in outcomes),
            at_most=2 * timeout + 2,
        ),
        Goal(
            f"failed elsewhere, {what}",
            max(each.failed_elsewhere for each in outcomes),
            at_most=0,
        ),
        Goal(
            f"p99 elsewhere : before, {what}, median",
            median(each.slower_elsewhere for each in outcomes),
            at_most=2,
        ),
    ]


def main() -> None:
    """Measure, print, and write the page unless it is but a part."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__)
    parser.add_argument("--node-timeout", type=float, action="append", help="seconds; 1, 2 and 5")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    timeouts = given.node_timeout or [1.0, 2.0, 5.0]
    report = run(node_timeouts=timeouts, repetitions=given.repetitions, seed=given.seed)
    print(report.plain())
    if given.node_timeout is None:
        PAGE.write_text(f"{report.markdown()}\n{versions()}.\n", "utf-8")


if __name__ == "__main__":
    main()
