"""The CPU time of each call of the library, on the client and in the store."""

import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.fixtures import make_config, server_version
from benchmarks.report import Goal, Report
from clusterpass import AsyncSessionManager, Config, EmbeddedCluster, SessionPolicy, TokenPair
from clusterpass.tokens.keys import SigningKey

TASKS: Final = 50
MANY_SESSIONS: Final = 490
MOST_SIGNATURES: Final = 4.0
MOST_STORE_US: Final = 120.0
MOST_FIRST_VERIFY_US: Final = 350.0
MOST_GROWTH: Final = 2.0
_WARM_UP: Final = 400
_FIRST: Final = "first verify"
_FIRST_ALONE: Final = "first verify, one task"
_MESSAGE: Final = bytes(400)
Call = Callable[[Any], Awaitable[Any]]


@dataclass(slots=True)
class _Spent:
    """Processor time in us of each round, for one call."""

    client: list[float] = field(default_factory=list)
    store: list[float] = field(default_factory=list)
    """All primaries together."""
    script: list[float] = field(default_factory=list)
    """The script alone, as the primaries count it."""
    whole: list[float] = field(default_factory=list)
    """From the call to its result; divided by the number of calls at once."""


def run(*, rounds: int = 15, calls: int = 2000) -> Report:
    """Measure on six nodes."""
    config = make_config("EdDSA")
    with EmbeddedCluster(nodes=6) as cluster:
        spent, signatures = asyncio.run(_measure(cluster, config, rounds, calls))
        scripts = asyncio.run(_measure_sessions(cluster, config, rounds))
        version = server_version(cluster)
    signature = statistics.median(signatures)
    ratios = {
        name: statistics.median(
            client / each for client, each in zip(one.client, signatures, strict=True)
        )
        for name, one in spent.items()
    }
    rows = [
        [
            name,
            f"{statistics.median(one.client):.0f}",
            f"{ratios[name]:.1f}",
            f"{statistics.median(one.store):.0f}",
            f"{statistics.median(one.script):.0f}",
            f"{statistics.median(one.whole):.0f}",
        ]
        for name, one in spent.items()
    ]
    rows += [
        [f"login, {count} sessions", "", "", "", f"{statistics.median(us):.0f}", ""]
        for count, us in scripts.items()
    ]
    one, many = (statistics.median(us) for us in scripts.values())
    return Report(
        name="library_calls",
        title="What a call costs",
        text=(
            f"{TASKS} tasks in one event loop of asyncio, keys of EdDSA, mode `cached`, writes "
            "confirmed by a replica. Processor time in us for one call: of the client's process, "
            "beside one signature of the same key in the same round; of the three primaries "
            "together (`INFO cpu`: the script, WAIT, replication, sockets and what a cluster does "
            "by itself); and of the script alone (`INFO commandstats`). The whole is the time from "
            "the call to its result, divided by the number of tasks. A first verify is that of a "
            "token that a manager has never seen. The sessions that are refreshed and logged out "
            "are in the memory of the manager that does it. The last rows are logins of one "
            "subject, of as many sessions as are allowed, one at a time."
        ),
        columns=("call", "client", "client : signature", "store", "script", "whole"),
        rows=[["one signature", f"{signature:.0f}", "1", "", "", ""], *rows],
        goals=[
            Goal("client, login : signature", ratios["login"], at_most=MOST_SIGNATURES),
            Goal("client, refresh : signature", ratios["refresh"], at_most=MOST_SIGNATURES),
            *(
                Goal(f"store, us for a {name}", _store(spent[name]), at_most=MOST_STORE_US)
                for name in ("login", "refresh")
            ),
            *(
                Goal(
                    f"client, us for a {name}",
                    statistics.median(spent[name].client),
                    at_most=MOST_FIRST_VERIFY_US,
                )
                for name in (_FIRST, _FIRST_ALONE)
            ),
            Goal(
                f"script, login with {MANY_SESSIONS} sessions : with one",
                many / one,
                at_most=MOST_GROWTH,
            ),
        ],
        servers=[version],
    )


def _store(spent: _Spent) -> float:
    return statistics.median(spent.store)


