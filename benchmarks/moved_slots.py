"""The cost of verifies from memory during a resharding, while epochs rise and slots move."""

import math
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from tests.staleness.cluster_operations import move_slot

from benchmarks.fixtures import make_config, server_version
from benchmarks.report import Goal, Report
from clusterpass import EmbeddedCluster, SessionManager
from clusterpass.embedded.options import Node
from clusterpass.protocol.keyspace import Keyspace, slot_of

_TOKENS: Final = 1_000
_SLOTS: Final = 20
_BETWEEN_BUMPS: Final = 0.15
_QUIET: Final = "nothing happens"
_BUMPED: Final = f"an epoch rises each {_BETWEEN_BUMPS} s"
_MOVED: Final = f"{_SLOTS} empty slots move"
_MOST_ASK: Final = 0.01
_MOST_COST: Final = 1.1
_WAIT_SECONDS: Final = 20.0


@dataclass(slots=True)
class _Seen:
    """What was seen in each round."""

    us: list[float] = field(default_factory=list)
    """Microseconds of processor time for a verify, less those of what was done to the cluster."""
    asked: list[float] = field(default_factory=list)
    """The share of verifies that asked the store."""
    done: int = 0
    """How often something was done to the cluster."""


def run(*, rounds: int = 7, seconds: float = 3.0) -> Report:
    """Measure on six nodes: rounds of ``seconds``, in turn."""
    config = make_config("EdDSA")
    seen = {name: _Seen() for name in (_QUIET, _BUMPED, _MOVED)}
    with (
        EmbeddedCluster(nodes=6, node_timeout=5.0) as cluster,
        SessionManager.from_url(cluster.url, config) as manager,
    ):
        subjects = [f"user-{number}" for number in range(_TOKENS)]
        tokens = [manager.login(subject).access_token for subject in subjects]
        moves = _moves(cluster, {slot_of(Keyspace().sessions(each)) for each in subjects})
        for _ in range(rounds):
            _remember(manager, tokens)
            _verify(manager, tokens, seconds, seen[_QUIET])
            with _doing(partial(_bump, cluster), _BETWEEN_BUMPS) as acting:
                _verify(manager, tokens, seconds, seen[_BUMPED], acting)
            _remember(manager, tokens)
            with _doing(
                partial(_move_next, cluster, moves), seconds / (_SLOTS + 5), most=_SLOTS
            ) as acting:
                _verify(manager, tokens, seconds, seen[_MOVED], acting)
        version = server_version(cluster)
    return _report(seen, version, seconds)


class _Acting(threading.Thread):
    """Does something to the cluster, again and again."""

    def __init__(self, act: Callable[[], None], pause: float, most: float) -> None:
        super().__init__(daemon=True)
        self._act, self._pause, self._most = act, pause, most
        self._is_over = threading.Event()
        self.seconds = 0.0
        """The processor time of this thread so far."""
        self.done = 0
        self.error: Exception | None = None

    def run(self) -> None:
        """Act until told to end."""
        try:
            while self.done < self._most and not self._is_over.wait(self._pause):
                self._act()
                self.done += 1
                self.seconds = time.thread_time()
        except Exception as error:  # noqa: BLE001 (it is raised by who waits)
            self.error = error

    @property
    def is_busy(self) -> bool:
        """Whether there is something left that is to be done a number of times."""
        return self.is_alive() and math.isfinite(self._most)

    def end(self) -> None:
        """End, and raise what has happened."""
        self._is_over.set()
        self.join()
        if self.error is not None:
            raise self.error


@contextmanager
def _doing(act: Callable[[], None], pause: float, most: float = math.inf) -> Iterator[_Acting]:
    thread = _Acting(act, pause, most)
    thread.start()
    try:
        yield thread
    finally:
        thread.end()


def _bump(cluster: EmbeddedCluster) -> None:
    for name in ("x1", "x2", "x3"):
        with cluster.client(cluster.primary_of(name)) as client:
            client.execute_command("CLUSTER", "BUMPEPOCH")


def _moves(cluster: EmbeddedCluster, taken: set[int]) -> Iterator[tuple[int, Node, Node]]:
    """Which empty slot moves from which primary to which, and later back."""
    source = cluster.primary_of("x1")
    names = (f"x{number}" for number in range(1000))
    target = next(node for node in map(cluster.primary_of, names) if node != source)
    with cluster.client(source) as client:
        ranges = client.execute_command("CLUSTER", "SLOTS")
    owned = [
        slot
        for first, last, primary, *_ in ranges
        if primary[1] == source.port
        for slot in range(first, last + 1)
        if slot not in taken
    ]
    while True:
        for way in ((source, target), (target, source)):
            for slot in owned[:_SLOTS]:
                yield slot, *way


def _move_next(cluster: EmbeddedCluster, moves: Iterator[tuple[int, Node, Node]]) -> None:
    """Move an empty slot, as the tools of Redis and Valkey do."""
    move_slot(cluster, *next(moves))


def _remember(manager: SessionManager, tokens: Sequence[str]) -> None:
    """Return once all of them are in memory."""
    until = time.monotonic() + _WAIT_SECONDS
    while any(manager.verify(token) and manager.recall(token) is None for token in tokens):
        if time.monotonic() > until:
            raise RuntimeError("no measurement: not all sessions stay in memory")
        time.sleep(0.05)


def _verify(
    manager: SessionManager,
    tokens: Sequence[str],
    seconds: float,
    seen: _Seen,
    acting: _Acting | None = None,
) -> None:
    before, verified = manager.stats().cache.misses, 0
    began, until = time.process_time(), time.monotonic() + seconds
    while time.monotonic() < until or (acting is not None and acting.is_busy):
        for token in tokens:
            manager.verify(token)
        verified += len(tokens)
    spent = time.process_time() - began
    if acting is not None:
        acting.end()
        spent -= acting.seconds
        seen.done += acting.done
    seen.us.append(spent / verified * 1e6)
    seen.asked.append((manager.stats().cache.misses - before) / verified)


def _report(seen: dict[str, _Seen], version: str, seconds: float) -> Report:
    quiet = seen[_QUIET]
    ratios = {
        name: statistics.median(mine / other for mine, other in zip(each.us, quiet.us, strict=True))
        for name, each in seen.items()
    }
    return Report(
        name="moved_slots",
        title="Verifies from memory while slots move and epochs rise",
        text=(
            f"`SessionManager.verify` of {_TOKENS:,} tokens that are in memory, one thread, on six"
            f" nodes, in rounds of {seconds:.0f} s that alternate. An epoch rises when each of the"
            " three primaries is told `CLUSTER BUMPEPOCH`; the slots have no key, and move one"
            " after the other, as redis-cli moves them. Processor time is that of the process,"
            " heartbeats included, without that of the thread that does this to the cluster. *Ask*:"
            " the share of verifies that asked the store; the median of the rounds, and the most."
        ),
        columns=("meanwhile", "us", "this : the first", "ask", "ask, at most", "times"),
        rows=[
            [
                name,
                f"{statistics.median(each.us):.2f}",
                "1" if name == _QUIET else f"{ratios[name]:.2f}",
                f"{statistics.median(each.asked):.3%}",
                f"{max(each.asked):.3%}",
                f"{each.done or ''}",
            ]
            for name, each in seen.items()
        ],
        goals=[
            Goal(f"processor, {_BUMPED} : {_QUIET}", ratios[_BUMPED], at_most=_MOST_COST),
            Goal(f"share that asks, {_MOVED}", max(seen[_MOVED].asked), at_most=_MOST_ASK),
        ],
        servers=[version],
    )
