"""Locks, threads, queues and counters in a forked child: all are made anew."""

import os
from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from typing import Any

import pytest

from clusterpass import AsyncSessionManager, AuditPolicy, Config, KeyRing, SessionManager
from clusterpass.managers.aio.listener_queue import AsyncListeners
from clusterpass.managers.single_flight import AsyncSingleFlight, SingleFlight
from clusterpass.managers.sync.listener_queue import Listeners
from clusterpass.managers.workers.aio import AsyncJobs, AsyncWorker
from clusterpass.managers.workers.sync import Jobs, Worker
from clusterpass.model import forks
from clusterpass.model.counters import Counters
from clusterpass.model.errors import RevocationPending, StoreUnavailable
from clusterpass.testing import SimulatedClock

from .driven_flows import life

CONFIG = Config(issuer="https://auth.example", keys=KeyRing.generate())
NOWHERE = "redis://127.0.0.1:1"


def manager(**options: Any) -> SessionManager:
    return SessionManager.from_url(NOWHERE, replace(CONFIG, **options))


def async_manager(**options: Any) -> AsyncSessionManager:
    return AsyncSessionManager.from_url(NOWHERE, replace(CONFIG, **options))


HOLDERS: list[Callable[[], Any]] = [
    Counters,
    SimulatedClock,
    SingleFlight,
    AsyncSingleFlight,
    Listeners,
    AsyncListeners,
    lambda: Worker(print, name="worker"),
    lambda: AsyncWorker(print, name="worker"),
    lambda: Jobs(name="jobs", on_end=print),
    lambda: AsyncJobs(name="jobs", on_end=print),
    *(
        lambda path=path, made=made: attrgetter(path)(made())
        for path in ("store", "_closing", "_hearing", "_hearing._changed", "_hearing._heard")
        for made in (manager, async_manager)
    ),
    lambda: manager(audit=AuditPolicy())._auditing,
    lambda: async_manager(audit=AuditPolicy())._auditing,
]


@pytest.mark.parametrize("make", HOLDERS)
def test_a_child_renews_it(make: Callable[[], Any]) -> None:
    held = make()
    assert held in forks._registered


def test_no_cutoff_of_its_parent_is_pending_in_a_child() -> None:
    """The parent retries it; in the child nothing ever would, and ``outage_grace`` was refused."""
    own = life()
    flow = own.flows.end.revoke_before(None)
    step: Callable[[], Any] = lambda: next(flow)  # noqa: E731
    with pytest.raises(RevocationPending):
        while True:
            step()
            step = lambda: flow.throw(StoreUnavailable(reason="timeout"))  # noqa: E731
    memory = own.flows.memory
    assert (len(memory.pending), memory.pending_cutoffs) == (1, 1)
    child = os.fork()
    if child == 0:
        os._exit(len(memory.pending) + memory.pending_cutoffs)
    assert os.waitpid(child, 0)[1] == 0
    assert (len(memory.pending), memory.pending_cutoffs) == (1, 1)


def test_a_child_waits_for_no_load_of_its_parent() -> None:
    flights = SingleFlight()
    assert flights.join("key", 0) is False
    assert flights.join("key", 0) is True, "a load is under way"
    flights.begin_anew()
    assert flights.join("key", 0) is False
    flights.land("key")
    assert flights.join("key", 0) is False
