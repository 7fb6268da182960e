"""The paths of the service over HTTP, beside peers that people know and beside bare constants."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks.fixtures import server_version
from benchmarks.http_paths import figures, floor, half_rate, ours, peers, wrk
from benchmarks.http_paths.candidates import Candidate
from benchmarks.http_paths.report_section import make_report
from benchmarks.http_paths.store_cpu import Store
from benchmarks.report import Report
from benchmarks.timing import turn
from benchmarks.web import find_wrk
from clusterpass import EmbeddedCluster

_REFRESHES: Final = 4_000
_ROUNDS_OF_LATENCY: Final = 3


def run(*, rounds: int = 5, seconds: int = 3, many: int = 50_000) -> Report:
    """Each in turn, ``rounds`` times for ``seconds``; ``many``: different tokens at most."""
    found_wrk = find_wrk()
    if found_wrk is None:
        return make_report(None, [], [], (), "Not measured: wrk is not installed.")
    with (
        EmbeddedCluster(nodes=6) as cluster,
        EmbeddedCluster(nodes=1) as single,
        tempfile.TemporaryDirectory() as folder,
        ExitStack() as stack,
    ):
        service = ours.Ours(cluster, Path(folder), stack)
        candidates, missing = _start(service, single, Path(folder), stack, many)
        for each in candidates:
            _warm_up(found_wrk, each)
        loads: dict[str, list[wrk.Load]] = {each.label: [] for each in candidates}
        library = []
        by_label = {each.label: each for each in candidates}
        for number in range(rounds):
            for label in turn(list(by_label), number):
                loads[label].append(_drive(found_wrk, by_label[label], seconds))
            library.append(service.library_refresh_seconds(_REFRESHES))
        latencies: dict[str, list[half_rate.Latency]] = {label: [] for label in by_label}
        for number in range(min(rounds, _ROUNDS_OF_LATENCY)):
            for label in turn(list(by_label), number):
                reached = figures.median(figures.rate, loads[label])
                latencies[label].append(_delay(by_label[label], reached, seconds))
        servers = [server_version(cluster), *floor.nginx_version(), *peers.node_version()]
    checked = [peer.label for peer in peers.PEERS if peer.label in loads]
    found = figures.Found(loads, latencies, checked, library, many)
    return make_report(found, candidates, missing, servers)


def _start(
    service: ours.Ours, single: EmbeddedCluster, folder: Path, stack: ExitStack, many: int
) -> tuple[list[Candidate], list[str]]:
    """All that can be started here, and what cannot, with the reason."""
    candidates = service.start(many)
    missing = []
    constant_requests = next(each for each in candidates if each.label == ours.CACHED).requests
    lines = constant_requests.lines()
    candidates.append(floor.start_constant(lines, stack))
    if (nginx := floor.find_nginx()) is not None:
        candidates.append(floor.start_nginx(nginx, lines, folder, stack))
    else:
        missing.append("nginx: it is not installed")
    store, no_store = Store(single, stack), Store(None, stack)
    why_no_node = peers.install_node_packages()
    for peer in peers.PEERS:
        if peer.on_node and why_no_node:
            missing.append(f"{peer.label}: {why_no_node}")
        else:
            candidates.append(
                peers.start(peer, single, folder, stack, store if peer.asks_redis else no_store)
            )
    return candidates, missing


def _warm_up(path: str, candidate: Candidate) -> None:
    """Make each of the different requests once, at least."""
    while candidate.asked < max(1, candidate.most):
        _drive(path, candidate, 1)


def _drive(path: str, candidate: Candidate, seconds: int) -> wrk.Load:
    load = wrk.drive(
        *(path, candidate.pid, candidate.port, candidate.requests, candidate.store),
        seconds=seconds,
        offset=candidate.asked,
    )
    candidate.asked += load.answered.requests
    return load


def _delay(candidate: Candidate, reached: float, seconds: int) -> half_rate.Latency:
    rate = half_rate.half(reached)
    latency = half_rate.measure(candidate.port, candidate.requests, rate, seconds, candidate.asked)
    candidate.asked += int(rate * seconds)
    return latency
