"""Runs the flows of one manager until it is closed, and resumes its background work where needed.

The background work of an asynchronous manager ends with the event loop that it runs in. Work that
is left then resumes in the event loop of the next call, or of a call a tenth of a second later.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from clusterpass.managers.workers.aio import AsyncTurns
from clusterpass.model.errors import CLOSED, StoreUnavailable
from clusterpass.protocol.script import Flow
from clusterpass.sessions.audit_recorder import AuditTrail
from clusterpass.store.protocol import AwaitableStore

Result = TypeVar("Result")


class AsyncRunning:
    """Runs the flows of all verbs of one manager."""

    def __init__(self, store: AwaitableStore) -> None:
        self._store = store
        self._is_closed = False
        self._turns = AsyncTurns()
        self.trail: AuditTrail | None = None
        """The audit trail; None: nothing is noted."""
        self.resume: tuple[Callable[[], None], ...] = ()
        """Each resumes one kind of background work, where there is any to do; cheap."""
        self.around: (
            Callable[[Flow[Any], Callable[[Flow[Any]], Awaitable[Any]]], Awaitable[Any]] | None
        )
        self.around = None
        """Runs a flow by the function that it is given, and traces it; None: nobody does."""

    def close(self) -> None:
        """Refuse every call from now on."""
        self._is_closed = True

    def run(self, flow: Flow[Result]) -> Awaitable[Result]:
        """Run ``flow`` against the store: return its result, raise its error.

        Raises StoreUnavailable, at once, when the manager is closed.
        """
        if self._is_closed:
            raise _closed()
        if self._turns.is_next():
            for resume in self.resume:
                resume()
        if self.around is not None:
            traced: Awaitable[Result] = self.around(flow, self._store.run)
            return traced
        return self._store.run(flow)

    def audited(self, action: str, flow: Flow[Result], **about: Any) -> Awaitable[Result]:
        """Run ``flow`` as :meth:`run` does, and note in the audit trail what became of it.

        ``about``: the subject, the session, the reason and the address, as far as they are known.
        """
        if self.trail is None:
            return self.run(flow)
        noted = self.trail.around(action, flow, **about)
        cast("Any", noted).__name__ = getattr(flow, "__name__", action)  # of a span, where traced
        return self.run(noted)

    def ping(self) -> Awaitable[None]:
        """Return if a primary answers; raise StoreUnavailable if not, and at once when closed."""
        if self._is_closed:
            raise _closed()
        return self._store.ping()


def _closed() -> StoreUnavailable:
    return StoreUnavailable(CLOSED, reason="closed", cause="closed")
