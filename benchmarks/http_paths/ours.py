"""ClusterPass under load: single-worker servers, and the sessions that the requests use."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

import uvloop

from benchmarks.fixtures import make_config
from benchmarks.http_paths.candidates import Candidate
from benchmarks.http_paths.load_requests import Requests, verifies
from benchmarks.http_paths.setup_client import Visitor
from benchmarks.http_paths.store_cpu import Store
from benchmarks.web import free_port, serving
from clusterpass import AsyncSessionManager, EmbeddedCluster, TokenPair

CACHED_ONE: Final = "ours, cached, 1 token"
CACHED: Final = "ours, cached, 1,000 tokens"
STRICT: Final = "ours, strict, 1,000 tokens"
REFRESH: Final = "ours, POST /refresh"
LOGIN: Final = "ours, POST /login, any password"
FEW: Final = 1_000
_AT_ONCE: Final = 32
"""Logins and refreshes, as many as wrk has connections."""
_USERS: Final = 10_000
_HOUR: Final = 3_600
"""Seconds that access tokens live: none may expire in a run."""
_Result = TypeVar("_Result")


def cached(tokens: int) -> str:
    """The label of verifies from memory with so many tokens."""
    return f"ours, cached, {tokens:,} tokens"


def strict(tokens: int) -> str:
    """The label of verifies that ask the store, with so many tokens."""
    return f"ours, strict, {tokens:,} tokens"


class Ours:
    """The servers, and a manager of the library that opens sessions for them."""

    def __init__(self, cluster: EmbeddedCluster, folder: Path, stack: ExitStack) -> None:
        """They run until ``stack`` is closed."""
        self._cluster, self._stack = cluster, stack
        self._config = replace(make_config("EdDSA"), access_lifetime=_HOUR)
        self._keys_file = folder / "keys.json"
        self._config.keys.save(self._keys_file)
        self._store = Store(cluster, stack)

    def start(self, many: int) -> list[Candidate]:
        """Start all candidates; ``many``: the larger number of different tokens."""
        pairs = _run(self._log_in("verified", many))
        headers = [f"Authorization: Bearer {pair.access_token}" for pair in pairs]
        # Many tokens have servers of their own: whatever they drive out of memory would make the
        # next load of few tokens dearer than it is.
        cached_few, cached_many, strict_few, strict_many = (
            self._serve("verified", CLUSTERPASS_VERIFICATION=mode)
            for mode in ("cached", "cached", "strict", "strict")
        )
        issuing = self._serve("issuing")
        logins = [
            json.dumps({"username": f"user-{number}", "password": "any", "device": "iPhone"})
            for number in range(_USERS)
        ]
        login = Requests("body", "POST", "/login", lambda: logins)
        refresh = Requests("rotate", "POST", "/refresh", self.refresh_tokens)
        return [
            self._candidate(CACHED_ONE, cached_few, verifies(headers[:1])),
            self._candidate(CACHED, cached_few, verifies(headers[:FEW]), FEW),
            self._candidate(cached(many), cached_many, verifies(headers), many),
            self._candidate(STRICT, strict_few, verifies(headers[:FEW]), FEW),
            self._candidate(strict(many), strict_many, verifies(headers), many),
            self._candidate(REFRESH, issuing, refresh),
            self._candidate(LOGIN, issuing, login),
        ]

    def serve_from_memory(self, many: int, **settings: str) -> Candidate:
        """A server of its own, with ``settings``, for verifies of ``many`` tokens from memory."""
        pairs = _run(self._log_in("verified", many))
        headers = [f"Authorization: Bearer {pair.access_token}" for pair in pairs]
        server = self._serve("verified", CLUSTERPASS_VERIFICATION="cached", **settings)
        return self._candidate(cached(many), server, verifies(headers), many)

    def refresh_tokens(self) -> list[str]:
        """The refresh tokens of new sessions."""
        return [pair.refresh_token for pair in _run(self._log_in("issuing", FEW))]

    def library_refresh_seconds(self, calls: int) -> float:
        """Processor seconds of this process for a refresh by the library, 32 tasks at once."""
        return _run(self._refresh(calls))

    def _serve(self, namespace: str, **settings: str) -> tuple[int, int, bool]:
        port = free_port()
        environment = {
            "CLUSTERPASS_STORE_URL": self._url(namespace),
            "CLUSTERPASS_KEYS_FILE": str(self._keys_file),
            "CLUSTERPASS_ISSUER": self._config.issuer,
            "CLUSTERPASS_ACCESS_LIFETIME": str(_HOUR),
            "CLUSTERPASS_PASSWORD_CHECK": "benchmarks.accept_any_password:accept",
            # All logins come from one address.
            "CLUSTERPASS_ADDRESS_ATTEMPTS": "1000000",
            "CLUSTERPASS_ACCOUNT_ATTEMPTS": "1000000",
            **settings,
        }
        command = ["clusterpass", "serve", "--port", str(port)]
        process = self._stack.enter_context(serving(command, port, environment))
        visitor = Visitor(port, {"username": "alice", "password": "any"})
        notices = visitor.notices_logout()
        visitor.close()
        return process.pid, port, notices

    def _candidate(
        self, label: str, server: tuple[int, int, bool], requests: Requests, most: int = 1
    ) -> Candidate:
        pid, port, notices = server
        return Candidate(label, pid, port, requests, self._store, notices, most)

    def _url(self, namespace: str) -> str:
        return f"{self._cluster.url}?namespace={namespace}"

    async def _log_in(self, namespace: str, sessions: int) -> list[TokenPair]:
        pairs: list[TokenPair] = []
        async with AsyncSessionManager.from_url(self._url(namespace), self._config) as manager:

            async def log_in(number: int) -> None:
                pairs.append(await manager.login(f"subject-{number}", device="iPhone"))

            await _in_turn(range(sessions), log_in)
        return pairs

    async def _refresh(self, calls: int) -> float:
        tokens = [pair.refresh_token for pair in await self._log_in("issuing", FEW)]
        async with AsyncSessionManager.from_url(self._url("issuing"), self._config) as manager:

            async def refresh(number: int) -> None:
                token = tokens[number % FEW]
                tokens[number % FEW] = (await manager.refresh(token)).refresh_token

            await _in_turn(range(FEW), refresh)
            before = time.process_time()
            await _in_turn(range(calls), refresh)
            return (time.process_time() - before) / calls


async def _in_turn(
    numbers: Sequence[int], call: Callable[[int], Coroutine[None, None, None]]
) -> None:
    """``call`` for each number, 32 at once."""
    waiting = iter(numbers)

    async def work() -> None:
        for number in waiting:
            await call(number)

    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))


def _run(coroutine: Coroutine[None, None, _Result]) -> _Result:
    """On an event loop of the kind that the service has."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)
