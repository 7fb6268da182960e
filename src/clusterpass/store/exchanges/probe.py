"""The probe of a node that has long been silent: it answers, or others own its slot. Pure.

Callers are refused meanwhile, so a probe may take as long as a call.
"""

from collections.abc import Callable

from clusterpass.model.errors import ClusterPassError
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.store.exchanges.circuit_breaker import CircuitBreakers
from clusterpass.store.exchanges.node_queries import ask
from clusterpass.store.exchanges.server_errors import NOT_SERVING, judge
from clusterpass.store.exchanges.steps import Exchange, LookUp, Probe
from clusterpass.store.outcomes import Fault, ServerError
from clusterpass.store.topology.slots import SlotMap


def probe(
    wanted: Probe,
    current: Callable[[], SlotMap],
    breakers: CircuitBreakers,
    keyspace: Keyspace,
    until: float,
) -> Exchange[None]:
    """Close the breaker of the node if it serves its slot, or look up who does.

    ``current``: returns the slot map as it is now; ``until``: the time after which no look-up
    starts, in seconds of the monotonic clock.
    """
    node, is_settled = wanted.node, False
    try:
        # First, as it costs a moment only where there is a new owner.
        yield LookUp(current().version, suspect=node, until=until)
        if node not in current().primaries():
            return  # nobody asks it any more
        # A PING would be answered by a node that does not serve.
        commands = ((b"GET", keyspace.probe(wanted.slot)),)
        outcome = yield from ask(node, commands, fresh=True)
        error = None if isinstance(outcome, Fault) else outcome.values[0]
        if isinstance(outcome, Fault):
            breakers.failed(node, outcome.kind, fault=outcome)
        elif isinstance(error, ServerError) and error.code in NOT_SERVING:
            fault = judge(error)
            breakers.failed(node, fault.kind, fault=fault)
        else:
            breakers.answered(node)
        is_settled = True
    except ClusterPassError:
        breakers.answered(node)  # the next caller learns what is wrong
        is_settled = True
    finally:
        if not is_settled:  # also where the event loop of the probe has ended
            breakers.probe_ended(node)
