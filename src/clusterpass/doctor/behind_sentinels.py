"""Finds the servers of a service by its Sentinels, for a store URL that begins redis+sentinel."""

import ssl
import time
from dataclasses import replace

from clusterpass.doctor.node_connection import CONNECTION_FAILURES, NodeConnection
from clusterpass.model.errors import StoreDenied, StoreFailed, StoreUnavailable
from clusterpass.store.exchanges.sentinels import Sentinels
from clusterpass.store.exchanges.steps import Send
from clusterpass.store.exchanges.unavailable import placed, refused_by_sentinel, unavailable
from clusterpass.store.location import StoreLocation
from clusterpass.store.outcomes import Fault, Replies
from clusterpass.store.wire.faults import fault_of_connection


def find_servers(
    location: StoreLocation, context: ssl.SSLContext | None
) -> tuple[StoreLocation, int]:
    """The location with the servers as its seeds, the primary first, and the number of Sentinels.

    Without Sentinels, ``location`` itself and 0. Raises StoreUnavailable where no majority of the
    Sentinels names a primary, StoreDenied where one refuses the user, StoreFailed where they do not
    know the service.
    """
    if location.service is None:
        return location, 0
    sentinels = Sentinels(location.service, location.seeds)
    until = time.monotonic() + location.patience.deadline
    steps = sentinels.inquire(time.monotonic, until, with_replicas=True)
    outcome: Replies | Fault | None = None
    while True:
        try:
            step = steps.send(outcome)
        except StopIteration as stop:
            named = stop.value
            break
        assert isinstance(step, Send)
        try:
            with placed(location, step.address):
                outcome = _asked(location, step, context)
        except StoreDenied as error:
            outcome = refused_by_sentinel(error, step.address)
    if named is None:
        raise unavailable(sentinels.blame("connection"), None)
    servers = (named.primary, *sorted(named.replicas | named.failed))
    return replace(location, seeds=servers, service=None), named.sentinels


def _asked(location: StoreLocation, step: Send, context: ssl.SSLContext | None) -> Replies | Fault:
    reached = location.reaching(step.address)
    try:
        with NodeConnection(reached, step.address, context) as sentinel:
            return Replies(sentinel.ask_together(*step.commands))
    except (StoreDenied, StoreFailed):
        raise
    except StoreUnavailable:
        return Fault("busy")
    except CONNECTION_FAILURES as error:
        return fault_of_connection(error, reused=False)
