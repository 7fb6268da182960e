"""Counts the calls of our functions in a verb, the files involved, and the moves between files.

A call is the start of one of our functions, or the resumption of one of our generators or
coroutines. A move is a call in a different file from the call before. ``sys.setprofile`` counts in
one event loop, in strict mode, on an embedded cluster. Times play no part, so the figures are the
same on any machine.

    python -m benchmarks.call_counts            # a table
    python -m benchmarks.call_counts --path     # and the path of each verb, file by file
"""

import asyncio
import itertools
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final

import clusterpass
from clusterpass import AsyncSessionManager, Config, EmbeddedCluster, KeyRing

_OURS: Final = f"{Path(clusterpass.__file__).parent}/"
_ROUNDS: Final = 9
_WARM_UP: Final = 20
Calls = list[tuple[str, str]]
"""The file and the function of each call, in order."""


async def _traced(verb: Callable[[], Awaitable[Any]]) -> tuple[Any, Calls]:
    calls: Calls = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(_OURS):
            calls.append((frame.f_code.co_filename[len(_OURS) :], frame.f_code.co_qualname))

    sys.setprofile(note)
    try:
        result = await verb()
    finally:
        sys.setprofile(None)
    return result, calls


async def measure(url: str) -> dict[str, Calls]:
    """The median run of each verb, by its name."""
    config = Config(issuer="https://auth.example", keys=KeyRing.generate(), verification="strict")
    runs: dict[str, list[Calls]] = {}
    async with AsyncSessionManager.from_url(url, config) as sessions:
        for number in range(_WARM_UP + _ROUNDS):
            subject = f"user-{number}"
            pair, login = await _traced(lambda name=subject: sessions.login(name))  # type: ignore[misc]
            access, secret = pair.access_token, pair.refresh_token
            _, first = await _traced(lambda token=access: sessions.verify(token))  # type: ignore[misc]
            _, again = await _traced(lambda token=access: sessions.verify(token))  # type: ignore[misc]
            _, refresh = await _traced(lambda token=secret: sessions.refresh(token))  # type: ignore[misc]
            _, logout = await _traced(lambda token=access: sessions.logout(token))  # type: ignore[misc]
            found = {
                "login": login,
                "strict verify of a new token": first,
                "strict verify of a known token": again,
                "refresh": refresh,
                "logout": logout,
            }
            for name, calls in found.items():
                runs.setdefault(name, []).append(calls)
    return {name: sorted(each[_WARM_UP:], key=len)[_ROUNDS // 2] for name, each in runs.items()}


def main() -> None:
    """Print the table."""
    with EmbeddedCluster(nodes=6) as cluster:
        found = asyncio.run(measure(cluster.url))
    print("| verb | calls | files | moves between files |\n|---|---|---|---|")
    for name, calls in found.items():
        files = [file for file, _ in calls]
        moves = sum(before != after for before, after in itertools.pairwise(files))
        print(f"| {name} | {len(calls)} | {len(set(files))} | {moves} |")
    if "--path" in sys.argv[1:]:
        for name, calls in found.items():
            print(f"\n{name}")
            for file, group in itertools.groupby(calls, key=lambda call: call[0]):
                print(f"    {file}: {', '.join(function for _, function in group)}")


if __name__ == "__main__":
    main()
