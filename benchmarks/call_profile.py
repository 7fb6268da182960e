"""Divides the CPU time of each call of the library among parts of the code, with ``perf``."""

import asyncio
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from benchmarks import call_counts
from benchmarks.fixtures import make_config, server_version
from benchmarks.report import Report
from benchmarks.sampling import PARTS, REST, parts_of, sampling, shares_of
from clusterpass import AsyncSessionManager, Config, EmbeddedCluster
from clusterpass.tokens.refresh import CHAIN_LENGTH

_NAME, _TITLE = "call_profile", "Where the time of a call goes"
_TASKS: Final = 50
_SESSIONS: Final = 1_000
_MESSAGE: Final = bytes(400)
_SIGNATURE: Final = "one signature"
_LOGIN: Final = "login"
_REFRESH: Final = "refresh"
_STRICT: Final = "strict verify"
_PATHS: Final = {_STRICT: "strict verify of a known token"}
"""The names of ``call_counts``, where they differ."""
_SHOWN: Final = tuple(each for each in PARTS if each not in {"HTTP server", "pydantic"})
_Thing = TypeVar("_Thing")
_Result = TypeVar("_Result")
_TEXT = """\
The calls of `library_calls`, of 50 tasks in one event loop of asyncio, and verifies that ask the
store; meanwhile `perf record` samples the process 1,999 times a second, which makes each call
dearer. us/call is the processor time of the client, divided among the parts by their samples, as
for `http_profile`; Python is the interpreter with all Python code, that of asyncio included. The
sessions that are refreshed are not in the memory of the manager, unlike in `library_calls`. The
last column counts the Python functions of ours that a call enters (`python -m
benchmarks.call_counts`). Measured on {date}."""


def run(*, seconds: float = 4.0) -> Report:
    """Make each call for ``seconds``."""
    perf = shutil.which("perf")
    columns = ("call", "us/call", *_SHOWN, REST, "functions of ours")
    if perf is None:
        return Report(_NAME, _TITLE, "Not measured: perf is not installed.", columns, ())
    config = make_config("EdDSA")
    with EmbeddedCluster(nodes=6) as cluster, tempfile.TemporaryDirectory() as folder:
        samples = _Samples(perf, Path(folder) / "samples", seconds)
        asyncio.run(_measure(cluster.url, config, samples))
        paths = asyncio.run(call_counts.measure(f"{cluster.url}?namespace=paths"))
        version = server_version(cluster)
    found = samples.found
    functions = {name: len(paths.get(_PATHS.get(name, name), ())) for name in found}
    rows = [
        [
            name,
            f"{sum(parts.values()):.0f}",
            *(f"{parts[each]:.1f}" for each in _SHOWN),
            f"{parts[REST] + parts['HTTP server'] + parts['pydantic']:.1f}",
            f"{functions[name] or ''}",
        ]
        for name, parts in found.items()
    ]
    text = _TEXT.format(date=time.strftime("%F")).replace("\n", " ")
    notes = _notes(found, functions)
    return Report(_NAME, _TITLE, text, columns, rows, servers=[version], notes=notes)


class _Samples:
    """Samples this process while it makes calls."""

    def __init__(self, perf: str, target: Path, seconds: float) -> None:
        self._perf, self._target, self._seconds = perf, target, seconds
        self.found: dict[str, dict[str, float]] = {}
        """Microseconds of a call, by name and part."""

    async def take(self, name: str, calls: Callable[[], Awaitable[int]]) -> None:
        """Make ``calls``, which tell how many they were, again and again, while it is sampled."""
        made, spent = 0, 0.0
        with sampling(self._perf, [os.getpid()], self._target, self._seconds):
            until = time.monotonic() + self._seconds
            while time.monotonic() < until:
                began = time.process_time()
                made += await calls()
                spent += time.process_time() - began
        self.found[name] = parts_of(spent / made, shares_of(self._perf, self._target))


async def _measure(url: str, config: Config, samples: _Samples) -> None:
    key, numbers = config.keys.signing_key, itertools.count()

    async def sign() -> int:
        for _ in range(_SESSIONS):
            key.sign(_MESSAGE)
        return _SESSIONS

    async with AsyncSessionManager.from_url(url, config) as manager:

        async def log_in() -> int:
            await _each([f"user-{next(numbers)}" for _ in range(_SESSIONS)], manager.login)
            return _SESSIONS

        held = await _each([f"held-{number}" for number in range(_SESSIONS)], manager.login)

        async def verify_strictly() -> int:
            await _each(held, lambda pair: manager.verify(pair.access_token, verification="strict"))
            return _SESSIONS

        async def refresh() -> int:
            held[:] = await _each(held, lambda pair: manager.refresh(pair.refresh_token))
            return _SESSIONS

        await samples.take(_SIGNATURE, sign)
        await samples.take(_LOGIN, log_in)
        await samples.take(_REFRESH, refresh)
        await samples.take(_STRICT, verify_strictly)


async def _each(
    things: Sequence[_Thing], call: Callable[[_Thing], Awaitable[_Result]]
) -> list[_Result]:
    """Call ``call`` with each of ``things``, many at a time."""
    results: list[_Result] = []
    waiting = iter(things)

    async def work() -> None:
        for thing in waiting:
            results.append(await call(thing))  # noqa: PERF401 (it is shared)

    await asyncio.gather(*(work() for _ in range(_TASKS)))
    return results


def _notes(found: dict[str, dict[str, float]], functions: dict[str, int]) -> list[str]:
    """What limits the figures of ``library_calls``."""
    signature, refresh, login = (
        sum(found[name].values()) for name in (_SIGNATURE, _REFRESH, _LOGIN)
    )
    parts = found[_REFRESH]
    codes = parts["cryptography"] - signature
    outside = parts["kernel"] + parts["event loop"] + parts["hiredis"] + parts[REST]
    shares = f"{refresh / signature:.1f} signatures; a login: {login / signature:.1f}"
    return [
        "**What a refresh is made of:**",
        f"- Of {refresh:.0f} us ({shares}) a signature takes {signature:.0f}. The authentication"
        f" codes of the two refresh tokens, and of the {CHAIN_LENGTH} that may follow the old one,"
        f" by which the store tells a retry from a theft, take {codes:.0f} more; sockets, the C"
        f" code of the event loop, the parser of replies and the C library {outside:.0f}.",
        f"- The interpreter has {parts['Python']:.0f} us for {functions[_REFRESH]} functions of"
        " ours and those of asyncio.",
    ]
