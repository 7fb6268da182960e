"""The processes that log in and revoke, over connections of their own that no fault touches."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from clusterpass import AsyncSessionManager, SessionManager
from clusterpass.model.errors import ClusterPassError, StoreUnavailable
from clusterpass.store.drivers.aio import AsyncStore
from clusterpass.store.drivers.sync import SyncStore

from .messages import Outcome, Planned, Token
from .opening import Opening, configuration, location_of
from .workers import LoopThread

_THREADS = 12
_PATIENCE = 20.0
"""Seconds for which a verb is tried again."""
_now = time.monotonic


class Writer:
    """The object that runs in the process; both managers look alike from here."""

    def __init__(self, style: str) -> None:
        self._style = style
        self._loop = LoopThread(asyncio.new_event_loop) if style == "async" else None
        self._never = threading.Event()
        self.manager: Any = None

    def open(self, opening: Opening) -> None:
        """Make a manager."""
        location, config = location_of(opening), configuration(opening)
        if self._loop is None:
            self.manager = SessionManager(SyncStore(location), config)
        else:
            self.manager = self._loop.run(_make_async(location, config))

    def close(self) -> None:
        """Close the manager."""
        self._do(lambda manager: manager.close())

    def _do(self, verb: Callable[[Any], Any]) -> Any:
        result = verb(self.manager)
        return result if self._loop is None else self._loop.run(result)

    def log_in(self, subjects: Sequence[tuple[str, int]]) -> list[Token]:
        """A session of each; subjects come with their group. A replica has confirmed them all."""
        with ThreadPoolExecutor(_THREADS) as threads:
            return list(threads.map(self._log_in, subjects))

    def _log_in(self, subject: tuple[str, int]) -> Token:
        name, group = subject
        gives_up = _now() + _PATIENCE
        while True:
            try:
                pair = self._do(lambda manager: manager.login(name))
            except StoreUnavailable:
                if _now() > gives_up:
                    raise
                continue
            if pair.durable or _now() > gives_up:
                return Token(name, pair.access_token, pair.session_id, group)
            self._never.wait(0.05)

    def carry_out(self, plan: Sequence[Planned]) -> list[Outcome]:
        """Do what is planned, each at its time; returns when all is done."""
        with ThreadPoolExecutor(max(1, len(plan))) as threads:
            return list(threads.map(self._carry_out, plan))

    def _carry_out(self, planned: Planned) -> Outcome:
        self._never.wait(max(0.0, planned.at - _now()))
        return self._end(
            planned.token.name, planned.kind, lambda manager: _revoke(manager, planned)
        )

    def cut_off(self, at: float) -> Outcome:
        """End every session of the namespace at the time ``at``."""
        self._never.wait(max(0.0, at - _now()))
        return self._end("", "cutoff", lambda manager: manager.revoke_before())

    def _end(self, name: str, kind: str, verb: Callable[[Any], Any]) -> Outcome:
        begun = _now()
        unknown = 0
        while True:
            attempt = _now()
            try:
                result = self._do(verb)
            except StoreUnavailable:
                unknown += 1
                if _now() - begun > _PATIENCE:
                    return Outcome(name, kind, begun, None, attempt, False, unknown)
            except ClusterPassError:  # an attempt before, or a lost store, has ended it already
                return Outcome(name, kind, begun, None, attempt, False, unknown + 1)
            else:
                return Outcome(name, kind, begun, _now(), attempt, result.durable, unknown)


async def _make_async(location: Any, config: Any) -> AsyncSessionManager:
    return AsyncSessionManager(AsyncStore(location), config)


def _revoke(manager: Any, planned: Planned) -> Any:
    token = planned.token
    if planned.kind == "revoke":
        return manager.revoke(token.name, token.session_id)
    if planned.kind == "revoke_all":
        return manager.revoke_all(token.name)
    if planned.kind == "ban":
        return manager.bans.add(token.name)
    return manager.logout(token.access_token)
