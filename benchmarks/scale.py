"""Compares the cost of verbs with few and with up to a million live sessions, step by step."""

import asyncio
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.fixtures import make_config, server_version
from benchmarks.report import Goal, Report
from benchmarks.timing import Times, measure_async
from clusterpass import AsyncSessionManager, Config, EmbeddedCluster

SIZES = (1_000, 10_000, 100_000, 1_000_000)
MOST = 1.1
_CALLERS = 50
_FILLERS = 200
_HELD = 1000
"""Tokens that a manager verifies again and again, drawn from all."""
_SMALL = "small"


def run(*, sizes: tuple[int, ...] = SIZES, rounds: int = 30, calls: int = 1000) -> Report:
    """Compare each size with an almost empty cluster, in turn and in the same rounds."""
    return asyncio.run(_run(sizes, rounds, calls))


async def _run(sizes: tuple[int, ...], rounds: int, calls: int) -> Report:
    config = replace(make_config("HS256"), cache_entries=max(sizes))
    rows: list[list[str]] = []
    ratios: dict[str, float] = {}
    with EmbeddedCluster(nodes=6) as small, EmbeddedCluster(nodes=6) as large:
        version = server_version(large)
        async with (
            _Population(small, config) as few,
            _Population(large, config) as many,
        ):
            await few.grow(sizes[0])
            for size in sizes:
                await many.grow(size)
                row = [f"{size:,}"]
                own = 0.0
                for verb in ("verify", "strict verify", "login", "refresh", "sessions"):
                    before = few.script_time(), many.script_time()
                    some = calls * 20 if verb == "verify" else calls
                    times = await _measure(few, many, verb, rounds, some)
                    ratio = times.ratio(verb, _SMALL)
                    row.append(str(ratio))
                    ratios[verb] = ratio.median
                    if verb == "refresh":
                        own = _own_time(before, few, many)
                rows.append([*row, f"{own:.2f}"])
    return Report(
        name="scale",
        title="Growth with the number of live sessions",
        text=(
            f"Two clusters of six nodes: one with {sizes[0]:,} live sessions of as many users, "
            "one with the number in the first column. The same verbs alternate between both, "
            f"with {_CALLERS} tasks, each time for a user chosen at random (verifies: among "
            f"{_HELD:,} tokens drawn at random). The ratio is the time on the full cluster to "
            "that on the other, so the noise of the machine cancels out. `verify` is answered "
            "from memory if the manager holds the token. History and the index of who is "
            "online are on, as by default; logins let both clusters grow a little. The last "
            "column is the servers' own time for the script of a refresh (`INFO "
            "COMMANDSTATS`), as the same ratio: what grows with the size grows there."
        ),
        columns=(
            "live sessions",
            "verify",
            "strict verify",
            "login",
            "refresh",
            "sessions",
            "servers' time for a refresh",
        ),
        rows=rows,
        goals=[
            Goal(f"{verb}, {sizes[-1]:,} sessions : {sizes[0]:,}", ratio, at_most=MOST)
            for verb, ratio in ratios.items()
        ],
        servers=[version],
    )


def _own_time(before: tuple["_Spent", "_Spent"], few: "_Population", many: "_Population") -> float:
    """The servers' time for a script since ``before``: of the full cluster to that of the other."""
    small, large = few.script_time(), many.script_time()
    return (
        (large.seconds - before[1].seconds)
        / (large.calls - before[1].calls)
        / ((small.seconds - before[0].seconds) / (small.calls - before[0].calls))
    )


async def _measure(
    few: "_Population", many: "_Population", verb: str, rounds: int, calls: int
) -> Times:
    candidates: dict[str, Callable[[], Any]] = {verb: many.act(verb), _SMALL: few.act(verb)}
    return await measure_async(candidates, rounds=rounds, calls=calls, callers=_CALLERS)


@dataclass(frozen=True, slots=True)
class _Spent:
    """What the servers of a cluster have done."""

    seconds: float
    calls: int


class _Population:
    """The users of one cluster, each with one session."""

    def __init__(self, cluster: EmbeddedCluster, config: Config) -> None:
        self._cluster = cluster
        self._manager = AsyncSessionManager.from_url(cluster.url, config)
        self._tokens: list[str] = []
        self._refresh_tokens: dict[int, str] = {}
        self._numbers = itertools.count()
        self._extra = itertools.count()
        self._chosen = random.Random(7)

    async def __aenter__(self) -> "_Population":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._manager.close()

    async def grow(self, size: int) -> None:
        """Log in until there are ``size``."""

        async def some() -> None:
            while (number := next(self._numbers)) < size:
                pair = await self._manager.login(f"user-{number}", device="iPhone")
                self._tokens.append(pair.access_token)
                if len(self._refresh_tokens) < 100_000:
                    self._refresh_tokens[number] = pair.refresh_token

        await asyncio.gather(*(some() for _ in range(_FILLERS)))
        self._numbers = itertools.count(size)

    def script_time(self) -> _Spent:
        """The time of all scripts so far, and their number."""
        seconds, calls = 0.0, 0
        for node in self._cluster.nodes:
            with self._cluster.client(node) as client:
                figures = client.info("commandstats").get("cmdstat_evalsha")
                if figures:
                    seconds += figures["usec"] / 1e6
                    calls += figures["calls"]
        return _Spent(seconds, calls)

    def act(self, verb: str) -> Callable[[], Any]:
        """One call of ``verb`` for a user chosen at random."""
        manager, choose = self._manager, self._chosen.choice

        async def refresh() -> None:
            token = None
            while token is None:  # another task may have it
                number = choose(numbers)
                token = self._refresh_tokens.pop(number, None)
            self._refresh_tokens[number] = (await manager.refresh(token)).refresh_token

        numbers = list(self._refresh_tokens)
        size = len(self._tokens)
        held = self._chosen.sample(self._tokens, min(_HELD, size))
        verbs: dict[str, Callable[[], Any]] = {
            "verify": lambda: manager.verify(choose(held)),
            "strict verify": lambda: manager.verify(choose(held), verification="strict"),
            "login": lambda: manager.login(f"extra-{next(self._extra)}"),
            "refresh": refresh,
            "sessions": lambda: manager.sessions(f"user-{self._chosen.randrange(size)}"),
        }
        return verbs[verb]
