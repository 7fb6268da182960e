"""Random operations of one process, with threads or tasks, and the record of their outcomes.

All processes verify and end the sessions of all. Only who has opened a session refreshes it, now
and then with a token that was used before.
"""

import heapq
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clusterpass.model.errors import ClusterPassError

from .acts import Act, Known, Plot, digest
from .history import READS, Operation, Recorder
from .known import Sessions
from .mix import Mix
from .ordinary_acts import Ordinary
from .plots import Plots

_FEWEST_KNOWN = 20
_LOOK_SECONDS = 0.05
_LOOKED_AT_AT_ONCE = 0.1
"""The share of sessions that are verified or listed as soon as they were told of."""


class Lives:
    """The operations of one process."""

    def __init__(
        self,
        name: str,
        folder: Path,
        seed: int,
        mix: Mix,
        recorder: Recorder | None,
        is_strict: bool = False,
    ) -> None:
        """``recorder``: None where nothing is to be recorded. ``is_strict``: of the manager."""
        self.name = name
        self.random = random.Random(f"{seed} {name}")
        self.sessions = Sessions(name, folder, mix.known, self.random)
        self.is_strict = is_strict
        self.batch = mix.batch
        self.ordinary = Ordinary(self, mix.generations)
        self.plots = Plots(self)
        self._recorder = recorder
        self._acts, self._shares = self._choices(mix)
        self._looked_at = 0.0
        self._waiting: list[tuple[float, int, Plot, Callable[[], Act]]] = []
        self._numbers = iter(range(1_000_000_000))
        self.count = 0

    def _choices(self, mix: Mix) -> tuple[list[Callable[[], Act]], list[float]]:
        of, plots = self.ordinary, self.plots
        shares: dict[Callable[[], Act], float] = {
            of.login: mix.login,
            of.short_login: mix.short_login,
            of.capped_login: mix.capped_login,
            of.refresh: mix.refresh,
            of.end_one: mix.end_one,
            of.end_all: mix.end_all,
            of.list_some: mix.listing,
            of.raise_cutoff: mix.cutoff,
            self._starting(plots.impersonation): mix.impersonation,
            self._starting(plots.step_up): mix.step_up,
            self._starting(plots.scope_ban): mix.scope_ban,
            self._starting(plots.operation_id): mix.operation_id,
        }
        return [*shares, of.verify], [*shares.values(), 100 - sum(shares.values())]

    def _starting(self, plot: Callable[[], Plot]) -> Callable[[], Act]:
        def start() -> Act:
            self.follow(plot())
            return self._due() or self.ordinary.verify()

        return start

    def next(self) -> Act:
        """Return the next operation; recorded already if it may change something."""
        if time.monotonic() - self._looked_at > _LOOK_SECONDS:
            self._looked_at = time.monotonic()
            for known in self.sessions.look():
                if self.random.random() < _LOOKED_AT_AT_ONCE:
                    self.follow(self.plots.look_at(known))
        act = self._due()
        if act is None and len(self.sessions.known) < _FEWEST_KNOWN:
            act = self.ordinary.login()
        elif act is None:
            (choose,) = self.random.choices(self._acts, self._shares)
            act = choose()
        if act.operation.verb not in READS and self._recorder is not None:
            self._recorder.begin(act.operation)
        return act

    def verifies(self, count: int) -> list[Act]:
        """So many verifies, to be made at once; none while hardly a session is known."""
        if len(self.sessions.known) < _FEWEST_KNOWN:
            return []
        return [self.ordinary.verify() for _ in range(count)]

    def note(self, act: Act, result: Any, error: ClusterPassError | None) -> None:
        """Record the outcome of an operation."""
        operation = act.operation
        operation.ended = time.monotonic()
        self.count += 1
        if error is not None:
            operation.outcome, operation.reason = error.code, error.reason
        else:
            operation.outcome = "ok"
            self._note_result(act, operation, result)
        if self._recorder is not None:
            self._recorder.end(operation)
        if act.plot is not None:
            self._advance(act.plot, result if error is None else error)

    def _note_result(self, act: Act, operation: Operation, result: Any) -> None:
        verb = operation.verb
        if verb == "verify":
            operation.answered = result.session_id
            operation.in_grace = result.in_grace or None
            if result.acr != "1":
                operation.acr = result.acr
            if result.bans:
                operation.bans = " ".join(ban.scope or "*" for ban in result.bans)
            return
        operation.durable = getattr(result, "durable", None)
        operation.journaled = getattr(result, "journaled", None) or None
        if verb in {"login", "impersonate"}:
            self._opened(operation, result)
        elif verb == "list":
            operation.listed = " ".join(session.session_id for session in result)
        elif verb in {"refresh", "elevate"}:
            self._renewed(operation, act.known, result)

    def close(self) -> None:
        """Write what is not written yet."""
        if self._recorder is not None:
            self._recorder.flush()

    def begin(self, verb: str, subject: str, **more: Any) -> Operation:
        """An operation that begins now."""
        return Operation(
            process=self.name,
            number=next(self._numbers),
            verb=verb,
            subject=subject,
            began=time.monotonic(),
            **more,
        )

    def follow(self, plot: Plot) -> None:
        """Carry out ``plot``, step by step."""
        self._advance(plot, None)

    def _advance(self, plot: Plot, outcome: Any) -> None:
        try:
            after, make = plot.send(outcome)
        except StopIteration:
            return
        due = time.monotonic() + after
        heapq.heappush(self._waiting, (due, next(self._numbers), plot, make))

    def _due(self) -> Act | None:
        """The step of a plot whose time has come."""
        try:
            if self._waiting[0][0] > time.monotonic():
                return None
            _, _, plot, make = heapq.heappop(self._waiting)
        except IndexError:
            return None
        act = make()
        act.plot = plot
        return act

    def _opened(self, operation: Operation, pair: Any) -> None:
        token = pair.refresh_token
        operation.session, operation.successor = pair.session_id, digest(token)
        operation.access = digest(pair.access_token)
        known = Known(
            pair.subject,
            pair.session_id,
            pair.access_token,
            operation.access,
            refresh_token=token,
            first_token=token,
        )
        self.sessions.opened(known)
        if self.random.random() < _LOOKED_AT_AT_ONCE:
            self.follow(self.plots.look_at(known))  # who has opened it sees it

    def _renewed(self, operation: Operation, known: Known | None, pair: Any) -> None:
        assert known is not None
        operation.answered, operation.successor = pair.session_id, digest(pair.refresh_token)
        operation.access = digest(pair.access_token)
        is_step_up = operation.verb == "elevate"
        if is_step_up or operation.presented == digest(known.refresh_token):
            known.used_token, known.refresh_token = known.refresh_token, pair.refresh_token
        if is_step_up or operation.number % 8 == 0:
            self.sessions.tell(Known(known.subject, known.session, pair.access_token))