async def _measure(
    cluster: EmbeddedCluster, config: Config, rounds: int, calls: int
) -> tuple[Mapping[str, _Spent], list[float]]:
    key, numbers, signatures = config.keys.signing_key, itertools.count(), []
    spent = {name: _Spent() for name in ("login", _FIRST, _FIRST_ALONE, "refresh", "logout")}
    async with (
        AsyncSessionManager.from_url(cluster.url, config) as manager,
        AsyncSessionManager.from_url(cluster.url, config) as other,
    ):

        async def login(subject: str) -> TokenPair:
            return await manager.login(subject)

        async def refresh(pair: TokenPair) -> TokenPair:
            return await manager.refresh(pair.refresh_token)

        async def verify(pair: TokenPair) -> None:
            await other.verify(pair.access_token)

        async def logout(pair: TokenPair) -> None:
            await manager.logout(pair.access_token)

        for number in range(rounds + 1):
            some = calls if number else _WARM_UP
            subjects = [f"user-{next(numbers)}" for _ in range(some)]
            sample = {name: _Spent() for name in spent}
            pairs = await _time(cluster, login, subjects, sample["login"])
            # Of these, the other manager hears no more.
            shown, pairs = pairs[: some // 2], pairs[some // 2 :]
            alone = some // 10
            await _time(cluster, verify, shown[alone:], sample[_FIRST])
            await _time(cluster, verify, shown[:alone], sample[_FIRST_ALONE], tasks=1)
            for pair in pairs:
                await manager.verify(pair.access_token)
            pairs = await _time(cluster, refresh, pairs, sample["refresh"])
            signature = _time_signatures(key, some)
            await _time(cluster, logout, pairs, sample["logout"])
            if number:
                signatures.append(signature)
                for name, one in sample.items():
                    spent[name].client += one.client
                    spent[name].store += one.store
                    spent[name].script += one.script
                    spent[name].whole += one.whole
    return spent, signatures


async def _measure_sessions(
    cluster: EmbeddedCluster, config: Config, rounds: int
) -> Mapping[int, list[float]]:
    """Microseconds of the script of a login by the number of sessions that there are already."""
    policy = SessionPolicy(max_sessions=500)
    found: dict[int, list[float]] = {1: [], MANY_SESSIONS: []}
    async with AsyncSessionManager.from_url(cluster.url, config) as manager:
        for number in range(rounds):
            for count in found:
                subject, spent = f"many-{number}-{count}", _Spent()

                async def again(_: Any, subject: str = subject) -> None:
                    await manager.login(subject, policy=policy)

                await _time(cluster, again, [None] * count, _Spent(), tasks=10)
                await _time(cluster, again, [None] * 10, spent, tasks=1)
                found[count] += spent.script
    return found


async def _time(
    cluster: EmbeddedCluster, call: Call, things: Sequence[Any], spent: _Spent, tasks: int = TASKS
) -> list[Any]:
    """Call ``call`` with each of ``things``, ``tasks`` at a time, and note what that has cost."""
    results: list[Any] = []
    waiting = iter(things)

    async def work() -> None:
        for thing in waiting:
            results.append(await call(thing))  # noqa: PERF401 (it is shared)

    before, began, started = _server_times(cluster), time.process_time(), time.perf_counter()
    await asyncio.gather(*(work() for _ in range(tasks)))
    client, whole = time.process_time() - began, time.perf_counter() - started
    store, script, scripts = (
        after - earlier for after, earlier in zip(_server_times(cluster), before, strict=True)
    )
    spent.client.append(client / len(things) * 1e6)
    spent.whole.append(whole / len(things) * 1e6)
    spent.store.append(store / len(things) * 1e6)
    spent.script.append(script / max(scripts, 1))
    return results


def _server_times(cluster: EmbeddedCluster) -> tuple[float, float, float]:
    """Seconds of the primaries' processors; microseconds of scripts, and how many were called."""
    seconds = script = scripts = 0.0
    for node in cluster.nodes:
        with cluster.client(node) as client:
            if client.info("replication")["role"] != "master":
                continue
            cpu: dict[str, Any] = client.info("cpu")
            called: dict[str, Any] = client.info("commandstats")
        seconds += float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])
        evalsha = called.get("cmdstat_evalsha", {})
        script += float(evalsha.get("usec", 0))
        scripts += float(evalsha.get("calls", 0))
    return seconds, script, scripts


def _time_signatures(key: SigningKey, calls: int) -> float:
    began = time.process_time()
    for _ in range(calls):
        key.sign(_MESSAGE)
    return (time.process_time() - began) / calls * 1e6
